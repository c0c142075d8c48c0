# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What hardware shows of acceptance: checks by the host's page state changes, and whether these are right.

Each function is the form that a check of the ledger has on hardware (`Check.by_page_states`). A host sees
that pages become private, never that they are validated, and tells by the console when the kernel begins:
its acceptance is an upper bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.boot.phases import Phase, phase_named
from harness.checks.finding import Check, Needs, Problem
from harness.evidence.host.firmware_lines import parse_firmware_lines
from harness.evidence.host.page_states import LARGE, PAGE, covered
from harness.evidence.problems import EvidenceError
from harness.evidence.record import EndingKind
from harness.intervals import IntervalSet, amount

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.evidence.evidence import Evidence
    from harness.evidence.host.page_states import By, Change
    from harness.evidence.ledger_model import Event, Operation

_MOST_LINES = 20
_BATCH = 253
"""Entries of one request (GHCB specification, 4.1.6)."""


def _began(evidence: Evidence, phase: Phase) -> float:
    """Return when a phase or a later one began, in seconds; EvidenceError when no console shows it."""
    for mark in evidence.record.phases:
        if phase_named(mark.name) >= phase:
            return mark.t
    raise EvidenceError(f"no console shows when the {phase.label} begins", evidence.end)


def _requests(evidence: Evidence, *, since: float = 0.0, until: float) -> list[Change]:
    """Return the requests to make RAM at 4 GiB and above private that came in a span of time."""
    found = evidence.page_states.select("request", within=evidence.high_ram)
    made = []
    for change in found:
        if change.t is None:
            raise EvidenceError("the trace has no times", "QEMU was started without -msg timestamp=on")
        if since <= change.t < until:
            made.append(change)
    return made


def _told(changes: Iterable[Change]) -> list[str]:
    return [str(change) for change in changes][:_MOST_LINES]


def accepted_before_kernel(evidence: Evidence) -> Iterator[Problem]:
    """Ask that all high RAM was made private before the kernel's first line."""
    made = _requests(evidence, until=_began(evidence, Phase.EARLY_KERNEL))
    if missing := evidence.high_ram - covered(made):
        yield Problem(
            "not-made-private",
            f"{missing.amount} at 4 GiB and above were not made private before the kernel began: {missing}",
            *_told(made),
            bytes=missing.size,
        )
    yield from _as_said(evidence)


def _as_said(evidence: Evidence) -> Iterator[Problem]:
    """Ask that a firmware which tells its ranges tells of all high RAM: it validates what it tells of."""
    said = parse_firmware_lines(f"{evidence.record.debugcon_text}\n{evidence.record.serial_text}")
    if said.lines and (missing := evidence.high_ram - said.private):
        yield Problem(
            "not-said-private",
            f"the firmware tells {said.lines} ranges that it made private, and {missing.amount} at 4 GiB and "
            f"above are in none: {missing}",
            bytes=missing.size,
        )


def firmware_left_high(evidence: Evidence) -> Iterator[Problem]:
    """Ask that no high RAM was made private before the kernel's EFI stub spoke."""
    made = _requests(evidence, until=_began(evidence, Phase.STUB))
    if touched := covered(made) & evidence.high_ram:
        yield Problem(
            "made-private-by-firmware",
            f"{touched.amount} at 4 GiB and above were made private before the kernel's EFI stub: {touched}",
            *_told(made),
            bytes=touched.size,
        )


def exit_accepts_exactly(evidence: Evidence) -> Iterator[Problem]:
    """Ask that between the EFI stub's first line and the kernel's all high RAM was made private, once.

    A firmware without the protocol has done so before. The EFI probe has no such lines: all its boot counts.
    """
    if evidence.traits.kernel.probe:
        yield from high_validated_exactly(evidence)
        return
    begins = _began(evidence, Phase.STUB)
    made = _requests(evidence, since=begins, until=_began(evidence, Phase.EARLY_KERNEL))
    wanted = evidence.high_ram if evidence.traits.firmware.memory_acceptance else IntervalSet()
    yield from _exactly(wanted, made, "at the end of boot services")


