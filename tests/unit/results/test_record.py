# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One record shown, and two compared: whole ones, damaged ones, packed ones."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli import entry
from harness.errors import ExitCode, HarnessError
from harness.evidence.record import BootRecord, stored_files
from harness.results.record.difference import difference, normal
from harness.results.record.find import find_record
from harness.results.record.told import as_data, as_text
from harness.results.record_facts import read_facts
from harness.store.packing import pack
from tests.support.data import DATA

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = DATA / "records"
SNP = "debian-2025.02+debian-5.10+direct+2G+snp-emulated"
PLAIN = "debian-2025.02+debian-6.1+direct+2G+plain"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return shutil.copytree(RECORDS / SNP, tmp_path / SNP)


def judged(record: Path, **change: Any) -> None:
    line = {
        "cell": SNP, "check": "no-alarms", "question": "?", "scenario": "a.yaml:1",
        "platform": "snp-emulated", "tier": "emulated", "state": "failed", "at": "now",
        "findings": [], **change,
    }  # fmt: skip
    (record / "verdict.json").write_text(json.dumps({"schema": 1, "checks": [line]}))


def test_memory_that_was_kept(record: Path) -> None:
    index = {"holds": "all pages", "files": [{"file": "memory-0x0.bin", "start": 0, "size": 2 << 20}]}
    (record / "memory.json").write_text(json.dumps(index))
    said = "guest memory kept\n  memory-0x0.bin: memory 0x0-0x1fffff, 2 MiB: all pages\n"
    assert said in as_text(read_facts(record))
    for damaged in ('{"files": [{}], "holds": ""}', "[", "[]", '{"files": 3}'):
        (record / "memory.json").write_text(damaged)
        assert "guest memory kept" not in as_text(read_facts(record))


def test_what_the_hosts_kernel_saw(record: Path) -> None:
    assert "the host's kernel saw" not in as_text(read_facts(record))
    assert as_data(read_facts(record))["kernel_trace"] is None
    event = "CPU 0/KVM-5 [003] ..... 20.5: kvm_vmgexit_msr_protocol_enter: vcpu 0, ghcb_gpa 0010000000820014"
    (record / "kernel-trace.log").write_text(
        f"# clock began at 100.0\n# entries-in-buffer/entries-written: 1/1 #P:2\n  {event}\n"
    )
    said = "1 pages to private and 0 to shared, one by one; 0 requests for lists; 0 RMP faults (exact)"
    assert f"the host's kernel saw\n  {said}\n" in as_text(read_facts(record))
    pages = [{"start": 0x820000, "private": True, "t": 120.5}]
    told = {"pages": pages, "lists": 0, "faults": [], "lost": 0, "strength": "exact"}
    assert as_data(read_facts(record))["kernel_trace"] == told


def test_neighbours_are_shown_once(record: Path) -> None:
    lines = (record / "serial.log").read_text(errors="replace").splitlines()
    at = 10
    judged(record, findings=[{"kind": "k", "says": "it is wrong", "evidence": lines[at : at + 3]}])
    shown = as_text(read_facts(record)).rpartition("it is wrong\n")[2].splitlines()[:-1]
    assert [int(line[5:].split()[0]) for line in shown] == list(range(at - 2, at + 7))
    assert [line[4] for line in shown] == list("   >>>   ")


