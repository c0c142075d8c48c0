# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The document that the EFI probe prints (``guest-images/efi-probe``), schema version 1."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt, ValidationError

from harness.evidence.memory_map import TYPE_NAMES, MemoryDescriptor, attribute_names
from harness.evidence.problems import EvidenceError
from harness.machine.memory_layout import PAGE
from harness.recipes.probe_options import ProbeOptions, parse_probe_options

SUCCESS = 0
INVALID_PARAMETER = (1 << 63) | 2
NOT_FOUND = (1 << 63) | 14
"""EFI status codes (UEFI 2.10, appendix D)."""

VC = 29
NOT_VALIDATED = 0x404
"""Vector and error code of an access to a page that is not validated (GHCB specification, 4.1)."""

_HEX = re.compile(r"0x[0-9a-f]{1,16}")


def _hex(value: Any) -> Any:
    if isinstance(value, str) and _HEX.fullmatch(value):
        return int(value, 16)
    raise ValueError("a hexadecimal number of up to 64 bits is needed, as text: 0x1f")


def type_name(number: int) -> str:
    """Return Linux's name of an EFI memory type."""
    return TYPE_NAMES[number] if number < len(TYPE_NAMES) else f"type={number}"


def _descriptor(value: Any) -> MemoryDescriptor:
    match value:
        case [int(kind), str(start), int(pages), str(attribute)] if kind >= 0 and pages > 0:
            first, bits = _hex(start), _hex(attribute)
            end = first + pages * PAGE
            if first % PAGE or end > 1 << 64:
                raise ValueError("pages begin at multiples of 4096, below 2^64")
            name, words = type_name(kind), attribute_names(bits)
            line = f"{name} [{first:#x}-{end - 1:#x}] attributes {bits:#x} ({' '.join(sorted(words))})"
            return MemoryDescriptor(name, words, first, end, line)
        case _:
            raise ValueError("four values are needed: type, start, pages (not 0), attribute")


Hex = Annotated[NonNegativeInt, BeforeValidator(_hex)]
Guid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class Firmware(_Part):
    vendor: str
    revision: Hex
    uefi: Hex


class Span(_Part):
    """Memory, in bytes."""

    start: Hex
    size: NonNegativeInt


class Blob(_Part):
    """Where the confidential computing blob says that the secrets and the CPUID page are."""

    secrets: Span
    cpuid: Span


class Sev(_Part):
    """The SEV_STATUS MSR, the C-bit as a mask, the address of the confidential computing blob, what it holds.

    All are 0 in a guest that is not confidential; ``blob`` is None there, and in what older probes say.
    """

    status: Hex
    c_bit: Hex
    cc_blob: Hex
    blob: Blob | None = None


class Protocols(_Part):
    """On how many handles each protocol is; ``one_handle``: the first handles of both are the same."""

    sev_memory_acceptance: NonNegativeInt
    memory_accept: NonNegativeInt
    one_handle: bool


class Map(_Part):
    """What one GetMemoryMap gave. ``in_bounds``: the firmware wrote nothing outside of the buffer's room."""

    status: Hex
    key: Hex
    descriptor_size: NonNegativeInt
    descriptor_version: NonNegativeInt
    in_bounds: bool
    entries: tuple[Annotated[MemoryDescriptor, BeforeValidator(_descriptor)], ...]


class Accepted(_Part):
    """A range that the probe had accepted through the MemoryAccept protocol; bytes."""

    start: Hex
    size: NonNegativeInt
    status: Hex


class Attempt(_Part):
    """A call of ExitBootServices, the map read before it, and the events signalled until it ended."""

    stale: bool
    status: Hex
    before_exit_events: NonNegativeInt
    exit_events: NonNegativeInt
    map: Map

    @property
    def granted(self) -> bool:
        """Whether the firmware let the probe leave boot services."""
        return self.status == SUCCESS


class Fault(_Part):
    vector: NonNegativeInt
    error: Hex
    address: Hex


class Touched(_Part):
    """Pages of one EFI memory type that the probe used, up to the first that faulted."""

    type: NonNegativeInt
    pages: NonNegativeInt
    fault: Fault | None


class ProbeReport(_Part):
    """Everything that the probe saw and did, in this order."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    program: Literal["efi-probe"]
    cmdline: str
    not_understood: tuple[str, ...]
    firmware: Firmware
    sev: Sev
    tables: tuple[Guid, ...]
    protocols: Protocols
    start: Map
    accepted: tuple[Accepted, ...]
    allow: tuple[Hex, ...]
    attempts: tuple[Attempt, ...]
    own: Span | None = None
    """What the probe accepted itself after ExitBootServices, as it says."""
    touched: tuple[Touched, ...]

    @property
    def options(self) -> ProbeOptions:
        """The options of the probe; EvidenceError when this harness does not understand it."""
        try:
            return parse_probe_options(self.cmdline)
        except ValueError as error:
            raise EvidenceError(
                f"the probe's command line: {error}", "docs/reference/efi-probe.md has its options"
            ) from None

    @property
    def maps(self) -> tuple[tuple[str, Map], ...]:
        """All maps in the order in which they were read, each with the words for when."""
        calls = (
            (f"before ExitBootServices call {number}", attempt.map)
            for number, attempt in enumerate(self.attempts, start=1)
        )
        return (("at the start", self.start), *calls)

    @property
    def left(self) -> Attempt | None:
        """The call of ExitBootServices that was granted."""
        return next((attempt for attempt in self.attempts if attempt.granted), None)


def parse_probe(document: dict[str, Any]) -> ProbeReport:
    """Validate the document; anything missing, unknown or of another type is an EvidenceError naming it."""
    try:
        # As JSON, because strict validation then takes arrays for tuples.
        return ProbeReport.model_validate_json(json.dumps(document))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise EvidenceError(
            f"the EFI probe's document is not of schema 1: {where}: {first['msg']}",
            "the probe in the cache and this harness must be of the same version",
        ) from error
