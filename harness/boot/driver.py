# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Boot one cell and leave a record of it."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform as host_platform
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.boot.by_ledger import with_ledger, with_registers
from harness.boot.ending import ends, judge
from harness.boot.interrogation import interrogate
from harness.boot.lives import Story, is_relaunched
from harness.boot.phases import DONE, Limit, Phase, limits_of, processor_seconds
from harness.boot.talk import Conversation, Talk, let_run
from harness.boot.waiting.guest_clock import by_clock
from harness.boot.waiting.patience import EVERY, Patience
from harness.boot.waiting.room import Room, shorten
from harness.boot.watch import Watch
from harness.errors import HarnessError
from harness.evidence.exception_dump import exception_dump
from harness.evidence.record import (
    INDEX,
    REGISTERS,
    BootRecord,
    ConsoleSize,
    Ending,
    EndingKind,
    Input,
    guest_document,
    stored_files,
)
from harness.evidence.symbols.modules import stored_images
from harness.formats.json_text import write_json
from harness.machine.argv import ByHand, argv, shell_script
from harness.machine.kernel_trace import kernel_trace
from harness.machine.machine import Machine
from harness.machine.overlay import on_overlays
from harness.machine.process import read_tail
from harness.paths import cache_dir
from harness.platforms.registry import platform_named
from harness.store.packing import holds_file
from harness.store.vouching import vouch

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

    from harness.boot.ending import Pauses
    from harness.boot.talk import Attendant
    from harness.evidence.signatures.signatures import Signatures
    from harness.machine.spec import MachineSpec

QUIET_SECONDS = 0.3
"""A dead guest's last words (a backtrace, a register dump) are over after this much silence ..."""
DYING = frozenset(
    {
        EndingKind.GUEST_PANIC,
        EndingKind.FIRMWARE_ASSERT,
        EndingKind.FIRMWARE_EXCEPTION,
        EndingKind.UNVALIDATED_ACCESS,
        EndingKind.UNREACHABLE,
    }
)
"""Ends at which the guest still runs and may explain itself."""
LAST_WORDS_SECONDS = 3.0
"""... or after this long at the latest."""


def boot(
    spec: MachineSpec,
    record_dir: Path,
    *,
    cell_id: str,
    platform: str,
    deadlines: Mapping[Phase, Limit] | None = None,
    inputs: Mapping[str, Path | str] | None = None,
    done: re.Pattern[str] = DONE,
    survives_faults: bool = False,
    resets: bool = False,
    talk: Talk | None = None,
    attendant: Attendant | None = None,
    signatures: Signatures | None = None,
) -> BootRecord:
    """Run a machine until its boot is over and store everything in ``record_dir``, which must be new.

    ``inputs`` are recorded with digests, beside the files that the spec names. ``done`` is the serial line
    after which a power-off completes the boot. ``survives_faults``: the guest handles the #VC for a page that
    is not validated, so that this is no end. ``resets``: the guest resets itself; where QEMU then launches
    it anew, the next reset ends it. ``talk`` runs beside the boot, which ends when it fails;
    ``attendant`` is a person who is there. ``signatures`` say what lines mean (None: the shipped ones). Raise
    ``LaunchError`` when QEMU does not come up and ``HarnessError`` for files that are missing or damaged.
    However a boot ends, it is an outcome in the record.
    """
    record_dir = record_dir.absolute()
    ingredients = ingredients_of(spec, inputs or {})
    _make(record_dir, spec, cell_id)
    started, begin = datetime.now(UTC), time.monotonic()
    watch = Watch(done, signatures)
    own = replace(spec, drives=on_overlays(spec.drives, record_dir))
    with Machine(own, record_dir) as machine, kernel_trace(spec, machine.pid, record_dir):
        for name in machine.consoles:
            machine.watch(name, partial(watch.feed, name))
        conversation = Conversation(talk, machine)
        version = _version(machine)
        launched = time.monotonic()
        limits = deadlines if deadlines is not None else _limits(spec, platform)
        let_run(machine, attendant, processor_seconds(limits))
        conversation.start()
        digests = _digests(ingredients)  # while the guest runs
        story = Story(machine, watch, lives=2 if resets and is_relaunched(spec, machine.qmp) else 1)
        outcome, ended = _end(story, limits, conversation, attendant, survives_faults=survives_faults)
        command, consoles = machine.command, machine.consoles
    conversation.finish()
    seen = watch.seen()
    phases = with_ledger(story.first_marks or seen.marks, record_dir / "ledger.jsonl")
    record = BootRecord(
        path=record_dir,
        cell=cell_id,
        platform=platform,
        ending=outcome if story.begun else replace(outcome, phase=phases[-1].name),
        phases=phases,
        remarks=seen.remarks,
        spec=asdict(spec),
        argv=command,
        inputs=digests,
        host=_host(machine.memory_limit),
        qemu_version=version,
        harness_version=_harness_version(),
        started=started.isoformat(timespec="milliseconds"),
        durations=_durations(begin, launched, ended),
        consoles={name: ConsoleSize(console.total, console.dropped) for name, console in consoles.items()},
        lives=tuple(story.begun),
    )
    _finish(record)
    return BootRecord.load(record_dir)