def high_validated_exactly(evidence: Evidence) -> Iterator[Problem]:
    """Ask that all high RAM was made private, each page once, in the whole boot of the EFI probe."""
    made = list(evidence.page_states.select("request", within=evidence.high_ram))
    yield from _exactly(evidence.high_ram, made, "in the whole boot")


def _exactly(wanted: IntervalSet, made: list[Change], when: str) -> Iterator[Problem]:
    done = covered(made)
    if missing := wanted - done:
        yield Problem(
            "not-made-private",
            f"{missing.amount} at 4 GiB and above were not made private {when}: {missing}",
            *_told(made),
            bytes=missing.size,
        )
    if extra := done - wanted:
        yield Problem(
            "made-private-beyond",
            f"{extra.amount} were made private {when} that were no unaccepted RAM: {extra}",
            *_told(made),
            bytes=extra.size,
        )
    total = sum(change.end - change.start for change in made)
    if total != done.size:
        yield Problem(
            "made-private-again",
            f"{amount(total)} were made private {when} for {done.amount} of RAM",
            *_told(made),
            bytes=total,
            of=done.size,
        )


_KERNELS_OWN = frozenset({"Loader Data", "Loader Code", "Boot Data", "Boot Code"})
"""The kernel runs there before its first line, and shares pages of its own."""
_MAY_BE_SHARED = frozenset({"Reserved", "ACPI Mem NVS", "Runtime Data", "MMIO", "MMIO Port", "Unusable"})
_UNACCEPTED = "Unaccepted"


def handoff_audit(evidence: Evidence) -> Iterator[Problem]:
    """Compare the map that was handed over with what is shared when the kernel says its first line."""
    until = _began(evidence, Phase.EARLY_KERNEL)
    shared = evidence.page_states.shared(until)
    private = covered(_requests(evidence, until=until))
    for entry in evidence.memory_map:
        pages = IntervalSet.span(entry.start, entry.end) & evidence.ram
        if entry.type in _KERNELS_OWN | _MAY_BE_SHARED:
            continue
        wrong = pages & shared
        if wrong and entry.type == _UNACCEPTED:
            yield Problem(
                "unaccepted-shared",
                f"{wrong.amount} of unaccepted memory are shared: {wrong}",
                entry.line,
                bytes=wrong.size,
            )
        elif wrong:
            yield Problem(
                "given-shared",
                f"{wrong.amount} are shared with the hypervisor: {wrong}",
                entry.line,
                bytes=wrong.size,
                type=entry.type,
            )
        if entry.type != _UNACCEPTED and (wrong := (pages & evidence.high_ram) - private):
            yield Problem(
                "given-not-private",
                f"{wrong.amount} were never made private: {wrong}",
                entry.line,
                bytes=wrong.size,
                type=entry.type,
            )


def unvalidated_is_unaccepted(evidence: Evidence) -> Iterator[Problem]:
    """Ask that high RAM which nobody ever made private is in Linux's Unaccepted."""
    unaccepted = evidence.memory.unaccepted or 0
    left = evidence.high_ram - evidence.page_states.covered("request")
    if left.size > unaccepted:
        yield Problem(
            "never-made-private",
            f"{left.amount} at 4 GiB and above were never made private, "
            f"meminfo calls {amount(unaccepted)} unaccepted",
            f"never private: {left}",
            bytes=left.size,
            unaccepted=unaccepted,
        )


