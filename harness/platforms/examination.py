# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How a platform's guests are tried on a host: its questions, then a QEMU's answer, then a launch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from harness.machine.argv import ByHand, argv
from harness.platforms.leaf import skipped
from harness.platforms.sev import snp_launch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.machine.spec import MachineSpec
    from harness.platforms.host import Host
    from harness.platforms.leaf import Leaf
    from harness.platforms.platform import Tier

LAUNCH = "launch"


@dataclass(frozen=True)
class Means:
    """With what platforms are tried.

    ``qemu``: None without one, and ``no_qemu`` says why. ``mend_of``: what mends what a line of QEMU says, ""
    when nobody knows. ``launches``: whether guests may be launched.
    """

    qemu: Path | None
    no_qemu: str = ""
    mend_of: Callable[[str], str] = lambda _line: ""
    launches: bool = True


@runtime_checkable
class Examined(Protocol):
    """A platform that ``harness doctor`` tries."""

    @property
    def name(self) -> str:
        """The platform's name."""

    @property
    def tier(self) -> Tier:
        """What makes its guests confidential."""

    def offered(self, host: Host) -> bool:
        """Return whether the processor is one for such guests, whatever else may be lacking."""

    def examine(self, host: Host, means: Means) -> Iterable[Leaf]:
        """Return every question with its answer, in the order of a mend."""


def launched(means: Means, guest: MachineSpec, before: Iterable[Leaf] = ()) -> Leaf:
    """Return whether a guest of ``guest``'s kind launches: the machine, with the firmware that ends itself.

    Where an answer ``before`` is a failure, or where there is no QEMU, nothing is launched.
    """
    if bad := [leaf.name for leaf in before if leaf.state == "fail"]:
        return skipped(LAUNCH, f"a question before it failed: {', '.join(bad)}", "mend that first")
    if means.qemu is None:
        return no_qemu(LAUNCH, means)
    if not means.launches:
        return skipped(LAUNCH, "not tried", "leave --no-launch out")
    output = snp_launch.launch(lambda firmware: _command(guest, firmware))
    return snp_launch.leaf(output, LAUNCH, means.mend_of)


def no_qemu(name: str, means: Means) -> Leaf:
    """Return the leaf of a question that nobody can answer without a QEMU."""
    return skipped(name, means.no_qemu, "harness build qemu makes one; or name one in HARNESS_QEMU")


def spec(means: Means) -> MachineSpec:
    """Return the machine of a launch, for a platform to configure; its firmware is named later."""
    return snp_launch.spec(means.qemu or Path("/absent"))


def _command(guest: MachineSpec, firmware: Path) -> tuple[str, ...]:
    return argv(replace(guest, firmware=firmware), ByHand())
