# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Reference pages are complete: what the code has is on its page, and each page is in the index."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from harness.boot.phases import Phase
from harness.checks.rollout import OUTCOMES
from harness.errors import ExitCode
from harness.evidence.record import EndingKind
from tests.support.data import PROJECT
from tests.support.markdown import page
from tests.support.reference_tables import TABLES, pages_with_tables, rewritten

if TYPE_CHECKING:
    from pathlib import Path

DOCS = PROJECT / "docs"
_SETTING = re.compile(r"""(?:environ(?:\.get\(|\[)|_SETTING = )"(HARNESS_[A-Z_]+)""")


@pytest.mark.parametrize("path", pages_with_tables(), ids=lambda path: path.name)
def test_tables_are_those_of_the_code(path: Path) -> None:
    assert path.read_text() == rewritten(path.read_text()), (
        "python -m tests.support.reference_tables mends it"
    )


def test_every_table_is_on_a_page() -> None:
    texts = "".join(path.read_text() for path in pages_with_tables())
    assert [name for name in TABLES if f"<!-- from the code: {name} -->" not in texts] == []


def test_a_changed_table_is_noticed() -> None:
    text = "<!-- from the code: axes -->\n\n| axis |\n\n<!-- end -->\n"
    assert "| `firmware` |" in rewritten(text)
    assert rewritten(rewritten(text)) == rewritten(text)


def words_of(name: str) -> set[str]:
    """Return what a page has in code style or in bold."""
    path = DOCS / name
    return {text for _line, text in page(path).codes} | set(
        re.findall(r"\*\*([a-z-]+)\*\*", path.read_text())
    )


def test_settings() -> None:
    code = "".join(path.read_text() for path in (PROJECT / "harness").rglob("*.py"))
    assert set(_SETTING.findall(code)) <= words_of("reference/settings.md")


def test_words_of_boots() -> None:
    assert {*EndingKind, *(phase.label for phase in Phase)} <= words_of("reference/records.md")
    assert set(OUTCOMES) - {"hangs"} <= words_of("explanation/rollout.md")


def test_exit_codes() -> None:
    text = (DOCS / "reference/exit-codes.md").read_text()
    found = re.findall(r"^\| (\d+) \|", text, re.MULTILINE)
    assert found == [str(int(code)) for code in sorted({pytest.ExitCode.OK, *ExitCode})]


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "index.md").read_text()
    tree = (DOCS / "contents.rst").read_text()
    names = [path.relative_to(DOCS).with_suffix("").as_posix() for path in sorted(DOCS.rglob("*.md"))]
    names.remove("index")
    assert [name for name in names if f"({name}.md" not in index or f"   {name}\n" not in tree] == []


def pins(name: str) -> dict[str, set[str]]:
    """Return the versions that a lock file pins, by package; several where Python versions differ."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([a-z0-9.-]+)==(\S+)", (PROJECT / name).read_text(), re.MULTILINE):
        found.setdefault(package, set()).add(version)
    return found


def test_pages_are_built_with_the_projects_own_versions() -> None:
    tests, docs = pins("requirements.lock"), pins("docs/requirements.lock")
    assert {"pydantic", "pytest", "jinja2"} <= docs.keys()
    assert {name: docs[name] for name in docs.keys() & tests.keys() if docs[name] != tests[name]} == {}