def refuse_used(record_dir: Path) -> None:
    """Raise HarnessError for a folder that a boot has used: two never mix."""
    if holds_file(record_dir / INDEX) or (record_dir / "serial.log").exists():
        raise HarnessError(f"{record_dir}: already holds a boot", "give each boot a folder of its own")


def _make(record_dir: Path, spec: MachineSpec, cell_id: str) -> None:
    """Make the record's folder, with the command for a person in it."""
    refuse_used(record_dir)
    record_dir.mkdir(parents=True, exist_ok=True)
    _write_script(spec, record_dir, cell_id)


def _durations(begin: float, launched: float, ended: float) -> dict[str, float]:
    """Return the seconds of a boot that is over; ``ended`` counts from when the guest was let run."""
    total = time.monotonic() - begin
    return {"launch": round(launched - begin, 4), "boot": round(ended, 4), "total": round(total, 4)}


def _limits(spec: MachineSpec, platform: str) -> dict[Phase, Limit]:
    return limits_of(spec, platform_named(platform).deadline_factor)


def _end(
    story: Story,
    limits: Mapping[Phase, Limit],
    conversation: Conversation,
    attendant: Attendant | None,
    *,
    survives_faults: bool,
) -> tuple[Ending, float]:
    """Follow the boot; return how it ended and when, once nobody needs the machine any more."""
    machine = story.machine
    if attendant is not None:
        attendant.listen()
    while True:
        outcome = _follow(story, limits, conversation, attendant, survives_faults=survives_faults)
        if outcome.kind is not EndingKind.RESET or not story.goes_on():
            break
    ended = machine.clock()
    outcome = by_clock(story.watch.seen(), outcome)
    if outcome.kind is not EndingKind.HOST:
        interrogate(machine, outcome)
    if attendant is not None:
        attendant.stay(machine, outcome)
    return outcome, ended


def _follow(
    story: Story,
    limits: Mapping[Phase, Limit],
    conversation: Conversation,
    attendant: Attendant | None,
    *,
    survives_faults: bool,
) -> Ending:
    """Wait for a life's end; each wait is also a race against death, silence and the phase's deadline."""
    machine, watch = story.machine, story.watch
    typed = attendant is not None and attendant.types
    prompts = not conversation.types and not typed
    patience, room = Patience(machine, limits, looks=not typed), Room(machine)

    def look() -> Ending | None:
        failure = conversation.failure
        if (full := room.look(watch)) is not None:
            return full
        if attendant is None and (stopped := patience.look(watch.seen())) is not None:
            return stopped
        outcome = ending_of(
            machine,
            watch,
            limits,
            survives_faults=survives_faults,
            attended=attendant is not None,
            since=story.since,
            pauses=patience.pauses,
            prompts=prompts,
        )
        seen = watch.seen()
        if outcome is None and failure:
            return Ending(EndingKind.UNREACHABLE, seen.phase.label, seen.last_line, failure)
        return outcome

    outcome = None
    while outcome is None:
        # Each word of the guest begins another silence, which may be over sooner.
        outcome = machine.wait(look, min(patience.until(watch.seen()), machine.clock() + EVERY))
        if outcome is None:
            outcome = patience.at_look(watch.seen())
        elif outcome.kind is EndingKind.HANG and watch.seen().death is None:
            outcome = patience.at_limit(watch.seen(), outcome)
    if outcome.kind in DYING:
        told = machine.clock()

        def quiet() -> bool | None:
            return machine.clock() >= max(told, watch.seen().last_byte) + QUIET_SECONDS or None

        machine.wait(quiet, machine.clock() + LAST_WORDS_SECONDS)
        # A kernel that names its own death says more than the first sign of it.
        outcome = look() or outcome
    return outcome


def ending_of(
    machine: Machine,
    watch: Watch,
    limits: Mapping[Phase, Limit],
    *,
    survives_faults: bool = False,
    attended: bool = False,
    since: int = 0,
    pauses: Pauses = (),
    prompts: bool = False,
) -> Ending | None:
    """Return how a running machine's guest has ended, None while it may go on.

    Events before the one of number ``since`` are of the guest's earlier lives.

    The machine's consoles feed ``watch``. `judge` says what ``limits`` and what follows mean; where
    somebody is there, a guest that is merely stopped has not ended.
    """
    returncode, events = machine.ended, machine.events[since:]
    if attended:
        events = tuple(event for event in events if event.name != "STOP")
    over = returncode is not None or any(ends(event) for event in events)
    return judge(
        watch.seen(),
        events,
        returncode=returncode,
        confidential=machine.spec.confidential is not None,
        qemu_log=read_tail(machine.rundir / "qemu.log") if over else "",
        now=machine.clock(),
        limits=limits,
        survives_faults=survives_faults,
        pauses=pauses,
        prompts=prompts,
        kills=machine.kills,
    )


