# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What pytest loads wherever the harness is installed. It loads the plugin where a project asks for it.

A project asks with a ``harness.toml`` in or above the folder where pytest was started, what its arguments
name, or its root directory. Another suite of the same environment gets no option, no test and no line of
output, and waits for no import.
"""

from __future__ import annotations

import atexit
import gc
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from harness.paths import project_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.machinery import ModuleSpec
    from pathlib import Path

PLUGIN = "harness.pytest_plugin.plugin"
FIXTURES = ("own.dimensions", "own.ladder", "own.machines", "own.items")
OTHERS = ("ahead", "earlier", "exit_codes", "header", "live", "results")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Load the plugin before pytest reads its options for good.

    What follows an option may be its value, which pytest cannot know yet.
    """
    named = [
        word
        for before, word in pairwise(["", *args])
        if not word.startswith("-") and (not before.startswith("--") or "=" in before)
    ]
    if start(early_config, named) is not None:
        atexit.register(gc.freeze)  # else Python looks through all that was imported before it ends
        if AsWritten not in sys.meta_path:
            sys.meta_path.insert(0, AsWritten)
        # ``import_plugin`` would have each of them rewritten, and read all packages' metadata for its names.
        for name in (PLUGIN, *(f"harness.pytest_plugin.{name}" for name in (*FIXTURES, *OTHERS))):
            if not early_config.pluginmanager.has_plugin(name):
                early_config.pluginmanager.register(import_module(name), name)


class AsWritten:
    """What Python asks first for a module (PEP 451): those of the harness are as they were written.

    pytest would rewrite the assertions of the package that has a plugin, here all rooms. Nothing is judged
    by an assertion in them, and to rewrite them, or to look for what was rewritten, takes long.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, _target: object = None) -> ModuleSpec | None:
        """Return where a room's module is; None for what is no module of a room."""
        return PathFinder.find_spec(name, path) if name.startswith("harness.") else None


def start(config: pytest.Config, named: Iterable[str]) -> Path | None:
    """Return the first place that is in a project: where pytest was started, what it names, its root.

    ``named`` are arguments: files, folders and ``FILE::NAME``.
    """
    here = config.invocation_params.dir
    places = (here, *(here / word.partition("::")[0] for word in named), config.rootpath)
    return next((place for place in places if project_file(place) is not None), None)