def large_entries(evidence: Evidence) -> Iterator[Problem]:
    """Ask for requests of 2 MiB wherever a range holds one, before the kernel begins."""
    made = _before_kernel(evidence)
    calls, enough = sum(change.asked for change in made), 0
    for start, end in evidence.high_ram:
        first, last = -(-start // LARGE) * LARGE, end // LARGE * LARGE
        small = end - start if first >= last else first - start + end - last
        enough += small // PAGE + max(0, last - first) // LARGE
    if calls > enough:
        yield Problem(
            "small-entries",
            f"{calls} entries of requests for high RAM, {enough} are enough with entries of 2 MiB",
            *_told(made),
            calls=calls,
            enough=enough,
        )


def batched(evidence: Evidence) -> Iterator[Problem]:
    """Ask that requests for high RAM have as many entries as fit: KVM tells each as one."""
    made = _before_kernel(evidence)
    entries = sum(change.asked for change in made)
    most = -(-entries // _BATCH) + 1
    if len(made) > most:
        yield Problem(
            "not-batched",
            f"{entries} entries for high RAM came in {len(made)} requests, not in {most}",
            *_told(made),
            entries=entries,
            parts=len(made),
            enough=most,
        )


def _before_kernel(evidence: Evidence) -> list[Change]:
    """Return the requests for high RAM that came before a kernel; the EFI probe is none."""
    if evidence.traits.kernel.probe:
        return list(evidence.page_states.select("request", within=evidence.high_ram))
    return _requests(evidence, until=_began(evidence, Phase.EARLY_KERNEL))


def no_termination(evidence: Evidence) -> Iterator[Problem]:
    """Ask that QEMU stopped at no request of the guest for its end."""
    ending = evidence.record.ending
    if ending.kind is EndingKind.TERMINATED:
        yield Problem("terminated", "the guest asked for its end", ending.detail)


def dies_in_loader(evidence: Evidence) -> Iterator[Problem]:
    """Ask that the guest came as far as the loader, and no kernel said a line."""
    seen = {phase_named(mark.name) for mark in evidence.record.phases}
    if any(phase >= Phase.STUB for phase in seen):
        yield Problem("kernel-started", "the loader got as far as to start the kernel", evidence.end)
    if Phase.LOADER not in seen:
        yield Problem("no-loader", "no console shows that the loader began", evidence.end)


def exit_retried_once(evidence: Evidence) -> Iterator[Problem]:
    """Ask that the EFI stub was granted its exit, and that no request for high RAM came again before it.

    The stub tries twice and says when it gives up; memory is accepted in a call that was refused.
    """
    said = [each for each in evidence.signatures.alarms(evidence.record.serial_text) if _is_exit(each.alarm)]
    for match in said:
        yield Problem("exit-not-granted", "the kernel's EFI stub was not granted its exit", match.line)
    made = _requests(evidence, until=_began(evidence, Phase.EARLY_KERNEL))
    total, done = sum(change.end - change.start for change in made), covered(made)
    if total != done.size:
        yield Problem(
            "made-private-again",
            f"{amount(total)} were made private before the kernel for {done.amount} of RAM",
            *_told(made),
            bytes=total,
            of=done.size,
        )


def _is_exit(alarm: str | None) -> bool:
    return alarm == "exit-boot-services"


_SAME: tuple[tuple[By, bool, Operation], ...] = (
    ("request", True, "psc-private"),
    ("request", False, "psc-shared"),
    ("fault", True, "implicit-private"),
    ("fault", False, "implicit-shared"),
)
"""Changes of the trace, and what the ledger calls them."""


def _of_events(events: Iterable[Event]) -> IntervalSet:
    return IntervalSet.of((event.gpa, event.end) for event in events)


def _trace_is_ledger(evidence: Evidence) -> Iterator[Problem]:
    """Compare the trace events with the ledger, to the page."""
    states, ledger = evidence.page_states, evidence.ledger_as_written
    if ledger.truncated or states.cut:
        raise EvidenceError("the ledger or the trace was cut short", evidence.end)
    launched = _of_events(ledger.select("launch-private"))
    if (traced := states.covered("launch")) != launched:
        yield Problem("launch-differs", f"launched were {traced} by the trace, {launched} by the ledger")
    memory = ledger.ram | launched
    for by, private, op in _SAME:
        changes = [
            IntervalSet.span(change.start, change.end) & memory
            for change in states.select(by, private=private)
        ]
        events = list(ledger.select(op))
        told, written = sum(each.size for each in changes), sum(event.size for event in events)
        where = IntervalSet.of(span for each in changes for span in each)
        if told != written or where != _of_events(events):
            odd = (where - _of_events(events)) | (_of_events(events) - where)
            yield Problem(
                "differs",
                f"{op}: {amount(told)} by the trace, {amount(written)} by the ledger; they differ in {odd}",
                op=op,
                traced=told,
                written=written,
            )


TRACE_IS_LEDGER = Check(
    "trace-is-ledger",
    "Do QEMU's trace events and the ledger agree on every page state change?",
    _trace_is_ledger,
    Needs.LEDGER,
    why_not="there is none to compare",
)
