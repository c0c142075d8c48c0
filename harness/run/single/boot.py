# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Boot one cell, with a person beside it or not, leave its record, and ask the model's questions of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from harness.artifacts.foretold import Foretold
from harness.boot.cell_machine import machine_spec, unasked
from harness.boot.driver import refuse_used
from harness.errors import ExitCode
from harness.evidence.record import EndingKind
from harness.evidence.symbols.executed import COVERAGE_WORDS
from harness.machine.argv import ByHand, argv, shell_script
from harness.paths import SHIPPED, cache_dir
from harness.results.model import BAD
from harness.run.boots import Job, boot_here
from harness.run.cell_run import CellRun
from harness.run.estimate import demand_of
from harness.run.judge import judge
from harness.run.recorder import Invocation, Recorder, check_line, write_verdict
from harness.run.single.parts import Own, on_this_host
from harness.run.source import Context, attempt_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from harness.artifacts.traits import Traits
    from harness.boot.talk import Attendant
    from harness.evidence.record import BootRecord
    from harness.machine.spec import MachineSpec
    from harness.matrix.cell import Cell
    from harness.run.judge import Answer
    from harness.run.session import Session

SCENARIO = "harness boot"
"""What stands for the scenario in the results of a single boot."""
MONITOR, GDB = "monitor.sock", "gdb.sock"
"""Sockets in the record's folder, QEMU's working folder."""
_MONITOR = ("-chardev", f"socket,id=monitor,path={MONITOR},server=on,wait=off", "-mon", "chardev=monitor")
_GDB = ("-gdb", f"unix:{GDB},server=on,wait=off")


@dataclass(frozen=True)
class SingleBoot:
    """What a person wants of one boot.

    ``attendant``: who is there. ``invites``: what tells how to log in to a Debian, which then stays up until
    the person has it powered off. ``unlimited``: no phase has a deadline. ``record``: the folder that becomes
    the record; None for one in a run of its own. ``coverage``: QEMU logs which code the guest comes to.
    """

    cell: Cell
    own: Own = field(default_factory=Own)
    record: Path | None = None
    monitor: bool = False
    gdb: bool = False
    coverage: bool = False
    unlimited: bool = False
    attendant: Attendant | None = None
    invites: Callable[[str], None] | None = None


@dataclass(frozen=True)
class OneRecord:
    """A record source of one boot."""

    cell: Cell
    stored: BootRecord
    its_traits: Traits

    def holds(self, cell: Cell) -> bool:
        """Return whether it is the boot's cell."""
        return cell == self.cell

    def traits(self, cell: Cell) -> Traits:
        """Return the traits of what was booted."""
        del cell
        return self.its_traits

    def record(self, cell: Cell, attempt: int = 1) -> BootRecord:
        """Return the record."""
        del cell, attempt
        return self.stored

    def folder(self, cell: Cell, attempt: int = 1) -> Path:
        """Return the record's folder."""
        del cell, attempt
        return self.stored.path

    def prepare(self) -> None:
        """Do nothing: the record is there."""

    def start(self, boots: Iterable[tuple[Cell, int]]) -> None:
        """Do nothing: the record is there."""


