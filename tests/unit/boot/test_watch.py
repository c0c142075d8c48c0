# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What console bytes mean: phases, death, remarks, and the verdict on a boot."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from harness.boot.ending import judge, next_look
from harness.boot.phases import Limit, Phase, deadlines, phase_named, phase_of
from harness.boot.watch import MOST_OF_ONE, MOST_REMARKS, MOST_REPEATS, Seen, Watch
from harness.evidence.record import DOCUMENT_BEGIN, DOCUMENT_END, Ending, EndingKind, PhaseMark
from harness.machine.qmp import Event
from tests.support.data import DATA

LIMITS = dict.fromkeys(Phase, Limit(deadline=100.0, silence=10.0))
BOOT = (
    "\x1b[2J\x1b[01;01H\x1b[=3h\x1b[2JEFI stub: Loaded initrd from LINUX_EFI_INITRD_MEDIA_GUID\r\n"
    "[    0.000000] Linux version 6.12.117+deb13-amd64 (debian-kernel@lists.debian.org)\r\n"
    "[    0.310000] Memory: 7994152K/8388084K available (18432K kernel code, 3388K rwdata)\r\n"
    "[    1.204134] Run /init as init process\r\n"
    f"{DOCUMENT_BEGIN}\r\n{{}}\r\n{DOCUMENT_END}\r\n"
)


def verdict_on(seen: Seen, *events: Event, **changes: Any) -> Ending | None:
    arguments: dict[str, Any] = {
        "returncode": None,
        "confidential": False,
        "qemu_log": "",
        "now": 1.0,
        "limits": LIMITS,
    } | changes
    return judge(seen, events, **arguments)


def outcome(seen: Seen, *events: Event, **changes: Any) -> Ending:
    found = verdict_on(seen, *events, **changes)
    assert found is not None
    return found


def shutdown(reason: str) -> Event:
    return Event(1.0, "SHUTDOWN", {"guest": True, "reason": reason})


@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_phases_in_order_however_the_bytes_come(piece: int) -> None:
    watch = Watch()
    data = BOOT.encode()
    for start in range(0, len(data), piece):
        watch.feed("serial", data[start : start + piece], float(start))
    seen = watch.seen()
    assert [mark.name for mark in seen.marks] == [
        "launch",
        "bds",
        "stub",
        "early-kernel",
        "kernel",
        "init",
        "done",
    ]
    assert [mark.t for mark in seen.marks] == sorted(mark.t for mark in seen.marks)
    assert seen.phase is Phase.DONE
    assert seen.last_line == DOCUMENT_END
    assert seen.death is None


@pytest.mark.parametrize(
    ("line", "phase"),
    [
        ('BdsDxe: starting Boot0001 "UEFI Misc Device"', Phase.LOADER),
        ("EFI stub: Using DTB", Phase.STUB),
        ("Decompressing Linux... Parsing ELF... done.", Phase.DECOMPRESSOR),
        ("[    0.000000] Linux version 5.10.0-30-amd64", Phase.EARLY_KERNEL),
        ("[    0.310000] Memory: 7994152K/8388084K available (18432K kernel code", Phase.KERNEL),
        ("[    2.0] Run /sbin/init as init process", Phase.INIT),
        (DOCUMENT_BEGIN, Phase.INIT),
        (DOCUMENT_END, Phase.DONE),
        (f"echo {DOCUMENT_END}", None),
        ("BdsDxe: loading Boot0001", None),
    ],
)
def test_phase_of_a_line(line: str, phase: Phase | None) -> None:
    assert phase_of(line) is phase


def test_a_phase_is_never_left_backwards() -> None:
    watch = Watch()
    watch.feed("serial", b"Linux version 6\nEFI stub: quoted\n", 1.0)
    assert watch.seen().phase is Phase.EARLY_KERNEL


DEBUG = (
    (0.004, b"SecCoreStartupWithStack(0xFFFCC000, 0x820000)\r"),
    (0.005, b"\nSEC: Normal boot\r\n"),
    (0.59, b"Register PPI Notify: DCD0BE23-9586-40F4-B643-06522CED4EDE\r\nLoading PEIM 9B3ADA4F\r\n"),
    (0.69, b"DXE IPL Entry\r\nLoading DXE CORE at 0x0007FB90000 EntryPoint=0x0007FBA8DC7\r\n"),
    (2.1, b"[Bds] Entry...\r\n"),
    (2.2, b"Loading PEIM again, Linux version 6\r\n"),
)


