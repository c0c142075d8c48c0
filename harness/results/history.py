# SPDX-License-Identifier: BSD-2-Clause-Patent
"""All runs of a folder in one SQLite file: since when, how often, never. The run folders stay the truth.

The file can be deleted at any time; a damaged one is, and is made anew. It is in WAL mode, so that a reader
and a run that ends do not wait for each other.
"""

from __future__ import annotations

import itertools
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from harness.errors import HarnessError
from harness.results.folder import RESULTS, StoredRun, deciding, run_folders
from harness.results.model import BAD, scenario_file
from harness.results.statistics import Rate, rate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

FILE = "history.sqlite"
_VERSION = 1
_TABLES = """
CREATE TABLE run (
    id TEXT PRIMARY KEY, kind TEXT, began TEXT, code INTEGER, seconds REAL,
    harness TEXT, commit_id TEXT, host TEXT, look TEXT
);
CREATE TABLE boot (
    run TEXT REFERENCES run ON DELETE CASCADE,
    cell TEXT, attempt INTEGER, ending TEXT, seconds REAL, carried TEXT
);
CREATE TABLE answer (
    run TEXT REFERENCES run ON DELETE CASCADE,
    cell TEXT, name TEXT, scenario TEXT, attempt INTEGER, state TEXT, bad INTEGER
);
CREATE TABLE finding (
    run TEXT REFERENCES run ON DELETE CASCADE, cell TEXT, name TEXT, kind TEXT, says TEXT
);
CREATE TABLE axis (run TEXT REFERENCES run ON DELETE CASCADE, name TEXT, value TEXT);
CREATE INDEX answer_by_cell ON answer (cell, name);
CREATE INDEX answer_by_name ON answer (name, cell);
CREATE INDEX finding_by_kind ON finding (kind);
CREATE INDEX answer_by_run ON answer (run);
CREATE INDEX finding_by_run ON finding (run);
"""


@dataclass(frozen=True)
class RunRow:
    """A run in short. ``code`` is None for one that goes on or was killed."""

    id: str
    kind: str
    began: str
    code: int | None
    seconds: float
    harness: str
    cells: int
    asked: int
    bad: int


@dataclass(frozen=True)
class Story:
    """What history says of one check of one cell: its last runs' states, the oldest first."""

    cell: str
    check: str
    states: tuple[tuple[str, str], ...]
    """Pairs of run and state."""

    @property
    def failing_since(self) -> str:
        """Return the first run of the failures that go on to the last run; "" when the last one was good."""
        since = ""
        for run, state in reversed(self.states):
            if state not in BAD:
                break
            since = run
        return since

    @property
    def failures(self) -> Rate:
        """Return how often it failed."""
        return rate(sum(state in BAD for _, state in self.states), len(self.states))

    @property
    def changes(self) -> int:
        """Return how often it changed between good and bad: a flake has many."""
        bad = [state in BAD for _, state in self.states]
        return sum(one != other for one, other in itertools.pairwise(bad))


@dataclass(frozen=True)
class Never:
    """What the last runs have not met, out of what there is."""

    runs: tuple[str, ...]
    cells: tuple[str, ...]
    values: tuple[tuple[str, str], ...]
    checks: tuple[str, ...]


