# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Write a run's results as they come: who runs, each boot, each answer, and how it ended.

The verdicts so far stand whatever happens: a disk that fills up costs results, and the run says so once.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING

from harness.errors import ExitCode, HarnessError
from harness.evidence.problems import EvidenceError
from harness.evidence.record import QUERY_SEV
from harness.matrix.cell import TABLE
from harness.platforms.registry import platform_named
from harness.results.carried import carried_from
from harness.results.folder import RUN, VERDICT, RunWriter, StoredRun
from harness.results.identity import checkout, harness_version, host_data
from harness.results.model import (
    BAD,
    PROJECT,
    SCHEMA,
    BootLine,
    CheckLine,
    EndLine,
    ExpectationData,
    FindingData,
    HostData,
    KnownBadData,
    LackLine,
    PhaseData,
    RunData,
)
from harness.results.retention import needless, pack_records, passed_records, remove
from harness.store.file_tree import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from harness.evidence.record import BootRecord
    from harness.matrix.cell import Cell
    from harness.progress import Progress
    from harness.results.model import Line, RunKind
    from harness.run.cell_run import CellRun
    from harness.run.judge import Answer

_DIGITS = 16
"""Of an input's SHA-256: enough to tell inputs apart, and a third of a line shorter."""


@dataclass(frozen=True)
class Invocation:
    """What the user wanted: the command line, what limits the cells, and whose scenarios these are.

    ``scenarios`` and ``ours`` are folders whose git commits it notes.
    """

    kind: RunKind
    command: tuple[str, ...]
    files: tuple[str, ...]
    selection: str
    scenarios: Path
    ours: Path


