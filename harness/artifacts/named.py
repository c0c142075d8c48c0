# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Whatever a user may name to be made, renewed or explained: recipes of all kinds, the initramfs, QEMU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.artifacts.firmware.edk2_source import TOOLS
from harness.artifacts.guest.initramfs import BUSYBOX, CMDLINE
from harness.documents.document import near
from harness.errors import HarnessError
from harness.formats.bzimage import is_bzimage
from harness.matrix.choices import GUESTS
from harness.paths import PACKAGE
from harness.recipes.qemu import load_qemu
from harness.store.asking import Asking, NotMadeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.artifacts.ingredients import Ingredients
    from harness.debian.index import PackageQuery
    from harness.recipes.guest import GuestRecipe

QEMU, INITRAMFS = "qemu", GUESTS[0]
KINDS = ("firmware", "kernel", "loader", "guest")
NAMED_FORMS = "NAME|KIND=NAME|file:PATH|tree:PATH|git:URL@REF|mbox:SERIES@BASE"
PAYLOAD_KERNEL = "debian-6.12"
"""The kernel on a loader's disk by default."""


@dataclass(frozen=True)
class Named:
    """One thing that can be made. ``kind`` is one of ``KINDS``, or ``qemu``."""

    kind: str
    name: str

    def __str__(self) -> str:
        """Return the name."""
        return self.name


@dataclass(frozen=True)
class Payload:
    """What is on the disk of a loader: a kernel, by what a user may write, and its command line."""

    kernel: str = PAYLOAD_KERNEL
    cmdline: str = CMDLINE


def find(text: str, ingredients: Ingredients) -> Named:
    """Return what a text names; HarnessError for an unknown name, and for one that several kinds have.

    ``KIND=NAME`` says which kind is meant. A ``file:`` that is a Linux kernel or a program is a kernel, any
    other is firmware; a ``tree:`` with edk2's folder BaseTools is firmware.
    """
    kind, equals, rest = text.partition("=")
    if equals and kind in KINDS:
        return _of_kind(kind, rest, ingredients)
    form, colon, path = text.partition(":")
    if colon and form in {"file", "tree", "git", "mbox"}:
        return _of_kind(_kind_of(form, Path(path).expanduser()), text, ingredients)
    if text == QEMU:
        return Named(QEMU, QEMU)
    there = _names(ingredients)
    kinds = [each for each in KINDS if text in there[each]]
    if len(kinds) > 1:
        raise HarnessError(f"{text} is the name of a {' and of a '.join(kinds)}", f"write {kinds[0]}={text}")
    if not kinds:
        every = [QEMU, *(name for names in there.values() for name in names)]
        close = near(text, every)
        lists = f"`harness {'|'.join(KINDS)} list` shows the names"
        raise HarnessError(f"unknown name {text!r}", close if close.startswith("did") else lists)
    return Named(kinds[0], text)


def every(ingredients: Ingredients) -> list[Named]:
    """Return everything that boots need, in the order in which to make it; loaders without their disks."""
    found = [Named(kind, name) for kind, names in _names(ingredients).items() for name in names]
    return [*(it for it in found if it.kind != "loader" and it.name not in GUESTS[1:]), Named(QEMU, QEMU)]


def make(named: Named, ingredients: Ingredients, payload: Payload) -> Path:
    """Fetch or build it; returns its file: an image, a loader's disk with ``payload``, a guest's disk."""
    makers: Mapping[str, Callable[[], Path]] = {
        "firmware": lambda: ingredients.firmware(named.name).path,
        "kernel": lambda: ingredients.kernel(named.name).path,
        "loader": lambda: ingredients.loader_image(
            named.name, ingredients.choose_kernel(payload.kernel), ingredients.initrd, payload.cmdline
        ),
        "guest": lambda: (
            ingredients.initrd_of(named.name) if named.name in GUESTS else ingredients.guest_disk(named.name)
        ),
        QEMU: lambda: ingredients.qemu,
    }
    return makers[named.kind]()