@pytest.mark.parametrize("console", ["debugcon", "serial"])
def test_firmware_that_logs_shows_its_phases_on_either_console(console: str) -> None:
    watch = Watch()
    for t, data in DEBUG:
        watch.feed(console, data, t)
    assert watch.seen().marks[1:5] == (
        PhaseMark("sec", 0.004),
        PhaseMark("pei", 0.59),
        PhaseMark("dxe", 0.69),
        PhaseMark("bds", 2.1),
    )
    assert len(watch.seen().marks) == (5 if console == "debugcon" else 6)


def test_bytes_that_show_no_phase_are_the_firmwares() -> None:
    watch = Watch()
    watch.feed("debugcon", b"OURS: hello\n\x1b[2J", 0.5)
    assert watch.seen().marks[1:] == (PhaseMark("firmware", 0.5),)
    watch.feed("serial", b"\x1b[2J", 0.6)
    assert watch.seen().phase is Phase.FIRMWARE


def test_phases_by_their_names() -> None:
    assert [phase_named(phase.label) for phase in Phase] == list(Phase)
    assert phase_named("userspace") is Phase.INIT  # in records of before
    with pytest.raises(ValueError, match="no phase of a boot: 'cellar'"):
        phase_named("cellar")


@pytest.mark.parametrize(
    ("line", "name", "kind"),
    [
        ("[ 1.0] Kernel panic - not syncing: VFS: Unable to mount root fs", "panic-no-root", "guest-panic"),
        ("PANIC: Unsupported exit-code 0x404 in early #VC exception (IP:", "early-vc-404", "guest-panic"),
        ("PANIC: early exception 0x1d IP 10:ffff error 404 cr2 0x0", "early-exception", "guest-panic"),
        ("EFI stub: ERROR: exit_boot() failed!", "stub-exit-boot", "guest-panic"),
        ("EFI stub: ERROR: Failed to load initrd: 0x8000000000000009", "stub-initrd", "guest-panic"),
        ("EFI stub: ERROR: efi_main() failed!", "stub-failed", "guest-panic"),
        ("EFI stub: ERROR: efi_stub_entry() failed!", "stub-failed", "guest-panic"),
        ("ASSERT_EFI_ERROR (Status = Not Found)", "firmware-assert", "firmware-assert"),
        ("ASSERT /edk2/CcExitLib.c(40): ExitInfo.Lower32Bits == 0", "assert-ghcb", "firmware-assert"),
        ("ASSERT [DxeCore] /edk2/Page.c(123): Entry != NULL", "firmware-assert", "firmware-assert"),
        ("!!!! X64 Exception Type - 0E(#PF)  CPU !!!!", "firmware-exception", "firmware-exception"),
        ("Failed to Validate address 0x100000000 Error code 255", "pvalidate-unchanged", "terminated"),
        ("Error: out of memory\n\n -- System halted", "decompressor-halt", "guest-panic"),
    ],
)  # fmt: skip
def test_death_is_seen_on_each_console(line: str, name: str, kind: str) -> None:
    for console in ("serial", "debugcon"):
        watch = Watch()
        watch.feed(console, f"before\n{line}\nafter\n".encode(), 2.0)
        seen = watch.seen()
        assert seen.death is not None
        assert (seen.death.remark.pattern, seen.death.remark.console) == (name, console)
        verdict = outcome(seen, shutdown("guest-reset"))  # what follows a panic does not hide it
        assert verdict.kind == kind
        assert verdict.last_line == line.splitlines()[-1].strip()


def test_suspicious_lines_are_remarks_only() -> None:
    watch = Watch()
    watch.feed("serial", b"watchdog: BUG: soft lockup - CPU#0 stuck for 26s!\n" * (MOST_REMARKS + 9), 3.0)
    seen = watch.seen()
    assert seen.death is None
    assert len(seen.remarks) == MOST_OF_ONE
    assert seen.remarks[0].pattern == "soft-lockup"
    assert verdict_on(seen) is None


def test_the_document_may_quote_what_would_be_death_outside() -> None:
    quoted = f'{DOCUMENT_BEGIN}\n"dmesg": "[ 0.1] Kernel panic - not syncing, ASSERT [x], Linux version 6"\n'
    watch = Watch()
    watch.feed("serial", quoted.encode(), 1.0)
    assert watch.seen().death is None
    watch.feed("serial", b"[    9.123456] Kernel panic - not syncing: Attempted to kill init!\n", 2.0)
    death = watch.seen().death
    assert death is not None
    assert death.remark.pattern == "panic-init"


def test_bad_bytes_and_endless_lines_are_lines_too() -> None:
    watch = Watch()
    watch.feed("serial", b"\xff\xfe" * 100_000 + b"\nKernel panic \xff\nKernel panic - not syncing\n", 1.0)
    assert watch.seen().death is not None


