# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The options that put a user's own values on an axis of the matrix, for pytest and for ``harness``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.artifacts.firmware.choice import FORMS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

AXIS_OPTIONS = {
    "firmware": (
        FORMS,
        "boot this firmware in place of what scenarios name: a recipe, an image or an edk2 tree",
    ),
    "kernel": (
        FORMS,
        "boot this kernel in place of what scenarios name: a recipe, a bzImage or a build tree",
    ),
    "loader": ("NAME", "boot through this loader in place of what scenarios name"),
    "memory": ("SIZE", "give guests this much memory in place of what scenarios name, such as 8G or 2817M"),
}
"""Options that put a user's values on an axis: what is written after each, and what it does."""


def add_axis_options(add: Callable[..., object]) -> None:
    """Add the options with an ``add_argument`` of argparse, or with what pytest has in its place."""
    for axis, (form, text) in AXIS_OPTIONS.items():
        add(
            f"--{axis}",
            action="append",
            default=[],
            metavar=form,
            help=f"{text} (may be given several times)",
        )


def axis_options(options: argparse.Namespace) -> dict[str, tuple[str, ...]]:
    """Return what the user put on axes."""
    return {axis: tuple(values) for axis in AXIS_OPTIONS if (values := getattr(options, axis))}
