# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the EFI probe saw of the acceptance protocol and of ExitBootServices.

The protocol is OvmfPkg/Include/Protocol/SevMemoryAcceptance.h: by AllowUnacceptedMemory() an operating system
takes the memory unaccepted. Without that call the firmware accepts everything in the first ExitBootServices,
which it then refuses, because the memory map is a new one (UEFI 2.10, 7.4.6).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from harness.checks.ended import ended
from harness.checks.finding import Check, Needs, Problem
from harness.evidence.efi_probe import (
    INVALID_PARAMETER,
    NOT_FOUND,
    NOT_VALIDATED,
    SUCCESS,
    VC,
    type_name,
)
from harness.evidence.memory_map import ranges_of
from harness.evidence.record import EndingKind
from harness.intervals import amount
from harness.machine.memory_layout import MIB, PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.efi_probe import Attempt, ProbeReport
    from harness.evidence.evidence import Evidence

UNACCEPTED = "Unaccepted"


def _attempt_line(number: int, attempt: Attempt) -> str:
    key = f"key {attempt.map.key:#x}{', stale on purpose' if attempt.stale else ''}"
    return f"ExitBootServices call {number} ({key}): status {attempt.status:#x}"


def attempt_lines(probe: ProbeReport) -> tuple[str, ...]:
    """Return one line of evidence per call of ExitBootServices."""
    return tuple(_attempt_line(number, attempt) for number, attempt in enumerate(probe.attempts, start=1))


def _reports(evidence: Evidence) -> Iterator[Problem]:
    if evidence.record.ending.kind != EndingKind.COMPLETED:
        yield ended(evidence)
        if evidence.record.guest is None:
            return
    probe = evidence.probe
    if probe.not_understood:
        yield Problem(
            "not-understood",
            f"the probe does not understand: {' '.join(probe.not_understood)}",
            probe.cmdline,
            words=" ".join(probe.not_understood),
        )
    if bool(probe.options.allow) != evidence.traits.kernel.unaccepted_memory:
        yield Problem(
            "told-otherwise",
            "the probe's options are not those of its recipe",
            probe.cmdline,
            evidence.traits.kernel.sources.get("unaccepted_memory", ""),
        )


def _is_offered(evidence: Evidence) -> Iterator[Problem]:
    """Ask for it where the firmware has it, and wherever memory is unaccepted: else nobody can take that."""
    protocols = evidence.probe.protocols
    unaccepted = ranges_of(evidence.probe.start.entries, UNACCEPTED)
    if evidence.traits.firmware.memory_acceptance or unaccepted:
        found = {
            "SevMemoryAcceptance (c5a010fe-38a7-4531-8a4a-0500d2fd1649)": protocols.sev_memory_acceptance,
            "MemoryAccept (38c74800-5590-4db4-a0f3-675d9b8e8026)": protocols.memory_accept,
        }
        for name, handles in found.items():
            if handles != 1:
                yield Problem(
                    "handles",
                    f"the protocol {name} is on {handles} handles, not on one",
                    str(unaccepted),
                    protocol=name,
                    handles=handles,
                )
        if not protocols.one_handle:
            yield Problem("different-handles", "the two acceptance protocols are on different handles")


def _is_not_offered(evidence: Evidence) -> Iterator[Problem]:
    protocols = evidence.probe.protocols
    if protocols.sev_memory_acceptance or protocols.memory_accept:
        yield Problem("offered", "a guest without SEV-SNP is offered an acceptance protocol", str(protocols))


def _allow_succeeds(evidence: Evidence) -> Iterator[Problem]:
    """Ask for EFI_SUCCESS, or for what the probe notes itself where there is no protocol to call."""
    probe = evidence.probe
    wanted = SUCCESS if probe.protocols.sev_memory_acceptance else NOT_FOUND
    if len(probe.allow) != probe.options.allow:
        yield Problem(
            "calls",
            f"AllowUnacceptedMemory: {len(probe.allow)} calls, told were {probe.options.allow}",
            calls=len(probe.allow),
            told=probe.options.allow,
        )
    for number, status in enumerate(probe.allow, start=1):
        if status != wanted:
            yield Problem(
                "status",
                f"AllowUnacceptedMemory call {number}: status {status:#x}, not {wanted:#x}",
                call=number,
                status=status,
            )


def _map_stays(evidence: Evidence) -> Iterator[Problem]:
    """Compare the map at the start with the next: in between the probe calls the protocols, or nothing.

    Acceptance takes memory for the page state changes, so that a probe which accepts is not asked.
    """
    probe = evidence.probe
    if probe.accepted:
        return
    if not probe.attempts:
        yield Problem("exit-never-called", "ExitBootServices was never called")
        return
    before, after = probe.start, probe.attempts[0].map
    gone, new = set(before.entries) - set(after.entries), set(after.entries) - set(before.entries)
    if gone or new:
        lines = [*(f"- {entry.line}" for entry in gone), *(f"+ {entry.line}" for entry in new)]
        yield Problem(
            "map-changed",
            "the memory map changed before ExitBootServices",
            *lines,
            entries=len(gone) + len(new),
        )
    if before.key != after.key:
        yield Problem(
            "key-changed", f"the map key changed before ExitBootServices: {before.key:#x} -> {after.key:#x}"
        )