def test_an_endless_loop_is_a_hang_that_nobody_waits_for() -> None:
    again = b"\r\nTrying to terminate EFI services again\r\n"
    watch = Watch()
    watch.feed("serial", again * (MOST_REPEATS - 1) + b"something else\r\n" + again * (MOST_REPEATS - 1), 1.0)
    assert watch.seen().death is None
    watch.feed("serial", again, 2.0)
    found = outcome(watch.seen())
    assert (found.kind, "endless loop" in found.detail) == (EndingKind.HANG, True)


def test_the_last_line_may_be_unfinished() -> None:
    watch = Watch()
    watch.feed("serial", b"whole\r\n\x1b[0mhalf", 1.0)
    assert watch.seen().last_line == "half"


def test_a_panic_names_the_fault_that_led_to_it() -> None:
    watch = Watch()
    watch.feed("serial", b"PANIC: Unsupported exit-code 0x404 in early #VC exception\n", 1.0)
    verdict = outcome(watch.seen(), Event(1.0, "SEV_SNP_EMULATED_FAULT", FAULT))
    assert verdict.kind is EndingKind.GUEST_PANIC
    assert "after unvalidated-access: read of 0xc0000 by kernel" in verdict.detail


DONE = Seen(phase=Phase.DONE, marks=(PhaseMark("done", 0.5),), last_byte=0.5)
KERNEL = Seen(phase=Phase.KERNEL, marks=(PhaseMark("kernel", 0.5),), last_byte=0.5)
FAULT = {
    "operation": "unvalidated-access",
    "access": "read",
    "gpa": 0xC0000,
    "vcpu": 0,
    "rip": 0xFFFFFFFF81000000,
    "phase": "kernel",
}


@pytest.mark.parametrize(
    ("seen", "confidential", "event", "kind"),
    [
        (DONE, True, shutdown("guest-shutdown"), "completed"),
        (KERNEL, True, shutdown("guest-shutdown"), "powered-off-early"),
        (DONE, True, shutdown("guest-reset"), "reset"),
        (KERNEL, True, shutdown("guest-reset"), "reset"),
        (KERNEL, True, Event(1.0, "RESET", {"guest": True, "reason": "guest-reset"}), "reset"),
        (KERNEL, False, shutdown("guest-panic"), "guest-panic"),
        (KERNEL, True, shutdown("guest-panic"), "terminated"),
        (KERNEL, True, Event(1.0, "GUEST_PANICKED", {"action": "pause"}), "terminated"),
        (KERNEL, False, Event(1.0, "GUEST_PANICKED", {"action": "pause"}), "guest-panic"),
        (KERNEL, True, Event(1.0, "SEV_SNP_TERMINATION", {"code": 2}), "terminated"),
        (KERNEL, True, Event(1.0, "SEV_SNP_EMULATED_FAULT", FAULT), "unvalidated-access"),
        (KERNEL, True, shutdown("host-signal"), "qemu-exit"),
        (KERNEL, False, Event(1.0, "STOP", {}), "qemu-exit"),
        (KERNEL, True, Event(1.0, "RTC_CHANGE", {}), None),
        (KERNEL, True, Event(1.0, "RESUME", {}), None),
    ],
)
def test_events(seen: Seen, confidential: bool, event: Event, kind: str | None) -> None:
    verdict = verdict_on(seen, event, confidential=confidential)
    assert (verdict.kind.value if verdict else None) == kind


def test_a_fault_explains_the_triple_fault_that_follows() -> None:
    fault = Event(0.9, "SEV_SNP_EMULATED_FAULT", FAULT)
    verdict = outcome(KERNEL, fault, shutdown("guest-reset"))
    assert verdict.kind is EndingKind.UNVALIDATED_ACCESS
    assert verdict.detail.endswith("then QMP event SHUTDOWN, reason guest-reset")


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ((1, 2, "PVALIDATE failed"), "the guest asked to be terminated: 0x1:0x2 PVALIDATE failed; by kernel"),
        ((-1, -1, "page 0x5000 was validated twice"), "the emulation ended the guest: page 0x5000 was"),
    ],
)
def test_a_termination_says_who_ended_the_guest_and_why(reason: tuple[int, int, str], said: str) -> None:
    where = {"vcpu": 0, "rip": 0xFFFFFFFF81000000, "phase": "kernel"}
    data = dict(zip(("reason-set", "reason-code", "text"), reason, strict=True)) | where
    verdict = outcome(
        KERNEL, Event(0.9, "SEV_SNP_EMULATED_TERMINATION", data), shutdown("guest-panic"), confidential=True
    )
    assert verdict.kind is EndingKind.TERMINATED
    assert verdict.detail.startswith(said)
    assert verdict.detail.endswith("at 0xffffffff81000000, vCPU 0")


