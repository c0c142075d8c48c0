# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One thing to break in a boot of the EFI probe for each question that a check asks of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.evidence.record import EndingKind
from tests.support.linux_sample import DXE_LOG
from tests.support.probe_sample import DOCUMENTS, GIB4, HIGH_PAGES, INVALID_PARAMETER

if TYPE_CHECKING:
    from tests.support.probe_sample import Line, Mutate, Sample


def entry_at(map_: Line, address: int) -> list[Any]:
    """Return the descriptor that begins at ``address``."""
    return next(entry for entry in map_["entries"] if int(entry[1], 16) == address)


def retype(sample: Sample, map_: Line, address: int, kind: int) -> None:
    del sample
    entry_at(map_, address)[0] = kind


def set_in(*path: str | int, value: Any) -> Mutate:
    """Replace one value of the document."""

    def mutate(sample: Sample) -> None:
        here: Any = sample.document
        for step in path[:-1]:
            here = here[step]
        assert here[path[-1]] != value, "the mutation changes nothing"
        here[path[-1]] = value

    return mutate


def crash(sample: Sample) -> None:
    sample.outcome = replace(sample.outcome, kind=EndingKind.POWERED_OFF_EARLY)


def one_at_a_time(sample: Sample) -> None:
    """Split each page state change of high RAM into one for each entry."""
    sample.ledger = [
        {**line, "gpa": line["gpa"] + number * line["entry"], "size": line["entry"], "count": 1}
        if parts
        else line
        for line in sample.ledger
        for parts in [line.get("op") == "psc-private" and line["gpa"] >= GIB4]
        for number in range(line["count"] if parts else 1)
    ]


def keep_unaccepted(sample: Sample) -> None:
    """Grant the first call although the firmware has accepted: the loader's map is the old one."""
    sample.document["attempts"] = [{**sample.first, "status": "0x0", "exit_events": 1}]


def never_granted(sample: Sample) -> None:
    sample.last.update(status=INVALID_PARAMETER, exit_events=0)


def refused_twice(sample: Sample) -> None:
    for key in ("0xabc", "0xabd"):
        again = {**sample.last, "status": INVALID_PARAMETER, "exit_events": 0}
        again["map"] = {**again["map"], "key": key}
        sample.document["attempts"].insert(-1, again)


def refused_although_lazy(sample: Sample) -> None:
    refused = {**sample.last, "status": INVALID_PARAMETER, "exit_events": 0}
    refused["map"] = {**refused["map"], "key": "0xabc"}
    sample.document["attempts"].insert(0, refused)


def refused_oddly(sample: Sample) -> None:
    sample.first["status"] = "0x8000000000000003"


def same_key(sample: Sample) -> None:
    sample.last["map"]["key"] = sample.first["map"]["key"]


def stale_key_granted(sample: Sample) -> None:
    sample.document["attempts"] = [{**sample.first, "status": "0x0", "exit_events": 1}]


def lose_range(sample: Sample) -> None:
    entry_at(sample.last["map"], GIB4)[2] -= 1


def lose_low_range(sample: Sample) -> None:
    for when in (sample.document["start"], sample.first["map"]):
        when["entries"] = [entry for entry in when["entries"] if entry[1] != "0x1780000"]


def as_reserved(sample: Sample) -> None:
    retype(sample, sample.last["map"], GIB4, 0)