class Recorder:
    """Results of this process, appended to a run's folder; several processes may have one of the same folder.

    The first answer makes the folder a run: a run without answers leaves nothing, unless it was interrupted
    when it had boots.
    """

    def __init__(self, folder: Path, invocation: Invocation, progress: Progress) -> None:
        self._folder = folder
        self._invocation = invocation
        self._writer = RunWriter(folder)
        self._progress = progress
        self._booted: set[str] = set()
        self._lines: dict[str, list[CheckLine]] = {}
        self._failed = False
        self._began = time.monotonic()

    def _begin(self, record: BootRecord | None) -> None:
        """Write who runs, unless another process has."""
        if (self._folder / RUN).exists():
            return
        invocation, code = self._invocation, checkout(self._invocation.ours)
        qemu = str(record.spec.get("qemu", "")) if record is not None else ""
        data = {
            "schema": SCHEMA,
            "project": PROJECT,
            "id": self._folder.name,
            "kind": invocation.kind,
            "harness": harness_version(),
            "commit": code.commit,
            "dirty": code.dirty,
            "scenarios_commit": checkout(invocation.scenarios).commit,
            "command": invocation.command,
            "began": _now(),
            "host": self._host(record),
            "qemu": record.qemu_version if record is not None else "",
            "qemu_key": PurePath(qemu).parent.name,
            "files": invocation.files,
            "selection": invocation.selection,
        }
        self._writer.begin(RunData.model_validate(data))

    def _host(self, record: BootRecord | None) -> HostData:
        """Return this host's facts, with what the first boot's QEMU told of its SEV firmware."""
        host = host_data()
        if record is None or not record.path.is_relative_to(self._folder):
            return host  # a replay's records are of another host
        told: dict[str, str] = {}
        with contextlib.suppress(EvidenceError):  # the checks say that it is damaged
            told = {f"{QUERY_SEV}.{key}": str(value) for key, value in record.sev.items()}
        return host.model_copy(update={"sev": {**host.sev, **told}})

    def answer(
        self,
        run: CellRun,
        answer: Answer,
        scenario: str,
        told_at: str = "",
        record: BootRecord | None = None,
    ) -> None:
        """Write one answer; before the first about a record, its boot.

        ``scenario`` is ``file:line`` or a test's node id; ``told_at`` the scenario that told the same cause;
        ``record`` what was judged where that is not the cell's own boot.
        """
        cell = run.cell
        if record is None and answer.error is None:
            record = _record_of(run)
        if record is not None and record.path.name not in self._booted:
            self._booted.add(record.path.name)
            self._write(boot_line(cell, record, self._folder, run.attempt), record=record)
        line = check_line(run, answer, scenario, record, self._folder, told_at)
        self._lines.setdefault(run.name, []).append(line)
        self._write(line)

    def booted(self, cell: Cell, record: BootRecord, attempt: int = 1) -> None:
        """Write a boot that nobody asks anything about, once."""
        if record.path.name in self._booted:
            return
        self._booted.add(record.path.name)
        self._write(boot_line(cell, record, self._folder, attempt), record=record)

    def lack(self, cell: Cell, scenario: str, reason: str) -> None:
        """Write that a cell did not boot because the host lacks something."""
        self._write(LackLine(cell=cell.id, scenario=scenario, reason=reason, at=_now()))

    def verdict(self, run: CellRun) -> None:
        """Write ``verdict.json`` into the cell's record: how it was judged so far, and why.

        What only the boot needed (overlays, keys) goes at once where nothing failed.
        """
        lines = self._lines.get(run.name, [])
        record = _record_of(run)
        if record is None or not lines or record.path.parent != self._folder or not record.path.is_dir():
            return  # a replay leaves the records as they were
        with self._told():
            write_verdict(record.path, run.cell, lines, run.attempt)
            if not any(line.state in BAD for line in lines):
                remove(needless(record.path))

    def end(self, code: int) -> None:
        """Write that the run is over, and pack the records of boots that passed.

        Nothing where nobody answered anything, except that an interrupted run can go on. Who interrupted
        a run does not wait for packing, and who boots a single cell looks at its record.
        """
        interrupted = code == ExitCode.INTERRUPTED
        if not (self._folder / RUN).exists() and not (interrupted and self._folder.is_dir()):
            return
        self._write(EndLine(code=code, seconds=round(time.monotonic() - self._began, 3), at=_now()))
        self._writer.close()
        if not interrupted and self._invocation.kind != "boot":
            with self._told(), contextlib.suppress(HarnessError):  # what cannot be read stays as it is
                pack_records(passed_records(StoredRun.load(self._folder)))

    def _write(self, *lines: Line, record: BootRecord | None = None) -> None:
        with self._told():
            self._begin(record)
            self._writer.add(*lines)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Report once that results cannot be written; what was written stays."""
        if self._failed:
            with contextlib.suppress(OSError):
                yield
            return
        try:
            yield
        except OSError as error:
            self._failed = True
            why = f"{error.filename or self._folder}: {error.strerror}"
            self._progress(f"results cannot be written ({why}); the run goes on without")


def write_verdict(record: Path, cell: Cell, lines: Iterable[CheckLine], attempt: int = 1) -> None:
    """Write ``verdict.json`` into a record's folder."""
    data = {
        "schema": SCHEMA,
        "harness": harness_version(),
        "cell": cell.id,
        "attempt": attempt,
        "checks": [line.model_dump(mode="json") for line in lines],
    }
    write_atomically(record / VERDICT, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def check_line(
    run: CellRun,
    answer: Answer,
    scenario: str,
    record: BootRecord | None,
    folder: Path,
    told_at: str = "",
) -> CheckLine:
    """Return an answer as data."""
    cell, bad = run.cell, answer.bad
    known = KnownBadData(where=bad.where, reason=bad.reason, link=bad.link) if bad is not None else None
    return CheckLine(
        cell=cell.id,
        check=answer.check.name,
        question=answer.check.question,
        scenario=scenario,
        attempt=run.attempt,
        platform=cell.platform,
        tier=platform_named(cell.platform).tier,
        expectation=_expectation(run),
        state=answer.state,
        reason=answer.reason,
        strength=answer.check.strength_on(cell.platform),
        known_bad=known,
        findings=tuple(
            FindingData(kind=it.kind, says=it.what, values=dict(it.values), evidence=it.evidence)
            for it in answer.findings
        ),
        known_in=answer.known_in,
        cause=answer.cause or (f"{answer.check.name} in {told_at}" if told_at else ""),
        seconds=answer.seconds,
        inputs=_inputs(record),
        record=_place(record, folder) if record is not None else "",
        at=_now(),
    )


def _expectation(run: CellRun) -> ExpectationData | None:
    try:
        expected = run.expectation
    except HarnessError:
        return None  # what cannot be had has no traits
    said = run.said.expect
    row = said.where if said is not None else expected.row
    return ExpectationData(
        outcome=expected.outcome, because=expected.because, source=expected.source, row=row
    )


def boot_line(cell: Cell, record: BootRecord, folder: Path, attempt: int) -> BootLine:
    """Return a boot as data: how it ended, its phases, and numbers to compare."""
    ending = record.ending
    return BootLine(
        cell=cell.id,
        axes=axes_of(cell),
        attempt=attempt,
        platform=cell.platform,
        tier=platform_named(cell.platform).tier,
        ending=str(ending.kind),
        phase=ending.phase,
        detail=ending.detail,
        phases=tuple(PhaseData(name=mark.name, t=mark.t) for mark in record.phases),
        seconds=record.durations.get("boot", 0.0),
        measures=measures_of(record),
        inputs=_inputs(record),
        record=_place(record, folder),
        at=_now(),
        carried=carried_from(record.path),
    )


def axes_of(cell: Cell) -> dict[str, str]:
    """Return a cell's values by axis, as a scenario writes them."""
    values = (getattr(cell, field.name) for field in fields(cell))
    return {
        axis.name: value if isinstance(value, str) else axis.show(value)
        for axis, value in zip(TABLE, values, strict=True)
    }


def measures_of(record: BootRecord) -> dict[str, float]:
    """Return a boot's numbers: pages that were accepted by whom (``….pages``), exits, seconds by phase."""
    found: dict[str, float] = {}
    counters: Mapping[str, object] = {}
    with contextlib.suppress(EvidenceError):  # the checks say that they are damaged
        counters = record.counters
    for name, value in counters.items():
        if name.startswith("validate-pages-") and isinstance(value, int):
            found[f"accepted.{name.removeprefix('validate-pages-')}.pages"] = float(value)
        elif name in {"vmgexits", "ebs-calls"} and isinstance(value, int):
            found[name] = float(value)
    ends = [*(mark.t for mark in record.phases[1:]), record.durations.get("boot", 0.0)]
    for mark, end in zip(record.phases, ends, strict=False):
        found[f"phase.{mark.name}.seconds"] = round(end - mark.t, 4)
    return found


def _place(record: BootRecord, folder: Path) -> str:
    """Return a record's folder, relative to the run's where it lies in it, else the whole path."""
    path = record.path
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path.absolute())


def _inputs(record: BootRecord | None) -> dict[str, str]:
    if record is None:
        return {}
    return {name: entry.sha256[:_DIGITS] for name, entry in record.inputs.items()}


def _record_of(run: CellRun) -> BootRecord | None:
    try:
        return run.record
    except HarnessError:
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
