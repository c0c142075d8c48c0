# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Evidence that is missing, cut or changed after the boot: no check passes, and each says what is wrong.

Every check of good boots answers with its files whole, which shows the files that it reads; then with each
of these damaged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks.finding import CANNOT_JUDGE, Needs
from harness.evidence.record import BootRecord, stored_files
from harness.results.retention import pack_record
from tests.support import linux_sample, probe_sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    AnySample = linux_sample.Sample | probe_sample.Sample

LINUX = ("eager", "lazy", "nothing", "plain")
PROBE = ("eager", "lazy", "accepts", "stale", "nothing", "plain")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def garble(path: Path) -> None:
    """Turn one bit, as a failing disk does."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (lambda path: path.unlink(), "is missing, the boot left"),
    "cut": (cut, "bytes, the boot left"),
    "garbled": (garble, "was changed after the boot"),
}


@pytest.fixture(params=[*(f"linux-{name}" for name in LINUX), *(f"probe-{name}" for name in PROBE)])
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> AnySample:
    kind, _, name = request.param.partition("-")
    made = linux_sample.Sample(name, tmp_path) if kind == "linux" else probe_sample.Sample(name, tmp_path)
    made.write()
    return made


def folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.faults
def test_each_check_with_each_of_its_files_damaged(
    sample: AnySample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = stored_files(tmp_path)
    whole = {name: (tmp_path / name).read_bytes() for name in files}
    read: set[str] = set()
    vouch = BootRecord.vouch

    def seen(record: BootRecord, name: str) -> None:
        read.add(name)
        vouch(record, name)

    monkeypatch.setattr(BootRecord, "vouch", seen)
    for check in sample.checks.values():
        read.clear()
        assert check(sample.evidence(files)) == []
        used = read & set(files)
        assert used or check.needs is Needs.RECORD, f"{check.name} reads nothing that its boot left"
        for name in used:
            for damage, words in DAMAGES.values():
                damage(tmp_path / name)
                (finding,) = check(sample.evidence(files))
                (tmp_path / name).write_bytes(whole[name])
                assert finding.kind == CANNOT_JUDGE, finding
                assert str(tmp_path / name) in finding.what, finding
                assert words in finding.what


def test_a_file_of_another_boot_is_no_evidence(tmp_path: Path) -> None:
    sample = linux_sample.Sample("plain", tmp_path)
    sample.write()
    files = stored_files(tmp_path)
    (tmp_path / "ledger.jsonl").write_text("{}\n")
    (finding,) = sample.checks["no-ledger"](sample.evidence(files))
    assert "is not of this boot" in finding.what


def test_a_firmware_that_should_log_and_does_not(tmp_path: Path) -> None:
    sample = linux_sample.Sample("lazy", tmp_path)
    check = sample.checks["accepts-nothing-at-exit"]
    (tmp_path / "debugcon.log").write_bytes(b"")
    (finding,) = sample.judge(check)
    assert finding.kind == CANNOT_JUDGE
    sample.serial = linux_sample.DXE_LOG + sample.serial  # DEBUG_ON_SERIAL_PORT
    assert sample.judge(check) == []
    sample.serial = linux_sample.DXE_LOG + "Accepting all memory\n" + sample.serial
    assert [found.kind for found in sample.judge(check)] == ["said-accepting"]


def test_a_packed_record_is_looked_at_too(tmp_path: Path) -> None:
    sample = linux_sample.Sample("lazy", folder(tmp_path / "record"))
    sample.write()
    files = stored_files(sample.path)
    garble(sample.path / "ledger.jsonl")
    pack_record(sample.path)
    assert sample.checks["reaches-userspace"](sample.evidence(files)) == []
    (finding,) = sample.checks["validated-once"](sample.evidence(files))
    assert "was changed after the boot" in finding.what
    packed = sample.path.with_name("record.tar.zst")
    packed.write_bytes(packed.read_bytes()[:2000])
    (finding,) = sample.checks["validated-once"](sample.evidence(files))
    assert (finding.kind, "cannot be unpacked" in finding.what) == (CANNOT_JUDGE, True)


def test_a_ledger_at_its_limit_judges_nothing(tmp_path: Path) -> None:
    sample = linux_sample.Sample("lazy", tmp_path)
    *events, end = sample.ledger
    sample.ledger = [*events, {"type": "cut", "t": end["t"], "limit": 1 << 20}, end]
    (finding,) = sample.judge(sample.checks["ledger-whole"])
    assert finding.kind == "ledger-limit"
    assert finding.values == {"limit": 1 << 20}
    assert "reached its limit of 1 MiB" in finding.what
    assert finding.evidence[1].startswith("rescind by firmware at 0x7ecab873: 19 lines, 11 %")
    of_ledger = [
        it
        for it in sample.checks.values()
        if it.needs in {Needs.LEDGER, Needs.HANDOVER} and it.name != "ledger-whole"
    ]
    assert of_ledger
    for check in of_ledger:
        assert [found.kind for found in sample.judge(check)] == [CANNOT_JUDGE], check.name
    assert sample.judge(sample.checks["all-cpus-online"]) == []
