# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a user may name as a kernel on a command line: a recipe, ``file:PATH``, ``tree:PATH``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.firmware.choice import FORMS, name_of
from harness.artifacts.kernel.files import BZIMAGE, MAKE_HINT
from harness.errors import HarnessError
from harness.recipes.kernel import File, KernelRecipe, KernelSource, Tree
from harness.store import file_tree

if TYPE_CHECKING:
    from harness.recipes.catalog import AnyKernel, Catalog


def choose_kernel(text: str, catalog: Catalog) -> AnyKernel:
    """Return the recipe that ``text`` stands for; HarnessError for an unknown name or a path not there.

    A developer's kernel gets a name that tells it and its content: ``file-bzimage-1b2c3d``,
    ``tree-linux-4e5f60``.
    """
    kind, colon, written = text.partition(":")
    if not colon:
        return catalog.kernel_recipe(text)
    path = Path(written).expanduser().absolute()
    if kind == "file":
        if not path.is_file():
            raise HarnessError(f"{text}: no such file", "name a bzImage, such as file:/boot/vmlinuz-6.12.9")
        source = KernelSource(file=File(path=str(path)))
        return KernelRecipe(name_of(kind, path.name, file_tree.digest_file(path)), source)
    if kind == "tree":
        image = path / BZIMAGE
        if not image.is_file():
            raise HarnessError(f"{text}: no {BZIMAGE} there", MAKE_HINT)
        source = KernelSource(tree=Tree(path=str(path)))
        return KernelRecipe(name_of(kind, path.name, file_tree.digest_file(image)), source)
    raise HarnessError(f"{text}: unknown kind of kernel {kind!r}", f"write {FORMS}")
