# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Debian's package indexes: queries, version order, and what a Packages or Sources file says.

Sources: Debian Policy 5.6.12 (version order), deb-src-control(5), the repository format in the Debian wiki.
"""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cmp_to_key
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class PackageQuery:
    """What a recipe asks for. ``package`` and ``version`` may be shell globs; the newest match is taken."""

    package: str
    suite: str
    version: str | None = None
    source: bool = False

    @property
    def key(self) -> str:
        """The query's stable name, such as ``trixie:ovmf``, ``sid:src:qemu`` or ``trixie:ovmf=2025.02-*``."""
        version = f"={self.version}" if self.version else ""
        return f"{self.suite}:{'src:' if self.source else ''}{self.package}{version}"


@dataclass(frozen=True)
class PackageVersion:
    """One exact package. For a source package ``architecture`` is ``source`` and the file is its .dsc.

    ``size`` is in bytes, ``sha256`` in hex, ``filename`` relative to the archive's root.
    """

    package: str
    version: str
    architecture: str
    suite: str
    sha256: str
    size: int
    filename: str

    @property
    def source(self) -> bool:
        """Whether it is a source package."""
        return self.architecture == "source"


@dataclass(frozen=True)
class SourceFile:
    """One file of a source package; ``size`` in bytes, ``path`` relative to the archive's root."""

    name: str
    sha256: str
    size: int
    path: str


def _order(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


def _compare_part(left: str, right: str) -> int:
    """Compare upstream versions or revisions: text and numbers in turn, ``~`` before the end of a string."""
    split = re.compile(r"([^0-9]*)([0-9]*)")
    while left or right:
        mine, theirs = split.match(left), split.match(right)
        assert mine is not None
        assert theirs is not None
        a, b = (
            ([*(_order(character) for character in match[1]), 0], int(match[2] or "0"))
            for match in (mine, theirs)
        )
        if a != b:
            return -1 if a < b else 1
        left, right = left[mine.end() :], right[theirs.end() :]
    return 0


def compare_versions(left: str, right: str) -> int:
    """Order two Debian versions as dpkg does: negative, zero or positive."""

    def parts(version: str) -> tuple[int, str, str]:
        epoch, colon, rest = version.partition(":")
        if not colon:
            epoch, rest = "0", version
        upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
        return int(epoch), upstream, revision

    mine, theirs = parts(left), parts(right)
    if mine[0] != theirs[0]:
        return mine[0] - theirs[0]
    return _compare_part(mine[1], theirs[1]) or _compare_part(mine[2], theirs[2])


version_key = cmp_to_key(compare_versions)


def fields(stanza: str) -> dict[str, str]:
    """Read one stanza of a control file; continuation lines stay joined by newlines."""
    result: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line[:1] in (" ", "\t"):
            result[name] += "\n" + line.strip()
        elif line:
            name, _, value = line.partition(":")
            result[name] = value.strip()
    return result


def stanzas(index: Path, package: str) -> Iterator[dict[str, str]]:
    """Yield the stanzas of an uncompressed Packages or Sources file whose package name matches a glob.

    Only the matching stanzas are read: some 20 ms for the 60 MB of a Debian suite.
    """
    wild = _WILD.search(package)
    fixed = package[: wild.start()] if wild else package + "\n"
    needle = f"Package: {fixed}".encode()
    if index.stat().st_size == 0:  # an empty file cannot be mapped
        return
    with index.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        position = 0 if data[: len(needle)] == needle else data.find(b"\n" + needle)
        while position >= 0:
            end = data.find(b"\n\n", position)
            stanza = fields(data[position : end if end >= 0 else len(data)].decode("utf-8", "replace"))
            if fnmatchcase(stanza["Package"], package):
                yield stanza
            position = data.find(b"\n" + needle, end) if end >= 0 else -1


def source_files(stanza: Mapping[str, str]) -> tuple[SourceFile, ...]:
    """Read the files of one Sources stanza with their SHA-256."""
    files = []
    for line in stanza["Checksums-Sha256"].split("\n"):
        if line.strip():
            sha256, size, name = line.split()
            files.append(SourceFile(name, sha256, int(size), f"{stanza['Directory']}/{name}"))
    return tuple(files)


def package_version(stanza: Mapping[str, str], suite: str) -> PackageVersion:
    """Read one Packages or Sources stanza."""
    package, version = stanza["Package"], stanza["Version"]
    if "Checksums-Sha256" in stanza:
        dsc = next(file for file in source_files(stanza) if file.name.endswith(".dsc"))
        return PackageVersion(package, version, "source", suite, dsc.sha256, dsc.size, dsc.path)
    return PackageVersion(
        package,
        version,
        stanza["Architecture"],
        suite,
        stanza["SHA256"],
        int(stanza["Size"]),
        stanza["Filename"],
    )


def matching(index: Path, query: PackageQuery) -> list[dict[str, str]]:
    """Return the stanzas that answer a query, newest last; of one version the shortest name last.

    That makes ``linux-image-6.1.*-amd64`` the plain kernel and not its -rt or -cloud sister.
    A source that is in the archive only because some binary still needs it (``Extra-Source-Only``) answers
    only a query for its exact version.
    """
    wanted = query.version
    exact = wanted is not None and not _WILD.search(wanted)
    found = [
        stanza
        for stanza in stanzas(index, query.package)
        if (wanted is None or stanza["Version"] == wanted or fnmatchcase(stanza["Version"], wanted))
        and (exact or stanza.get("Extra-Source-Only") != "yes")
    ]
    return sorted(found, key=lambda stanza: (version_key(stanza["Version"]), -len(stanza["Package"])))


def relatives(package: str) -> str:
    """Return a glob for the later versions of a package whose name carries its version (kernels).

    ``linux-image-6.12.43+deb13-amd64`` gives ``linux-image-6.12.*+deb13-amd64``, and
    ``linux-image-6.1.0-50-amd64`` gives ``linux-image-6.1.*-amd64``; other names stay.
    """
    return re.sub(r"(\d+\.\d+)\.\d+(-\d+)?", r"\1.*", package, count=1)