def test_all_parts(record: Path) -> None:
    lines = (record / "serial.log").read_text(errors="replace").splitlines()
    cited = next(line for line in lines if "Linux version" in line)
    judged(record, findings=[{"kind": "k", "says": "it is wrong", "evidence": [cited]}])
    facts = read_facts(record)
    assert facts.missing == ()
    text = as_text(facts)
    assert text.startswith(f"{SNP}: guest-panic in phase kernel after ")
    assert text.splitlines()[1] == "  it is wrong", "the verdict stands above the timeline"
    for part in ("timeline", "memory: handed over → e820", "validated by", "calls of ExitBootServices"):
        assert f"\n{part}\n" in text
    assert "1 checks asked, 1 of them bad\nno-alarms: failed\n  it is wrong\n" in text
    at = lines.index(cited)
    assert re.search(rf"> +{at + 1} {re.escape(cited[:40])}", text)
    assert re.search(rf"\n +{at + 2} ", text)
    data = as_data(facts)
    assert data["ending"]["kind"] == "guest-panic"
    assert [entry["phase"] for entry in data["acceptance"]][:2] == ["launch", "firmware"]
    assert data["exits"][-1]["status"] == 0
    assert data["map"]["before"]
    assert [entry["t"] for entry in data["timeline"]] == sorted(entry["t"] for entry in data["timeline"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("boot.json", b"{", "boot.json: "),
        ("boot.json", None, "boot.json: "),
        ("ledger.jsonl", b"", "ledger.jsonl: "),
        ("ledger.jsonl", None, "ledger.jsonl: it is not there"),
        ("serial.log", None, "serial.log: it is not there, or empty"),
        ("serial.log", b"Linux version 1\n", "serial.log: it holds 16 bytes"),
        ("traits.json", b"[", "traits.json: damaged"),
        ("verdict.json", b'{"checks": [{"line": 1}]}', "verdict.json: damaged"),
    ],
)
def test_a_damaged_part_hides_no_other(record: Path, name: str, content: bytes | None, said: str) -> None:
    (record / name).unlink(missing_ok=True)
    if content is not None:
        (record / name).write_bytes(content)
    facts = read_facts(record)
    assert any(told.startswith(said) for told in facts.missing)
    text = as_text(facts)
    assert f"  cannot be shown: {said}" in text
    assert ("validated by" in text) is (name != "ledger.jsonl")
    assert ("handed over" in text) is (name != "serial.log")


def test_no_record_at_all(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"not a boot record|no boot\.json"):
        read_facts(tmp_path)


def test_nothing_differs_from_itself_and_not_from_another_time(record: Path) -> None:
    one = read_facts(RECORDS / SNP)
    assert difference(one, one) == {}
    text = (record / "serial.log").read_text(errors="replace")
    moved = re.sub(r"\[ +(\d+)\.(\d+)\]", lambda found: f"[    9.{found[2]}]", text)
    (record / "serial.log").write_text(moved[: len(text)])
    other = read_facts(record)
    assert "console" not in difference(one, other)


def test_what_differs(record: Path) -> None:
    one, plain = read_facts(record), read_facts(RECORDS / PLAIN)
    found = difference(one, plain)
    assert found["cell"]["id"] == (SNP, PLAIN)
    assert {"cell", "inputs", "traits", "console", "acceptance", "exits"} <= found.keys()
    assert found["acceptance"]["firmware"][1] == []
    serial = record / "serial.log"
    lines = serial.read_bytes().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if b"Linux version" in line)
    lines[at] = b"[    0.000000] Linux version other\r\n"
    serial.write_bytes(b"".join(lines))
    console = difference(one, read_facts(record))["console"]
    assert console["line"][1][1] == "[    0.000000] Linux version other"
    assert console["line"][0][0] == console["line"][1][0]


def test_lines_without_addresses_and_times() -> None:
    same = ["[    1.5] at 0x1f0 in 12 ms, ffff8880abcd0000", "[   22.0] at 0x2 in 9 ms, ffff88801234abcd"]
    assert len({normal(line) for line in same}) == 1
    assert normal("[    1.5] decade: facade") == "decade: facade"


@pytest.mark.parametrize("how", ["folder", "packed", "capsule", "run", "id", "newest"])
def test_ways_to_name_a_record(tmp_path: Path, how: str) -> None:
    records = tmp_path / "records"
    run = records / "20260101-000000-1"
    run.mkdir(parents=True)
    data = {"schema": 1, "project": "ovmf-acceptance", "kind": "scenarios"}
    (run / "run.json").write_text(json.dumps(data))
    kept = run / SNP
    if how in {"packed", "capsule"}:
        pack(RECORDS / SNP, run / f"{SNP}.tar.zst")
    else:
        shutil.copytree(RECORDS / SNP, kept)
    written = {
        "folder": str(kept), "packed": str(kept), "capsule": f"{kept}.tar.zst", "run": f"{run.name}/{SNP}",
        "id": SNP, "newest": SNP,
    }[how]  # fmt: skip
    assert find_record(written, records) == kept
    assert read_facts(find_record(written, records)).missing == ()
    with pytest.raises(HarnessError, match=r"a run, not a record\n  name one of its records: debian-2025"):
        find_record(str(run), records)
    with pytest.raises(HarnessError, match="no such record"):
        find_record("debian", records)