def _granted(evidence: Evidence) -> Iterator[Problem]:
    """Ask for a call that was granted; a loader that never makes a right one is itself to blame."""
    probe = evidence.probe
    if probe.left is not None:
        return
    calls, lines = len(probe.attempts), attempt_lines(probe)
    if calls and all(attempt.stale for attempt in probe.attempts):
        what = "the loader called ExitBootServices with stale map keys alone: the firmware has to refuse them"
        yield Problem("only-stale-keys", what, *lines, calls=calls)
    else:
        what = f"ExitBootServices was not granted in {calls} calls"
        yield Problem("exit-not-granted", what, *lines, calls=calls)


def _refused(evidence: Evidence) -> Iterator[tuple[int, Attempt]]:
    for number, attempt in enumerate(evidence.probe.attempts, start=1):
        if not attempt.granted:
            yield number, attempt


def _refused_rightly(evidence: Evidence, most: int) -> Iterator[Problem]:
    """Ask for EFI_INVALID_PARAMETER, for every stale key, and besides for ``most`` others at most."""
    probe = evidence.probe
    for number, attempt in _refused(evidence):
        if attempt.status != INVALID_PARAMETER:
            yield Problem(
                "exit-status",
                "refused, but not with EFI_INVALID_PARAMETER",
                _attempt_line(number, attempt),
                status=attempt.status,
            )
    for number, attempt in enumerate(probe.attempts, start=1):
        if attempt.stale and attempt.granted:
            yield Problem("granted-stale", "granted with a stale map key", _attempt_line(number, attempt))
    honest = [attempt for _number, attempt in _refused(evidence) if not attempt.stale]
    if probe.options.stale:
        most = 0  # what the firmware has to do it did in the calls with a stale key
    if len(honest) > most:
        yield Problem(
            "exit-refused",
            f"ExitBootServices refused {len(honest)} calls with a fresh key, {most} at most may be",
            *attempt_lines(probe),
            times=len(honest),
            most=most,
        )


def _granted_at_once(evidence: Evidence) -> Iterator[Problem]:
    yield from _refused_rightly(evidence, most=0)


def _refused_at_most_once(evidence: Evidence) -> Iterator[Problem]:
    yield from _refused_rightly(evidence, most=1)


def _refused_once(evidence: Evidence) -> Iterator[Problem]:
    """Ask besides that no call is granted whose map still calls memory unaccepted that no longer is."""
    yield from _refused_rightly(evidence, most=1)
    left = evidence.probe.left
    if left is not None and (unaccepted := ranges_of(left.map.entries, UNACCEPTED)):
        yield Problem(
            "granted-unaccepted",
            f"granted although the loader's map has {unaccepted.amount} unaccepted: it never learns more",
            *attempt_lines(evidence.probe),
            bytes=unaccepted.size,
        )


def _key_follows_map(evidence: Evidence) -> Iterator[Problem]:
    """Ask for a new key after each refusal of a fresh one, and whenever the map is a new one."""
    for number, (before, after) in enumerate(pairwise(evidence.probe.attempts), start=1):
        if before.map.key != after.map.key:
            continue
        if not before.stale or before.map.entries != after.map.entries:
            yield Problem(
                "key-kept",
                f"the map key {after.map.key:#x} is the same before call {number} and call {number + 1}",
                *attempt_lines(evidence.probe),
                call=number,
            )


def _events(evidence: Evidence) -> Iterator[Problem]:
    """Ask that EFI_EVENT_GROUP_EXIT_BOOT_SERVICES is signalled once, in the call that is granted."""
    for number, attempt in enumerate(evidence.probe.attempts, start=1):
        wanted = 1 if attempt.granted else 0
        if attempt.exit_events != wanted:
            yield Problem(
                "event-signalled",
                f"the ExitBootServices event was signalled {attempt.exit_events} times, not {wanted}",
                _attempt_line(number, attempt),
                times=attempt.exit_events,
                wanted=wanted,
            )
        if attempt.before_exit_events > number:
            yield Problem(
                "before-event-signalled",
                f"the BeforeExitBootServices event was signalled {attempt.before_exit_events} times",
                _attempt_line(number, attempt),
                times=attempt.before_exit_events,
            )


