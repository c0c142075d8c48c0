# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One thing to break in a boot of Linux for each question that a check asks of it."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.evidence.record import EndingKind
from harness.machine.spec import TRACE
from tests.support.data import DATA
from tests.support.linux_sample import DXE_LOG

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.linux_sample import Sample


def add_event(sample: Sample, at: int, **values: Any) -> None:
    event = {
        "type": "event",
        "t": 1,
        "vcpu": 0,
        "op": "validate",
        "gpa": 0x1_0000_0000,
        "size": 4096,
        "count": 1,
        "entry": 4096,
        "rip": 0x1000,
        "cpl": 0,
        "phase": "firmware",
    }
    sample.ledger = [*sample.ledger[:at], {**event, **values}, *sample.ledger[at:]]


FAULT = {
    "type": "fault",
    "t": 2,
    "vcpu": 0,
    "op": "unvalidated-access",
    "gpa": 0x1_0000_0000,
    "rip": 0xFFFF_FFFF_8100_0000,
    "cpl": 0,
    "access": "read",
    "phase": "kernel",
}


def edit(pattern: str, by: str, count: int = 0) -> Callable[[Sample], None]:
    """Replace in the serial log."""

    def mutate(sample: Sample) -> None:
        sample.serial = re.sub(pattern, by, sample.serial, count=count, flags=re.MULTILINE)

    return mutate


def drop_firmware_validation(start: int, end: int) -> Callable[[Sample], None]:
    """Take away the firmware's validation of one range of the ledger (whole lines that lie in it)."""

    def mutate(sample: Sample) -> None:
        sample.ledger = [
            line
            for line in sample.ledger
            if not (
                line.get("op") == "validate"
                and line["phase"] in {"firmware", "firmware-ebs"}
                and start <= line["gpa"] < end
                and line["gpa"] + line["size"] <= end
            )
        ]

    return mutate


def lose_a_traced_line(sample: Sample) -> None:
    path = sample.path / TRACE
    path.write_text(re.sub(r"(?m)^.*gpa 0xffc00000 len.*\n", "", path.read_text()))


def crash(sample: Sample) -> None:
    sample.outcome = replace(sample.outcome, kind=EndingKind.GUEST_PANIC)


def ends_as(kind: EndingKind) -> Callable[[Sample], None]:
    def mutate(sample: Sample) -> None:
        sample.outcome = replace(sample.outcome, kind=kind)

    return mutate


def claim_userspace(sample: Sample) -> None:
    sample.outcome = replace(sample.outcome, kind=EndingKind.COMPLETED)


def shrink_iomem(sample: Sample) -> None:
    sample.guest["iomem"] = [line.replace("27fffffff", "17fffffff") for line in sample.guest["iomem"]]
    sample.guest["iomem"] = [line.replace("7ed3efff", "7ed3dfff") for line in sample.guest["iomem"]]


def meminfo(value: int | None) -> Callable[[Sample], None]:
    def mutate(sample: Sample) -> None:
        if value is None:
            del sample.guest["meminfo_kb"]["Unaccepted"]
        else:
            sample.guest["meminfo_kb"]["Unaccepted"] = value

    return mutate


def memtotal(more_kb: int) -> Callable[[Sample], None]:
    def mutate(sample: Sample) -> None:
        sample.guest["meminfo_kb"]["MemTotal"] += more_kb

    return mutate


def accept_in_many_parts(sample: Sample) -> None:
    """Split each page state change of high RAM at ExitBootServices into one for each entry."""
    sample.ledger = [
        {**line, "gpa": line["gpa"] + number * line["entry"], "size": line["entry"], "count": 1}
        if parts
        else line
        for line in sample.ledger
        for parts in [
            line.get("op") == "psc-private" and line["phase"] == "firmware-ebs" and line["gpa"] >= 1 << 32
        ]
        for number in range(line["count"] if parts else 1)
    ]


def unaccepted_is_not_free(sample: Sample) -> None:
    sample.guest["meminfo_kb"]["MemFree"] = sample.guest["meminfo_kb"]["Unaccepted"] - 4


def forget_vmstat(sample: Sample) -> None:
    sample.guest["vmstat"]["nr_unaccepted"] = 0


def still_alive_in_ledger(sample: Sample) -> None:
    edit(r"^.*exit-code 0x404.*$", "")(sample)
    sample.ledger = [line for line in sample.ledger if line["type"] != "fault"]


