# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The first line of a verdict and the lines below it, for boots that ended in each way."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.traits import Traits
from harness.checks.ended import ended, headline, story
from harness.checks.where import fault_problem
from harness.evidence.evidence import Evidence
from harness.evidence.record import BootRecord, Ending, EndingKind, PhaseMark, Remark
from harness.evidence.symbols.modules import modules_of
from harness.intervals import IntervalSet, amount
from harness.matrix.cell import Cell
from tests.support.expectations import FIRMWARE, KERNEL
from tests.support.oops import CALLS
from tests.support.oops import CONSOLE as HOLE

if TYPE_CHECKING:
    from pathlib import Path

PHASES = (PhaseMark("launch", 0.0), PhaseMark("stub", 2.0), PhaseMark("early-kernel", 3.5))
PANIC = "[    0.51] Kernel panic - not syncing: Fatal exception"
ACCEPT = "Cannot accept memory: unknown platform"
AT = "at 0x1000 (before the kernel's own page tables)"
HEADER = {"type": "header", "format": "snp-ledger", "version": 2, "page-size": 4096}
RAM = [[0, 1 << 31], [4 << 30, 6 << 30]]


def line(kind: str, t: float, **more: Any) -> dict[str, Any]:
    common = {"type": kind, "t": int(t * 1e9), "vcpu": 0, "rip": 0x1000, "cpl": 0, "phase": "kernel"}
    return common | more