def _touched(evidence: Evidence) -> Iterator[Problem]:
    """Ask that every page given as usable can be used, and no page that is unaccepted."""
    probe = evidence.probe
    if probe.left is None:
        return  # granted has it
    results = {result.type: result for result in probe.touched}
    for number in sorted(probe.options.touch):
        name, result = type_name(number), results.get(number)
        if result is None:
            yield Problem(
                "not-touched",
                f"memory of type {name} was not touched: the CPU model has no 1 GiB pages",
                type=name,
            )
        elif name != UNACCEPTED and result.fault is not None:
            fault = result.fault
            yield Problem(
                "cannot-be-used",
                f"{name} at {fault.address:#x} cannot be used: exception {fault.vector}, "
                f"error code {fault.error:#x}, after {result.pages} pages",
                type=name,
                vector=fault.vector,
                error=fault.error,
            )
    if (result := results.get(15)) is not None:
        ranges = ranges_of(probe.left.map.entries, UNACCEPTED)
        for part in probe.accepted:
            ranges = ranges - type(ranges).span(part.start, part.start + part.size)
        if probe.own is not None:
            ranges = ranges - type(ranges).span(probe.own.start, probe.own.start + probe.own.size)
        first = ranges.bounds[0][0] if ranges else None
        last = (first or 0) + probe.options.step * PAGE
        fault_at = result.fault.address if result.fault is not None else None
        if (first is None) != (fault_at is None) or (
            first is not None and fault_at is not None and not first <= fault_at < last
        ):
            yield Problem(
                "first-fault",
                f"touching unaccepted memory, the first fault was at {_place(fault_at)}, "
                f"not at {_place(first)}, where it begins",
            )
        if result.fault is not None and (result.fault.vector, result.fault.error) != (VC, NOT_VALIDATED):
            yield Problem(
                "other-exception",
                f"unaccepted memory faulted with exception {result.fault.vector}, "
                f"error code {result.fault.error:#x}, not with #VC 0x404",
                vector=result.fault.vector,
                error=result.fault.error,
            )


def _place(address: int | None) -> str:
    return "no address" if address is None else f"{address:#x}"


def _accepts(evidence: Evidence) -> Iterator[Problem]:
    probe = evidence.probe
    for part in probe.accepted:
        if part.status != SUCCESS:
            yield Problem(
                "accept-status",
                f"AcceptMemory({part.start:#x}, {part.size:#x}): status {part.status:#x}",
                status=part.status,
            )
    wanted = min(probe.options.accept_mib * MIB, ranges_of(probe.start.entries, UNACCEPTED).size)
    done = sum(part.size for part in probe.accepted)
    if done != wanted:
        yield Problem(
            "accepted-amount",
            f"the probe had {amount(done)} accepted, not {amount(wanted)}",
            bytes=done,
            wanted=wanted,
        )


PROBE_REPORTS = Check(
    "probe-reports", "Did the probe do what its options say, report it and power off?", _reports, Needs.PROBE
)
PROTOCOL_OFFERED = Check(
    "protocol-offered", "Is the acceptance protocol there, once and under its GUID?", _is_offered, Needs.PROBE
)
PROTOCOL_ABSENT = Check(
    "protocol-absent", "Is the acceptance protocol left to SEV-SNP guests?", _is_not_offered, Needs.PROBE
)
ALLOW_SUCCEEDS = Check(
    "allow-succeeds", "Did AllowUnacceptedMemory succeed each time?", _allow_succeeds, Needs.PROBE
)
MAP_STAYS = Check(
    "map-stays",
    "Do the protocols, looked up or called, leave memory map and key alone?",
    _map_stays,
    Needs.PROBE,
)
EBS_GRANTED = Check("ebs-granted", "Was ExitBootServices granted in the end?", _granted, Needs.PROBE)
EBS_GRANTED_AT_ONCE = Check(
    "ebs-granted-at-once",
    "Was ExitBootServices granted at the first call with a fresh key?",
    _granted_at_once,
    Needs.PROBE,
)
EBS_REFUSED_AT_MOST_ONCE = Check(
    "ebs-refused-at-most-once",
    "Was ExitBootServices refused at most once?",
    _refused_at_most_once,
    Needs.PROBE,
)
EBS_REFUSED_ONCE = Check(
    "ebs-refused-once",
    "Was ExitBootServices refused once, so that the loader learns of the accepted memory?",
    _refused_once,
    Needs.PROBE,
)
KEY_FOLLOWS_MAP = Check(
    "key-follows-map", "Does a changed memory map have a new key?", _key_follows_map, Needs.PROBE
)
EXIT_EVENT_ONCE = Check(
    "exit-event-once", "Was the exit event signalled once, when granted?", _events, Needs.PROBE
)
TOUCHED = Check("touched", "Can all memory that was given be used, and only that?", _touched, Needs.PROBE)
ACCEPTED_BY_PROTOCOL = Check(
    "accepted-by-protocol",
    "Did the MemoryAccept protocol accept what the probe asked for?",
    _accepts,
    Needs.PROBE,
)
