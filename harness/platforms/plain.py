# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Platform ``plain``: a guest that is not confidential, to compare the others with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.platforms.registry import platforms

if TYPE_CHECKING:
    from harness.machine.spec import MachineSpec
    from harness.platforms.host import Host
    from harness.platforms.platform import Acceptance, Technology, Tier


class Plain:
    """A guest like any other."""

    name = "plain"
    technology: Technology = "none"
    tier: Tier = "none"
    acceptance: Acceptance = "none"
    deadline_factor = 1.0
    falls_back_to = None

    def lacking(self, host: Host) -> tuple[str, ...]:
        """Return nothing: plain guests run on every host."""
        del host
        return ()

    def configure(self, spec: MachineSpec, host: Host) -> MachineSpec:
        """Return the machine with the accelerator of the host's confidential guests: the two compare then."""
        hardware = (each for each in platforms().values() if each.tier == "hardware")
        accel = "kvm" if any(not each.lacking(host) for each in hardware) else "tcg"
        return replace(spec, accel=accel, confidential=None)


PLATFORM = Plain()
