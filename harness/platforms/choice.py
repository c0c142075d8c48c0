# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which platform a cell really runs on: by its scenario, the user's choice and the host."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from harness.errors import HostError
from harness.platforms.platform import GUESTS
from harness.platforms.registry import chain, platform_named

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from harness.platforms.host import Host
    from harness.platforms.platform import Platform

AUTO = "auto"
"""The user's choice of no platform: every cell runs on its scenario's, or on what that falls back to."""

USUAL = "snp"
"""The platform of a boot that neither a scenario nor the user gives one."""


def on_host(choice: str, host: Host) -> Callable[[str], str]:
    """Return the function that says what a platform asked for in a scenario is on this host.

    A platform that the host lacks something for is what it falls back to; the last one stays even then, and
    its cells say what is lacking. ``choice``, the user's, takes the place of every platform that falls back
    to it. Raises HarnessError for a choice that is unknown, HostError when the host lacks something for it.
    """
    if choice != AUTO:
        _refuse_lacking(platform_named(choice, "--platform"), host)
    return partial(_resolved, choice, lambda platform: not platform.lacking(host))


def of_records(choice: str, names: Collection[str]) -> Callable[[str], str]:
    """Return the same for stored boots, which ran on the platforms ``names``; the host does not matter."""
    return partial(_resolved, choice, lambda platform: platform.name in names)


def wanted(choice: str, platform: str) -> bool:
    """Return whether cells of ``platform`` run under the user's choice."""
    return choice in {AUTO, platform}


def _resolved(choice: str, runs: Callable[[Platform], bool], asked: str) -> str:
    links = chain(platform_named(asked))
    chosen = (each for each in links if each.name == choice)
    able = (each for each in links if runs(each))
    return next(chosen, next(able, links[-1])).name


def _refuse_lacking(platform: Platform, host: Host) -> None:
    if lacking := platform.lacking(host):
        others = " or ".join([AUTO, *(each.name for each in chain(platform)[1:])])
        raise HostError(
            f"--platform {platform.name}: this host cannot run {GUESTS[platform.technology]} "
            f"({'; '.join(lacking)})",
            f"use --platform {others} here",
        )
