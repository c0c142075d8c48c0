# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A run's folder: written while the run goes on, read at any time, by any number of processes.

``results.jsonl`` only grows, by whole lines under a lock: a killed writer costs the line that it was writing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from pydantic import ValidationError

from harness.documents.document import near
from harness.errors import HarnessError
from harness.evidence.record import INDEX
from harness.formats.json_text import parsed
from harness.results.model import BAD, LINE, PROJECT, SCHEMA, BootLine, CheckLine, EndLine, LackLine, RunData
from harness.store.file_tree import write_atomically
from harness.store.packing import holds_file, open_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.results.model import Line

RUN = "run.json"
RESULTS = "results.jsonl"
VERDICT = "verdict.json"
_SCENARIO_KINDS = frozenset({"scenarios"})


class RunWriter:
    """Appends to one run's results. Several processes may have a writer of the same folder.

    As long as one of them lives, the run goes on (`goes_on`): each holds a lock on ``run.json``.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / RESULTS
        self._folder = folder
        self._held: IO[bytes] | None = None

    def close(self) -> None:
        """Let the run go: it may be removed."""
        if self._held is not None:
            self._held.close()

    def begin(self, run: RunData) -> None:
        """Write who runs; once, by the process that made the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(run.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False)
        write_atomically(self._folder / RUN, text + "\n")

    def add(self, *lines: Line) -> None:
        """Append lines; OSError when the disk is full, and then the lines so far are whole."""
        if self._held is None:
            self._held = (self._folder / RUN).open("rb")
            fcntl.flock(self._held, fcntl.LOCK_SH)
        data = b"".join(line.model_dump_json(exclude_defaults=False).encode() + b"\n" for line in lines)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            end = _whole(descriptor)
            _write(descriptor, data, end)
        finally:
            os.close(descriptor)


def goes_on(folder: Path) -> bool:
    """Return whether a process still writes to a run."""
    try:
        with (folder / RUN).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _whole(descriptor: int) -> int:
    """Return where the next line begins: behind the last whole one, over half a line of a killed writer."""
    size = os.fstat(descriptor).st_size
    end = size
    while end:
        begin = max(0, end - (1 << 16))
        found = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _write(descriptor: int, data: bytes, at: int) -> None:
    os.ftruncate(descriptor, at)
    done = 0
    try:
        while done < len(data):
            done += os.pwrite(descriptor, data[done:], at + done)
    except OSError:
        os.ftruncate(descriptor, at)
        raise


