# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A kernel's modules for a guest's initramfs: those asked for and all that they need, ready for insmod.

    for path in ingredients.modules("debian-6.12", ["virtio_blk", "ext4"]):
        ...  # pack it; /sbin/insmod in this order

What each needs is read from the modules themselves (``.modinfo``: ``depends``, and ``pre`` of ``softdep``): a
package has no modules.dep, that is made when it is installed. What a module asks for only when it runs, which
modprobe would bring, is in ``AT_RUN_TIME``. The files are not compressed, whatever the
package did: busybox's insmod cannot read xz or zstd.
"""

from __future__ import annotations

import gzip
import lzma
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.kernel.files import modules_folders, modules_package
from harness.documents.document import near
from harness.errors import HarnessError
from harness.formats.ikconfig import unzstd
from harness.store.file_tree import digest_file
from harness.store.inputs import digest_code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.debian.archive import AptRoot
    from harness.debian.lock_file import Lock
    from harness.recipes.kernel import KernelRecipe
    from harness.store.inputs import JSONValue

_MODULE = re.compile(r"(?P<stem>.+)\.k?o(?P<packed>\.xz|\.gz|\.zst)?")
# modpost writes each as a string of its own that ends with NUL (Linux scripts/mod/modpost.c, add_depends).
_DEPENDS = re.compile(rb"\0depends=([^\0]*)(?=\0)")
_SOFT = re.compile(rb"\0softdep=pre: ([^\0]*)(?=\0)")
_UNPACK: Mapping[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    ".xz": lzma.decompress,
    ".gz": gzip.decompress,
    ".zst": unzstd,
}
AT_RUN_TIME = {
    "sev_guest": ("gcm", "ghash_generic"),  # up to 6.13, which brings an AES-GCM of its own
    "vfat": ("nls_cp437", "nls_ascii", "nls_utf8"),
}
"""Modules that others want from the crypto API or for a mount; used where the kernel has them."""


@dataclass(frozen=True)
class ModuleSet:
    """A kernel's modules by name (with ``_``), and the names of what it has built in."""

    files: Mapping[str, Path]
    built_in: frozenset[str]


def modules(recipe: KernelRecipe, names: Sequence[str], apt: AptRoot, lock: Lock) -> tuple[Path, ...]:
    """Return files ``NNN-NAME.ko`` in the order in which they load; what is built in has none.

    A name may be written with ``-`` or ``_``. HarnessError, with the recipe's place, for a module that the
    kernel does not have, and for a kernel whose modules cannot be had.
    """
    wanted = sorted({_plain(name) for name in names})
    inputs: dict[str, JSONValue] = {"names": wanted, "reader": digest_code(sys.modules[__name__])}
    package = modules_package(recipe, lock)

    def load_order() -> list[Path]:
        return in_load_order(module_set(*modules_folders(recipe, apt, lock)), wanted, recipe.title)

    if package is not None:
        inputs["package"] = f"{package.package} {package.version} {package.sha256}"
    else:  # a developer's files change
        inputs["files"] = [f"{path.name} {digest_file(path)}" for path in load_order()]

    def build(directory: Path) -> None:
        for number, path in enumerate(load_order()):
            (directory / f"{number:03}-{_name(path.name)}.ko").write_bytes(_content(path))

    folder = apt.store.get("kernel-modules", recipe.name, inputs, build, apt.progress).path
    return tuple(sorted(folder.glob("*.ko")))


def module_set(folder: Path, lists: Path) -> ModuleSet:
    """Return the modules below lib/modules/RELEASE or a build tree, by modules.order in ``lists``.

    The lists name installed modules as kernel/PATH.ko, those of a build tree as PATH.o.
    """
    files: dict[str, Path] = {}
    for line in _lines(lists / "modules.order"):
        stem = line.rpartition(".")[0]
        here = (stem, stem.removeprefix("kernel/"))
        places = (folder / f"{place}.ko{packed or ''}" for place in here for packed in _UNPACK)
        if path := next((place for place in places if place.is_file()), None):
            files[_name(path.name)] = path
    built_in = frozenset(_name(Path(line).name) for line in _lines(lists / "modules.builtin"))
    return ModuleSet(files, built_in)


def in_load_order(there: ModuleSet, names: Sequence[str], title: str) -> list[Path]:
    """Return modules and all that they need, what is needed first; HarnessError for unknown ones.

    A soft dependency on an algorithm (``crypto-crc32c``) is met by its generic module, if there is one.
    """
    order: dict[str, Path] = {}
    entered: set[str] = set()

    def add(name: str, user: str) -> None:
        if name in entered or name in there.built_in:
            return
        entered.add(name)
        path = there.files.get(name)
        if path is None:
            needed = f", which {user} needs" if user else ""
            raise HarnessError(
                f"{title}: has no module {name}{needed}, and has not built it in", near(name, there.files)
            )
        content = _content(path)
        for needs in _words(_DEPENDS, content, b","):
            add(needs, name)
        algorithms = [soft.removeprefix("crypto_") for soft in _words(_SOFT, content, None)]
        generic = [f"{algorithm}_generic" for algorithm in algorithms]
        for module in (*algorithms, *generic, *AT_RUN_TIME.get(name, ())):
            if module in there.files:
                add(module, name)
        order[name] = path

    for name in names:
        add(_plain(name), "")
    return list(order.values())


def _words(pattern: re.Pattern[bytes], content: bytes, separator: bytes | None) -> list[str]:
    said = (match.partition(b" post:")[0] for match in pattern.findall(content))
    return [_plain(word.decode()) for words in said for word in words.split(separator) if word]


def _plain(name: str) -> str:
    return name.strip().replace("-", "_")


def _name(file: str) -> str:
    match = _MODULE.fullmatch(file)
    return _plain(match["stem"] if match else file)


def _content(path: Path) -> bytes:
    match = _MODULE.fullmatch(path.name)
    try:
        return _UNPACK[match["packed"] if match else None](path.read_bytes())
    except (OSError, ValueError, EOFError, lzma.LZMAError) as error:
        raise HarnessError(f"{path}: cannot be unpacked: {error}") from error


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return []
