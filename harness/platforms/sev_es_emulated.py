# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Platform ``sev-es-emulated``: a SEV-ES guest under the project's QEMU, on any host.

Its registers are encrypted, too: whatever KVM intercepts raises #VC, and the guest asks through its GHCB.
"""

from __future__ import annotations

from harness.platforms.sev_emulated import EncryptedGuest

PLATFORM = EncryptedGuest("sev-es-emulated", "sev-es", (("policy", "0x5"), ("reflect", "on")))