def test_kvm_stops_at_a_termination_request() -> None:
    verdict = outcome(
        KERNEL, Event(1.0, "STOP", {}), confidential=True, qemu_log="KVM: unknown exit reason 24\n"
    )
    assert verdict.kind is EndingKind.TERMINATED
    assert "unknown exit reason 24" in verdict.detail


@pytest.mark.parametrize(
    ("file", "first"),
    [("qemu-cpuid", "SNP_LAUNCH_UPDATE ret=-5 fw_error=22"), ("qemu-policy", "SNP_LAUNCH_START ret=-22")],
)
def test_a_launch_that_is_refused_once_the_guest_is_let_run_is_the_hosts_doing(file: str, first: str) -> None:
    """QEMU finishes an SNP launch with ``cont``: what it says then is of no guest."""
    said = yaml.safe_load((DATA / f"transcripts/{file}.yaml").read_text())["text"]
    verdict = outcome(Seen(), returncode=1, qemu_log=f"qemu: warning: x\n{said}")
    assert verdict.kind is EndingKind.HOST
    assert verdict.detail.startswith("the host refused the guest's launch; QEMU said: qemu-system-x86_64: ")
    assert first in verdict.detail


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("Cannot allocate memory", EndingKind.HOST),
        ("Memory page has hardware error", EndingKind.HOST),
        ("Invalid argument", EndingKind.QEMU_EXIT),
    ],
)
def test_a_page_that_the_host_has_not_is_the_hosts_doing(error: str, kind: EndingKind) -> None:
    log = f"qemu: warning: x\nerror: kvm run failed {error}\nEAX=00000000 EBX=00000000\n"
    verdict = outcome(KERNEL, Event(1.0, "STOP", {}), confidential=True, qemu_log=log)
    assert verdict.kind is kind
    assert verdict.detail.endswith(f"; QEMU said: error: kvm run failed {error}")


def test_kvm_ends_a_guest_that_uses_a_device_with_the_c_bit() -> None:
    """QEMU's sentence comes before the registers, not last (AMDSEV issue 236)."""
    said = "qemu: Convert non guest_memfd backed memory region (0xfee00000 ,+ 0x1000) to private"
    registers = "EAX=00000000 EBX=00000000\nES =0000 00000000 0000ffff 00009300\nDR6=00000000ffff0ff0 DR7=0\n"
    log = f"{said}\n{registers}EFER=0000000000000000\nCode=00 00 <ea> 5b e0\n"
    verdict = outcome(Seen(), Event(1.0, "STOP", {}), confidential=True, qemu_log=log)
    assert verdict.kind is EndingKind.QEMU_EXIT
    assert verdict.detail.endswith(f"; QEMU said: {said}")


def test_exit() -> None:
    log = "qemu: warning: TCG doesn't support x\nqemu: fatal: out of memory\nqemu: warning: y\n"
    verdict = outcome(KERNEL, returncode=-6, qemu_log=log)
    assert verdict.kind is EndingKind.QEMU_EXIT
    assert verdict.detail == "QEMU ended with exit code -6; QEMU said: qemu: fatal: out of memory"
    assert outcome(KERNEL, returncode=1, qemu_log="guest requested termination").kind is EndingKind.TERMINATED


def test_silence_and_deadline() -> None:
    assert verdict_on(KERNEL, now=10.4) is None
    silent = outcome(KERNEL, now=10.5)
    assert (silent.kind, silent.phase) == (EndingKind.HANG, "kernel")
    assert silent.detail == "no console byte for 10 s"
    chatty = Seen(phase=Phase.KERNEL, marks=(PhaseMark("kernel", 0.5),), last_byte=100.0)
    assert next_look(chatty, LIMITS) == 100.5
    assert verdict_on(chatty, now=100.4) is None
    assert outcome(chatty, now=100.5).detail == "phase kernel lasted longer than 100 s"


def test_deadlines_scale() -> None:
    small, large = deadlines("tcg", 2048), deadlines("tcg,thread=multi", 65536)
    kvm, slow = deadlines("kvm", 2048), deadlines("tcg", 2048, factor=3)
    for phase in Phase:
        assert small[phase].silence <= small[phase].deadline
        assert small[phase].deadline < large[phase].deadline
        assert kvm[phase].deadline < small[phase].deadline
        assert slow[phase].silence == pytest.approx(3 * small[phase].silence)
