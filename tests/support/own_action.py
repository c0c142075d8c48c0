# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The initramfs guest with an action of a test's own, and with modules of its kernel."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from harness.formats.cpio import CpioEntry, cpio_archive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients

LOAD_MODULES = "for module in /modules/*; do /bin/busybox insmod $module; done"
"""How an action's script begins that needs them."""


def with_action(
    name: str, script: str, ingredients: Ingredients, kernel: str, modules: Sequence[str], out: Path
) -> Path:
    """Write the initramfs guest to ``out``, with the action ``name`` and the kernel's modules in /modules."""
    entries = [
        CpioEntry(f"actions/{name}", stat.S_IFREG | 0o755, script.encode()),
        CpioEntry("modules", stat.S_IFDIR | 0o755),
        *(
            CpioEntry(f"modules/{path.name}", stat.S_IFREG | 0o644, path.read_bytes())
            for path in ingredients.modules(kernel, modules)
        ),
    ]
    # The kernel unpacks archives that follow each other as one.
    out.write_bytes(ingredients.initrd.read_bytes() + cpio_archive(entries))
    return out
