# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The EFI probe's memory maps against the configured RAM and each other; how the ledger shows acceptance."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.checks.acceptance import told_exit
from harness.checks.exit_acceptance import CONVENTIONAL
from harness.checks.finding import Check, Needs, Problem
from harness.checks.host import page_states
from harness.checks.protocol import UNACCEPTED
from harness.checks.where import fault_problem
from harness.evidence.memory_map import ranges_of
from harness.intervals import IntervalSet, amount
from harness.machine.memory_layout import FOUR_GIB, LEGACY_HOLE, PAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.evidence.efi_probe import Map
    from harness.evidence.evidence import Evidence
    from harness.evidence.ledger_model import Event, Operation
    from harness.evidence.memory_map import MemoryDescriptor

LARGE = 2 << 20

_POOL = 4 * PAGE
"""Bytes that a firmware may take in ExitBootServices for pool, which goes to the loader afterwards."""

_MOST_LINES = 20
PSC_ENTRIES = 253
"""Entries of a page state change that fit into the GHCB's shared buffer (GHCB specification, 4.1.6)."""


def _all_of(entries: Iterable[MemoryDescriptor]) -> IntervalSet:
    return IntervalSet.of((entry.start, entry.end) for entry in entries)


def _well_formed(evidence: Evidence) -> Iterator[Problem]:
    for when, map_ in evidence.probe.maps:
        if not map_.in_bounds:
            yield Problem("map-out-of-bounds", f"GetMemoryMap wrote outside of its buffer, {when}", when=when)
        if map_.status != 0 or not map_.entries:
            yield Problem(
                "no-map",
                f"GetMemoryMap gave no map {when}: status {map_.status:#x}",
                when=when,
                status=map_.status,
            )
        if map_.descriptor_size < 40 or map_.descriptor_version != 1:
            size, version = map_.descriptor_size, map_.descriptor_version
            yield Problem(
                "descriptor-form",
                f"descriptors of {size} bytes, version {version}, {when}",
                when=when,
                bytes=size,
                version=version,
            )
        ordered = sorted(map_.entries, key=lambda entry: entry.start)
        for first, second in pairwise(ordered):
            if second.start < first.end:
                yield Problem(
                    "descriptors-overlap",
                    f"two descriptors overlap {when}",
                    first.line,
                    second.line,
                    when=when,
                )


def _accounts_ram(evidence: Evidence) -> Iterator[Problem]:
    for when, map_ in evidence.probe.maps:
        if lost := evidence.ram - _all_of(map_.entries) - LEGACY_HOLE:
            yield Problem(
                "not-in-map",
                f"{lost.amount} of RAM are in no descriptor {when}: {lost}",
                when=when,
                bytes=lost.size,
            )


def _unaccepted_at_start(evidence: Evidence) -> Iterator[Problem]:
    """Ask that a firmware with the protocol leaves all high RAM unaccepted, any other none; low RAM never."""
    accepts = evidence.platform.acceptance != "none" and evidence.traits.firmware.memory_acceptance
    wanted = evidence.high_ram if accepts else IntervalSet()
    found = ranges_of(evidence.probe.start.entries, UNACCEPTED)
    if extra := found - wanted:
        yield Problem(
            "unaccepted-beyond",
            f"{extra.amount} are unaccepted at the start that should not be: {extra}",
            bytes=extra.size,
        )
    if missing := wanted - found:
        yield Problem(
            "not-unaccepted",
            f"{missing.amount} at 4 GiB and above are not unaccepted at the start: {missing}",
            bytes=missing.size,
        )


def _moves(before: Map, after: Map) -> Iterator[tuple[str, str, IntervalSet]]:
    """Yield what changed its type: (from, to, where)."""
    kinds_before = {entry.type for entry in before.entries}
    kinds_after = {entry.type for entry in after.entries}
    for old in sorted(kinds_before):
        for new in sorted(kinds_after - {old}):
            if moved := ranges_of(before.entries, old) & ranges_of(after.entries, new):
                yield old, new, moved


