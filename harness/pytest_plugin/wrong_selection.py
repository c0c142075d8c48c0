# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a user names and a run does not have: a cell, a required platform, a record to replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.platforms.choice import refusal
from harness.platforms.registry import platform_named
from harness.pytest_plugin.cell_items import SESSION
from harness.pytest_plugin.exit_codes import end_run
from harness.pytest_plugin.items import CHOSEN

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet


def refuse_wrong_selection(config: pytest.Config, platforms: AbstractSet[str]) -> None:
    """End the run with a message when what the user names is not there; ``platforms`` are those selected.

    Names of cells are looked up in the collected scenarios, those of platforms among what is selected of
    them. ``UsageError``, or for a platform that this host cannot have, the host's exit code.
    """
    session = config.stash[SESSION]
    if chosen := config.stash[CHOSEN]:
        session.refuse_unmet(one.whole for one in chosen)
    if missing := [name for name in config.getoption("--require-platform") if name not in platforms]:
        said = f"--require-platform {missing[0]}: no selected cell runs on it"
        lacks = refusal("--require-platform", platform_named(missing[0]), session.host)
        mistake = HarnessError(f"{said} (this host could)")
        end_run(config, mistake if lacks is None or session.options.replay is not None else lacks)
    if session.options.replay is not None and not platforms:
        raise pytest.UsageError(
            f"--replay {session.options.replay}: it holds no boot record of a selected cell\n"
            f"  `harness judge {session.options.replay}` judges whatever it holds, without a scenario"
        )
