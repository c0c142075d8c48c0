# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Finished entries of the store as one file, ``NAME.tar.zst``, for another machine or a CI cache.

A file holds entries as they lie below the store's root. Taking one in checks each entry against its own
provenance: key, names, digests. That finds damage; whether to trust who made the programs inside is the
user's decision.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from harness.errors import HarnessError
from harness.store.asking import Asking
from harness.store.entries import Artifact, Store, full_disk_told
from harness.store.file_tree import flush_one, remove

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.store.inputs import JSONValue

_LEVEL = 6


class Recording(Asking):
    """A store that makes nothing and notes what it gave, in order."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.given: dict[Path, Artifact] = {}

    def find(
        self, kind: str, name: str, inputs: Mapping[str, JSONValue], made_with: Sequence[str] = ()
    ) -> Artifact | None:
        """Return the finished artifact, noted when it is an entry of this store."""
        artifact = super().find(kind, name, inputs, made_with)
        if artifact is not None and artifact.path.is_relative_to(self.root):
            self.given[artifact.path] = artifact
        return artifact


def export(artifacts: Iterable[Artifact], store: Store, file: Path) -> None:
    """Write entries of a store to ``file``, whole or not at all."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with full_disk_told(file.parent), temporary.open("wb") as raw:
            with (
                zstandard.ZstdCompressor(level=_LEVEL, threads=-1).stream_writer(
                    raw, closefd=False
                ) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
            ):
                for artifact in artifacts:
                    archive.add(
                        artifact.path, artifact.path.relative_to(store.root).as_posix(), filter=_nobodys
                    )
            raw.flush()
            os.fsync(raw.fileno())
        temporary.replace(file)
        flush_one(file.parent)
    except FileNotFoundError:
        raise HarnessError(f"{file.parent}: no such folder") from None
    finally:
        temporary.unlink(missing_ok=True)


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return a member without its owner."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def take_in(file: Path, store: Store) -> list[Artifact]:
    """Take the entries of an exported file into a store; return those that it did not have.

    HarnessError for what is no such file or damaged, and for an entry that is not what its provenance says:
    none is taken in then.
    """
    store.root.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".import.", dir=store.root))
    try:
        with full_disk_told(store.root):
            _unpack(file, temporary)
            folders = sorted(path for path in temporary.glob("*/*") if path.is_dir())
            if not folders:
                raise HarnessError(
                    f"{file}: holds no entry of a store", "make it with `harness store export`"
                )
            found = [(folder, store.read(folder)) for folder in folders]
            for folder, artifact in found:
                if artifact is None:
                    name = folder.relative_to(temporary)
                    raise HarnessError(f"{file}: {name} is not what its provenance says", "export it again")
            return [
                artifact
                for folder, artifact in found
                if artifact is not None and store.adopt(folder, artifact)
            ]
    finally:
        remove(temporary)


def _unpack(file: Path, folder: Path) -> None:
    try:
        with (
            file.open("rb") as raw,
            zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as stream,
            tarfile.open(fileobj=stream, mode="r|") as archive,
        ):
            # Newer Pythons have a filter of their own, whose rules Debian 12's (3.11.2) lacks.
            archive.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)
            for member in archive:
                archive.extract(_harmless(member, folder), folder)
    except FileNotFoundError:
        raise HarnessError(f"{file}: no such file") from None
    except (tarfile.TarError, zstandard.ZstdError, EOFError, ValueError) as error:
        raise HarnessError(
            f"{file}: cannot be read ({error})", "it is damaged, or no export of a store"
        ) from error


def _harmless(member: tarfile.TarInfo, folder: Path) -> tarfile.TarInfo:
    """Return a member that nobody but its owner may write; TarError where it or its link leads out."""
    place = folder / member.name
    if member.issym():
        reaches = place.parent / member.linkname
    elif member.islnk():
        reaches = folder / member.linkname
    elif member.isreg() or member.isdir():
        reaches = place
    else:
        raise tarfile.TarError(f"{member.name} is neither file, folder nor link")
    top = folder.resolve()
    for path in (place.parent, reaches):
        if not path.resolve().is_relative_to(top):
            raise tarfile.TarError(f"{member.name} leads out of the folder")
    member.mode = (member.mode | 0o600) & 0o755
    return member
