# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Is this boot over, and how did it end? Pure functions over what was seen."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from harness.boot.phases import Limit, Phase
from harness.evidence.record import Ending, EndingKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.boot.watch import Seen
    from harness.machine.cgroup import Kills
    from harness.machine.qmp import Event

FAULT_EVENT = "SEV_SNP_EMULATED_FAULT"
"""QMP event of the emulation: memory was used in a way that SEV-SNP refuses."""

TERMINATION_EVENT = re.compile(r"SEV.*TERM|SNP.*TERM")
"""Names of QMP events by which a QEMU reports that a guest asked for its termination."""

TERMINATION_LOG = re.compile(
    r"unknown exit reason 24\b|requested termination|SNP guest stopped|SNP.*terminat", re.IGNORECASE
)
"""What QEMU's own output says then. KVM reports such a request as exit reason 24 (KVM_EXIT_SYSTEM_EVENT, type
SEV_TERM), which QEMU 10.0 does not know and stops at."""

_LAUNCH_REFUSED = re.compile(r"SNP_LAUNCH_\w+ ret=|SEV-SNP: .*(?:fail|refus)")
"""What QEMU says when the host's kernel or secure processor refuses a launch, whose last part comes when the
guest is let run: none has run then."""

_NO_PAGE = re.compile(r"error: kvm run failed (?:Cannot allocate memory|Memory page has hardware error)")
"""What QEMU says when the host's kernel has no page to give: guest_memfd takes each at its first use, long
after the launch (KVM_RUN's errors ENOMEM and EHWPOISON, in glibc's words)."""

_REGISTERS = re.compile(r"(?:[A-Z][A-Z0-9]{1,5} ?|Code)=")
"""How lines of a register dump begin: ``EAX=``, ``ES =``, ``Code=``."""

_BY_DEVICE = "dma-"
"""Faults of this kind raise nothing in the guest: its data got lost, and it may go on."""

Pauses = tuple[tuple[float, float], ...]
"""Spans of time, in seconds since the guest was let run, in which the host stood still."""

_NO_OPTION = "the firmware found nothing to boot, and waits for a key"
PROMPTS = (
    (re.compile(r"^(?:Shell|FS\d+:[^>]*)>$"), "the UEFI shell waits for a command"),
    (re.compile(r"^grub(?: rescue)?>$"), "GRUB waits for a command"),
    (re.compile(r"^Press any key to continue\b"), "the loader waits for a key"),
    (re.compile(r"^BdsDxe: (?:No bootable option|Press any key to enter the Boot Manager)"), _NO_OPTION),
    (re.compile(r"Select Language\b|F10=Save|Move Highlight"), "the firmware waits in its setup menu"),
    (re.compile(r"for a command-line\.(?!.*executed automatically)"), "GRUB waits in its menu"),
)
"""Lines at which firmware and loaders wait for a person."""
_COUNTS = re.compile(r"\bin \d+ ?s")
"""A menu that chooses by itself: after its last second the loader may read for long, and say nothing."""
_REBOOT = "Reboot Into Firmware Interface"
_NO_ENTRY = re.compile(rf"^{_REBOOT}[\s─]+Boot in \d+ ?s\b")
"""The menu of a systemd-boot that found nothing to start. It counts, and resets into the firmware's setup."""
PROMPT_SECONDS = 5.0
"""A prompt after which nothing comes for this long is no echo of a command."""
_BEFORE_KERNEL = {Phase.FIRMWARE, Phase.SEC, Phase.PEI, Phase.DXE, Phase.BDS, Phase.LOADER, Phase.STUB}
_KILLED: dict[int, str] = {
    signal.SIGKILL: "the host's OOM killer",
    signal.SIGTERM: "whoever ends processes there",
    signal.SIGXCPU: "its limit of processor time, which no boot within its deadlines reaches",
}
"""Signals that QEMU does not send itself, and whose they usually are."""

_ENDS = {"SHUTDOWN", "RESET", "GUEST_PANICKED", "STOP"}


def ends(event: Event) -> bool:
    """Return whether a QMP event means that the guest does not go on."""
    return event.name in _ENDS or TERMINATION_EVENT.search(event.name) is not None