def make_ledger(sample: Sample) -> None:
    shutil.copy(DATA / "snp-emulated-6.1-8G.ledger.jsonl", sample.path / "ledger.jsonl")


def cut_ledger(sample: Sample) -> None:
    sample.ledger = sample.ledger[:-1]


def lose_a_line(sample: Sample) -> None:
    sample.ledger = [*sample.ledger[:40], *sample.ledger[41:]]


def add_fault(sample: Sample) -> None:
    sample.ledger = [*sample.ledger[:-1], FAULT, sample.ledger[-1]]


def terminate(sample: Sample) -> None:
    line = {"type": "terminate", "t": 3, "vcpu": 0, "set": 1, "code": 2, "text": "PVALIDATE failed"}
    sample.ledger = [*sample.ledger[:-1], line, sample.ledger[-1]]


def validate_again(sample: Sample) -> None:
    add_event(sample, 60, op="validate-again", gpa=0x10_0000)


def use_the_apic_privately(sample: Sample) -> None:
    add_event(sample, 60, op="private-mmio", gpa=0xFEE0_0000)


def validate_silently(sample: Sample) -> None:
    """Repeat a validation that changed the entry, with nothing in between: the replay must notice."""
    lines = sample.ledger
    index = next(n for n, line in enumerate(lines) if line.get("op") == "validate")
    sample.ledger = [*lines[: index + 1], lines[index], *lines[index + 1 :]]


def lose_a_cpu(sample: Sample) -> None:
    sample.guest["cpus_online"] = ""


def another_cpu(sample: Sample) -> None:
    sample.guest["cpus_online"] = "0,2-3"


def firmware_touches_high(sample: Sample) -> None:
    add_event(sample, 60, gpa=0x2_0000_0000, size=2 << 20, count=1, entry=2 << 20)


def firmware_says(times: int) -> Callable[[Sample], None]:
    def mutate(sample: Sample) -> None:
        (sample.path / "debugcon.log").write_text(DXE_LOG + "Accepting all memory\r\n" * times)

    return mutate


def accept_at_exit(sample: Sample) -> None:
    add_event(sample, 60, gpa=0x2_0000_0000, size=2 << 20, count=1, entry=2 << 20, phase="firmware-ebs")


INVALID = (1 << 63) | 2
CALL = {"type": "ebs", "t": 1, "vcpu": 0, "map-key": 1, "rip": 0x1000, "cpl": 0, "phase": "efi-stub"}


def exits(*statuses: int | None) -> Callable[[Sample], None]:
    """Let the calls of ExitBootServices end so, from the last; those more than there are come first."""

    def mutate(sample: Sample) -> None:
        lines = sample.ledger
        marks = [index for index, line in enumerate(lines) if line["type"] == "ebs"]
        calls = [lines[index] for index in marks]
        while len(calls) < 2 * len(statuses):
            calls = [{**CALL, "event": "call"}, {**CALL, "event": "return", "status": 0}, *calls]
        more = calls[: len(calls) - len(marks)]
        ended = [{**line, "status": status} for line, status in zip(calls[1::2], statuses, strict=True)]
        calls[1::2] = ended
        for index, line in zip(marks, calls[len(more) :], strict=True):
            lines[index] = line
        whole = [*lines[: marks[0]], *calls[: len(more)], *lines[marks[0] :]]
        sample.ledger = [line for line in whole if line.get("status", 0) is not None]

    return mutate


def no_exits(sample: Sample) -> None:
    sample.ledger = [line for line in sample.ledger if line["type"] != "ebs"]


def edit_high_at_exit(**values: Any) -> Callable[[Sample], None]:
    """Change what ExitBootServices validated at 4 GiB and above."""

    def mutate(sample: Sample) -> None:
        sample.ledger = [
            {**line, **values}
            if line.get("op") == "validate" and line["phase"] == "firmware-ebs" and line["gpa"] >= 1 << 32
            else line
            for line in sample.ledger
        ]

    return mutate


def repeat_high_at_exit(sample: Sample) -> None:
    again = [
        line for line in sample.ledger if line.get("phase") == "firmware-ebs" and line["op"] == "validate"
    ]
    index = sample.ledger.index(again[-1])
    sample.ledger = [*sample.ledger[:index], *again, *sample.ledger[index:]]


HIGH = r"(BIOS-e820: \[mem )0x0000000100000000(-0x000000027fffffff\] +)(usable|System RAM)"