def test_a_record_that_lies_in_another_run(tmp_path: Path) -> None:
    """As after harness boot, whose run is none of scenarios: ``last`` is not that one."""
    run = tmp_path / "20260101-000000-1"
    shutil.copytree(RECORDS / SNP, run / SNP)
    data = {"schema": 1, "project": "ovmf-acceptance", "kind": "boot"}
    (run / "run.json").write_text(json.dumps(data))
    alone = f"{SNP} alone names its newest record, of the run {run.name}"
    for text, hint in (
        (f"last/{SNP}", f"last: there is no such run of scenarios below {tmp_path}; {alone}"),
        ("last/CELL", f"last: there is no such run of scenarios below {tmp_path}"),
        (f"{run.name}/CELL", f"the run {run.name} has {SNP}"),
        (f"nope/{SNP}", f"a cell's id: its newest record; {alone}"),
    ):
        with pytest.raises(HarnessError, match=f"{re.escape(hint)}$"):
            find_record(text, tmp_path)


@pytest.mark.parametrize("text", ["/nope", "nope/", "/", "//nope", "a/b/c"])
def test_what_names_no_record(text: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"no such record|no boot\.json|not a boot record"):
        read_facts(find_record(text, tmp_path))


def test_the_commands(record: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    judged(record)
    page = tmp_path / "p.html"
    assert entry.main(["show", str(record)]) == ExitCode.OK
    assert entry.main(["show", str(record), "--html", str(page)]) == ExitCode.OK
    written = page.read_text()
    assert "no-alarms" in written
    assert "harness repro" in written
    assert not re.findall(r"(?:src|href)=\"(?!#)", written)
    capsys.readouterr()
    assert entry.main(["show", str(record), "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["cell"] == SNP
    assert entry.main(["diff", str(record), str(RECORDS / PLAIN)]) == ExitCode.OK
    assert f"  id: {SNP} → {PLAIN}\n" in capsys.readouterr().out
    assert entry.main(["diff", str(RECORDS / SNP), str(RECORDS / SNP)]) == ExitCode.OK
    assert capsys.readouterr().out.endswith("nothing differs\n")
    assert entry.main(["show", "nothing"]) == ExitCode.MISTAKE


def test_a_file_that_was_changed_is_named_and_shown(record: Path) -> None:
    replace(BootRecord.load(record), files=stored_files(record)).write_index()
    assert read_facts(record).missing == ()
    log = record / "serial.log"
    log.write_bytes(log.read_bytes().replace(b"Linux version", b"Linux nothing", 1))
    facts = read_facts(record)
    assert facts.missing == ("serial.log: was changed after the boot: its SHA-256 is another",)
    assert facts.files.whole_text.count("Linux nothing") == 1


def test_an_end_that_no_finding_tells_is_told(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody judged the boot, or it should end as it did."""
    index, traits = (json.loads((record / name).read_text()) for name in ("boot.json", "traits.json"))
    traits["cell"] = {
        "firmware": "debian-2025.02", "kernel": "debian-5.10", "loader": "direct", "memory_mib": 2048,
        "platform": "snp-emulated", "vcpus": 1, "cmdline": "", "action": "", "guest": "initramfs",
    }  # fmt: skip
    (record / "traits.json").write_text(json.dumps(traits))

    def shown(kind: str) -> list[str]:
        index["outcome"] |= {"kind": kind, "phase": "loader", "detail": "QMP event SHUTDOWN"}
        (record / "boot.json").write_text(json.dumps(index))
        assert entry.main(["show", str(record)]) == ExitCode.OK
        return capsys.readouterr().out.splitlines()

    assert shown("completed")[1] == "  QMP event SHUTDOWN"
    reset = shown("reset")
    assert reset[1].startswith("  the machine was reset, in phase loader")
    assert "QMP event SHUTDOWN" in reset[1]
    assert "  QMP event SHUTDOWN" not in reset
    (record / "traits.json").unlink()
    assert shown("reset")[1] == "  QMP event SHUTDOWN"
