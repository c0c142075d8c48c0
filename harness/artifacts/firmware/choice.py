# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a user may name as firmware on a command line: a recipe, ``file:PATH``, ``tree:PATH``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.firmware.edk2_source import tree_source
from harness.errors import HarnessError
from harness.recipes.firmware import (
    ACCEPTANCE_LOG,
    BuildOptions,
    File,
    FirmwareRecipe,
    FirmwareSource,
    Tree,
)
from harness.store import file_tree

if TYPE_CHECKING:
    from harness.recipes.catalog import Catalog

FORMS = "NAME|file:PATH|tree:PATH"
_DIGITS = 6


def choose_firmware(text: str, catalog: Catalog) -> FirmwareRecipe:
    """Return the recipe that ``text`` stands for; HarnessError for an unknown name or a path not there.

    An image or tree gets a name that tells it and its content: ``file-ovmf-1b2c3d``, ``tree-edk2-4e5f60``.
    A tree is built as the project's own builds are: DEBUG, with the log lines about acceptance.
    """
    kind, colon, written = text.partition(":")
    if not colon:
        return catalog.firmware_recipe(text)
    path = Path(written).expanduser().absolute()
    if kind == "file":
        if not path.is_file():
            raise HarnessError(f"{text}: no such file", "name a firmware image, such as file:OVMF.fd")
        source = FirmwareSource(file=File(path=str(path)))
        return FirmwareRecipe(name_of(kind, path.stem, file_tree.digest_file(path)), source)
    if kind == "tree":
        content = tree_source(path).content.split()[-1]
        source = FirmwareSource(tree=Tree(path=str(path)))
        options = BuildOptions(pcds=tuple(ACCEPTANCE_LOG.items()))
        return FirmwareRecipe(name_of(kind, path.name, content), source, options=options)
    raise HarnessError(f"{text}: unknown kind of firmware {kind!r}", f"write {FORMS}")


def name_of(kind: str, word: str, digest: str) -> str:
    """Make a recipe's name of what a user has named and the digest of its content."""
    readable = re.sub(r"[^a-z0-9._-]+", "-", word.lower()).strip("-.") or "x"
    return f"{kind}-{readable}-{digest[:_DIGITS]}"