def half_left(sample: Sample) -> None:
    """Let the last map keep the high half of the memory unaccepted."""
    entry = entry_at(sample.last["map"], GIB4)
    entry[2] = HIGH_PAGES // 2
    sample.last["map"]["entries"].append([15, hex(GIB4 + HIGH_PAGES // 2 * 4096), HIGH_PAGES // 2, "0xf"])


def other_attributes(bits: str) -> Mutate:
    def mutate(sample: Sample) -> None:
        entry_at(sample.last["map"], GIB4)[3] = bits

    return mutate


def reserve_some(sample: Sample) -> None:
    """Ordinary memory below 4 GiB becomes reserved while ExitBootServices is refused."""
    entry_at(sample.last["map"], 0x178_0000)[0] = 0


def own(start: int, pages: int) -> Mutate:
    """Let the probe say that it accepted these pages itself."""

    def mutate(sample: Sample) -> None:
        sample.document["own"] = {"start": hex(start), "size": pages * 4096}

    return mutate


def by_loader(*ops: str) -> Mutate:
    """Let the loader do something with the first unaccepted page after ExitBootServices."""

    def mutate(sample: Sample) -> None:
        for op in ops:
            sample.ledger.insert(len(sample.ledger) - 1, event(op=op, phase="loader"))

    return mutate


def before_granted(sample: Sample) -> None:
    """Validate the high memory in the very call that is granted."""
    calls = [line for line in sample.ledger if line["type"] == "ebs"]
    late = [line for line in sample.ledger if line.get("phase") == "firmware-ebs"]
    sample.ledger = [line for line in sample.ledger if line not in late]
    at = sample.ledger.index(calls[-1])
    sample.ledger[at:at] = late


def lose_attribute(sample: Sample) -> None:
    entry_at(sample.last["map"], 0x178_0000)[3] = "0x7"


def overlap(sample: Sample) -> None:
    entry_at(sample.last["map"], GIB4)[2] += 1 << 30


def low_unaccepted(sample: Sample) -> None:
    entry_at(sample.document["start"], 0x178_0000)[0] = 15


def nothing_unaccepted(sample: Sample) -> None:
    entry_at(sample.document["start"], GIB4)[0] = 7


def another_map(sample: Sample) -> None:
    entry_at(sample.first["map"], 0x178_0000)[0] = 4


def fault_of(kind: int, vector: int, error: str, address: str) -> Mutate:
    def mutate(sample: Sample) -> None:
        result = next(result for result in sample.document["touched"] if result["type"] == kind)
        result["fault"] = {"vector": vector, "error": error, "address": address}

    return mutate


def no_fault(sample: Sample) -> None:
    result = next(result for result in sample.document["touched"] if result["type"] == 15)
    result["fault"] = None


def untouched(sample: Sample) -> None:
    sample.document["touched"] = sample.document["touched"][1:]


def event(**values: Any) -> Line:
    usual = {"type": "event", "t": 1, "vcpu": 0, "op": "validate", "gpa": GIB4, "size": 4096, "count": 1}
    return {**usual, "entry": 4096, "rip": 0x1000, "cpl": 0, "phase": "firmware", **values}


def add_event(**values: Any) -> Mutate:
    """Let something happen just before ExitBootServices is granted."""

    def mutate(sample: Sample) -> None:
        at = max(number for number, line in enumerate(sample.ledger) if line["type"] == "ebs")
        sample.ledger.insert(at, event(**values))

    return mutate


def drop_high(sample: Sample) -> None:
    kept = [line for line in sample.ledger if not (line.get("op") == "validate" and line["gpa"] >= GIB4)]
    assert kept != sample.ledger
    sample.ledger[:] = kept


def skip_last_2mib(sample: Sample) -> None:
    """End the validation of the high RAM 2 MiB (and the odd MiB) before its end."""
    end = GIB4 + HIGH_PAGES * 4096 - (3 << 20)
    sample.ledger[:] = [line for line in sample.ledger if line.get("gpa", 0) < end]
    for line in sample.ledger:
        if line.get("op") == "validate" and line["gpa"] + line["size"] > end:
            line["size"] = end - line["gpa"]


def small_entries(sample: Sample) -> None:
    for line in sample.ledger:
        if line.get("op") == "validate" and line["gpa"] >= GIB4:
            line.update(count=line["size"] // 4096, entry=4096)


def small_requests(sample: Sample) -> None:
    """Ask for page states in pages of 4 KiB, and validate in entries of 2 MiB."""
    at = max(number for number, line in enumerate(sample.ledger) if line["type"] == "ebs")
    size = 4 << 20
    values = {"op": "psc-private", "gpa": GIB4, "size": size, "count": size // 4096, "entry": 4096}
    sample.ledger.insert(at, event(**values))


def refused_entries(sample: Sample) -> None:
    """Have each entry of 2 MiB refused first, as on a host whose entries are of 4 KiB."""
    ledger = []
    for line in sample.ledger:
        if line.get("op") == "validate" and line["gpa"] >= GIB4 and line["entry"] == 2 << 20:
            ledger.append(line | {"op": "size-mismatch"})
            line.update(count=line["size"] // 4096, entry=4096)
        ledger.append(line)
    assert len(ledger) > len(sample.ledger)
    sample.ledger[:] = ledger


def fault(sample: Sample) -> None:
    line = {"type": "fault", "t": 2, "vcpu": 0, "op": "unvalidated-access", "gpa": GIB4 + 4096}
    sample.ledger.insert(-1, {**line, "rip": 1, "cpl": 0, "access": "read", "phase": "firmware"})


def terminate(sample: Sample) -> None:
    line = {"type": "terminate", "t": 3, "vcpu": 0, "set": 1, "code": 2, "text": "PVALIDATE failed"}
    sample.ledger.insert(-1, line)


def cut_ledger(sample: Sample) -> None:
    del sample.ledger[-1]


def lose_an_exit(sample: Sample) -> None:
    first = [line for line in sample.ledger if line["type"] == "ebs"][:2]
    sample.ledger = [line for line in sample.ledger if line not in first]


def change_exits(key: str, value: int) -> Mutate:
    def mutate(sample: Sample) -> None:
        for line in sample.ledger:
            if line["type"] == "ebs" and key in line:
                line[key] = value

    return mutate


def make_ledger(sample: Sample) -> None:
    shutil.copy(DOCUMENTS / "eager.ledger.jsonl", sample.path / "ledger.jsonl")


def firmware_says(times: int) -> Mutate:
    def mutate(sample: Sample) -> None:
        (sample.path / "debugcon.log").write_text(DXE_LOG + "Accepting all memory\r\n" * times)

    return mutate


def lose_a_traced_line(sample: Sample) -> None:
    sample.trace = [line for line in sample.trace if "gpa 0xffc00000 len" not in line]


MUTATIONS: list[tuple[str, str, Mutate]] = [
    ("eager", "probe-reports", crash),
    ("eager", "probe-reports", set_in("cmdline", value="allow=1")),
    ("plain", "probe-reports", set_in("not_understood", value=["alow=1"])),
    ("lazy", "allow-succeeds", set_in("allow", 0, value="0x8000000000000003")),
    ("lazy", "allow-succeeds", set_in("allow", value=[])),
    ("plain", "allow-succeeds", set_in("allow", 0, value="0x0")),
    ("eager", "ebs-granted", never_granted),
    ("lazy", "ebs-granted", set_in("attempts", value=[])),
    ("eager", "key-follows-map", same_key),
    ("eager", "exit-event-once", set_in("attempts", 1, "exit_events", value=2)),
    ("eager", "exit-event-once", set_in("attempts", 0, "exit_events", value=1)),
    ("lazy", "exit-event-once", set_in("attempts", 0, "before_exit_events", value=2)),
    ("eager", "touched", fault_of(7, 29, "0x404", "0x100000000")),
    ("eager", "touched", untouched),
    ("lazy", "touched", no_fault),
    ("lazy", "touched", fault_of(15, 29, "0x404", "0x120000000")),
    ("lazy", "touched", fault_of(15, 14, "0x2", "0x100000000")),
    ("accepts", "touched", fault_of(15, 29, "0x404", "0x100000000")),
    ("eager", "maps-well-formed", set_in("attempts", 1, "map", "in_bounds", value=False)),
    ("lazy", "maps-well-formed", set_in("start", "status", value="0x8000000000000005")),
    ("lazy", "maps-well-formed", set_in("start", "entries", value=[])),
    ("plain", "maps-well-formed", set_in("start", "descriptor_version", value=2)),
    ("eager", "maps-well-formed", overlap),
    ("eager", "map-accounts-ram", lose_range),
    ("plain", "map-accounts-ram", lose_low_range),
    ("lazy", "unaccepted-at-start", low_unaccepted),
    ("eager", "unaccepted-at-start", nothing_unaccepted),
    ("plain", "unaccepted-at-start", low_unaccepted),
    ("eager", "memory-attributes", other_attributes("0x80000")),
    ("eager", "memory-attributes", other_attributes("0x800000000000000f")),
    ("plain", "memory-attributes", other_attributes("0x7")),
    ("lazy", "memory-attributes", lose_attribute),
    ("eager", "accepts-once-at-exit", firmware_says(2)),
    ("nothing", "accepts-once-at-exit", firmware_says(2)),
    ("lazy", "accepts-nothing-at-exit", firmware_says(1)),
    ("plain", "accepts-nothing-at-exit", firmware_says(1)),
    ("eager", "refusal-only-accepts", lose_range),
    ("eager", "refusal-only-accepts", as_reserved),
    ("eager", "refusal-only-accepts", reserve_some),
    ("eager", "refusal-only-accepts", lose_attribute),
    ("eager", "protocol-offered", set_in("protocols", "sev_memory_acceptance", value=0)),
    ("lazy", "protocol-offered", set_in("protocols", "memory_accept", value=0)),
    ("lazy", "protocol-offered", set_in("protocols", "sev_memory_acceptance", value=2)),
    ("lazy", "protocol-offered", set_in("protocols", "one_handle", value=False)),
    ("plain", "protocol-absent", set_in("protocols", "sev_memory_acceptance", value=1)),
    ("plain", "protocol-absent", set_in("protocols", "memory_accept", value=1)),
    ("lazy", "map-stays", another_map),
    ("lazy", "map-stays", set_in("start", "key", value="0x1")),
    ("lazy", "map-stays", set_in("attempts", value=[])),
    ("accepts", "accepted-by-protocol", set_in("accepted", 0, "status", value="0x8000000000000003")),
    ("accepts", "accepted-by-protocol", set_in("accepted", value=[])),
    ("plain", "ebs-granted-at-once", refused_although_lazy),
    ("lazy", "ebs-granted-at-once", refused_although_lazy),
    ("eager", "ebs-refused-once", refused_twice),
    ("eager", "ebs-refused-once", refused_oddly),
    ("eager", "ebs-refused-once", keep_unaccepted),
    ("eager", "ebs-refused-once", half_left),
    ("stale", "ebs-refused-once", stale_key_granted),
    ("stale", "ebs-refused-once", refused_twice),
    ("nothing", "ebs-refused-at-most-once", refused_twice),
    ("eager", "no-unaccepted-entries", half_left),
    ("eager", "no-unaccepted-entries", keep_unaccepted),
    ("lazy", "unaccepted-entries-high", lambda sample: retype(sample, sample.last["map"], GIB4, 7)),
    ("lazy", "unaccepted-entries-high", lambda sample: retype(sample, sample.last["map"], 0x178_0000, 15)),
    ("plain", "no-ledger", make_ledger),
    ("eager", "ledger-whole", cut_ledger),
    ("lazy", "cc-blob-kept", set_in("sev", "cc_blob", value="0x0")),
    ("eager", "cc-blob-kept", set_in("sev", "cc_blob", value="0x1000018")),
    ("eager", "cc-blob-true", set_in("sev", "blob", "cpuid", "start", value="0x80c000")),
    ("lazy", "cc-blob-true", set_in("sev", "blob", "secrets", "size", value=8192)),
    ("eager", "exit-accepts-exactly", before_granted),
    ("eager", "exit-accepts-exactly", skip_last_2mib),
    ("lazy", "guest-accepts-exactly", own(GIB4, 1)),
    ("lazy", "guest-accepts-exactly", by_loader("psc-private", "validate")),
    ("eager", "batched", one_at_a_time),
    ("eager", "exits-as-reported", lose_an_exit),
    ("lazy", "exits-as-reported", change_exits("status", 1 << 63 | 2)),
    ("nothing", "exits-as-reported", change_exits("map-key", 1)),
    ("stale", "exits-as-reported", change_exits("status", 0)),
    ("lazy", "trace-is-ledger", lose_a_traced_line),
    ("lazy", "validated-once", add_event(op="validate-again", gpa=0x10_0000)),
    ("eager", "validated-once", add_event(gpa=GIB4)),
    ("lazy", "no-private-mmio", add_event(op="private-mmio", gpa=0xFEE0_0000)),
    ("lazy", "no-termination", terminate),
    ("eager", "handoff-audit", drop_high),
    ("eager", "handoff-audit", skip_last_2mib),
    ("eager", "handoff-audit", add_event(op="psc-shared", gpa=0x178_0000)),
    ("lazy", "handoff-audit", add_event(op="rescind", gpa=0x90_0000)),
    ("lazy", "handoff-audit", add_event()),
    ("lazy", "handoff-audit", add_event(op="psc-shared")),
    ("accepts", "handoff-audit", add_event(op="rescind")),
    ("nothing", "handoff-audit", add_event(op="rescind", gpa=0x7FEF_4000)),
    ("eager", "high-validated-exactly", skip_last_2mib),
    ("eager", "high-validated-exactly", add_event(gpa=0x2_0000_0000)),
    ("eager", "high-validated-exactly", add_event()),
    ("eager", "large-entries", small_entries),
    ("eager", "large-entries", small_requests),
    ("accepts", "large-entries", small_entries),
    ("eager", "faults-are-ours", fault),
    ("lazy", "faults-are-ours", fault),
]
