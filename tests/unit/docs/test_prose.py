# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Words that ``docs/style.md`` does without, in pages and in the questions of checks."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import checks
from harness.checks.finding import Check
from tests.support.data import PROJECT
from tests.support.house import statements
from tests.support.markdown import pages
from tests.support.reference_tables import modules

if TYPE_CHECKING:
    from collections.abc import Iterator

_AVOIDED = re.compile(
    r"\b(?:likewise|for else|as ever|(?:is|are|was|were|be|been|being) (?:told|asked|said))\b", re.IGNORECASE
)
_OTHER_VERBS = {
    "Get",
    "Gets",
    "Give",
    "Gives",
    "List",
    "Lists",
    "Name",
    "Names",
    "Returns",
    "Say",
    "Says",
    "Tell",
}
_NEGATED = re.compile(r"\b(?:no|not|never|nobody|nothing|none|neither|nor|without)\b", re.IGNORECASE)


def avoided(path: Path) -> Iterator[str]:
    """Yield a file's lines with such words; those in code style are examples."""
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if words := _AVOIDED.search(re.sub(r"`[^`]*`", "", line)):
            yield f"{path}:{number}: {words[0]}"


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_pages(path: Path) -> None:
    assert list(avoided(path)) == []


def test_code_recipes_and_news() -> None:
    """Docstrings, comments and messages keep to the words of pages."""
    folders = {
        "harness": "*.py",
        "examples": "*.py",
        "ovmf-builds": "*.yaml",
        "scenarios": "*.yaml",
        "changelog.d": "*.md",
        "bench": "*.py",
        "tests": "*.py",
    }
    found = (path for folder, names in folders.items() for path in (PROJECT / folder).rglob(names))
    paths = [path for path in found if path != Path(__file__)]
    assert len(paths) > 300
    assert [line for path in paths for line in avoided(path)] == []


def test_avoided_words_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("What it is told.\n\nThe code `likewise` is said to be fine.\n")
    assert [line.rpartition(": ")[2] for line in avoided(tmp_path / "page.md")] == [
        "is told",
        "is said",
    ]


def questions() -> list[str]:
    """Return the question of every check."""
    every = [value for module in modules(checks) for value in vars(module).values()]
    return sorted({value.question for value in every if isinstance(value, Check)})


def test_questions_are_positive() -> None:
    """Yes means well, so that a reader need not turn a question round."""
    assert len(questions()) > 60
    assert [text for text in questions() if _NEGATED.search(text) or _AVOIDED.search(text)] == []
    assert _NEGATED.search("Does nobody touch it?")


def other_verbs(source: str) -> Iterator[str]:
    """Yield the functions that return something, and whose docstring begins with another verb than *Return*.

    Fixtures give what a test gets, and hooks do something, whatever pytest makes them return.
    """
    for node in statements(source):
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("pytest_"):
            continue
        first = (ast.get_docstring(node) or " ").split(" ")[0]
        if first not in _OTHER_VERBS:
            continue
        returns = node.returns is not None and ast.unparse(node.returns) != "None"
        if returns and not any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list):
            yield f"{node.name}: {first}"


def test_docstrings_say_return() -> None:
    found = {path: list(other_verbs(path.read_text())) for path in (PROJECT / "harness").rglob("*.py")}
    assert len(found) > 100
    assert {path.name: names for path, names in found.items() if names} == {}


def test_another_verb_is_noticed() -> None:
    source = 'def f() -> int:\n    """Give one."""\n\n\ndef g() -> None:\n    """Say it."""\n'
    assert list(other_verbs(source)) == ["f: Give"]