def event(t: float, op: str, gpa: int, size: int) -> dict[str, Any]:
    return line("event", t, op=op, gpa=gpa, size=size, count=size // 4096, entry=4096)


@pytest.fixture
def evidence(tmp_path: Path) -> Any:
    """Return a function that makes the evidence of a boot, with what its ledger and its console hold."""

    def made(ending: Ending, *ledger: dict[str, Any], console: str = "", **more: Any) -> Evidence:
        if ledger:
            lines = ({**HEADER, "ram": RAM}, *ledger)
            (tmp_path / "ledger.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
        (tmp_path / "serial.log").write_text(console)
        record = BootRecord(
            path=tmp_path,
            cell="c",
            platform="snp-emulated",
            ending=ending,
            phases=PHASES,
            durations={"boot": 5.0},
        )
        cell = Cell("fw", "k", "direct", 8192, "snp-emulated")
        return Evidence(replace(record, **more), cell, Traits(FIRMWARE, KERNEL))

    return made


def ending(kind: EndingKind, detail: str = "", last: str = "", phase: str = "early-kernel") -> Ending:
    return Ending(kind, phase, last, detail)


EXIT = (
    line("ebs", 2.4, event="call", **{"map-key": 7}),
    line("ebs", 2.5, event="return", status=0x8000000000000002, **{"map-key": 7}),
    line("ebs", 2.8, event="call", **{"map-key": 8}),
    line("ebs", 2.8, event="return", status=0, **{"map-key": 8}),
)


def test_the_cause_is_named_not_its_consequence(evidence: Any) -> None:
    remarks = (
        Remark(0.3, "serial", "kernel-warning", "[    0.1] WARNING: CPU: 0 PID: 1 at x.c:1 long ago"),
        Remark(3.9, "serial", "accept-unknown-platform", ACCEPT),
        Remark(4.0, "serial", "kernel-panic", PANIC),
    )
    boot = evidence(ending(EndingKind.GUEST_PANIC, "kernel-panic on serial", PANIC), *EXIT, remarks=remarks)
    said = "the kernel panicked, in phase early-kernel, 1.2 s after ExitBootServices: "
    assert headline(boot) == said + ACCEPT
    lines = list(story(boot))
    assert lines[1].startswith("accept-unknown-platform: the kernel has unaccepted memory, and")
    assert any(each.startswith("try: ") for each in lines)
    problem = ended(boot)
    assert (problem.kind, problem.what) == ("ended", said + ACCEPT)
    assert problem.values == {"ending": "guest-panic", "phase": "early-kernel"}


def test_what_a_line_means_comes_once(evidence: Any) -> None:
    last = f"[    0.0] Kernel panic - not syncing: {ACCEPT}"
    remarks = (Remark(4.0, "serial", "accept-unknown-platform", last),)
    meaning = "the kernel has unaccepted memory, and is no SNP or TDX guest as far as it knows"
    end = ending(EndingKind.GUEST_PANIC, f"accept-unknown-platform on serial: {meaning}", last)
    lines = list(story(evidence(end, remarks=remarks)))
    assert [each for each in lines if meaning in each] == [f"accept-unknown-platform: {meaning}"]


def test_without_a_ledger_the_phase_counts(evidence: Any) -> None:
    boot = evidence(ending(EndingKind.HANG, "no console byte for 40 s"))
    assert headline(boot) == (
        "the guest hung, in phase early-kernel, 1.5 s after it began: no console byte for 40 s"
    )
    assert "phases: launch 2.00 s, stub 1.50 s, early-kernel 1.50 s" in list(story(boot))


@pytest.mark.parametrize(
    ("kind", "phase", "pattern", "begins"),
    [
        (EndingKind.GUEST_PANIC, "stub", "stub-exit-boot", "the EFI stub gave up, in phase stub"),
        (EndingKind.GUEST_PANIC, "loader", "x", "the loader gave up, in phase loader"),
        (EndingKind.GUEST_PANIC, "decompressor", "decompressor-halt", "the kernel's decompressor stopped, "),
        (EndingKind.FIRMWARE_ASSERT, "dxe", "firmware-assert", "a firmware assertion failed, in phase dxe"),
        (EndingKind.FIRMWARE_ASSERT, "dxe", "firmware-exception", "the firmware met an exception, in phase"),
        (EndingKind.FIRMWARE_EXCEPTION, "dxe", "firmware-vc", "the firmware met an exception, in phase dxe"),
        (EndingKind.QEMU_EXIT, "launch", "", "QEMU ended, in phase launch"),
        (EndingKind.RESET, "kernel", "", "the machine was reset, in phase kernel"),
    ],
)
def test_who_died(evidence: Any, kind: EndingKind, phase: str, pattern: str, begins: str) -> None:
    remarks = (Remark(4.0, "serial", pattern, "the line"),) if pattern else ()
    boot = evidence(ending(kind, "first; #PF at 0x7e (AmdSevDxe+0x4)", "the line", phase), remarks=remarks)
    assert headline(boot).startswith(begins)
    if pattern == "firmware-exception":
        assert headline(boot).endswith(": #PF at 0x7e (AmdSevDxe+0x4)")


def test_a_fault_comes_with_the_history_of_its_page(evidence: Any) -> None:
    page = 0x1_4000_0000
    boot = evidence(
        ending(EndingKind.UNVALIDATED_ACCESS, "unvalidated-access: read", phase="actions"),
        event(1.0, "validate", page - 0x1000, 0x3000),
        event(2.0, "psc-shared", page, 0x1000),
        event(2.0, "validate", page + 0x8000, 0x1000),
        line("fault", 3.0, op="unvalidated-access", access="read", gpa=page + 8),
        event(3.5, "validate", page, 0x1000),
    )
    told = [each for each in story(boot) if each.startswith("ledger line")]
    access = "unvalidated-access: read of 0x140000008"
    assert told == [
        f"ledger line 5: {access} by kernel {AT}; the page is shared, since ledger line 3",
        f"ledger line 2: validate of 0x13ffff000-0x140001fff by kernel {AT}, 2.00 s before",
        f"ledger line 3: psc-shared of 0x140000000-0x140000fff by kernel {AT}, 1.00 s before",
    ]
    assert headline(boot).endswith("; the page is shared, since ledger line 3")
    problem = fault_problem(boot, boot.ledger.faults[-1])
    assert problem.what == f"{access} by kernel; the page is shared, since ledger line 3"
    lines = list(story(boot))
    assert "the page before it, 0x13ffff000, is validated" in lines
    assert "the page behind it, 0x140001000, is validated" in lines


def test_an_end_names_the_use_of_a_page_that_led_to_it(evidence: Any) -> None:
    """Where the guest, or the emulation, ends a guest that was refused a page."""
    asked = "the guest asked to be terminated: 0x0:0x0"
    fault = line("fault", 4.0, op="unvalidated-access", access="read", gpa=0x1000)
    dma = line("fault", 4.5, op="dma-private-read", access="read", gpa=0x2000)
    used = f"unvalidated-access: read of 0x1000 by kernel {AT}; the page was never accepted"
    boot = evidence(ending(EndingKind.TERMINATED, asked), fault, dma)
    assert headline(boot).endswith(f": {used}; then {asked}")
    remarks = (Remark(4.1, "serial", "kernel-panic", PANIC),)
    panic = evidence(ending(EndingKind.GUEST_PANIC, "x", PANIC), fault, remarks=remarks)
    assert headline(panic).endswith(f": Fatal exception; after {used}")
    early = evidence(ending(EndingKind.TERMINATED, asked), {**fault, "t": 2_900_000_000}, dma)
    assert headline(early).endswith(f" began: {asked}"), "it went on after that"


def test_the_code_that_asked_for_the_end_has_a_name(evidence: Any, tmp_path: Path) -> None:
    (tmp_path / "debugcon.log").write_text(LOG)
    told = "the emulation ended the guest: page 0xfee00000 is no memory; by firmware at 0x7f1475b3"
    boot = evidence(ending(EndingKind.TERMINATED, f"{told}, vCPU 0", phase="dxe"))
    assert headline(boot).endswith(f"{told} (AmdSevDxe+0x35b3), vCPU 0")
    assert not any(told in each for each in story(boot)), "the first line has it"


def test_a_reset_after_noise_was_read(evidence: Any, tmp_path: Path) -> None:
    """GRUB 2.14 copies a kernel through page tables without C-bit, and runs the noise."""
    (tmp_path / "debugcon.log").write_text(LOG)
    reads = [event(4.7 + n / 1000, "shared-read", (2 << 20) + n * 4096, 4096) for n in range(3)]
    copied = [{**each, "phase": "loader", "rip": 0x504025} for each in reads]
    boot = evidence(ending(EndingKind.RESET, "QMP event SHUTDOWN", phase="loader"), *EXIT, *copied)
    assert headline(boot) == (
        "the machine was reset, in phase loader, 2.2 s after ExitBootServices: "
        "loader read 3 pages of private memory without the C-bit, which is noise, from 0x200000 on "
        "at 0x504025 (in no loaded image: what the loader put there); then QMP event SHUTDOWN"
    )
    assert boot.traits is not None
    kernel = replace(KERNEL, efi_stub=False)
    legacy = replace(boot, traits=replace(boot.traits, kernel=kernel, entry="legacy-no-cbit"))
    assert "what the loader put there, as GRUB's relocator, by which it enters" in headline(legacy)


@pytest.mark.parametrize(
    ("history", "state"),
    [
        ([("psc-shared", 1.0), ("psc-private", 2.0)], "was shared before, and is not validated since"),
        ([("validate", 1.0), ("rescind", 2.0)], "was given back, and is not validated since"),
        ([("psc-private", 1.0)], "is private, and nobody validated it"),
        ([], "was never accepted"),
    ],
    ids=("shared", "rescinded", "private", "untouched"),
)
def test_the_state_of_the_page(evidence: Any, history: list[tuple[str, float]], state: str) -> None:
    page = 0x1_4000_0000
    boot = evidence(
        ending(EndingKind.UNVALIDATED_ACCESS, "x"),
        *(event(t, op, page, 0x1000) for op, t in history),
        line("fault", 3.0, op="unvalidated-access", access="read", gpa=page),
    )
    assert headline(boot).endswith(f"; the page {state}")


OOPS = """\
[    3.1] BUG: unable to handle page fault for address: ffff8e1047a00000
[    3.2] #PF: supervisor read access in kernel mode
[    3.3] RIP: 0010:_find_next_bit+0x31/0xc0
[    3.4] Kernel panic - not syncing: Fatal exception
"""


def test_an_oops_names_its_function(evidence: Any) -> None:
    first, *_, panic = OOPS.splitlines()
    remarks = (Remark(3.9, "serial", "kernel-oops", first), Remark(4.0, "serial", "kernel-panic", panic))
    boot = evidence(ending(EndingKind.GUEST_PANIC, "x", panic), console=OOPS, remarks=remarks)
    said = "BUG: unable to handle page fault for address: ffff8e1047a00000, in _find_next_bit+0x31/0xc0"
    assert headline(boot).endswith(said)


DUMP = """\
!!!! X64 Exception Type - 0E(#PF - Page-Fault)  CPU Apic ID - 00000000 !!!!
ExceptionData - 0000000000000003  I:0 R:0 U:0 W:1 P:1 PK:0 SS:0 SGX:0
RIP  - 000000007BDAC298, CS  - 0000000000000038, RFLAGS - 0000000000210046
CR0  - 0000000080010033, CR2 - 000000007BDA98CA, CR3 - 000000007F801000
!!!! Find image based on IP(0x7BDAC298) (No PDB)  (ImageBase=000000007BACC180, EntryPoint=0) !!
"""


def test_an_exception_of_what_the_loader_runs(evidence: Any, tmp_path: Path) -> None:
    last = DUMP.splitlines()[0]
    remarks = (Remark(4.0, "serial", "firmware-exception", last),)
    end = ending(EndingKind.FIRMWARE_EXCEPTION, "firmware-exception on serial", last, "loader")
    (tmp_path / "debugcon.log").write_text(LOG)
    boot = evidence(end, event(1.0, "validate", 0, 1 << 31), console=DUMP, remarks=remarks)
    assert headline(boot) == (
        "an exception in what the loader runs, in phase loader: "
        "#PF (write to a page that is not writable), error code 0x3, address 0x7bda98ca, at 0x7bdac298 "
        "(in no loaded image: what the loader put there); the page is validated"
    )
    (tmp_path / "debugcon.log").write_text(LOG.replace("0x0007F144000", "0x0007BDA0000"))
    firmware = evidence(end, console=DUMP, remarks=remarks)
    assert headline(firmware).startswith("the firmware met an exception, in phase loader")
    assert "at 0x7bdac298 (AmdSevDxe+0xc298)" in headline(firmware)


def test_a_hole_is_named_as_a_whole(evidence: Any) -> None:
    start, hole = 4 << 30, 0x1_8000_0000
    boot = evidence(
        ending(EndingKind.UNVALIDATED_ACCESS, "unvalidated-access: write"),
        event(1.0, "validate", start, hole - start),
        event(1.0, "validate", hole + (2 << 20), (10 << 30) - hole - (2 << 20)),
        line("fault", 3.0, op="unvalidated-access", access="write", gpa=hole + 0x5000),
    )
    assert "nobody ever accepted the range around it, 0x180000000-0x1801fffff: 2 MiB" in list(story(boot))
    nowhere = evidence(
        ending(EndingKind.UNVALIDATED_ACCESS, "x"),
        line("fault", 3.0, op="unvalidated-access", access="write", gpa=0xFEE00000),
    )
    assert any("; the page is no memory of the guest" in each for each in story(nowhere))


def test_the_lines_around_the_last_one(evidence: Any) -> None:
    console = "\n".join([*(f"before {number}" for number in range(9)), PANIC, "CPU: 0", *["trace"] * 50])
    remarks = (Remark(4.0, "serial", "kernel-panic", PANIC),)
    boot = evidence(ending(EndingKind.GUEST_PANIC, "x", PANIC), console=console, remarks=remarks)
    shown = [each for each in story(boot) if each.startswith("| ")]
    assert shown[:6] == ["| before 5", "| before 6", "| before 7", "| before 8", f"| {PANIC}", "| CPU: 0"]
    assert len(shown) == 10


def test_a_panic_shows_what_led_to_it(evidence: Any) -> None:
    led = HOLE.splitlines()[1]
    remarks = (Remark(3.9, "serial", "kernel-bug", led), Remark(4.0, "serial", "kernel-panic", PANIC))
    console = HOLE + "registers\n" * 20 + PANIC + "\n"
    boot = evidence(ending(EndingKind.GUEST_PANIC, "x", PANIC), console=console, remarks=remarks)
    lines = list(story(boot))
    assert headline(boot).endswith("address: ffff8e8c40000000, in pvalidate_pages+0xa2/0x230")
    assert f"the kernel's call trace: {', '.join(CALLS)}" in lines
    assert f"| {led}" in lines
    assert any(each.startswith("accept-unmapped: ") for each in lines), "by the function, not by the line"
    assert f"| {PANIC}" not in lines


def test_a_hang_behind_an_oops_says_so(evidence: Any) -> None:
    led = HOLE.splitlines()[1]
    remarks = (Remark(3.0, "serial", "kernel-warning", "WARNING: CPU: 0 PID: 1 at x.c:1 earlier"),)
    end = ending(EndingKind.HANG, "no console byte for 51 s")
    said = "the guest hung, in phase early-kernel, 1.5 s after it began: "
    assert headline(evidence(end, console=HOLE, remarks=remarks)) == said + end.detail
    boot = evidence(end, console=HOLE, remarks=(*remarks, Remark(3.9, "serial", "kernel-bug", led)))
    assert headline(boot) == (
        f"{said}BUG: unable to handle page fault for address: ffff8e8c40000000, "
        f"in pvalidate_pages+0xa2/0x230; then {end.detail}"
    )
    lines = list(story(boot))
    assert f"the kernel's call trace: {', '.join(CALLS)}" in lines
    assert any(each.startswith("accept-unmapped: ") for each in lines)


def test_an_ordinary_last_line_explains_nothing(evidence: Any) -> None:
    last = "Trying to terminate EFI services again"
    reset = evidence(ending(EndingKind.RESET, "QMP event SHUTDOWN", last))
    assert not any("grub-terminates-again" in each for each in story(reset))
    hang = evidence(ending(EndingKind.HANG, "endless loop", last))
    assert any("grub-terminates-again" in each for each in story(hang))
    host = evidence(ending(EndingKind.QEMU_EXIT, "QEMU said: error: kvm run failed Invalid argument"))
    assert any("kvm-run-failed" in each for each in story(host))


def test_a_damaged_ledger_hides_no_verdict(evidence: Any) -> None:
    boot = evidence(ending(EndingKind.HANG, "silent"), {"type": "nonsense"})
    assert headline(boot) == "the guest hung, in phase early-kernel, 1.5 s after it began: silent"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 pages"),
        (6 << 30, "6 GiB"),
        (5754585088, "5.36 GiB (5488 MiB)"),
        (2 << 20, "2 MiB"),
        ((2 << 20) + 4096, "2.00 MiB (513 pages)"),
        ((1 << 30) + 4096, "1.00 GiB (262145 pages)"),
        (4096, "1 page"),
        (96 * 4096, "96 pages"),
        (4097, "4097 bytes"),
    ],
)
def test_amounts(size: int, text: str) -> None:
    assert amount(size) == text
    assert IntervalSet.span(0x1000, 0x1000 + size).amount == text


