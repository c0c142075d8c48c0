# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Unified diffs, as ``diff -u`` and ``git diff`` write them: reading, and applying to a file's bytes.

Hunks apply without fuzz, at any offset. Mail drops the carriage returns that most of edk2's files have, so a
diff without any applies to a file whose lines all end in CR LF, and the other way round.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_NO_NEWLINE = b"\\"
_SHOWN = 30  # lines of a rejected hunk


class DiffError(Exception):
    """A diff that cannot be read or applied; the text says where and why."""


@dataclass(frozen=True)
class Hunk:
    """One change: ``old`` and ``new`` are whole lines with their ends, ``start`` counts from 0."""

    start: int
    old: tuple[bytes, ...]
    new: tuple[bytes, ...]
    text: tuple[bytes, ...]
    """The hunk as written, headed by its ``@@`` line."""
    line: int
    """Where it is in the diff, from 1."""


@dataclass(frozen=True)
class FileDiff:
    """What a diff does to one file; ``old`` is None for a new file, ``new`` for one that goes away.

    Where they differ, the file is renamed, or ``copied``: then the old one stays.
    """

    old: str | None
    new: str | None
    hunks: tuple[Hunk, ...]
    copied: bool = False

    @property
    def name(self) -> str:
        """The file's new path, the old one if it is deleted."""
        return self.new or self.old or ""


def parse_diff(text: bytes) -> tuple[FileDiff, ...]:
    """Read all file changes of a text; what stands between them (a mail's words) is passed over."""
    lines = _lines(text)
    found: list[FileDiff] = []
    at = 0
    git = _GitHeader()
    while at < len(lines):
        line = lines[at]
        if line.startswith(b"diff --git "):
            found += git.alone()
            git = _GitHeader()
            git.take(line)
        elif line.startswith((b"GIT binary patch", b"Binary files ")):
            raise DiffError(f"line {at + 1}: it changes a binary file, which is not supported")
        elif line.startswith(b"--- ") and at + 1 < len(lines) and lines[at + 1].startswith(b"+++ "):
            old, new = git.names(_name(line), _name(lines[at + 1]))
            if old is None and new is None:
                raise DiffError(f"line {at + 1}: a change from nothing to nothing")
            at, hunks = _hunks(lines, at + 2)
            found.append(FileDiff(old, new, hunks, git.copies))
            git = _GitHeader()
            continue
        else:
            git.take(line)
        at += 1
    return (*found, *git.alone())


class _GitHeader:
    """Git's extended header lines, which tell of renames and copies, and of empty files."""

    def __init__(self) -> None:
        self._old: str | None = None
        self._new: str | None = None
        self._both: str | None = None
        self.copies = False

    def take(self, line: bytes) -> None:
        words = line.rstrip(b"\r\n")
        if words.startswith(b"diff --git "):
            self._both = _one_name(words.removeprefix(b"diff --git "))
        elif words.startswith((b"rename from ", b"copy from ")):
            self._old = _unquoted(words.partition(b" from ")[2])
            self.copies = words.startswith(b"copy")
        elif words.startswith((b"rename to ", b"copy to ")) and self._old is not None:
            self._new = _unquoted(words.partition(b" to ")[2])
        elif words.startswith(b"new file mode ") and self._both is not None:
            self._new = self._both
        elif words.startswith(b"deleted file mode ") and self._both is not None:
            self._old = self._both

    def names(self, old: str | None, new: str | None) -> tuple[str | None, str | None]:
        return (self._old, self._new) if self._old and self._new else (old, new)

    def alone(self) -> list[FileDiff]:
        """Return what has no hunks: a rename or copy as it is, an empty file that comes or goes."""
        return [FileDiff(self._old, self._new, (), self.copies)] if self._old or self._new else []


def _lines(text: bytes) -> list[bytes]:
    """Split at LF alone, with the ends kept."""
    parts = text.split(b"\n")
    whole = [part + b"\n" for part in parts[:-1]]
    return [*whole, parts[-1]] if parts[-1] else whole


def _unquoted(name: bytes) -> str:
    """Read a file's name, which git writes as a text of C when it has unusual characters."""
    if len(name) > 1 and name.startswith(b'"') and name.endswith(b'"'):
        try:
            name = name[1:-1].decode("unicode_escape").encode("latin-1")
        except UnicodeError as error:
            raise DiffError(f"{name!r} is not a file's name as git quotes it") from error
    return name.decode("utf-8", "surrogateescape")


def _name(line: bytes) -> str | None:
    """Read a ``---`` or ``+++`` line without the first directory, as ``patch -p1`` does."""
    path = _unquoted(line[4:].split(b"\t")[0].strip())
    if path == "/dev/null":
        return None
    return path.partition("/")[2] or path


def _one_name(pair: bytes) -> str | None:
    """Read the name in ``a/NAME b/NAME``; None for two names."""
    half = len(pair) // 2
    old, new = (_unquoted(name).partition("/")[2] for name in (pair[:half], pair[half + 1 :]))
    return old if old == new else None


def _hunks(lines: list[bytes], at: int) -> tuple[int, tuple[Hunk, ...]]:
    hunks: list[Hunk] = []
    while at < len(lines) and (head := _HUNK.match(lines[at])):
        hunks.append(hunk := _hunk(lines, at, head))
        at += len(hunk.text)
    return at, tuple(hunks)