class History:
    """The history of the runs below ``records``; a context manager."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.left_out: list[str] = []
        """Why runs are not in it: of a newer schema, of another project, damaged."""

    @classmethod
    def open(cls, records: Path) -> Self:
        """Return the history, with all runs taken in; HarnessError where the file cannot be written."""
        path = records / FILE
        try:
            try:
                made = cls(_connect(path))
                made._take_in(records)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError) and path.exists() and not _damaged(error):
                    raise
                for stale in records.glob(f"{FILE}*"):
                    stale.unlink(missing_ok=True)
                made = cls(_connect(path))
                made._take_in(records)
        except (sqlite3.Error, OSError) as error:
            raise HarnessError(f"{path}: {error}", "make the folder of records writable") from error
        return made

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._db.close()

    def _take_in(self, records: Path) -> None:
        """Take in what is new or has grown, and forget runs whose folders are gone."""
        known = dict(self._db.execute("SELECT id, look FROM run"))
        there = {path.name: path for path in run_folders(records)}
        with self._db:
            for gone in known.keys() - there.keys():
                self._db.execute("DELETE FROM run WHERE id = ?", (gone,))
            for name, path in there.items():
                look = _look(path)
                if known.get(name) != look:
                    try:
                        self._take(name, StoredRun.load(path), look)
                    except HarnessError as error:
                        self.left_out.append(error.what)

    def _take(self, name: str, stored: StoredRun, look: str) -> None:
        execute, many = self._db.execute, self._db.executemany
        execute("DELETE FROM run WHERE id = ?", (name,))
        end, run = stored.end, stored.run
        code, seconds = (end.code, end.seconds) if end else (None, 0.0)
        row = (name, run.kind, run.began, code, seconds, run.harness, run.commit, run.host.name, look)
        execute("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        boots = stored.boots
        many(
            "INSERT INTO boot VALUES (?, ?, ?, ?, ?, ?)",
            ((name, it.cell, it.attempt, it.ending, it.seconds, it.carried) for it in boots),
        )
        many(
            "INSERT INTO axis VALUES (?, ?, ?)",
            {(name, axis, value) for it in boots for axis, value in it.axes.items()},
        )
        many(
            "INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (name, it.cell, it.check, scenario_file(it.scenario), it.attempt, it.state, it.state in BAD)
                for it in stored.checks
            ),
        )
        many(
            "INSERT INTO finding VALUES (?, ?, ?, ?, ?)",
            (
                (name, it.cell, it.check, finding.kind, finding.says)
                for it in deciding(stored.checks)
                for finding in it.findings
            ),
        )

    def runs(self, most: int | None = None) -> list[RunRow]:
        """Return the last runs, the newest first."""
        found = self._db.execute(
            "SELECT id, kind, began, code, seconds, harness,"
            " (SELECT count(DISTINCT cell) FROM boot WHERE run = id),"
            " (SELECT count(*) FROM answer WHERE run = id),"
            " (SELECT count(*) FROM answer WHERE run = id AND bad)"
            " FROM run ORDER BY began DESC, id DESC LIMIT ?",
            (-1 if most is None else most,),
        )
        return [RunRow(*row) for row in found]

    def stories(self, about: str, *, most: int = 50, every: bool = False) -> list[Story]:
        """Return the stories of a cell's id, a check's name or a finding's kind, in the last ``most`` runs.

        Without ``every`` only those that failed at least once. The beginning of its id names a cell, too.
        """
        last = self._last(most)
        rows = self._db.execute(
            "SELECT cell, name, run, state FROM answer"  # noqa: S608  # what is put in are question marks
            f" WHERE run IN {_marks(last)} AND state != 'not-asked' AND (? = '' OR name = ? OR cell = ?"
            " OR cell LIKE ? || '+%' OR EXISTS (SELECT 1 FROM finding AS f WHERE f.cell = answer.cell"
            " AND f.name = answer.name AND f.kind = ?)) ORDER BY cell, name, run, bad",
            (*last, about, about, about, about, about),
        )
        states: dict[tuple[str, str], dict[str, str]] = {}
        for cell, name, run, state in rows:  # of several answers in one run a bad one comes last, and counts
            states.setdefault((cell, name), {})[run] = state
        made = [Story(cell, name, tuple(told.items())) for (cell, name), told in states.items()]
        return made if every else [story for story in made if story.failures.times]

    def never(
        self, cells: Sequence[str], values: Sequence[tuple[str, str]], checks: Sequence[str], runs: int
    ) -> Never:
        """Return what the last runs have not met of all there is.

        ``cells`` are ids, ``values`` pairs of axis and value as a scenario writes them, ``checks`` names.
        """
        last = self._last(runs)
        booted = self._met("SELECT DISTINCT cell FROM boot WHERE carried = '' AND run", last)
        named = self._met("SELECT DISTINCT name, value FROM axis WHERE run", last)
        asked = self._met("SELECT DISTINCT name FROM answer WHERE state != 'not-asked' AND run", last)
        return Never(
            last,
            tuple(cell for cell in cells if (cell,) not in booted),
            tuple(pair for pair in values if pair not in named),
            tuple(check for check in checks if (check,) not in asked),
        )

    def _last(self, most: int) -> tuple[str, ...]:
        return tuple(row.id for row in self.runs() if row.kind == "scenarios")[:most]

    def _met(self, query: str, runs: tuple[str, ...]) -> set[tuple[str, ...]]:
        return set(self._db.execute(f"{query} IN {_marks(runs)}", runs))


def _marks(values: Sequence[str]) -> str:
    return f"({','.join('?' * len(values))})"


def _look(path: Path) -> str:
    try:
        status = (path / RESULTS).stat()
    except FileNotFoundError:
        return "none"
    return f"{status.st_size} {status.st_mtime_ns}"


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=30)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, _VERSION):
        connection.close()
        raise sqlite3.DatabaseError("made by another version")
    if version == 0:
        with connection:
            connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
    return connection


def _damaged(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "") in {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR"}
