# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a user may name as a kernel on a command line: a recipe, ``file:PATH``, ``tree:PATH``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.firmware.choice import FORMS, name_of
from harness.artifacts.kernel.files import BZIMAGE, MAKE_HINT
from harness.errors import HarnessError
from harness.formats.bzimage import is_bzimage
from harness.formats.magic import no_bzimage
from harness.recipes.kernel import File, KernelRecipe, KernelSource, Tree
from harness.store import file_tree

if TYPE_CHECKING:
    from harness.recipes.catalog import AnyKernel, Catalog

_CONFIG, _NO_CONFIG = ",config=", "none"
_HEADER = 0x400
"""Bytes that hold a setup header."""


def choose_kernel(text: str, catalog: Catalog) -> AnyKernel:
    """Return the recipe that ``text`` stands for; HarnessError for an unknown name or a path not there.

    A developer's kernel gets a name that tells it and its content: ``file-bzimage-1b2c3d``,
    ``tree-linux-4e5f60``. ``file:PATH,config=PATH`` says which config the image was built with, and
    ``config=none`` that its traits are to be read from the image alone.
    """
    kind, colon, written = text.partition(":")
    if not colon:
        return catalog.kernel_recipe(text)
    if kind == "file":
        return _file(text, written)
    path = Path(written).expanduser().absolute()
    if kind == "tree":
        image = path / BZIMAGE
        if not image.is_file():
            raise HarnessError(f"{text}: no {BZIMAGE} there", MAKE_HINT)
        source = KernelSource(tree=Tree(path=str(path)))
        return KernelRecipe(name_of(kind, path.name, file_tree.digest_file(image)), source)
    raise HarnessError(f"{text}: unknown kind of kernel {kind!r}", f"write {FORMS}")


def _file(text: str, written: str) -> KernelRecipe:
    """Return the recipe of ``PATH`` or ``PATH,config=PATH|none``; HarnessError when it is no bzImage."""
    before, comma, config = written.rpartition(_CONFIG)
    path = Path(before if comma else written).expanduser().absolute()
    if path.is_dir():
        raise HarnessError(f"{text}: it is a folder", f"did you mean tree:{before or written}?")
    if not path.is_file():
        raise HarnessError(f"{text}: no such file", "name a bzImage, such as file:/boot/vmlinuz-6.12.9")
    with path.open("rb") as file:
        start = file.read(_HEADER)
    if not is_bzimage(start):
        what, hint = no_bzimage(start)
        raise HarnessError(f"{text}: no bzImage: {what}", hint)
    digest = file_tree.digest_file(path)
    if not comma:
        return KernelRecipe(name_of("file", path.name, digest), KernelSource(file=File(path=str(path))))
    if config == _NO_CONFIG:
        made = File(path=str(path), config=False)
        return KernelRecipe(name_of("file", path.name, digest), KernelSource(file=made))
    beside = Path(config).expanduser().absolute()
    if not beside.is_file():
        raise HarnessError(f"{text}: there is no {beside}", "name the .config that the kernel was built with")
    # Another config makes another kernel of the same image, so that no run takes one for the other.
    both = hashlib.sha256(f"{digest} {file_tree.digest_file(beside)}".encode()).hexdigest()
    made = File(path=str(path), config=str(beside))
    return KernelRecipe(name_of("file", path.name, both), KernelSource(file=made))
