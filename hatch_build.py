# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The wheel carries the shipped project inside the package; an editable installation uses the checkout's."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

INSIDE = "harness/_project"
"""Where harness/paths.py looks for it."""
SHIPPED = (
    "debian.lock.yaml",
    "contrib/project",
    "guest-images",
    "ovmf-builds",
    "qemu-builds",
    "scenarios",
)


class ShippedProject(BuildHookInterface):
    """Adds the checkout's recipes, guests, patches and scenarios to a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            build_data["force_include"] |= {name: f"{INSIDE}/{name}" for name in SHIPPED}