def before_exit(**values: Any) -> Callable[[Sample], None]:
    """Let something happen to a page just before the loader calls ExitBootServices."""

    def mutate(sample: Sample) -> None:
        at = next(number for number, line in enumerate(sample.ledger) if line["type"] == "ebs")
        add_event(sample, at, **values)

    return mutate


MUTATIONS: list[tuple[str, str, Callable[[Sample], None]]] = [
    ("eager", "reaches-userspace", crash),
    (
        "lazy",
        "no-alarms",
        edit(r"^(.*Run /init.*)$", r"\1\n[    3.3] WARNING: CPU: 0 PID: 1 at mm/page_alloc.c:1"),
    ),
    ("lazy", "all-cpus-online", lose_a_cpu),
    ("plain", "all-cpus-online", another_cpu),
    ("eager", "technology-active", edit(r" SEV-SNP$", "")),
    ("lazy", "technology-active", edit(r"active: AMD SEV ", "active: AMD SME SEV ")),
    ("plain", "no-sev", edit(r"^(.*Run /init.*)$", r"\1\n[    3.3] SEV: Status: SEV")),
    ("plain", "no-ledger", make_ledger),
    ("eager", "ram-accounted", edit(HIGH, r"\g<1>0x0000000100001000\2\3")),
    ("plain", "ram-accounted", edit(HIGH, r"\g<1>0x0000000100001000\2\3")),
    ("eager", "high-ram-usable", edit(HIGH, r"\g<1>0x0000000100000000\2reserved")),
    ("plain", "high-ram-usable", edit(HIGH, r"\g<1>0x0000000100000000\2device reserved")),
    ("lazy", "e820-matches-firmware", edit(HIGH, r"\g<1>0x0000000100000000\2reserved")),
    ("nothing", "e820-matches-firmware", edit(r"(BIOS-e820: .*0x00000000007fffff\]) usable", r"\1 ACPI NVS")),
    ("lazy", "kernel-uses-usable", shrink_iomem),
    ("eager", "memory-attributes", edit(r"WB\|WT\|WC\|UC(\] range=\[0x0000000100000000)", r"  |  |  |  \1")),
    ("lazy", "memory-attributes", edit(r"WB(\|.*range=\[0x0000000000100000-)", r"  \1")),
    ("plain", "memory-attributes", edit(r"   (\|WB\|.*range=\[0x0000000100000000-)", r"UCE\1")),
    ("eager", "accepts-once-at-exit", firmware_says(2)),
    ("nothing", "accepts-once-at-exit", firmware_says(2)),
    ("lazy", "accepts-nothing-at-exit", firmware_says(1)),
    ("plain", "accepts-nothing-at-exit", firmware_says(1)),
    ("eager", "no-unaccepted-entries", edit(r"\[Conventional(\|.*0x0000000100000000)", r"[Unaccepted  \1")),
    ("eager", "no-unaccepted-entries", edit(r"\[Conventional(\|.*0x0000000100000000)", r"[type=15     \1")),
    ("nothing", "no-unaccepted-table", edit(r"( RNG=0x\w+)", r"\1 Unaccepted=0x7f37eb18")),
    ("plain", "no-unaccepted-table", edit(r"( RNG=0x\w+)", r"\1 Unaccepted=0x7f37eb18")),
    ("nothing", "nothing-unaccepted", meminfo(4096)),
    ("nothing", "nothing-unaccepted", meminfo(None)),
    ("eager", "nothing-unaccepted", meminfo(0)),
    ("lazy", "unaccepted-entries-high", edit(r"\[Unaccepted  ", "[Conventional")),
    ("lazy", "unaccepted-entries-high", edit(r"\[Conventional(\|.*0x0000000000100000-)", r"[Unaccepted  \1")),
    ("lazy", "unaccepted-table", edit(r" Unaccepted=0x\w+", "")),
    ("lazy", "something-unaccepted", meminfo(0)),
    ("lazy", "something-unaccepted", meminfo(None)),
    ("lazy", "something-unaccepted", meminfo(6 * 1024 * 1024 + 4)),
    ("lazy", "something-unaccepted", forget_vmstat),
    ("eager", "accepted-before-kernel", drop_firmware_validation(0x2_0000_0000, 0x3_0000_0000)),
    ("lazy", "firmware-left-high", firmware_touches_high),
    ("lazy", "firmware-left-high", accept_at_exit),
    ("lazy", "exit-granted-at-once", exits(INVALID, 0)),
    ("lazy", "exit-granted-at-once", exits(INVALID)),
    ("lazy", "exit-granted-at-once", exits(None)),
    ("lazy", "exit-granted-at-once", no_exits),
    ("eager", "exit-retried-at-most-once", exits(INVALID, INVALID, 0)),
    ("eager", "exit-retried-at-most-once", exits((1 << 63) | 9, 0)),
    ("eager", "exit-retried-at-most-once", exits(INVALID, INVALID)),
    ("eager", "exit-retried-at-most-once", exits(INVALID, None)),
    ("eager", "exit-retried-at-most-once", exits(None, 0)),
    ("nothing", "exit-retried-at-most-once", exits(INVALID, INVALID, 0)),
    ("nothing", "exit-retried-at-most-once", no_exits),
    ("eager", "exit-accepts-exactly", edit_high_at_exit(phase="firmware")),
    ("eager", "exit-accepts-exactly", edit_high_at_exit(size=6 * (1 << 30) - (2 << 20))),
    ("eager", "exit-accepts-exactly", edit_high_at_exit(size=6 * (1 << 30) + (2 << 20))),
    ("eager", "exit-accepts-exactly", repeat_high_at_exit),
    ("eager", "exit-accepts-exactly", exits(0, INVALID)),
    ("eager", "large-entries", edit_high_at_exit(count=6 << 18, entry=4096)),
    ("eager", "batched", accept_in_many_parts),
    ("eager", "present-is-usable", edit(r"Memory: (\d+)K/8382172K", r"Memory: \1K/8382176K")),
    ("lazy", "present-is-usable", edit(r"Memory: (\d+)K/8382176K", r"Memory: \1K/8382168K")),
    ("lazy", "present-is-usable", edit(r"Memory: (\d+)K/8382176K", r"Memory: \1K/8382184K")),
    ("plain", "present-is-usable", edit(HIGH, r"\g<1>0x0000000100001000\2\3")),
    ("plain", "total-is-present", edit(r"Freeing initrd memory: \d+K", "Freeing initrd memory: 0K")),
    ("lazy", "total-is-present", edit(r"(\d+)K reserved, 0K cma", "0K reserved, 0K cma")),
    ("lazy", "total-is-present", memtotal(4)),
    ("lazy", "total-is-present", memtotal(-8)),
    ("lazy", "meminfo-is-vmstat", meminfo(4096)),
    ("lazy", "meminfo-is-vmstat", unaccepted_is_not_free),
    ("lazy", "unvalidated-is-unaccepted", meminfo(4096)),
    ("eager", "unvalidated-is-unaccepted", drop_firmware_validation(0x2_0000_0000, 0x3_0000_0000)),
    ("eager", "ledger-whole", cut_ledger),
    ("lazy", "ledger-whole", lose_a_line),
    ("eager", "ledger-whole", exits(INVALID, None)),
    ("nothing", "ledger-whole", no_exits),
    ("lazy", "handoff-audit", drop_firmware_validation(0x90_0000, 0x4000_0000)),
    ("nothing", "handoff-audit", drop_firmware_validation(0x90_0000, 0x4000_0000)),
    ("lazy", "handoff-audit", before_exit(op="psc-shared", gpa=0x178_0000)),
    ("lazy", "handoff-audit", before_exit()),
    ("lazy", "handoff-audit", before_exit(op="psc-shared")),
    ("eager", "trace-is-ledger", lose_a_traced_line),
    ("eager", "validated-once", validate_again),
    ("lazy", "validated-once", validate_silently),
    ("lazy", "no-unvalidated-access", add_fault),
    ("lazy", "no-private-mmio", use_the_apic_privately),
    ("lazy", "no-termination", terminate),
    ("refuses", "no-userspace", claim_userspace),
    ("refuses", "no-userspace", ends_as(EndingKind.QEMU_EXIT)),
    ("refuses", "no-userspace", ends_as(EndingKind.UNREACHABLE)),
    (
        "refuses",
        "no-snp-claim",
        edit(r"(?s)\Z", "[    0.1] AMD Memory Encryption Features active: SEV SEV-ES SEV-SNP\n", 1),
    ),
    ("refuses", "dies-on-unvalidated-access", still_alive_in_ledger),
]
