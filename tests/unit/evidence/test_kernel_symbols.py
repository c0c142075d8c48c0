# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where KASLR put a kernel: it says so, or its code does."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.evidence.record import BootRecord, Ending, EndingKind, Input
from harness.evidence.symbols.kernel import PVALIDATE, kernel_symbols, offset_by_code, offset_said
from tests.support.made_kernel import LINKED, bzimage, kernel_elf

if TYPE_CHECKING:
    from pathlib import Path

MOVED = 0x1C200000
AT = LINKED + 0x5D62
ELF = kernel_elf(code={AT: PVALIDATE, AT + 0x600: PVALIDATE, AT + 0x700: b"\xe9\x6d\x70\xc8"})


def test_a_panic_says_it() -> None:
    said = "[    1.0] Kernel Offset: 0x1c200000 from 0xffffffff81000000 (relocation range: 0x…)"
    assert offset_said(said) == MOVED
    assert offset_said("Kernel Offset: disabled") == 0
    assert offset_said("nothing") is None


def test_code_tells_it() -> None:
    seen = {AT + MOVED: PVALIDATE, AT + 0x600 + MOVED: PVALIDATE}
    assert offset_by_code(ELF, seen) == MOVED
    assert offset_by_code(ELF, {AT + 0x700 + MOVED: b"\xe9\x6d\x70\xc8"}) == MOVED
    assert offset_by_code(ELF, seen | {AT + 1 + MOVED: PVALIDATE}) is None, "no place has all of it"
    assert offset_by_code(ELF, {}) is None
    assert offset_by_code(ELF, {0x5C205D62: PVALIDATE}) is None, "before the kernel's own page tables"


@pytest.fixture
def record(tmp_path: Path) -> BootRecord:
    image = tmp_path / "bzImage"
    image.write_bytes(bzimage(gzip.compress(ELF)))
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    return BootRecord(
        path=tmp_path,
        cell="c",
        platform="plain",
        ending=Ending(EndingKind.HANG, "kernel", "", ""),
        inputs={"kernel": Input(sha256=digest, size=1, path=str(image))},
    )


def test_names(record: BootRecord) -> None:
    found, why = kernel_symbols(record, {AT + MOVED: PVALIDATE, AT + 0x600 + MOVED: PVALIDATE})
    assert found is not None
    assert why == ""
    assert found.place(AT + MOVED) == "function_01494()+0x2"
    assert found.code(AT + MOVED, 4) == PVALIDATE
    assert found.place(0x1000) == ""


def test_what_is_not_used_is_said(record: BootRecord, tmp_path: Path) -> None:
    (tmp_path / "vmlinux").write_bytes(b"another kernel")
    found, why = kernel_symbols(record, {AT + MOVED: PVALIDATE, AT + 0x600 + MOVED: PVALIDATE})
    assert found is not None
    assert found.place(AT + MOVED) == "function_01494()+0x2"
    assert why.startswith(f"{tmp_path}/vmlinux: no symbols can be read: ")


def test_what_is_lacking_is_said(record: BootRecord, tmp_path: Path) -> None:
    found, why = kernel_symbols(record, {})
    assert found is not None
    assert found.place(AT) == ""
    assert "KASLR" in why
    (tmp_path / "bzImage").write_bytes(b"another one")
    other = replace(record, inputs={"kernel": replace(record.inputs["kernel"], sha256="0" * 64)})
    assert kernel_symbols(other, {})[0] is None
    assert kernel_symbols(replace(record, inputs={}), {})[0] is None
