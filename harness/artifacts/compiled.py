# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the harness compiles for each boot, and whether that is still to be done."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from harness.artifacts.guest.programs import guest_program
from harness.errors import HarnessError
from harness.store.asking import Asking, NotMadeError

if TYPE_CHECKING:
    from harness.artifacts.ingredients import Ingredients

_SOURCES = "guest-images/initramfs-tools"


def uncompiled(ingredients: Ingredients) -> tuple[str, ...]:
    """Return the names of what a first boot would compile: it neither comes built nor has been built.

    A QEMU of one's own that is named is never compiled, even where it cannot be found.
    """
    asking = ingredients.with_store(Asking(ingredients.apt.store.root))
    found = []
    try:
        with contextlib.suppress(HarnessError):
            _ = asking.qemu
    except NotMadeError:
        found.append("QEMU")
    for source in asking.project.files(_SOURCES).values():
        try:
            guest_program(source, asking.apt)
        except NotMadeError:
            found.append(source.stem)
    return tuple(found)
