# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Platform ``sev-emulated``: a SEV guest under the project's QEMU, on any host.

Its memory is encrypted by the C-bit and needs no acceptance: there is no RMP. A guest that asks for a page
state change is ended, and PVALIDATE is an invalid instruction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.machine.spec import ConfidentialObject

if TYPE_CHECKING:
    from harness.machine.spec import MachineSpec
    from harness.platforms.host import Host
    from harness.platforms.platform import Acceptance, Technology, Tier

GUEST = "sev-emulated"
"""The object of the project's QEMU. It takes the properties of QEMU's ``sev-guest``."""
_LAUNCH = (("cbitpos", "51"), ("reduced-phys-bits", "1"))
"""The C-bit of AMD Milan and later; a guest loses this one address bit."""


@dataclass(frozen=True)
class EncryptedGuest:
    """What TCG with the project's patches makes of a guest that is encrypted, and has no RMP.

    ``properties`` say to QEMU which of the technologies it is. Their ``policy`` is that of the SEV API, table
    "Guest policy": bit 0 forbids the host to debug, bit 2 asks for SEV-ES.
    """

    name: str
    technology: Technology
    properties: tuple[tuple[str, str], ...]
    tier: Tier = "emulated"
    acceptance: Acceptance = "none"
    deadline_factor: float = 1.0
    falls_back_to: str | None = None

    def lacking(self, host: Host) -> tuple[str, ...]:
        """Return nothing: emulation runs on every host."""
        del host
        return ()

    def configure(self, spec: MachineSpec, host: Host) -> MachineSpec:
        """Return the machine with TCG and the emulation's object."""
        del host
        hashes = (("kernel-hashes", "on"),) if spec.measured_kernel else ()
        guest = ConfidentialObject(type=GUEST, properties=(*_LAUNCH, *self.properties, *hashes))
        return replace(spec, accel="tcg", confidential=guest)


PLATFORM = EncryptedGuest("sev-emulated", "sev", (("policy", "0x1"),))
