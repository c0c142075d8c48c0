# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every fenced block of every Markdown page is tried: YAML loads, command lines parse, Python is tested."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from harness.pytest_plugin.cell_items import SESSION
from tests.support.data import PROJECT
from tests.support.markdown import Page, page, pages
from tests.support.snippets import Doors, command_problems, continued, problems

if TYPE_CHECKING:
    from pathlib import Path

_COMMAND = re.compile(r"(?:harness|pytest|\./run|tox) (?!.*[\[|…=]$)[^\[|…]+$")
"""A command line in code style; those with brackets or bars show a form."""
_OF_THE_CODE = "command-line.md"
"""Its tables hold every command line in a form."""


@pytest.fixture
def doors(pytestconfig: pytest.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doors:
    monkeypatch.chdir(tmp_path)
    return Doors(pytestconfig._parser, pytestconfig.stash[SESSION], tmp_path)


def wrong(found: Page, doors: Doors) -> list[str]:
    """Return what is wrong with the blocks of a page."""
    said: list[str] = []
    for number, fence in enumerate(found.fences):
        said += problems(fence, continued(fence, list(found.fences[:number])), doors)
    spans = [] if found.path.name == _OF_THE_CODE else found.codes
    for line, text in spans:
        mistakes = command_problems(text, doors) if _COMMAND.match(text) else ()
        said += [f"{found.path}:{line}: {it}" for it in mistakes if "arguments are required" not in it]
    return said


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_blocks(path: Path, doors: Doors) -> None:
    assert not wrong(page(path), doors)


def test_wrong_blocks_are_noticed(doors: Doors, tmp_path: Path) -> None:
    """One of each kind."""
    blocks = {
        "yaml scenario": "name: x\ndescription: Is it?\nmatirx: {}\n",
        "yaml scenario +": "exclude: []\n",
        "yaml kernels": "kernels: []\n",
        "yaml": "a: 1\n",
        "toml": "a = \n",
        "toml harness": "nmae = 1\n",
        "json": "{'a': 1}\n",
        "json lines": "{}\n{\n",
        "python": "from harness.errors import HarnesError\n",
        "python harness/errors.py": "raise HarnessError\n",
        "console": "$ harness plan --no-such\n$ pytest scenarios/gone.yaml --kernel debian-1.2\n"
        "$ ./run senarios\n"
        "$ PATH=x pytest && tox -e gone | python -m harness.gone\n$ rm -rf x\n",
        "perl": "1;\n",
        "": "",
    }
    text = "\n".join(f"```{info}\n{text}```\n" for info, text in blocks.items())
    (tmp_path / "page.md").write_text(
        f"{text}\n    indented\n\nCall `harness plam`, or `harness plan [FILE]`.\n"
    )
    said = "\n".join(wrong(page(tmp_path / "page.md"), doors))
    for part in (
        "unknown key 'matirx'",
        "kernels: wanted at least 1",
        "yaml '': not a kind of file",
        "Invalid value",
        "unknown key 'nmae'",
        "not JSON",
        "HarnesError",
        "not, word for word, part of harness/errors.py",
        "unrecognized arguments: --no-such",
        "there is no scenarios/gone.yaml",
        "there is no kernel debian-1.2",
        "./run senarios: its usage is",
        "PATH=x: no setting of ours",
        "tox.ini has no environment gone",
        "No module named 'harness.gone'",
        "rm has no checker",
        "invalid choice: 'plam'",
        "language 'perl' has no checker",
        "a block without a language",
    ):
        assert part in said
