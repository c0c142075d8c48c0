# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One cell in a run: what it should do, its boot, and the evidence that the boot left.

A test outside any scenario takes the same steps by hand::

    boots = Boots(ingredients, host, records, capacity)    # or the run's own: session.boots
    spec = boots.spec(cell)                                # the machine, which `replace` may change
    record = boots.boot(cell, spec, "my-boot").result()    # or boots.record(cell), the cell's own boot
    evidence = Evidence(record, cell, boots.traits(cell))
    findings = check(evidence)

or lets ``CellRun(context, cell)`` take them: ``.record``, ``.evidence``, ``.checks``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

from harness.checks.asked import checks_of
from harness.checks.ended import headline
from harness.checks.model import Expectation, expectation
from harness.errors import HarnessError, HostError
from harness.evidence.evidence import Evidence
from harness.evidence.record import BootRecord, EndingKind
from harness.machine.process import LaunchError
from harness.matrix.plan import NOTHING_SAID
from harness.run.estimate import boot_seconds, demand_of

if TYPE_CHECKING:
    from harness.artifacts.traits import Traits
    from harness.checks.finding import Check
    from harness.checks.rollout import Outcome
    from harness.matrix.cell import Cell
    from harness.matrix.plan import Said
    from harness.run.pool import Demand
    from harness.run.source import Context

_HOST_HINT = "look at the host: its memory, its load, who ends processes there; then boot the cell again"


class CellRun:
    """An attempt of a cell, and what its scenario says about it; cells of the same values share one boot."""

    def __init__(self, context: Context, cell: Cell, said: Said = NOTHING_SAID, attempt: int = 1) -> None:
        self.cell = cell
        self.said = said
        self.attempt = attempt
        self._context = context

    @property
    def name(self) -> str:
        """The cell's id, and of further attempts ``ID[2]``."""
        return self.cell.id if self.attempt == 1 else f"{self.cell.id}[{self.attempt}]"

    @cached_property
    def traits(self) -> Traits:
        """What the ingredients can do; they are fetched and built."""
        return self._context.source.traits(self.cell)

    @cached_property
    def modelled(self) -> Expectation:
        """What the rollout model says."""
        return expectation(self.cell, self.traits)

    @cached_property
    def expectation(self) -> Expectation:
        """What the rollout model says, unless the scenario knows better."""
        if (stated := self.said.expect) is None:
            return self.modelled
        outcome = cast("Outcome", stated.outcome)  # one of OUTCOMES, else the scenario is not valid
        because, source = stated.reason, stated.link
        return replace(self.modelled, outcome=outcome, because=because, source=source, refused_by=None)

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """Known before anything boots; the first one is about the boot itself."""
        return checks_of(self.expectation)

    @property
    def demand(self) -> Demand:
        """What the boot takes of the host."""
        return demand_of(self.cell, self._context.catalog)

    @property
    def seconds(self) -> float:
        """A guess how long the boot takes."""
        return boot_seconds(self.expectation)

    @cached_property
    def record(self) -> BootRecord:
        """The boot's record; boots, or waits for the boot, when first asked for.

        A boot that failed to start raises the same error each time: no cell boots twice. Where the guest
        should not even start, its refusal is the record.
        """
        source = self._context.source
        try:
            record = source.record(self.cell, self.attempt)
        except LaunchError:
            if self.expectation.refused_by != "hypervisor":
                raise
            return BootRecord.load(source.folder(self.cell, self.attempt))
        if record.ending.kind is EndingKind.HOST:
            raise HostError(f"the host did not let the guest run: {record.ending.detail}", _HOST_HINT)
        return record

    @cached_property
    def evidence(self) -> Evidence:
        """What the record shows, for checks to read."""
        return Evidence(self.record, self.cell, self.traits, self._context.signatures)

    @property
    def root_failure(self) -> str:
        """Why there is nothing to judge beyond the boot itself; "" when the boot went as it should."""
        try:
            outcome = self.record.ending
            if self.expectation.ends_early or outcome.kind is EndingKind.COMPLETED:
                return ""
            if not self.traits.console and self.evidence.ledger.first(phase="kernel") is not None:
                return ""  # a kernel that nobody hears ends in silence
            if self.cell.action and self.record.guest is not None:
                return ""  # the boot itself went well; the checks of the action say the rest
            return headline(self.evidence)
        except HarnessError as error:
            return error.what.partition("\n")[0]