def _finish(record: BootRecord) -> None:
    if record.ending.phase == record.phases[-1].name:  # else a later life of the guest has ended
        registers = record.bytes_of(REGISTERS).decode(errors="replace")
        ended = record.durations.get("boot", 0.0)
        phases = with_registers(record.phases, registers, stored_images(record), ended)
        record = replace(record, phases=phases, ending=replace(record.ending, phase=phases[-1].name))
    document, trouble = guest_document(record.serial_text)
    details = [record.ending.detail]
    if document is not None:
        write_json(record.path / "guest.json", document)
    elif record.ending.kind is EndingKind.COMPLETED:
        details.append(trouble)
    if record.ending.kind in {EndingKind.FIRMWARE_ASSERT, EndingKind.FIRMWARE_EXCEPTION}:
        dump = exception_dump(record.serial_text) or exception_dump(record.debugcon_text)
        details += [str(dump)] if dump else []
    details += record.left_out
    details += shorten(record.path) if record.ending.kind is EndingKind.RECORD_FULL else []
    ending = replace(record.ending, detail="; ".join(details))
    replace(record, ending=ending, files=stored_files(record.path)).write_index()


def _write_script(spec: MachineSpec, record_dir: Path, cell_id: str) -> None:
    """Write the by-hand command; files that QEMU would write into the record become relative."""
    if (own := spec.confidential) is not None:
        mine = f"{record_dir}/"
        properties = tuple((key, value.removeprefix(mine)) for key, value in own.properties)
        spec = replace(spec, confidential=replace(own, properties=properties))
    notes = (
        cell_id,
        "The machine of this record with its serial console on the terminal (Ctrl-A X ends QEMU, Ctrl-A C is",
        "the monitor) and its debug console in debugcon.log. The command as the harness started it, with the",
        f'channels that it kept for itself, is "argv" in {INDEX}.',
    )
    script = record_dir / "command.sh"
    script.write_text(shell_script(argv(spec, ByHand()), cache_dir(), notes))
    script.chmod(0o755)


def ingredients_of(
    spec: MachineSpec, inputs: Mapping[str, Path | str] = MappingProxyType({})
) -> dict[str, Path | str]:
    """Return what a boot's record has digests of, by name; HarnessError for a file that is not there."""
    own = {"qemu": spec.qemu, "firmware": spec.firmware, "kernel": spec.kernel, "initrd": spec.initrd}
    every: dict[str, Path | str] = {name: path for name, path in own.items() if path is not None}
    every |= {f"drive{number}": drive.path for number, drive in enumerate(spec.drives)}
    every |= inputs
    for name, value in every.items():
        if isinstance(value, Path) and not value.is_file():
            raise HarnessError(f"{name}: no such file: {value}")
    return every


def _digests(ingredients: Mapping[str, Path | str]) -> dict[str, Input]:
    """Return what the record says of each; HostError for a file of the store that is not what was made."""
    digests = {name: digest_of(value) for name, value in ingredients.items()}
    for name, value in ingredients.items():
        if isinstance(value, Path):
            vouch(value, digests[name].sha256)
    return digests


def digest_of(value: Path | str) -> Input:
    """Return an ingredient, a file or a text, with its size and SHA-256; a file's is remembered."""
    if isinstance(value, str):
        data = value.encode()
        return Input(sha256=hashlib.sha256(data).hexdigest(), size=len(data), text=value)
    info = value.stat()
    digest = _file_digest(value, info.st_ino, info.st_size, info.st_mtime_ns)
    return Input(sha256=digest, size=info.st_size, path=str(value))


@lru_cache(maxsize=256)
def _file_digest(path: Path, _inode: int, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(machine: Machine) -> str:
    answer = machine.qmp.execute("query-version")
    if not isinstance(answer, dict):
        return ""
    numbers = answer.get("qemu", {})
    version = ".".join(str(numbers.get(part, "?")) for part in ("major", "minor", "micro"))
    return f"{version} {answer.get('package', '')}".strip()


def _harness_version() -> str:
    try:
        return importlib.metadata.version("ovmf-acceptance")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _host(limit: int | None) -> dict[str, str | int]:
    """Return the facts that a result depends on; ``limit``: of QEMU's memory, None without one."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    lines = (line for line in cpuinfo.splitlines() if line.startswith("model name"))
    models = (line.partition(":")[2].strip() for line in lines)
    pages, page_size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    release = {}
    with contextlib.suppress(OSError):
        release = host_platform.freedesktop_os_release()
    return {
        "kernel": host_platform.release(),
        "machine": host_platform.machine(),
        "cpu": next(models, ""),
        "cpus": os.cpu_count() or 0,
        "memory_mib": pages * page_size >> 20,
        "distribution": release.get("PRETTY_NAME", ""),
        **({"memory_limit_mib": limit >> 20} if limit is not None else {}),
    }
