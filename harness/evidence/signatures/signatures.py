# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a line means: the shipped signatures, and those of one's own project before them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, get_args

from harness.documents.document import load, near
from harness.errors import HarnessError
from harness.evidence.signatures.model import TRIED, Place, SignatureEntry, SignatureFile
from harness.evidence.signatures.words import words_of
from harness.paths import PACKAGE, taken

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.evidence.record import EndingKind
    from harness.evidence.signatures.model import Alarm
    from harness.paths import Project

FILE = "signatures.yaml"
PLACES: tuple[Place, ...] = get_args(Place)
SHIPPED_FILE = PACKAGE / "evidence" / "signatures" / FILE
_PRINTK = re.compile(r"^\[ *\d+\.\d+\] ")


@dataclass(frozen=True)
class Signature:
    """A named entry."""

    name: str
    says: SignatureEntry

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The pattern that finds its lines; of most signatures no boot prints a word."""
        return re.compile(self.says.pattern)


@dataclass(frozen=True)
class Match:
    """What a line means: ``signature`` finds it first, ``ends`` and ``alarm`` are the first ones said."""

    signature: Signature
    line: str
    ends: EndingKind | None
    alarm: Alarm | None

    @property
    def name(self) -> str:
        """The signature's name."""
        return self.signature.name


@dataclass(frozen=True)
class _Place:
    """The signatures of one place, and words of which their lines hold one each; () where none is sure."""

    entries: tuple[Signature, ...]
    words: tuple[str, ...]

    def may_match(self, line: str) -> bool:
        return not self.words or any(word in line for word in self.words)

    def of(self, text: str) -> list[str]:
        """Return the lines of a text that may match: few words are in all of it, and few lines have one."""
        lines = text.splitlines()
        if not self.words:
            return lines
        there = [word for word in self.words if word in text]
        return [line for line in lines if any(word in line for word in there)] if there else []


def _of_place(every_entry: tuple[Signature, ...], place: Place) -> _Place:
    entries = tuple(each for each in every_entry if each.says.place == place)
    known = [words_of(each.says.pattern) for each in entries]
    every = {word for words in known if words is not None for word in words}
    least = [word for word in every if not any(other in word for other in every - {word})]
    return _Place(entries, () if None in known else tuple(sorted(least)))


@dataclass(frozen=True)
class Signatures:
    """All signatures, in the order in which they are looked for, and the file that has each."""

    entries: tuple[Signature, ...]
    files: Mapping[str, Path]

    def named(self, name: str) -> Signature:
        """Return a signature; HarnessError with names that look like an unknown one."""
        for each in self.entries:
            if each.name == name:
                return each
        names = [each.name for each in self.entries]
        raise HarnessError(f"unknown signature {name!r}", near(name, names))

    @cached_property
    def _places(self) -> Mapping[Place, _Place]:
        return {place: _of_place(self.entries, place) for place in PLACES}

    def match(self, line: str, place: Place = "console", *, quoted: bool = False) -> Match | None:
        """Return what a line means that ``place`` printed, None for an ordinary one.

        ``quoted``: the line is part of a guest's document, which may quote older messages; then only a line
        that begins with the message (or with the kernel's time stamp and the message) counts.
        """
        here = self._places[place]
        if not here.may_match(line):
            return None
        text = _PRINTK.sub("", line) if quoted else line
        found = [
            each
            for each in here.entries
            if (each.pattern.match(text) if quoted else each.pattern.search(text))
        ]
        if not found:
            return None
        ends = next((each.says.ends for each in found if each.says.ends), None)
        alarm = next((each.says.alarm for each in found if each.says.alarm), None)
        return Match(found[0], line.strip(), ends, alarm)

    def matches(self, text: str, place: Place = "console") -> tuple[Match, ...]:
        """Return what the lines of a text mean, in order, ordinary lines left out."""
        lines = self._places[place].of(text)
        found = (self.match(line, place) for line in lines)
        return tuple(each for each in found if each is not None)

    def alarms(self, log: str) -> tuple[Match, ...]:
        """Return every line of a Linux log that means that something went wrong, in order."""
        return tuple(each for each in self.matches(log) if each.alarm is not None)


def signatures_of(project: Project) -> Signatures:
    """Return the signatures of a project: each of its folders may have a file, the shipped ones come last.

    HarnessError for mistakes in a file, and for a name that two files have.
    """
    own = (root / FILE for root in project.roots)
    return _read((*(path for path in own if path.is_file()), SHIPPED_FILE))


@cache
def shipped() -> Signatures:
    """Return the signatures that come with the harness."""
    return _read((SHIPPED_FILE,))


@cache
def _read(files: tuple[Path, ...]) -> Signatures:
    entries: list[Signature] = []
    homes: dict[str, Path] = {}
    for file in files:
        context = TRIED if file == SHIPPED_FILE else None
        for name, says in load(file, SignatureFile, context=context).signatures.items():
            if name in homes:
                error = taken(homes[name], file)
                raise HarnessError(f"signature {name!r}: {error.what}", error.hint)
            homes[name] = file
            entries.append(Signature(name, says))
    return Signatures(tuple(entries), homes)
