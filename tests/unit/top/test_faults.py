# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The table of faults names tests that are there, and every test that injects one is in the table."""

from __future__ import annotations

import re

from tests.support.data import PROJECT

_ROW = re.compile(r"^\| \w+ \| [^|]+ \| `(?P<path>[^`:]+)::(?P<name>\w+)` \| [^|]+ \|$", re.MULTILINE)
_MARKED = re.compile(r"^@pytest\.mark\.faults\n(?:[@ )][^\n]*\n)*def (?P<name>test_\w+)", re.MULTILINE)


def test_the_table_has_every_fault_that_is_injected() -> None:
    tests = PROJECT / "tests"
    told = {(match["path"], match["name"]) for match in _ROW.finditer((tests / "README.md").read_text())}
    marked = {
        (str(path.relative_to(tests)), match["name"])
        for path in tests.rglob("test_*.py")
        for match in _MARKED.finditer(path.read_text())
    }
    assert told == marked
    assert told
