# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The table of mutants, at the end of a run and in the folder of its records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.pytest_plugin.cell_items import SESSION

if TYPE_CHECKING:
    from collections.abc import Callable

REPORT = "mutant"
TABLE = "mutants.txt"


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Take a mutant's lines of the table; as a property of its test they come back from any worker."""
    return lambda text: record_property(REPORT, text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    tables = [text for report in reports for key, text in report.user_properties if key == REPORT]
    if not tables:
        return
    terminalreporter.section("mutants")
    for table in tables:
        terminalreporter.write_line(table)
    records = config.stash[SESSION].records
    records.mkdir(parents=True, exist_ok=True)
    (records / TABLE).write_text("\n".join(tables) + "\n")
