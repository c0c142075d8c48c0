# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Judging what a guest has filled to its limit: the time and memory of all checks of one record, and parsers.

The record is a stored boot's, with a ledger of 256 MiB that says that it reached its limit; a process of its
own judges it, whose peak of memory is taken. Parsers are judged by megabytes a second of a processor, that of
trace events by its seconds.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, tell
from bench.measure import loaded
from harness.evidence.host.page_states import parse_page_states
from harness.evidence.ledger import read_ledger
from harness.evidence.record import stored_files
from harness.evidence.text import plain_text
from tests.support.linux_sample import Sample

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 256 << 20
PART = 64 << 20
SECONDS, MEBIBYTES, RATE = 15.0, 300, 50
WHOLE_MEBIBYTES = 400
"""Of a ledger just below its limit: each of 1.7 million events stays, for checks ask what became of a page.

An event is 176 bytes: eleven fields, and the numbers of its time and its line, which no other shares.
"""
EVENTS, EVENTS_SECONDS = 100_000, 1.0
_HEADER = b'{"type":"header","format":"snp-ledger","version":2,"page-size":4096,"ram":[[0,2147483648]]}\n'
_EVENT = (
    b'{"type":"event","t":%d,"vcpu":0,"op":"%s","gpa":%d,"size":4096,"count":1,"entry":4096,'
    b'"rip":18446744071587016000,"cpl":0,"phase":"kernel"}\n'
)
_END = b'{"type":"end","t":9,"vmgexits":1,"pages":{}}\n'
_CUT = b'{"type":"cut","t":5,"limit":%d}\n'
_WHOLE = "whole"
_LINE = b"[    1.234567] \x1b[0;1mBIOS-e820: [mem 0x0000000000100000-0x000000007fffffff] usable\r\n"


def write_ledger(path: Path, size: int, *, cut: bool) -> None:
    """Write a ledger of a guest that makes pages private and shared in turn, until it has ``size`` bytes."""
    with path.open("wb") as file:
        written, number = file.write(_HEADER), 0
        while written < size:
            operation = (b"validate", b"rescind")[number % 2]
            written += file.write(_EVENT % (number * 1000, operation, (number // 2 * 8192) % (1 << 30)))
            number += 1
        file.write((_CUT % size if cut else b"") + _END)


def judge(folder: Path) -> None:
    """Ask all checks of the record in a folder, and print what it took."""
    sample = Sample("lazy", folder)
    write_ledger(folder / "ledger.jsonl", LIMIT, cut=True)
    sample.write()
    evidence = sample.evidence(stored_files(folder))
    begin = time.process_time()
    kinds = {finding.kind for check in sample.checks.values() for finding in check(evidence)}
    seconds = time.process_time() - begin
    assert {"ledger-limit", "cannot-judge"} <= kinds, kinds
    print(f"{seconds:.2f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}")


def _judging() -> bool:
    """Print the time and memory of judging; whether they are within their goals."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        argv = [sys.executable, "-m", "bench.judging", folder]
        said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    seconds, mebibytes = float(said[0]), int(said[1])
    held = [
        tell(Figure("judging a ledger at its limit", seconds, "s", SECONDS)),
        tell(Figure("its memory", mebibytes, "MiB", MEBIBYTES)),
    ]
    return all(held)


def write_trace() -> str:
    """Return a trace of QEMU with as many events: requests for a page each, and what was done for them."""
    lines = [
        "5@1796033720.474203:kvm_sev_snp_launch_update src 0x7f3c gpa 0xffc00000 len 0x400000 (Normal page)"
    ]
    for number in range(EVENTS // 2):
        stamp, where = f"5@1796033721.{number:06d}:", f"{number << 12:#x} size 0x1000"
        lines.append(f"{stamp}kvm_hc_map_gpa_range gpa {where} attributes 0x10 flags 0x1")
        lines.append(f"{stamp}kvm_convert_memory start {where} shared_to_private")
    return "\n".join(lines) + "\n"


def _trace() -> bool:
    text = write_trace()
    begin = time.process_time()
    states = parse_page_states(text)
    seconds = time.process_time() - begin
    assert len(states.changes) == EVENTS // 2 + 1
    return tell(Figure("reading a trace of 100,000 events", seconds, "s", EVENTS_SECONDS))


def read_whole(path: Path) -> None:
    """Read a ledger that has nearly reached its limit, and print the peak of memory in MiB."""
    write_ledger(path, LIMIT - (1 << 20), cut=False)
    assert read_ledger(path).events
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)


def _near_its_limit() -> bool:
    """Print the memory of reading a ledger that is not cut; whether it is within its goal."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        argv = [sys.executable, "-m", "bench.judging", folder, _WHOLE]
        said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return tell(Figure("memory of reading a ledger near its limit", int(said), "MiB", WHOLE_MEBIBYTES))


def _rate(name: str, size: int, work: Callable[[], object]) -> bool:
    begin = time.process_time()
    work()
    rate = size / 1e6 / (time.process_time() - begin)
    return tell(Figure(name, rate, "MB/s", RATE, at_least=True))


def main() -> int:
    """Print the figures and whether they hold."""
    if sys.argv[2:] == [_WHOLE]:
        read_whole(Path(sys.argv[1]) / "ledger.jsonl")
        return 0
    if len(sys.argv) > 1:
        judge(Path(sys.argv[1]))
        return 0
    print(f"evidence at its limits ({loaded()})")
    held = [_judging(), _near_its_limit(), _trace()]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "ledger.jsonl"
        write_ledger(path, PART, cut=False)
        held.append(_rate("reading a whole ledger", PART, lambda: read_ledger(path)))
    console = _LINE * (PART // len(_LINE))
    held.append(_rate("reading a console", PART, lambda: plain_text(console)))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
