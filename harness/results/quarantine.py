# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Quarantine: checks that may fail for a while, in a file of its own, each with a reason, a link and a date.

    quarantine:
      - cell: debian-2026.08+*       # an id, or a pattern of ids; all cells when it is left out
        check: reaches-userspace     # all checks when it is left out
        reason: hangs in 1 of 50
        link: https://example.org/bug/1
        until: 2026-12-31

What is in quarantine still runs, and its results are kept. An entry that has expired, or that no cell of a
whole run has met, fails the run: nobody forgets one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from harness.documents.document import Document, load_document
from harness.documents.strict import Strict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = "quarantine.yaml"


def _date(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date; write such as 2026-12-31") from None
    return text


class Entry(Strict):
    """What may fail, why, and until when (that day included)."""

    cell: str = Field(default="*", min_length=1, description="a cell's id, or a pattern with * and ?")
    check: str = Field(default="*", min_length=1, description="a check's name, or a pattern")
    reason: str = Field(min_length=1)
    link: str = Field(min_length=1, description="where the work on it can be followed")
    until: Annotated[str, AfterValidator(_date), WithJsonSchema({"type": "string", "format": "date"})]

    @model_validator(mode="after")
    def _not_everything(self) -> Self:
        if self.cell == "*" and self.check == "*":
            raise ValueError("name a cell or a check: an entry for everything hides everything")
        return self

    def covers(self, cell: str, check: str) -> bool:
        """Return whether the entry is about this check of this cell."""
        return fnmatchcase(cell, self.cell) and fnmatchcase(check, self.check)


class QuarantineFile(Strict):
    """The file ``quarantine.yaml``."""

    quarantine: Annotated[tuple[Entry, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Quarantine:
    """All entries with their places; none where a project has no such file."""

    document: Document[QuarantineFile] | None = None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file; ``YamlError`` for mistakes. A file that is not there has no entries."""
        return cls(load_document(path, QuarantineFile)) if path.is_file() else cls()

    def find(self, cell: str, check: str, today: date) -> tuple[Entry, str] | None:
        """Return the first entry that is about a check and has not expired, and where it is written."""
        for number, entry in enumerate(self._entries):
            if entry.covers(cell, check) and date.fromisoformat(entry.until) >= today:
                return entry, self._where(number)
        return None

    def problems(self, asked: Iterable[tuple[str, str]], today: date, *, whole: bool) -> list[str]:
        """Return why the file fails a run: entries that have expired, or in a ``whole`` run met nothing.

        ``asked`` are pairs of cell and check.
        """
        pairs = list(asked)
        found = []
        for number, entry in enumerate(self._entries):
            where, about = self._where(number), f"{entry.cell}, {entry.check}"
            if date.fromisoformat(entry.until) < today:
                found.append(f"{where}: {about}: expired on {entry.until}; mend it, or give it a later date")
            elif whole and not any(entry.covers(cell, check) for cell, check in pairs):
                found.append(f"{where}: {about}: no check of this run is that; delete the entry")
        return found

    @property
    def _entries(self) -> tuple[Entry, ...]:
        return self.document.model.quarantine if self.document is not None else ()

    def _where(self, number: int) -> str:
        assert self.document is not None
        return self.document.where(("quarantine", number))
