# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Folders as one file, ``NAME.tar.zst``, and back: records that passed, records that are old, capsules.

Of a large text of numbers, such as a ledger, the numbers lie apart (`harness.store.numbers_apart`): it is a
member ``NAME.apart``, a fifth of the size. Packed files come from elsewhere, too: unpacking takes regular
files below one folder and nothing else, and no more bytes than it may.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import tarfile
import tempfile
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO

import zstandard

from harness.errors import HarnessError
from harness.store.file_tree import flush_one
from harness.store.numbers_apart import apart, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUFFIX = ".tar.zst"
MOST_BYTES = 1 << 30
MOST_FILES = 10_000
APART = ".apart"
_APART_FROM, _APART_TO = 512 << 10, 64 << 20
"""Bytes of a file of lines whose numbers lie apart, either way: smaller ones gain little, larger take much
memory, which nobody may ask of who unpacks."""
_LEVEL = 9
_HARM = "it is damaged, or made to harm"
_NO_FOLDER = "it is damaged, or no packed folder"
_WINDOW = 27
"""log2 of the memory that unpacking may take: 128 MiB, zstd's own limit without ``--long``."""


def pack(folder: Path, file: Path, keep: Callable[[Path], bool] = lambda _path: True) -> None:
    """Write the regular files of a folder to ``file``, whole or not at all; the same bytes each time.

    ``keep`` says of a file whether it goes in. Owners, times and modes but the executable bit are left out.
    """
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and keep(path)
    )
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as raw:
            with (
                zstandard.ZstdCompressor(level=_LEVEL).stream_writer(raw, closefd=False) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
            ):
                for path in files:
                    _add(archive, path, path.relative_to(folder).as_posix())
            raw.flush()
            os.fsync(raw.fileno())
        temporary.replace(file)
        flush_one(file.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    data = path.read_bytes()
    if path.suffix == ".jsonl" and _APART_FROM <= len(data) <= _APART_TO:
        told = apart(data)
        if told is not None and len(told) <= _APART_TO:
            name, data = name + APART, told
    member = tarfile.TarInfo(name)
    member.size = len(data)
    member.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
    archive.addfile(member, io.BytesIO(data))


def unpack(file: Path, folder: Path, *, most_bytes: int = MOST_BYTES) -> None:
    """Fill a new folder from a packed file, whole or not at all.

    Raises HarnessError for what is no such file or damaged, for members that are no regular files, have names
    that lead out of the folder or come twice, and for more than ``most_bytes`` or ``MOST_FILES``.
    """
    if folder.exists():
        raise HarnessError(f"{folder} is there already", "name a folder that is not there yet")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _unpack(file, temporary, most_bytes)
        temporary.chmod(0o755)
        temporary.rename(folder)
    except OSError as error:
        raise HarnessError(f"{file}: cannot be unpacked ({error})", _HARM) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unpack(file: Path, folder: Path, most_bytes: int) -> None:
    for name, member, content in _members(file, most_bytes):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out, _damage_told(file):
            shutil.copyfileobj(content, out)
        target.chmod(0o755 if member.mode & 0o100 else 0o644)


def _members(file: Path, most_bytes: int) -> Iterator[tuple[str, tarfile.TarInfo, IO[bytes]]]:
    """Yield what a packed file holds, after a look at each; HarnessError for what has no place in one.

    Each is the name of a file, how it is stored, and its content.
    """
    left, count, seen = most_bytes, 0, set()
    try:
        with (
            _damage_told(file),
            file.open("rb") as raw,
            _reader(raw) as stream,
            tarfile.open(fileobj=stream, mode="r|") as archive,
        ):
            for member in archive:
                count += 1
                left -= member.size
                _refuse(file, member, left, count)
                name = member.name.removesuffix(APART)
                if name in seen:
                    raise HarnessError(f"{file}: {name} is in it twice", _HARM)
                seen.add(name)
                content = archive.extractfile(member)
                assert content is not None  # it is a regular file
                if name != member.name:
                    if member.size > _APART_TO:
                        raise HarnessError(f"{file}: {member.name} has {member.size} bytes", _HARM)
                    text = together(content.read(), min(left, _APART_TO))
                    left -= len(text)
                    content = io.BytesIO(text)
                yield name, member, content
    except FileNotFoundError:
        raise HarnessError(f"{file}: no such file") from None
    except OSError as error:
        raise HarnessError(f"{file}: cannot be unpacked ({error})", _NO_FOLDER) from error


@contextmanager
def _damage_told(file: Path) -> Iterator[None]:
    """Raise HarnessError for what a packed file is damaged by, wherever its content is read."""
    try:
        yield
    except (tarfile.TarError, zstandard.ZstdError, EOFError, ValueError) as error:
        raise HarnessError(f"{file}: cannot be unpacked ({error})", _NO_FOLDER) from error


def _reader(raw: io.BufferedReader) -> zstandard.ZstdDecompressionReader:
    return zstandard.ZstdDecompressor(max_window_size=1 << _WINDOW).stream_reader(
        raw, read_across_frames=True
    )


def _refuse(file: Path, member: tarfile.TarInfo, left: int, count: int) -> None:
    """Raise HarnessError for a member that has no place in a packed folder."""
    pure = PurePosixPath(member.name)
    if not member.isreg():
        raise HarnessError(f"{file}: {member.name!r} is no regular file", _HARM)
    if (
        pure.is_absolute()
        or ".." in pure.parts
        or not pure.parts
        or "\\" in member.name
        or "\0" in member.name
    ):
        raise HarnessError(f"{file}: the name {member.name!r} leads out of the folder", _HARM)
    if left < 0 or count > MOST_FILES:
        raise HarnessError(f"{file}: more than a packed folder may hold", _HARM)


def packed_file(folder: Path) -> Path:
    """Return where a folder is when it is packed: beside its place; of a root, which has none, in it."""
    whole = folder if folder.name else folder.absolute()
    return whole.with_name(whole.name + SUFFIX) if whole.name else whole / SUFFIX


def is_there(folder: Path) -> bool:
    """Return whether a folder is there, packed or not."""
    return folder.is_dir() or packed_file(folder).is_file()


def unpacked_name(path: Path) -> str:
    """Return the name that a folder has when it is not packed, given either path."""
    return path.name.removesuffix(SUFFIX)


def open_file(path: Path) -> BinaryIO:
    """Open a file of a folder that is packed, or is not, for reading.

    FileNotFoundError where neither holds it, or as no regular file, such as a pipe that nobody fills;
    HarnessError where the packed folder is damaged.
    """
    try:
        return _open_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        packed = packed_file(path.parent)
        if not packed.is_file():
            raise
        contents = _contents(packed, packed.stat().st_mtime_ns)
        if path.name not in contents:
            raise
        return io.BytesIO(contents[path.name])


def _open_regular(path: Path) -> BinaryIO:
    if not stat.S_ISREG(path.stat().st_mode):
        raise FileNotFoundError(errno.ENOENT, "no regular file", str(path))
    return path.open("rb")


def holds_file(path: Path) -> bool:
    """Return whether a folder that is packed, or is not, holds a file."""
    try:
        open_file(path).close()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


@lru_cache(maxsize=2)
def _contents(packed: Path, _changed: int) -> dict[str, bytes]:
    """Return the files of a packed folder; whoever reads one of them reads the others next."""
    contents = {}
    for name, _, content in _members(packed, MOST_BYTES):
        with _damage_told(packed):
            contents[name] = content.read()
    return contents
