# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The boot record, read from its folder alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.evidence.record import (
    DOCUMENT_BEGIN,
    DOCUMENT_END,
    BootRecord,
    ConsoleSize,
    Ending,
    EndingKind,
    Input,
    PhaseMark,
    Remark,
    guest_document,
)
from tests.support.data import DATA

if TYPE_CHECKING:
    from pathlib import Path


def record(path: Path) -> BootRecord:
    return BootRecord(
        path=path,
        cell="debian-2025.02+debian-6.12+8G+snp-emulated",
        platform="snp-emulated",
        ending=Ending(EndingKind.HANG, "kernel", "[ 0.1] Überraschung", "no console byte for 40 s"),
        phases=(PhaseMark("launch", 0.0), PhaseMark("firmware", 0.25)),
        remarks=(Remark(1.5, "serial", "soft-lockup", "line"),),
        spec={"memory_mib": 8192, "confidential": {"id": "cgs0", "properties": [["policy", "0x30000"]]}},
        argv=("/q", "-m", "8192M"),
        inputs={"kernel": Input("00", 3, path="/k"), "commit": Input("11", 4, text="abcd")},
        host={"kernel": "6.1", "cpus": 2},
        qemu_version="10.0.13",
        durations={"boot": 5.25},
        consoles={"serial": ConsoleSize(10, 0)},
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = record(tmp_path)
    written.write_index()
    assert BootRecord.load(tmp_path) == written
    assert [path.name for path in tmp_path.iterdir()] == ["boot.json"]
    assert json.loads((tmp_path / "boot.json").read_text())["outcome"]["kind"] == "hang"


def test_a_record_may_be_moved(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    record(tmp_path / "a").write_index()
    (tmp_path / "a" / "serial.log").write_bytes(b"x")
    (tmp_path / "a").rename(tmp_path / "b")
    assert BootRecord.load(tmp_path / "b").serial_text == "x"


def test_files_that_a_boot_did_not_leave(tmp_path: Path) -> None:
    empty = record(tmp_path)
    assert (empty.serial_text, empty.debugcon_text, empty.guest, empty.counters) == ("", "", None, {})
    assert empty.ledger_path is None
    assert empty.bytes_of("qemu.log") == b""


def test_files(tmp_path: Path) -> None:
    (tmp_path / "serial.log").write_bytes(b"\x1b[2J\x1b[01;01H\x1b[=3ha\r\n\xff\x1b[0;31mb\x1b[0m\r\n")
    (tmp_path / "guest.json").write_text('{"a": 1}')
    (tmp_path / "counters.json").write_text('{"confidential": {"pages": 5}, "query-status": {}}')
    (tmp_path / "ledger.jsonl").touch()
    full = record(tmp_path)
    assert full.serial_text == "a\n\ufffdb\n"
    assert full.guest == {"a": 1}
    assert full.counters == {"pages": 5}
    assert full.ledger_path == tmp_path / "ledger.jsonl"


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (None, "unfinished boot"),
        ("", "damaged"),
        ('{"schema": 1', "damaged"),
        ('{"schema": 1}', "damaged"),
        ("[]", "damaged"),
        ("[" * 100_000, r"damaged \(it nests too deeply\)"),
        ('{"schema": 1, "outcome": 3}', "damaged"),
        ('{"schema": 2}', "schema version 2"),
        (
            '{"schema": 2, "harness_version": "0.9"}',
            "schema version 2, written by harness 0.9; this harness reads 1",
        ),
    ],
)
def test_an_index_that_cannot_be_read(tmp_path: Path, index: str | None, words: str) -> None:
    if index is not None:
        (tmp_path / "boot.json").write_text(index)
    with pytest.raises(HarnessError, match=words):
        BootRecord.load(tmp_path)


def test_an_index_with_unknown_values(tmp_path: Path) -> None:
    record(tmp_path).write_index()
    index = tmp_path / "boot.json"
    good = index.read_text()
    for damage in (good.replace('"hang"', '"sleeping"'), good.replace('"cell"', '"sell"')):
        index.write_text(damage)
        with pytest.raises(HarnessError, match="damaged"):
            BootRecord.load(tmp_path)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="not a boot record"):
        BootRecord.load(tmp_path / "none")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "guest.json").write_text("{")
    with pytest.raises(HarnessError, match=r"guest\.json: damaged"):
        _ = record(tmp_path).guest


@pytest.mark.parametrize(
    ("text", "document", "trouble"),
    [
        (f'x\n{DOCUMENT_BEGIN}\n{{"a": "é"}}\n{DOCUMENT_END}\ny', {"a": "é"}, ""),
        (f'{DOCUMENT_BEGIN}\n{{"a":\n[   12.345678] usb: hi\n2}}\n{DOCUMENT_END}\n', {"a": 2}, ""),
        (f"{DOCUMENT_BEGIN}\n{{}}\n{DOCUMENT_END}\n" * 2, {}, ""),
        (f'{DOCUMENT_BEGIN}\n{{"a\n{DOCUMENT_BEGIN}\n{{"b": 1}}\n{DOCUMENT_END}\n', {"b": 1}, ""),
        ("nothing", None, "no document"),
        (f"{DOCUMENT_BEGIN}\n{{", None, "no end"),
        (f"{DOCUMENT_BEGIN}\n{{\n{DOCUMENT_END}\n", None, "not JSON"),
        (f"{DOCUMENT_BEGIN}\n3\n{DOCUMENT_END}\n", None, "is a int"),
    ],
)
def test_guest_document(text: str, document: dict[str, object] | None, trouble: str) -> None:
    found, what = guest_document(text)
    assert found == document
    assert trouble in what
    assert (what == "") == (found is not None)


def test_the_confidential_object_of_new_and_old_records(tmp_path: Path) -> None:
    assert record(tmp_path).confidential == {"id": "cgs0", "policy": "0x30000"}
    emulated, plain = sorted((DATA / "records").iterdir())
    old = BootRecord.load(emulated).confidential
    assert (old["policy"], old["reduced-phys-bits"], old["ledger"]) == ("196608", "1", "ledger.jsonl")
    assert BootRecord.load(emulated).counters["policy"] == 0x30000
    assert BootRecord.load(plain).confidential == {}