@dataclass(frozen=True)
class StoredRun:
    """A run as its folder holds it."""

    path: Path
    run: RunData
    lines: tuple[Line, ...]
    damaged: tuple[str, ...] = ()
    """What could not be read, a sentence each; half of a last line is what a run that goes on leaves."""

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.id

    @cached_property
    def checks(self) -> tuple[CheckLine, ...]:
        """What each check said of each cell; of a run that was resumed the last answer about each record."""
        lines = (line for line in self.lines if isinstance(line, CheckLine))
        return tuple({(*line.key, line.attempt, line.record): line for line in lines}.values())

    @cached_property
    def boots(self) -> tuple[BootLine, ...]:
        """How each boot ended; of a run that was resumed the last line about each record."""
        lines = (line for line in self.lines if isinstance(line, BootLine))
        return tuple({(line.cell, line.attempt, line.record): line for line in lines}.values())

    @cached_property
    def lacks(self) -> tuple[LackLine, ...]:
        """The cells that the host lacks something for."""
        return tuple(line for line in self.lines if isinstance(line, LackLine))

    @cached_property
    def end(self) -> EndLine | None:
        """The last line of a run that is over, None while it goes on (again) or when it was killed."""
        last = self.lines[-1] if self.lines else None
        return last if isinstance(last, EndLine) else None

    @property
    def is_green(self) -> bool:
        """Whether the run is over and ended as expected."""
        return self.end is not None and self.end.code == 0

    @property
    def has_judged(self) -> bool:
        """Whether a check judged a boot: a host that lacks something for each cell ends a run well, too."""
        return any(check.state != "not-asked" for check in self.checks)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a run's folder, packed or not.

        HarnessError when it is none, of another project, or of a newer schema.
        """
        run = _run(path)
        lines, damaged = _lines(path / RESULTS)
        return cls(path, run, tuple(lines), tuple(damaged))


def _run(path: Path) -> RunData:
    index = path / RUN
    try:
        with open_file(index) as file:
            data = parsed(file.read())
    except (FileNotFoundError, NotADirectoryError):
        hint = "give a run's folder, its id, last or last-green; harness runs lists them"
        raise HarnessError(f"{path}: no run, there is no {RUN}", hint) from None
    except (OSError, ValueError) as error:
        raise HarnessError(f"{index}: cannot be read ({error})", "the run cannot be used") from None
    if not isinstance(data, dict) or data.get("project") != PROJECT:
        raise HarnessError(f"{index}: not a run of {PROJECT}", "give a run's folder")
    schema = data.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA:
        raise HarnessError(
            f"{index}: schema version {schema}, this harness reads {SCHEMA}",
            f"use the harness that wrote it ({data.get('harness', 'of an unknown version')}), or a newer one",
        )
    try:
        return RunData.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(map(str, first["loc"]))
        raise HarnessError(f"{index}: damaged: {at}: {first['msg']}", "the run cannot be used") from None


def _lines(path: Path) -> tuple[list[Line], list[str]]:
    lines: list[Line] = []
    damaged: list[str] = []
    try:
        with open_file(path) as file:
            data = file.read()
    except FileNotFoundError:
        return [], []
    for number, raw in enumerate(data.splitlines(keepends=True), start=1):
        if not raw.endswith(b"\n"):
            damaged.append(f"{path.name}:{number}: half a line, the last")
            continue
        try:
            lines.append(LINE.validate_json(raw))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            at = ".".join(map(str, first["loc"]))
            damaged.append(f"{path.name}:{number}: {at + ': ' if at else ''}{first['msg']}")
    return lines, damaged


def run_folders(records: Path) -> list[Path]:
    """Return the runs below a folder of runs, the oldest first: their names begin with their time."""
    return sorted(path.parent for path in records.glob(f"*/{RUN}"))


def earlier_runs(run: StoredRun, records: Path, most: int) -> list[StoredRun]:
    """Return the last runs of scenarios before ``run``, the oldest first; what cannot be read is left out."""
    found: list[StoredRun] = []
    for path in reversed(run_folders(records)):
        if path.name < run.path.name and len(found) < most:
            with contextlib.suppress(HarnessError):
                other = StoredRun.load(path)
                if other.run.kind in _SCENARIO_KINDS:
                    found.append(other)
    return found[::-1]


def find_run(text: str, records: Path, before: Path | None = None) -> Path:
    """Return the run that a RUN on a command line names: a folder, an id, ``last``, ``last-green``.

    ``last~1`` is the one before the last, and so on. Replays and single boots are not counted, and with
    ``before``, a run's folder, neither are that run and those after it.
    """
    match = re.fullmatch(r"(last|last-green)(?:~(\d+))?", text)
    if match is None:
        return _named(text, records)
    wanted = int(match[2] or 0)
    green = match[1] == "last-green"
    for path in reversed(run_folders(records)):
        if before is not None and path.name >= before.name:
            continue
        try:
            run = StoredRun.load(path) if green else None
            kind = run.run.kind if run else _run(path).kind
        except HarnessError:
            continue
        if kind not in _SCENARIO_KINDS or (run is not None and not (run.is_green and run.has_judged)):
            continue
        if not wanted:
            return path
        wanted -= 1
    what = "run of scenarios that was green" if green else "run of scenarios"
    raise HarnessError(f"{text}: there is no such {what} below {records}", "harness runs lists what there is")


def _named(text: str, records: Path) -> Path:
    for path in (Path(text), records / text):
        if holds_file(path / RUN):
            return path.absolute()
    if Path(text).is_dir():
        hint = "give a folder that a run wrote"
        if any(Path(text).glob(f"*/{INDEX}")):
            hint = "it was killed before its first answer; harness judge takes a record"
        raise HarnessError(f"{text}: no run, there is no {RUN}", hint)
    close = get_close_matches(text, [path.name for path in run_folders(records)])
    meant = f"; {near(text, close)}" if close else ""
    raise HarnessError(f"{text}: no such run below {records}{meant}", "harness runs lists them")


def deciding(lines: Iterable[CheckLine]) -> Iterator[CheckLine]:
    """Yield the answer that decides each question: the first attempt's that failed, else the last one's."""
    found: dict[tuple[str, str, str], CheckLine] = {}
    for line in sorted(lines, key=lambda line: line.attempt):
        before = found.get(line.key)
        if before is None or before.state not in BAD:
            found[line.key] = line
    yield from found.values()