@dataclass(frozen=True)
class Why:
    """Whether a thing would be made anew. ``path``: its file when it is there; ``text``: what to tell."""

    named: Named
    path: Path | None
    text: str

    def to_json(self) -> dict[str, Any]:
        """Return it for programs: ``why`` are the lines of the text."""
        lines = [line.strip() for line in self.text.splitlines()]
        path = None if self.path is None else str(self.path)
        return {"kind": self.named.kind, "name": self.named.name, "path": path, "why": lines}


def why(named: Named, ingredients: Ingredients, payload: Payload) -> Why:
    """Return whether it would be made anew, and which input changed, its own or one of its ingredients'."""
    asking = ingredients.with_store(Asking(ingredients.apt.store.root))
    path: Path | None = None
    try:
        path = make(named, asking, payload)
        text = f"{named.kind} {named.name}: up to date ({path})"
    except NotMadeError as reason:
        text = f"{named.kind} {named.name}: would be made anew\n  {reason}"
    if named.kind == QEMU:
        text = ingredients.why_qemu()
    elif named.kind == "firmware":
        text = ingredients.why_firmware(named.name)
    return Why(named, path, text)


def locked_by(
    named: Iterable[Named], ingredients: Ingredients
) -> tuple[set[PackageQuery], list[GuestRecipe]]:
    """Return the packages, and the guests with package sets, that these have in the project's lock files.

    HarnessError for what another project locks, or nothing.
    """
    queries: set[PackageQuery] = set()
    guests: list[GuestRecipe] = []
    own = ingredients.lock_file.parent
    catalog = ingredients.catalog
    recipes: Mapping[str, Mapping[str, object]] = {
        "firmware": catalog.firmware,
        "kernel": catalog.kernels,
        "loader": catalog.loaders,
    }
    for it in named:
        shared = it.kind == QEMU or it.name in GUESTS
        home = ingredients.project.roots[-1] if shared else catalog.homes.get((it.kind, it.name))
        if home is None:
            raise HarnessError(f"{it}: no lock file has it", "there is nothing to renew: it is no package")
        if home != own:
            installed = home.is_relative_to(PACKAGE)
            mend = "what is shipped stays as it was installed" if installed else f"renew it in {home}"
            raise HarnessError(f"{it}: it is locked by {home}, not by this project", mend)
        if it.kind == QEMU:
            queries.update(load_qemu(ingredients.project).queries())
        elif it.name in GUESTS:
            queries.add(BUSYBOX)
        elif it.kind == "guest":
            guests.append(catalog.guest_recipe(it.name))
        else:
            queries.update(recipes[it.kind][it.name].queries())  # type: ignore[attr-defined]
    return queries, guests


def _of_kind(kind: str, text: str, ingredients: Ingredients) -> Named:
    if kind == "firmware":
        return Named(kind, ingredients.choose_firmware(text))
    if kind == "kernel":
        return Named(kind, ingredients.choose_kernel(text))
    if kind == "guest" and text in GUESTS:
        return Named(kind, text)
    catalog = ingredients.catalog
    recipe = catalog.loader_recipe(text) if kind == "loader" else catalog.guest_recipe(text)
    return Named(kind, recipe.name)


def _kind_of(form: str, path: Path) -> str:
    if form in {"git", "mbox"}:
        return "firmware"
    if form == "tree":
        return "firmware" if (path / TOOLS).is_dir() or not path.is_dir() else "kernel"
    try:
        with path.open("rb") as file:
            start = file.read(0x400)
    except OSError:
        return "firmware"  # which says what is wrong with the path
    return "kernel" if is_bzimage(start) or start.startswith(b"\x7fELF") else "firmware"


def _names(ingredients: Ingredients) -> dict[str, Sequence[str]]:
    catalog = ingredients.catalog
    return {
        "firmware": list(catalog.firmware),
        "kernel": list(catalog.kernels),
        "loader": list(catalog.loaders),
        "guest": [*GUESTS, *catalog.guests],
    }