def _hunk(lines: list[bytes], first: int, head: re.Match[bytes]) -> Hunk:
    old_count, new_count = (int(head[group]) if head[group] is not None else 1 for group in (2, 4))
    old: list[bytes] = []
    new: list[bytes] = []
    at = first + 1
    while len(old) < old_count or len(new) < new_count:
        if at == len(lines):
            raise DiffError(f"line {first + 1}: the hunk is cut off at the end of the file")
        mark, rest = lines[at][:1], lines[at][1:]
        if mark in {b"\n", b"\r"}:
            mark, rest = b" ", lines[at]  # mail programs drop the blank of an empty context line
        if mark not in {b" ", b"-", b"+"}:
            raise DiffError(f"line {at + 1}: it does not belong to the hunk that begins on line {first + 1}")
        sides = [side for side, marks in ((old, b" -"), (new, b" +")) if mark in marks]
        at += 1
        if at < len(lines) and lines[at].startswith(_NO_NEWLINE):
            rest = rest.removesuffix(b"\n")
            at += 1
        for side in sides:
            side.append(rest)
    if (len(old), len(new)) != (old_count, new_count):
        raise DiffError(f"line {first + 1}: the hunk's lines are not as many as its head says")
    start = int(head[1]) - (1 if old_count else 0)
    return Hunk(start, tuple(old), tuple(new), tuple(lines[first:at]), first + 1)


def apply_diff(diff: FileDiff, content: bytes | None) -> bytes | None:
    """Return the file after the change, None for one that goes away; ``content`` is None for one not there.

    Raises DiffError with the lines of every hunk that does not fit.
    """
    if diff.old is None and content:
        raise DiffError("it would make a file that is there already")
    if diff.old is not None and content is None:
        raise DiffError("there is no such file")
    lines = _lines(content or b"")
    offset, result, done = 0, [], 0
    rejected: list[str] = []
    for number, written in enumerate(diff.hunks, start=1):
        hunk = _as_file_has_it(written, lines)
        place = _find(hunk.old, lines, hunk.start + offset, done)
        if place is None:
            rejected.append(
                _rejection(hunk, f"hunk {number} of {len(diff.hunks)}", lines, hunk.start + offset)
            )
            continue
        offset = place - hunk.start
        result += [*lines[done:place], *hunk.new]
        done = place + len(hunk.old)
    if rejected:
        raise DiffError("\n  ".join(rejected))
    joined = b"".join([*result, *lines[done:]])
    if diff.new is None:
        if joined:
            raise DiffError("it would remove a file that has more in it than the diff knows")
        return None
    return joined


def _as_file_has_it(hunk: Hunk, lines: list[bytes]) -> Hunk:
    """Return the hunk with the file's line ends, if both sides use but one kind and these differ."""
    file_has, hunk_has = _ends(lines), _ends([*hunk.old, *hunk.new])
    if not lines or file_has == hunk_has or None in {file_has, hunk_has}:
        return hunk

    def changed(side: tuple[bytes, ...]) -> tuple[bytes, ...]:
        if file_has == b"\r\n":
            return tuple(line[:-1] + b"\r\n" if line.endswith(b"\n") else line for line in side)
        return tuple(line.removesuffix(b"\r\n") + b"\n" if line.endswith(b"\r\n") else line for line in side)

    return Hunk(hunk.start, changed(hunk.old), changed(hunk.new), hunk.text, hunk.line)


def _ends(lines: list[bytes]) -> bytes | None:
    """Return what every line ends in: CR LF or LF; None when they are mixed."""
    ends = {b"\r\n" if line.endswith(b"\r\n") else b"\n" for line in lines if line.endswith(b"\n")}
    return ends.pop() if len(ends) == 1 else None


def _find(wanted: tuple[bytes, ...], lines: list[bytes], expected: int, least: int) -> int | None:
    """Find ``wanted`` in ``lines`` nearest to ``expected``, not before ``least``."""
    if not wanted:
        return expected if least <= expected <= len(lines) else None
    last = len(lines) - len(wanted)
    places = [n for n in range(least, last + 1) if tuple(lines[n : n + len(wanted)]) == wanted]
    return min(places, key=lambda place: abs(place - expected), default=None)


def _rejection(hunk: Hunk, which: str, lines: list[bytes], expected: int) -> str:
    """Return why a hunk does not fit, and show it."""

    def shown(line: bytes) -> str:
        return line.rstrip(b"\r\n").decode("utf-8", "replace")

    why = ""
    if _find(hunk.new, lines, expected, 0) is not None and hunk.new:
        why = "the file seems to have this change already"
    else:
        for number, wanted in enumerate(hunk.old, start=expected):
            there = shown(lines[number]) if 0 <= number < len(lines) else None
            if there != shown(wanted):
                said = "the file has ended" if there is None else f"the file has {there.strip()!r}"
                why = f"at line {number + 1} {said}, the patch wants {shown(wanted).strip()!r}"
                break
    body = [shown(line) for line in hunk.text]
    if len(body) > _SHOWN:
        body = [*body[:_SHOWN], f"… {len(body) - _SHOWN} more lines"]
    return "\n    ".join(
        [f"{which} (line {hunk.line} of the patch): {why or 'its place was not found'}", *body]
    )