def _refusal_only_accepts(evidence: Evidence) -> Iterator[Problem]:
    """Ask that between a refused call and the next only unaccepted memory became ordinary, and all of it."""
    probe = evidence.probe
    allowed = {(CONVENTIONAL, "Boot Data"): _POOL}
    if probe.options.fresh:  # the probe's own new buffer
        size = len(probe.start.entries) * probe.start.descriptor_size
        allowed[CONVENTIONAL, "Loader Data"] = 2 * size + 16 * PAGE
    if probe.options.full:  # the pool that the probe uses up again
        allowed[CONVENTIONAL, "Boot Data"] = 16 << 20
    reserves = evidence.traits.firmware.reserves_page
    for number, (first, second) in enumerate(pairwise(probe.attempts), start=1):
        before, after = first.map, second.map
        between = f"between call {number} and call {number + 1}"
        if lost := _all_of(before.entries) - _all_of(after.entries):
            yield Problem("left-map", f"{lost.amount} left the memory map {between}: {lost}", bytes=lost.size)
        if new := _all_of(after.entries) - _all_of(before.entries):
            yield Problem(
                "joined-map", f"{new.amount} joined the memory map {between}: {new}", bytes=new.size
            )
        for old, kind, moved in _moves(before, after):
            if (old, kind) == (UNACCEPTED, CONVENTIONAL):
                continue
            if reserves and (old, kind) == (CONVENTIONAL, "Reserved") and _is_buffer(moved, before):
                reserves = False  # it is kept from then on
                continue
            if moved.size > allowed.get((old, kind), 0):
                yield Problem(
                    "type-changed",
                    f"{moved.amount} went from {old} to {kind} {between}: {moved}",
                    bytes=moved.size,
                    was=old,
                    now=kind,
                )
        yield from _attributes_kept(before, after, between)


def _is_buffer(moved: IntervalSet, before: Map) -> bool:
    """Return whether memory can be the page that a firmware reserves for its page state changes.

    edk2 allocates from the top (AllocateReservedPages): the last page of a free range below 4 GiB.
    """
    tops = {entry.end for entry in before.entries if entry.type == CONVENTIONAL and entry.end <= FOUR_GIB}
    return moved.size == PAGE and moved.bounds[0][1] in tops


def _attributes_kept(before: Map, after: Map, between: str) -> Iterator[Problem]:
    """Ask that memory which keeps its type keeps its attributes."""
    for entry in before.entries:
        span = IntervalSet.span(entry.start, entry.end)
        for other in after.entries:
            same = other.type == entry.type and other.attributes != entry.attributes
            if same and span & IntervalSet.span(other.start, other.end):
                yield Problem(
                    "attributes-changed",
                    f"attributes changed {between}",
                    entry.line,
                    other.line,
                    type=entry.type,
                )


def _high_validated_exactly(evidence: Evidence) -> Iterator[Problem]:
    """Ask that of the high RAM exactly what the start map calls unaccepted was validated, each page once."""
    events = [event for event in evidence.ledger.select("validate") if event.end > FOUR_GIB]
    total = sum(event.end - max(event.gpa, FOUR_GIB) for event in events)
    wanted = ranges_of(evidence.probe.start.entries, UNACCEPTED) or evidence.high_ram
    covered = IntervalSet.of((max(event.gpa, FOUR_GIB), event.end) for event in events)
    if covered != wanted:
        if missing := wanted - covered:
            yield Problem(
                "never-validated",
                f"{missing.amount} of high RAM were never validated: {missing}",
                bytes=missing.size,
            )
        if extra := covered - wanted:
            yield Problem(
                "validated-beyond",
                f"{extra.amount} outside of the unaccepted memory were validated: {extra}",
                bytes=extra.size,
            )
    if total != covered.size:
        yield Problem(
            "validated-again",
            f"{amount(total)} were validated for {covered.amount} of high RAM",
            bytes=total,
            of=covered.size,
        )


