# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What pytest loads wherever the harness is installed. It loads the plugin where a project asks for it.

A project asks with a ``harness.toml`` in or above the folder where pytest was started, what its arguments
name, or its root directory. Another suite of the same environment gets no option, no test and no line of
output, and waits for no import.
"""

from __future__ import annotations

import atexit
import gc
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from harness.paths import project_file

if TYPE_CHECKING:
    from collections.abc import Iterable
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
        early_config.pluginmanager.import_plugin(PLUGIN)
        # For each name in a module's ``pytest_plugins`` pytest would read the metadata of all packages.
        for name in (*FIXTURES, *OTHERS):
            early_config.pluginmanager.import_plugin(f"harness.pytest_plugin.{name}")


def start(config: pytest.Config, named: Iterable[str]) -> Path | None:
    """Return the first place that is in a project: where pytest was started, what it names, its root.

    ``named`` are arguments: files, folders and ``FILE::NAME``.
    """
    here = config.invocation_params.dir
    places = (here, *(here / word.partition("::")[0] for word in named), config.rootpath)
    return next((place for place in places if project_file(place) is not None), None)
