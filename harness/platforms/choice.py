# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which platform a cell really runs on: by its scenario, the user's choice and the host."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from harness.errors import HostError
from harness.platforms.examination import Examined, Means
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


def on_host(choice: str, host: Host, *, elsewhere: bool = False) -> Callable[[str], str]:
    """Return the function that says what a platform asked for in a scenario is on this host.

    A platform that the host lacks something for is what it falls back to; the last one stays even then, and
    its cells say what is lacking. ``choice``, the user's, takes the place of every platform that falls back
    to it. Raises HarnessError for a choice that is unknown, HostError when the host lacks something for it,
    unless nothing boots here (``elsewhere``).
    """
    if choice != AUTO:
        platform = platform_named(choice, "--platform")
        if not elsewhere and (error := refusal("--platform", platform, host)) is not None:
            raise error
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


def refusal(option: str, platform: Platform, host: Host) -> HostError | None:
    """Return the error for an option that wants a platform that the host lacks something for, else None.

    It is the same for every such option, and says what mends the first of what is lacking.
    """
    lacking = platform.lacking(host)
    if not lacking:
        return None
    others = " or ".join([AUTO, *(each.name for each in chain(platform)[1:])])
    return HostError(
        f"{option} {platform.name}: this host cannot run {GUESTS[platform.technology]} "
        f"({'; '.join(lacking)})",
        "; ".join(part for part in (_mend(platform, host), f"or use --platform {others} here") if part),
    )


def _mend(platform: Platform, host: Host) -> str:
    if not isinstance(platform, Examined):
        return ""
    leaves = platform.examine(host, Means(None))
    return next((leaf.mend for leaf in leaves if leaf.state == "fail"), "")
