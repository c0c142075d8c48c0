# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Pages of an SNP guest that no operating system may take for its own: the CC blob, and VMSA pages in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.artifacts.firmware.traits import SectionKind
from harness.checks.finding import Check, Needs, Problem
from harness.evidence.memory_map import USABLE_TYPES, ranges_of
from harness.evidence.problems import EvidenceError
from harness.intervals import IntervalSet, amount
from harness.machine.memory_layout import MIB, PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.evidence import Evidence
    from harness.evidence.ledger_model import Event

_FORBIDDEN_BOUNDARY = 2 * MIB
_MOST = 8


def _vmsa_pages(events: Iterator[Event]) -> dict[int, Event]:
    """Map the pages that were made VMSA pages, by address, to the event that did it last."""
    return {page: event for event in events for page in range(event.gpa, event.end, PAGE)}


def _cc_blob_kept(evidence: Evidence) -> Iterator[Problem]:
    """Ask for a type that outlives ExitBootServices: Linux reads the blob until late in its boot."""
    blob = evidence.probe.sev.cc_blob
    if not blob:
        yield Problem("no-blob", "the firmware installs no confidential computing blob")
        return
    page = blob // PAGE * PAGE
    if ranges_of(evidence.memory_map, *USABLE_TYPES) & IntervalSet.span(page, page + PAGE):
        lines = [entry.line for entry in evidence.memory_map if entry.start <= blob < entry.end]
        yield Problem(
            "blob-given-away",
            f"the confidential computing blob at {blob:#x} is in memory that the map gives away",
            *lines,
        )


def _cc_blob_true(evidence: Evidence) -> Iterator[Problem]:
    """Compare the blob with the SEV metadata of the image: there QEMU put the secrets and the CPUID page."""
    sev, firmware = evidence.probe.sev, evidence.traits.firmware
    if not sev.cc_blob:
        return  # cc-blob-kept has it
    if sev.blob is None:
        raise EvidenceError("the probe does not say what the blob holds", "the record is of an older probe")
    pages = (
        ("secrets", SectionKind.SNP_SECRETS, sev.blob.secrets),
        ("CPUID", SectionKind.CPUID, sev.blob.cpuid),
    )
    for name, kind, said in pages:
        place = firmware.place_of(kind)
        if place is None:
            raise EvidenceError(
                f"the firmware's metadata has no {name} page", firmware.sources["technologies"]
            )
        if (said.start, said.size) != place:
            yield Problem(
                "page-elsewhere",
                f"the blob's {name} page is {said.start:#x}, {amount(said.size)}; the firmware's metadata "
                f"has it at {place[0]:#x}, {amount(place[1])}",
                page=name,
                address=said.start,
                metadata=place[0],
            )


def _vmsa_reserved(evidence: Evidence) -> Iterator[Problem]:
    """Ask that the map reserves the VMSA pages on which the firmware leaves vCPUs waiting."""
    vmsa: dict[int, Event] = {}
    for event in evidence.ledger.select("vmsa", "rmpadjust"):
        if event.phase not in {"firmware", "firmware-ebs"}:
            continue
        for page in _vmsa_pages(iter([event])):
            if event.op == "vmsa":
                vmsa[page] = event
            else:
                vmsa.pop(page, None)
    if not vmsa:
        yield Problem("no-creation", "the firmware started no vCPU by AP creation", evidence.end)
    given = ranges_of(evidence.memory_map, *USABLE_TYPES)
    for page, event in sorted(vmsa.items())[:_MOST]:
        if given & IntervalSet.span(page, page + PAGE):
            lines = [entry.line for entry in evidence.memory_map if entry.start <= page < entry.end]
            yield Problem(
                "vmsa-given-away",
                f"the VMSA page {page:#x} of a waiting vCPU is in memory that the map gives away",
                f"ledger line {event.line}: vmsa by {event.phase}, t={event.t / 1e9:.6f} s",
                *lines,
            )


def _vmsa_off_2mib(evidence: Evidence) -> Iterator[Problem]:
    """Ask for no VMSA page at a multiple of 2 MiB: AMD erratum 1467, and KVM refuses such a page."""
    pages = _vmsa_pages(evidence.ledger.select("vmsa"))
    if not pages:
        yield Problem("no-creation", "no vCPU was started by AP creation", evidence.end)
    for page, event in sorted(pages.items())[:_MOST]:
        if page % _FORBIDDEN_BOUNDARY == 0:
            yield Problem(
                "vmsa-aligned",
                f"the VMSA page {page:#x} is at a multiple of 2 MiB",
                f"ledger line {event.line}",
                page=page,
            )


CC_BLOB_KEPT = Check(
    "cc-blob-kept", "Does the confidential computing blob outlive boot services?", _cc_blob_kept, Needs.PROBE
)
CC_BLOB_TRUE = Check(
    "cc-blob-true",
    "Does the confidential computing blob name the pages of the firmware's metadata?",
    _cc_blob_true,
    Needs.PROBE,
)
VMSA_RESERVED = Check(
    "vmsa-reserved",
    "Are the VMSA pages on which the firmware's vCPUs wait kept from the kernel?",
    _vmsa_reserved,
    Needs.LEDGER,
)
VMSA_OFF_2MIB = Check(
    "vmsa-off-2mib", "Are all VMSA pages off multiples of 2 MiB (erratum 1467)?", _vmsa_off_2mib, Needs.LEDGER
)
