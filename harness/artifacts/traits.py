# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the ingredients of a boot can do, read from the artifacts themselves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from harness.artifacts.firmware.traits import FirmwareTraits, read_firmware_traits
from harness.artifacts.kernel.traits import KernelTraits, read_kernel_traits
from harness.recipes.action import GuestAction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.artifacts.loader.traits import Entry

__all__ = ["FirmwareTraits", "KernelTraits", "Traits", "read_firmware_traits", "read_kernel_traits"]


@dataclass(frozen=True)
class Traits:
    """What is known of a cell's ingredients before it boots.

    ``entry``: how the loader enters the kernel. ``actions``: what the files of the cell's actions say, in the
    order in which the guest does them. ``faults``: what the cell's emulated host does wrong.
    ``console``: the kernel gets a command line, and with it a console. ``private_mmio``: what the cell's host
    does about accesses with the C-bit to what is no memory.
    """

    firmware: FirmwareTraits
    kernel: KernelTraits
    entry: Entry = "efi-stub"
    actions: tuple[GuestAction, ...] = ()
    faults: tuple[str, ...] = ()
    console: bool = True
    private_mmio: Literal["ends", "goes-on"] = "ends"

    def to_json(self) -> dict[str, Any]:
        """Return the traits as JSON values, for ``from_json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the traits that ``to_json`` wrote; a KeyError, TypeError or ValueError for damaged ones.

        Traits from before there were loaders name no entry: all of them are of the EFI stub. Older ones know
        nothing of actions either, and few of a host's faults.
        """
        firmware, kernel = FirmwareTraits.from_json(data["firmware"]), KernelTraits.from_json(data["kernel"])
        actions = tuple(GuestAction.from_json(each) for each in data.get("actions", ()))
        faults, console = tuple(data.get("faults", ())), data.get("console", True) is True
        host: Literal["ends", "goes-on"] = "goes-on" if data.get("private_mmio") == "goes-on" else "ends"
        return cls(firmware, kernel, data.get("entry", "efi-stub"), actions, faults, console, host)
