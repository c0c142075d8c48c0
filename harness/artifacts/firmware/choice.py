# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a user may name as firmware on a command line: a recipe, a file, a tree, a commit, a patch series."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.firmware.edk2_source import commit_of, tree_source
from harness.errors import HarnessError
from harness.formats.patches import read_patches
from harness.recipes.firmware import (
    ACCEPTANCE_LOG,
    BuildOptions,
    File,
    FirmwareRecipe,
    FirmwareSource,
    Git,
    Tree,
)
from harness.store import file_tree

if TYPE_CHECKING:
    from harness.recipes.catalog import Catalog

FORMS = "NAME|file:PATH|tree:PATH"
FIRMWARE_FORMS = f"{FORMS}|git:URL@REF|mbox:SERIES@BASE"
_DIGITS = 6


def choose_firmware(text: str, catalog: Catalog) -> FirmwareRecipe:
    """Return the recipe that ``text`` stands for; HarnessError for an unknown name or a path not there.

    An image or tree gets a name that tells it and its content: ``file-ovmf-1b2c3d``, ``tree-edk2-4e5f60``.
    A tree is built as the project's own builds are: DEBUG, with the log lines about acceptance. So is
    ``git:URL@REF``, of the commit that a branch, a tag or a whole commit means now. ``mbox:SERIES@BASE`` is a
    recipe, tree or commit with a patch series on it.
    """
    kind, colon, written = text.partition(":")
    if not colon:
        return catalog.firmware_recipe(text)
    if kind == "git":
        return _git(text, written)
    if kind == "mbox":
        return _series(text, written, catalog)
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
    raise HarnessError(f"{text}: unknown kind of firmware {kind!r}", f"write {FIRMWARE_FORMS}")


def _git(text: str, written: str) -> FirmwareRecipe:
    """Return the recipe of ``URL@REF``; HarnessError when there is no such commit."""
    url, at, ref = written.rpartition("@")
    if not (at and url and ref):
        raise HarnessError(f"{text}: no @REF", "write git:URL@REF, such as git:~/edk2@my-branch")
    local = Path(url).expanduser().absolute()
    if "://" not in url and local.is_dir():
        url = str(local)
    commit = commit_of(url, ref)
    word = re.sub(r"\.git$", "", url.rstrip("/").rpartition("/")[2])
    source = FirmwareSource(git=Git(url=url, commit=commit))
    options = BuildOptions(pcds=tuple(ACCEPTANCE_LOG.items()))
    return FirmwareRecipe(name_of("git", word, commit), source, options=options)


def _series(text: str, written: str, catalog: Catalog) -> FirmwareRecipe:
    """Return the recipe of ``SERIES@BASE``: the base, with the patches of a mailbox or a diff on it."""
    series, at, base = written.partition("@")
    if not (at and series and base):
        raise HarnessError(f"{text}: no @BASE", "write mbox:SERIES@BASE, such as mbox:v2.mbox@debian-2025.02")
    path = Path(series).expanduser().absolute()
    if not path.is_file():
        raise HarnessError(f"{text}: {series}: no such file", "name a mailbox, or a diff")
    read_patches(path)  # which says what is wrong with it
    below = choose_firmware(base, catalog)
    if below.source.is_image:
        raise HarnessError(
            f"{text}: nothing is built of {base}: it is an image",
            "name a recipe that is built from source, tree:PATH or git:URL@REF",
        )
    both = hashlib.sha256(f"{file_tree.digest_file(path)} {below.name}".encode()).hexdigest()
    return dataclasses.replace(
        below, name=name_of("mbox", path.stem, both), patches=(*below.patches, path), expect=()
    )


def name_of(kind: str, word: str, digest: str) -> str:
    """Make a recipe's name of what a user has named and the digest of its content."""
    readable = re.sub(r"[^a-z0-9._-]+", "-", word.lower()).strip("-.") or "x"
    return f"{kind}-{readable}-{digest[:_DIGITS]}"