def judge(
    seen: Seen,
    events: Sequence[Event],
    *,
    returncode: int | None,
    confidential: bool,
    qemu_log: str,
    now: float,
    limits: Mapping[Phase, Limit],
    survives_faults: bool = False,
    pauses: Pauses = (),
    prompts: bool = False,
    kills: Kills | None = None,
) -> Ending | None:
    """Return the outcome, None while the boot may go on.

    What the consoles said comes first: a panic explains the reset that follows it. ``returncode`` is
    QEMU's if it has ended, ``qemu_log`` the end of its output (may be empty while no event `ends` the boot),
    ``confidential`` says whether the guest is, ``now`` is in seconds since it was let run. A guest that
    ``survives_faults`` goes on after it has used a page that it had not validated. ``pauses`` count for no
    limit; ``prompts`` of firmware and loaders are an end, as nobody is there to answer them. ``kills`` is
    what the kernel counts of the cgroup of a QEMU that has ended, None without one.
    """
    if seen.death is not None:
        kind, remark = seen.death.kind, seen.death.remark
        detail = f"{remark.pattern} on {remark.console}: {seen.death.meaning}"
        if fault := _by_fault(events):
            detail += f"; after {fault[1]}"
        return Ending(kind, seen.phase.label, remark.line, detail)
    ending = _by_event(seen, events, confidential=confidential, qemu_log=qemu_log)
    if ending is None and not survives_faults:
        ending = _by_fault(events)
    elif ending is not None and ending[0] is EndingKind.RESET and (fault := _by_fault(events)):
        ending = fault[0], f"{fault[1]}; then {ending[1]}"  # a triple fault resets the machine
    if ending is None and returncode is not None:
        ending = _by_exit(returncode, qemu_log, kills)
    if ending is None and prompts:
        ending = _by_prompt(seen, now)
    if ending is None:
        ending = _by_limit(seen, now, limits, pauses)
    return Ending(ending[0], seen.phase.label, seen.last_line, ending[1]) if ending else None


def never_started(returncode: int | None, qemu_log: str) -> Ending:
    """Return the outcome of a QEMU that ended before its guest could run; ``qemu_log`` is its output."""
    detail = f"QEMU ended with exit code {returncode}{_said(qemu_log)}"
    return Ending(EndingKind.QEMU_EXIT, Phase.LAUNCH.label, "", detail)


def next_look(seen: Seen, limits: Mapping[Phase, Limit], pauses: Pauses = ()) -> float:
    """Return the time at which the boot is a hang, unless something happens before.

    ``pauses`` do not count.
    """
    limit, began = limits[seen.phase], seen.marks[-1].t
    quiet = max(seen.last_byte, began)
    silence = quiet + limit.silence + lost(pauses, quiet)
    return min(began + limit.deadline + lost(pauses, began), silence)


def lost(pauses: Pauses, since: float) -> float:
    """Return how many seconds after ``since`` the host stood still."""
    return sum(end - max(start, since) for start, end in pauses if end > since)


def _by_limit(
    seen: Seen, now: float, limits: Mapping[Phase, Limit], pauses: Pauses
) -> tuple[EndingKind, str] | None:
    if now < next_look(seen, limits, pauses):
        return None
    limit, phase, began = limits[seen.phase], seen.phase.label, seen.marks[-1].t
    if now >= began + limit.deadline + lost(pauses, began):
        return EndingKind.HANG, f"phase {phase} lasted longer than {round(limit.deadline, 1):g} s"
    return EndingKind.HANG, f"no console byte for {round(limit.silence, 1):g} s"


def _by_prompt(seen: Seen, now: float) -> tuple[EndingKind, str] | None:
    if seen.phase not in _BEFORE_KERNEL:
        return None
    silent = now >= seen.last_byte + PROMPT_SECONDS
    meaning = next((told for pattern, told in PROMPTS if silent and pattern.search(seen.last_line)), "")
    if _NO_ENTRY.search(seen.last_line):
        meaning = "systemd-boot found no entry to start"
    elif silent and not meaning and seen.chosen and not _COUNTS.search(seen.last_line):
        who = "systemd-boot" if _REBOOT in seen.last_line else "the loader"
        meaning = f'{who} waits in its menu, at the entry "{seen.chosen}"'
    if not meaning:
        return None
    return EndingKind.GAVE_UP, meaning + (f", after: {seen.status}" if seen.status else "")


