# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From a test's dimensions to what its boot shows: ``cell → spec → boot → record → evidence → check``.

Each step is a fixture that a module may put its own in place of, as it may with any fixture of pytest.
"""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

import pytest

from harness.checks.asked import check_named
from harness.checks.finding import Check
from harness.errors import HarnessError
from harness.matrix.cell import AXES
from harness.pytest_plugin.cell_items import RECORDER, SESSION
from harness.pytest_plugin.own.dimensions import NAMES, where
from harness.run.judge import Answer, state_of
from harness.run.own_tests import OwnBoot, cell_of, evidence_of, folder_name, own_boot
from harness.store.packing import is_there

if TYPE_CHECKING:
    from harness.boot.talk import Talk
    from harness.evidence.evidence import Evidence
    from harness.evidence.record import BootRecord
    from harness.machine.spec import MachineSpec
    from harness.matrix.cell import Cell
    from harness.run.session import Session


def _cell(request: pytest.FixtureRequest, **values: Any) -> Cell:
    """Return the test's `Cell`, made of its dimensions: one boot of the matrix, with an id.

    Choose it with ``@pytest.mark.cell(kernel="debian-6.1", memory=["2G", "8G"])``, or define fixtures for
    single dimensions (``memory``, ``kernel``, …), or one named ``cell`` that returns a Cell.
    """
    said = {axis: values[NAMES[axis]] for axis in AXES}
    return cell_of(_session(request), said, where(request.node))


# An axis more is a dimension more: pytest reads the names of a fixture's arguments from its signature.
_cell.__signature__ = Signature(  # type: ignore[attr-defined]
    [Parameter(name, Parameter.KEYWORD_ONLY) for name in ("request", *NAMES.values())]
)
cell = pytest.fixture(name="cell")(_cell)


@pytest.fixture
def spec(request: pytest.FixtureRequest, cell: Cell) -> MachineSpec:
    """Give the `MachineSpec` that boots the cell; what it needs is fetched and built. Skips in a replay.

    To boot another machine, define a fixture ``spec`` that returns ``dataclasses.replace(spec, …)``.
    """
    session = _session(request)
    if session.options.replay is not None:
        pytest.skip(f"--replay {session.options.replay}: no machine runs in a replay")
    return session.boots.spec(cell)


class BootFactory:
    """What the fixture ``boot`` gives."""

    def __init__(self, request: pytest.FixtureRequest, cell: Cell) -> None:
        self._request = request
        self._cell = cell
        self._special = 0

    def __call__(
        self, cell: Cell | None = None, *, spec: MachineSpec | None = None, talk: Talk | None = None
    ) -> OwnBoot:
        """Queue a boot, the test's own one by default, and return it at once.

        ``.record`` of what is returned waits for the boot, ``.evidence`` too; all boots of one cell are the
        same boot. ``spec``: another machine to boot the cell on; ``talk``: what runs beside the boot, such as
        `harness.boot.menus.Menu`. A boot with one of these is made for this call alone.
        """
        session = _session(self._request)
        wanted = cell or self._cell
        replay = session.options.replay
        if replay is None and spec is None and wanted == self._cell:
            spec = self._request.getfixturevalue("spec")  # a module may have its own
        name = folder_name(self._request.node.nodeid)
        if replay is None and (talk is not None or spec not in {None, session.boots.spec(wanted)}):
            self._special += 1
            name += f"-{self._special}" if self._special > 1 else ""
        if replay is not None and not any(is_there(replay / folder) for folder in (name, wanted.id)):
            pytest.skip(f"--replay {replay}: it holds no record of {wanted.id}")
        return own_boot(session, wanted, name, spec=spec, talk=talk)


@pytest.fixture
def boot(request: pytest.FixtureRequest, cell: Cell) -> BootFactory:
    """Give a factory: ``boot()`` queues the boot of the test's cell, ``boot(other_cell)`` that of another.

    Queued boots run side by side, as many as the host has room for, with those of scenarios; ``.record`` of
    what the factory returns waits for one. To boot in another way altogether, define a fixture ``record``.
    """
    return BootFactory(request, cell)


@pytest.fixture
def record(request: pytest.FixtureRequest, boot: BootFactory) -> BootRecord:
    """Give the `BootRecord` of the test's cell; tests and scenarios with the same cell share one boot.

    However the boot ended, it is in the record: ``record.ending``. In a replay it is the stored one. Define a
    fixture ``record`` to look at another.
    """
    found = boot().record
    request.node.user_properties += [("platform", found.platform), ("record", str(found.path))]
    return found


@pytest.fixture
def evidence(request: pytest.FixtureRequest, cell: Cell, record: BootRecord) -> Evidence:
    """Give the `Evidence` of the test's record: ledger, memory map, reports, each parsed when asked for.

    ``check`` asks it. Define a fixture ``evidence``, or one named ``record``, to look at another boot.
    """
    return evidence_of(_session(request), cell, record)


class CheckFixture:
    """What the fixture ``check`` gives."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request

    def __call__(self, question: str | Check, evidence: Evidence | None = None) -> None:
        """Ask a check, a stock one by its name, of the test's evidence or of another.

        The test fails with the findings and the record's folder; it skips where the platform cannot answer.
        HarnessError for a name that is not there, and for a boot that ended otherwise than it should.
        """
        __tracebackhide__ = True
        asked = question if isinstance(question, Check) else check_named(question)
        seen = self._request.getfixturevalue("evidence") if evidence is None else evidence
        if reason := asked.not_applicable(seen.cell.platform, seen.traits):
            pytest.skip(reason)
        session, node = _session(self._request), self._request.node
        run = session.run(seen.cell)
        shared = run.record.path == seen.record.path
        if shared and asked is not run.checks[0] and (failure := run.root_failure):
            raise HarnessError(
                f"{asked.name}: there is nothing to judge: {failure}", f"boot record: {seen.record.path}"
            )
        findings = asked(seen)
        state, reason = state_of(findings)
        answer = Answer(asked, state, tuple(findings), reason)
        self._request.config.stash[RECORDER].answer(run, answer, node.nodeid, record=seen.record)
        if findings:
            shown = "\n".join(map(str, findings))
            pytest.fail(f"{shown}\n\nboot record: {seen.record.path}", pytrace=False)


@pytest.fixture
def check(request: pytest.FixtureRequest, cell: Cell) -> CheckFixture:
    """Ask a stock question: ``check("no-alarms")`` of the test's evidence, ``check("no-alarms", other)``.

    A question of one's own is a `Check`: ``check(Check("name", "question?", function))``. ``harness check
    list`` names the stock ones. Define a fixture ``evidence`` to ask them of another boot.
    """
    del cell  # so that the test has one, and its id shows it
    return CheckFixture(request)


def _session(request: pytest.FixtureRequest) -> Session:
    return request.config.stash[SESSION]