@dataclass(frozen=True)
class Prepared:
    """A single boot whose parts are all there: only QEMU has to start."""

    session: Session
    wanted: SingleBoot
    traits: Traits
    spec: MachineSpec

    @property
    def folder(self) -> Path:
        """The folder that becomes the first record."""
        return self._folder(1)

    def _folder(self, attempt: int) -> Path:
        return self.wanted.record or self.session.records / attempt_name(self.wanted.cell, attempt)

    def boot(self, attempt: int = 1) -> BootRecord:
        """Boot now, on this thread; LaunchError, with a record, when QEMU does not start."""
        wanted = self.wanted
        job = Job(
            wanted.cell,
            self.spec,
            self.traits,
            self._folder(attempt),
            demand_of(wanted.cell, self.session.ingredients.catalog),
            own=wanted.own.written(),
            attendant=wanted.attendant,
            unlimited=wanted.unlimited,
            invites=wanted.invites,
            signatures=self.session.signatures,
            wait=self.session.options.wait,
        )
        return boot_here(job)

    def judged(self, record: BootRecord, *, ask: bool, attempt: int = 1) -> tuple[CellRun, list[Answer]]:
        """Return the cell's run and what the model's questions give, none without ``ask``; both are written.

        A boot whose record lies where the user wants it is no run; of its answers the verdict alone is kept.
        """
        run = run_of(OneRecord(self.wanted.cell, record, self.traits), self.session, attempt)
        answers = judged(run) if ask else []
        if self.wanted.record is None:
            self._recorder.booted(run.cell, record, attempt)
            for answer in answers:
                self._recorder.answer(run, answer, SCENARIO)
            self._recorder.verdict(run)
        elif answers:
            lines = (check_line(run, each, SCENARIO, record, record.path) for each in answers)
            write_verdict(record.path, run.cell, lines)
        return run, answers

    def finish(self, code: ExitCode) -> None:
        """Write that the run is over; a boot whose record lies where the user wants it is none."""
        if self.wanted.record is None:
            self._recorder.end(code)

    @cached_property
    def _recorder(self) -> Recorder:
        """The recorder of the run that this boot is."""
        invocation = Invocation(
            kind="boot",
            command=tuple(sys.argv),
            files=(),
            selection=self.wanted.cell.id,
            scenarios=self.session.project.scenarios,
            ours=SHIPPED,
        )
        return Recorder(self.session.records, invocation, self.session.progress)


def run_of(source: OneRecord, session: Session, attempt: int = 1) -> CellRun:
    """Return the run of a stored boot's cell."""
    context = Context(session.ingredients.catalog, source, session.signatures)
    return CellRun(context, source.cell, attempt=attempt)


def judged(run: CellRun) -> list[Answer]:
    """Return what the model's questions give."""
    return [judge(run, check, first=check is run.checks[0]) for check in run.checks]


def prepare(session: Session, wanted: SingleBoot) -> Prepared:
    """Fetch and build what a boot needs; HarnessError for what cannot be, first for a used folder."""
    if wanted.record is not None:
        refuse_used(wanted.record)
    if wanted.own.qemu:
        session.ingredients.choose_qemu(wanted.own.qemu)
    traits = session.boots.traits(wanted.cell)
    spec = machine_spec(wanted.cell, session.ingredients, session.host, wanted.own.parts())
    extra = [*(_MONITOR if wanted.monitor else ()), *(_GDB if wanted.gdb else ())]
    spec = replace(spec, extra=(*spec.extra, *extra))
    return Prepared(session, wanted, traits, with_code_log(spec) if wanted.coverage else spec)


def with_code_log(spec: MachineSpec) -> MachineSpec:
    """Return a machine that logs which code the guest comes to, and in its place no trace events.

    QEMU has one log: the file of trace events would take the code, too.
    """
    return replace(spec, trace=(), extra=(*spec.extra, *COVERAGE_WORDS))


def command(cell: Cell, session: Session) -> str:
    """Return a script with the command that boots a cell, as ``command.sh`` of its record would be.

    The session's platform takes the place of the cell's; nothing boots, so that any host gives the command of
    any other. Nothing is fetched or built: the session says what is not there. HarnessError for what cannot
    be.
    """
    here = on_this_host(cell, session)
    foretold = Foretold(session.ingredients)
    spec = machine_spec(here, foretold, session.host)
    if not spec.qemu.exists():
        spec = unasked(here, spec)
    for note in foretold.notes:
        session.progress(f"harness: {note}")
    notes = (
        here.id,
        "Serial console and monitor are on the terminal (Ctrl-A X ends QEMU, Ctrl-A C is the monitor), the",
        "debug console is in debugcon.log.",
    )
    return shell_script(argv(spec, ByHand()), cache_dir(), notes)


def exit_code(record: BootRecord, run: CellRun, answers: Iterable[Answer]) -> ExitCode:
    """Return how the command ends: by the answers, as a run does; without any, by how the boot ended."""
    answers = tuple(answers)
    if record.ending.kind is EndingKind.HOST:
        return ExitCode.HOST
    if not answers:
        return ExitCode.OK if record.ending.kind is run.evidence.good_end else ExitCode.WRONG
    bad = {answer.state for answer in answers} & BAD
    if bad == {"host-error"}:
        return ExitCode.HOST
    return ExitCode.WRONG if bad else ExitCode.OK