LOG = """\
Loading PEIM at 0x00000835240 EntryPoint=0x0000083C63D PlatformPei.efi
Loading driver at 0x0007F144000 EntryPoint=0x0007F146C00 AmdSevDxe.efi
Loading driver at 0x0007F200000 EntryPoint=0x0007F201000
"""


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (0x7F144000, "AmdSevDxe+0x0"),
        (0x7F1475B3, "AmdSevDxe+0x35b3"),
        (0x7F143FFF, ""),
        (0x83C63D, "PlatformPei+0x73fd"),
        (0x7F200010, ""),
        (0x1000, ""),
        (0xFFFFFFFF81000000, ""),
    ],
)
def test_modules(address: int, name: str) -> None:
    assert modules_of(LOG).name(address) == name


def test_where_each_vcpu_was(evidence: Any, tmp_path: Path) -> None:
    text = (
        "CPU#0\nRBP=000000007fb04030\nRIP=000000007f1475b3 RFL=00000046\nCPU#1\nEIP=0000fff0 EFL=2\n"
        "Code of vCPU 0\n000000007f1475b3: 0xf2 0x0f 0x01 0xff\n"
        "Stack of vCPU 0\n000000007fb04030: 0x000000007fb04050 0x000000007f144101\n"
        "000000007fb04050: 0x0000000000000000 0x0000000000000000\n"
    )
    (tmp_path / "registers.txt").write_text(text)
    (tmp_path / "debugcon.log").write_text(LOG)
    boot = evidence(
        ending(EndingKind.HANG, "silent"),
        line(
            "fault", 3.0, op="unvalidated-access", access="read", gpa=0x1000, rip=0x7F1475B4, phase="firmware"
        ),
    )
    lines = list(story(boot))
    assert "vCPU 0 at 0x7f1475b3 (AmdSevDxe+0x35b3), instruction pvalidate" in lines
    assert "  called from AmdSevDxe+0x100" in lines
    assert [each for each in lines if "called from" in each] == ["  called from AmdSevDxe+0x100"]
    assert "vCPU 1 at 0xfff0" in lines
    assert any("by firmware at 0x7f1475b4 (AmdSevDxe+0x35b4)" in each for each in lines)