def _large_entries(evidence: Evidence) -> Iterator[Problem]:
    """Ask for entries of 2 MiB wherever a range holds one; only its unaligned ends need pages of 4 KiB.

    Page state changes and PVALIDATEs count as the guest asked for them: where the host's RMP entries are of
    4 KiB, a block that was refused as a whole and then validated page by page counts once. What Linux does is
    its own: it shares single pages and takes them back.
    """
    refused = IntervalSet.of((event.gpa, event.end) for event in evidence.ledger.select("size-mismatch"))
    budget = 0
    for start, end in evidence.high_ram:
        first, last = -(-start // LARGE) * LARGE, end // LARGE * LARGE
        if first >= last:
            budget += (end - start) // PAGE
        else:
            budget += (first - start + end - last) // PAGE + (last - first) // LARGE
    asked: tuple[tuple[Operation, str], ...] = (
        ("psc-private", "page state changes"),
        ("validate", "PVALIDATEs"),
    )
    for op, what in asked:
        done = [event for event in evidence.ledger.select(op) if event.phase != "kernel"]
        calls = sum(_requests(event, refused) for event in done if event.gpa >= FOUR_GIB)
        if calls > budget:
            yield Problem(
                "small-entries",
                f"{calls} {what} of high RAM, {budget} are enough with entries of 2 MiB",
                op=op,
                calls=calls,
                enough=budget,
            )


def _requests(event: Event, refused: IntervalSet) -> int:
    """Return how many requests an event's operations are when a block in ``refused`` counts once."""
    if event.entry != PAGE:
        return event.count
    again = (IntervalSet.span(event.gpa, event.end) & refused).size
    return event.count - again // PAGE + -(-again // LARGE)


def _batched(evidence: Evidence) -> Iterator[Problem]:
    """Ask that at ExitBootServices page state changes go in batches: 253 entries fit into one VMGEXIT.

    A run of such entries ends where PVALIDATE begins, so runs are counted. One more is for the ends.
    """
    runs = [
        event
        for event in evidence.ledger.select("psc-private", phase="firmware-ebs")
        if event.gpa >= FOUR_GIB
    ]
    entries = sum(event.count for event in runs)
    most = -(-entries // PSC_ENTRIES) + 1
    if len(runs) > most:
        yield Problem(
            "not-batched",
            f"{entries} page state changes of high RAM came in {len(runs)} parts, not in {most}",
            entries=entries,
            parts=len(runs),
            enough=most,
        )


def _faults_are_ours(evidence: Evidence) -> Iterator[Problem]:
    """Ask that nobody touched a page that was not validated, but for the probe once for each it reports."""
    faults = evidence.ledger.faults
    # A probe that did not come to its report reports none.
    touched = () if faults and evidence.record.guest is None else evidence.probe.touched
    provoked = Counter(result.fault.address for result in touched if result.fault is not None)
    for fault in faults[:_MOST_LINES]:
        if provoked[fault.gpa]:
            provoked[fault.gpa] -= 1
        else:
            yield fault_problem(evidence, fault)


def _exits_as_reported(evidence: Evidence) -> Iterator[Problem]:
    """Compare what the EFI probe says of its calls with what QEMU saw; stale keys are made up."""
    calls, attempts = evidence.ledger.exits, evidence.probe.attempts
    seen = [
        (call.status, None if attempt.stale else call.map_key)
        for call, attempt in zip(calls, attempts, strict=False)
    ]
    said = [(attempt.status, None if attempt.stale else attempt.map.key) for attempt in attempts]
    if seen != said or len(calls) != len(attempts):
        yield Problem(
            "exits-differ",
            f"the probe reports {len(attempts)} calls of ExitBootServices, the ledger {len(calls)} or others",
            *(f"probe: map key {attempt.map.key:#x}: status {attempt.status:#x}" for attempt in attempts),
            *map(told_exit, calls),
            reported=len(attempts),
            seen=len(calls),
        )


MAPS_WELL_FORMED = Check(
    "maps-well-formed",
    "Are the memory maps free of overlaps, and within their buffers?",
    _well_formed,
    Needs.PROBE,
)
MAP_ACCOUNTS_RAM = Check(
    "map-accounts-ram", "Is every byte of the configured RAM in each memory map?", _accounts_ram, Needs.PROBE
)
UNACCEPTED_AT_START = Check(
    "unaccepted-at-start",
    "Is exactly the RAM at 4 GiB and above unaccepted when the loader starts?",
    _unaccepted_at_start,
    Needs.PROBE,
)
REFUSAL_ONLY_ACCEPTS = Check(
    "refusal-only-accepts",
    "Did a refused ExitBootServices change acceptance alone?",
    _refusal_only_accepts,
    Needs.PROBE,
)
HIGH_VALIDATED_EXACTLY = Check(
    "high-validated-exactly",
    "Was exactly the unaccepted memory validated, and once?",
    _high_validated_exactly,
    Needs.LEDGER,
    by_page_states=page_states.high_validated_exactly,
)
LARGE_ENTRIES = Check(
    "large-entries",
    "Was memory accepted by entries of 2 MiB?",
    _large_entries,
    Needs.LEDGER,
    by_page_states=page_states.large_entries,
    strength="exact",
)
BATCHED = Check(
    "batched",
    "Were page state changes asked for in batches, as many as fit into a VMGEXIT?",
    _batched,
    Needs.LEDGER,
    by_page_states=page_states.batched,
    strength="exact",
)
FAULTS_ARE_OURS = Check(
    "faults-are-ours",
    "Was every page validated that anybody but the probe touched?",
    _faults_are_ours,
    Needs.LEDGER,
    why_not="a #VC for an unvalidated page stays in the guest",
)
EXITS_AS_REPORTED = Check(
    "exits-as-reported",
    "Does the ledger show the calls of ExitBootServices that the EFI probe reports?",
    _exits_as_reported,
    Needs.LEDGER,
    why_not="a host does not see calls of ExitBootServices",
)
