# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Cells in a collection that makes nothing, whose checks follow from ingredients that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.checks.asked import checks
from harness.errors import HarnessError
from harness.run.keywords import about, compiled

if TYPE_CHECKING:
    from pathlib import Path

    from harness.run.cell_run import CellRun

UNMADE = "unmade"
"""The only item of a cell whose checks are not known yet."""


class UnmadeItem(pytest.Item):
    """Stands for a cell's checks, where ``--collect-only`` does not fetch or build what tells them."""

    def __init__(self, *, run: CellRun, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.run = run
        if words := self.config.getoption("keyword"):
            names = [node.name for node in self.listchain()]
            may = (name for name in checks() if about(compiled(words), (*names, name)))
            self.extra_keyword_matches.update(next(((name,) for name in may), ()))

    def runtest(self) -> None:
        raise HarnessError(
            f"{self.run.cell.id}: its checks are not known yet", "run it without --collect-only"
        )

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.run.cell.id}: {self.name}"


def unmade_names(node: pytest.Collector) -> list[str]:
    """Return the names of a cell's items: the checks that the command line names, else one for all."""
    wanted = (argument.split("::")[1:] for argument in node.config.args)
    asked = [names[1] for names in wanted if len(names) == 2 and names[0] == node.name]
    return [name for name in checks() if name in asked] or [UNMADE]
