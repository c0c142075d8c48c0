# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The document that the reporter prints (``guest-images/initramfs/reporter``), schema version 1."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt, ValidationError

from harness.evidence.problems import EvidenceError
from harness.intervals import IntervalSet

_IOMEM = re.compile(r"^(?P<indent> *)(?P<start>[0-9a-f]{8,})-(?P<last>[0-9a-f]{8,}) : (?P<name>.*)$")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class Kernel(_Part):
    """``uname -r`` and ``uname -v``."""

    release: str
    version: str


class Efi(_Part):
    """What /sys/firmware/efi shows; ``systab`` holds its lines, ``platform_size`` is in bits."""

    present: bool
    runtime: bool
    platform_size: Literal[32, 64] | None
    systab: tuple[str, ...]


class Sev(_Part):
    """The privilege level that sysfs shows (newer kernels), and the kernel log's lines about SEV."""

    vmpl: NonNegativeInt | None
    log: tuple[str, ...]


class FirmwareRange(_Part):
    """An entry of /sys/firmware/memmap: addresses in bytes, ``end`` exclusive; ``type`` in Linux's words."""

    start: NonNegativeInt
    end: NonNegativeInt
    type: str


def _firmware_range(value: Any) -> Any:
    """Turn the probe's ``["0x0", "0x9ffff", "System RAM"]`` (last address, not end) into a range."""
    match value:
        case [str(start), str(last), str(kind)]:
            return FirmwareRange(start=int(start, 16), end=int(last, 16) + 1, type=kind)
        case _:
            raise ValueError("three words are needed: start, last, type")


class GuestReport(_Part):
    """Everything that the probe saw. ``meminfo_kb`` is in kB (1024 bytes), ``vmstat`` in pages of 4 KiB."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    kernel: Kernel
    cmdline: str
    cpus_online: Annotated[str, Field(pattern=r"^(\d+(-\d+)?(,\d+(-\d+)?)*)?$")]
    meminfo_kb: dict[str, NonNegativeInt]
    vmstat: dict[str, NonNegativeInt]
    iomem: tuple[str, ...]
    firmware_memmap: tuple[Annotated[FirmwareRange, BeforeValidator(_firmware_range)], ...]
    efi: Efi
    sev: Sev
    kernel_log_lines: NonNegativeInt

    @property
    def online(self) -> frozenset[int]:
        """The CPUs that are online; Linux writes them as a list of ranges: ``0-1,3``."""
        ranges = (part.partition("-")[::2] for part in self.cpus_online.split(",") if part)
        return frozenset(cpu for first, last in ranges for cpu in range(int(first), int(last or first) + 1))

    @property
    def system_ram(self) -> IntervalSet:
        """What the kernel uses as RAM in the end: the top level "System RAM" of /proc/iomem."""
        found = (_IOMEM.match(line) for line in self.iomem)
        return IntervalSet.of(
            (int(match["start"], 16), int(match["last"], 16) + 1)
            for match in found
            if match and not match["indent"] and match["name"] == "System RAM"
        )


def parse_guest(document: dict[str, Any]) -> GuestReport:
    """Validate the document; anything missing, unknown or of another type is an EvidenceError naming it."""
    try:
        # As JSON, because strict validation then takes arrays for tuples.
        return GuestReport.model_validate_json(json.dumps(document))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise EvidenceError(
            f"the guest's document is not of schema 1: {where}: {first['msg']}",
            "the probe in the image and this harness must be of the same version",
        ) from error
