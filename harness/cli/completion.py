# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Completion in the shell, by argcomplete: commands, options, names of recipes and checks, cells.

A cell's id is completed part by part from the names of recipes: no scenario is expanded for it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping

    Completer = Callable[..., Iterable[str]]

_FILES = ("file:", "tree:")
_AXES = ("firmware", "kernel", "loader", "guest", "emulation", "qemu")


def complete() -> None:
    """Answer the shell that asks for completions, and end the program."""
    import argcomplete  # noqa: PLC0415  # nobody else needs it

    from harness.cli.parser import parser  # noqa: PLC0415  # which imports the commands, which import this

    words = os.environ.get("COMP_LINE", "").split()[1:]
    argcomplete.autocomplete(parser(words))


def completed(parser: argparse.ArgumentParser) -> Callable[..., None]:
    """Return an ``add_argument`` whose options for axes and cells are completed."""

    def add(option: str, **how: Any) -> None:
        axis = option.removeprefix("--")
        completer = cells if axis == "cell" else recipes(axis) if axis in _AXES else None
        parser.add_argument(option, **how).completer = completer  # type: ignore[attr-defined]

    return add


def recipes(axis: str) -> Completer:
    """Return the completer for the names of an axis's recipes."""

    def names(**_given: Any) -> Iterable[str]:
        found = _names()[axis]
        return (*found, *_FILES) if axis in {"firmware", "kernel"} else found

    return names


def named(**_given: Any) -> Iterable[str]:
    """Complete whatever can be made."""
    made = (names for axis, names in _names().items() if axis not in {"emulation", "qemu"})
    return ["qemu", *(name for names in made for name in names), *_FILES]


def checks(**_given: Any) -> Iterable[str]:
    """Complete the names of checks."""
    from harness.checks import asked  # noqa: PLC0415  # only this completer needs it

    return sorted(asked.checks())


def cells(prefix: str, **_given: Any) -> Iterable[str]:
    """Complete ``AXIS=VALUE,…``, or a cell's id as far as it is made of names."""
    names = _names()
    done, comma, last = prefix.rpartition(",")
    axis, equals, _ = last.partition("=")
    if equals:
        return [f"{done}{comma}{axis}={value}" for value in names.get(axis, ())]
    if comma:
        return [f"{done}{comma}{word}=" for word in names]
    parts = prefix.split("+")
    before = "+".join(parts[:-1])
    order = _AXES[:3]  # of the parts of an id that are names
    at = len(parts) - 1
    ids = [f"{before}{'+' if before else ''}{name}" for name in names[order[at]]] if at < len(order) else []
    return [*ids, *(f"{word}=" for word in names)] if at == 0 else ids


def _names() -> Mapping[str, Iterable[str]]:
    from harness.matrix.choices import EMULATIONS, GUESTS, QEMUS  # noqa: PLC0415  # only completers need it
    from harness.recipes.catalog import load_catalog  # noqa: PLC0415
    from harness.recipes.project import find_project  # noqa: PLC0415

    catalog = load_catalog(find_project(Path.cwd()))
    return {
        "firmware": list(catalog.firmware),
        "kernel": list(catalog.kernels),
        "loader": list(catalog.loaders),
        "guest": [*GUESTS, *catalog.guests],
        "emulation": [*EMULATIONS, *catalog.emulations],
        "qemu": [*QEMUS],
    }
