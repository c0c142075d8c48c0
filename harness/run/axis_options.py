# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The options that put a user's own values on an axis of the matrix, and how both doors read options."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from harness.artifacts.firmware.choice import FIRMWARE_FORMS, FORMS
from harness.errors import HarnessError
from harness.platforms.choice import AUTO
from harness.platforms.registry import platform_named

if TYPE_CHECKING:
    from collections.abc import Callable

AXIS_OPTIONS = {
    "firmware": (
        FIRMWARE_FORMS,
        "boot this firmware in place of what scenarios name: a recipe, an image or an edk2 tree",
    ),
    "kernel": (
        FORMS,
        "boot this kernel in place of what scenarios name: a recipe, a bzImage or a build tree",
    ),
    "loader": ("NAME", "boot through this loader in place of what scenarios name"),
    "memory": ("SIZE", "give guests this much memory in place of what scenarios name, such as 8G or 2817M"),
    "emulation": ("NAME", "emulate this host in place of what scenarios name, such as older-host"),
}
"""Options that put a user's values on an axis: what is written after each, and what it does."""


PLATFORM_HELP = (
    "only cells of this platform, on which those of platforms that fall back to it run, too; "
    "auto, the default: every cell, on its scenario's platform or what that falls back to here"
)


def from_one(text: str) -> int:
    """Read a number from 1 on; for argparse and pytest, which show the error with their usage."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def platform_choice(text: str) -> str:
    """Read the value of ``--platform``; for argparse and pytest, which show the error with their usage."""
    if text != AUTO:
        try:
            platform_named(text)
        except HarnessError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    return text


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

    add(
        "--cell",
        action="append",
        default=[],
        metavar="ID|AXIS=VALUE,…",
        help="only cells with these values, whole names such as kernel=debian-6.1,memory=8G, or the cell "
        "with this id, whatever a run without --full takes (may be given several times)",
    )


def axis_options(options: argparse.Namespace) -> dict[str, tuple[str, ...]]:
    """Return what the user put on axes."""
    return {axis: tuple(values) for axis in AXIS_OPTIONS if (values := getattr(options, axis))}
