# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the ingredients of a boot can do, read from the artifacts themselves."""

from __future__ import annotations

from harness.artifacts.firmware.traits import FirmwareTraits, read_firmware_traits
from harness.artifacts.kernel.traits import KernelTraits, read_kernel_traits

__all__ = ["FirmwareTraits", "KernelTraits", "read_firmware_traits", "read_kernel_traits"]