def _by_exit(returncode: int, qemu_log: str, kills: Kills | None) -> tuple[EndingKind, str]:
    if returncode == -signal.SIGKILL and kills is not None:
        return _by_kill(kills)
    if (who := _KILLED.get(-returncode)) is not None:
        name = signal.Signals(-returncode).name
        return EndingKind.HOST, f"QEMU was killed ({name}), as by {who}{_said(qemu_log)}"
    if refused := next(filter(_LAUNCH_REFUSED.search, qemu_log.splitlines()), None):
        return EndingKind.HOST, f"the host refused the guest's launch; QEMU said: {refused}"
    kind = EndingKind.TERMINATED if TERMINATION_LOG.search(qemu_log) else EndingKind.QEMU_EXIT
    return kind, f"QEMU ended with exit code {returncode}{_said(qemu_log)}"


def _by_kill(kills: Kills) -> tuple[EndingKind, str]:
    """Return whose doing it is that QEMU was killed, by what the kernel counts.

    No boot reaches QEMU's own limit: where one does, guest or QEMU took the memory, and the host had it.
    """
    if not kills.killed:
        return EndingKind.HOST, "QEMU was killed (SIGKILL), not for memory: as by a person or a program"
    if not kills.own:
        return EndingKind.HOST, "QEMU was killed: the host, or a cgroup above QEMU's own, had no memory left"
    limit = f"its memory limit of {kills.limit >> 20} MiB"
    return EndingKind.QEMU_EXIT, f"QEMU was killed: it reached {limit}, which no boot comes near"


def _by_event(
    seen: Seen, events: Sequence[Event], *, confidential: bool, qemu_log: str
) -> tuple[EndingKind, str] | None:
    event = next((event for event in events if ends(event)), None)
    if event is None:
        return None
    reason = str(event.data.get("reason", ""))
    detail = f"QMP event {event.name}" + (f", reason {reason}" if reason else "")
    if reason == "guest-shutdown":
        done = seen.phase is Phase.DONE
        return (EndingKind.COMPLETED if done else EndingKind.POWERED_OFF_EARLY), detail
    if event.name == "RESET" or reason in {"guest-reset", "subsystem-reset"}:
        return EndingKind.RESET, detail
    if event.name == "GUEST_PANICKED" or reason == "guest-panic":
        return (EndingKind.TERMINATED if confidential else EndingKind.GUEST_PANIC), detail + _said(qemu_log)
    if TERMINATION_EVENT.search(event.name) or TERMINATION_LOG.search(qemu_log):
        said = f"{detail} {dict(event.data) or ''}".rstrip() + _said(qemu_log)
        return EndingKind.TERMINATED, _termination(event) if "reason-set" in event.data else said
    return _by_stop(detail, qemu_log)


def _by_stop(detail: str, qemu_log: str) -> tuple[EndingKind, str]:
    if found := _NO_PAGE.search(qemu_log):
        return EndingKind.HOST, f"the host had no memory for a page of the guest; QEMU said: {found[0]}"
    return EndingKind.QEMU_EXIT, f"{detail}: QEMU stopped the machine" + _said(qemu_log)


def _termination(event: Event) -> str:
    """Return who ended the guest and why; a negative reason set means that the guest did not ask for it."""
    data = {key: int(str(event.data.get(key, 0))) for key in ("reason-set", "reason-code", "rip")}
    who = f"by {event.data.get('phase')} at {data['rip']:#x}, vCPU {event.data.get('vcpu')}"
    if data["reason-set"] < 0:
        return f"the emulation ended the guest: {event.data.get('text')}; {who}"
    reason = f"{data['reason-set']:#x}:{data['reason-code']:#x} {event.data.get('text')}"
    return f"the guest asked to be terminated: {reason}; {who}"


def _by_fault(events: Sequence[Event]) -> tuple[EndingKind, str] | None:
    """Return the end of a guest that got a #VC it cannot survive, but has not ended yet."""
    faults = (event.data for event in events if event.name == FAULT_EVENT)
    data = next((data for data in faults if not str(data.get("operation")).startswith(_BY_DEVICE)), None)
    if data is None:
        return None
    gpa, rip = (hex(int(str(data.get(key, 0)))) for key in ("gpa", "rip"))
    what = f"{data.get('operation')}: {data.get('access')} of {gpa} by {data.get('phase')} at {rip}"
    return EndingKind.UNVALIDATED_ACCESS, f"{what}, vCPU {data.get('vcpu')}"


def _said(qemu_log: str) -> str:
    """Return QEMU's last words, without warnings and the registers that it shows behind an error of KVM's."""
    lines = [
        line
        for line in qemu_log.splitlines()
        if line and ": warning: " not in line and not _REGISTERS.match(line)
    ]
    return f"; QEMU said: {lines[-1]}" if lines else ""
