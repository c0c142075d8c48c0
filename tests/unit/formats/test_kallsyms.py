# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The kernel in a bzImage, and the symbols that it carries, as kernels from 5.10 to 7.0 have them."""

from __future__ import annotations

import bz2
import gzip
import lzma
from typing import TYPE_CHECKING, get_args

import pytest
import zstandard

from harness.errors import HarnessError
from harness.formats.kallsyms import read_kallsyms
from harness.formats.linux_payload import bytes_at, kernel_elf, kernel_in, segments
from tests.support import made_kernel
from tests.support.made_kernel import LINKED, Layout

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("layout", get_args(Layout))
def test_symbols(layout: Layout) -> None:
    found = read_kallsyms(made_kernel.kernel_elf(layout))
    assert len(found.names) == 3000
    assert found.place(LINKED) == "function_00000()+0x0"
    assert found.place(LINKED + 16 * 2999 + 5) == "function_02999()+0x5"
    assert found.place(LINKED - 1) == ""


def test_no_symbols() -> None:
    with pytest.raises(HarnessError, match="carries no symbol table"):
        read_kallsyms(made_kernel.kernel_elf()[: made_kernel.CODE_AT + 0x1000])


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        lzma.compress,
        lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
        bz2.compress,
        zstandard.ZstdCompressor().compress,
        bytes,
    ],
    ids=("gzip", "xz", "lzma", "bzip2", "zstd", "plain"),
)
def test_payload(pack: Callable[[bytes], bytes]) -> None:
    elf = made_kernel.kernel_elf(code={LINKED + 8: b"code"})
    image = made_kernel.bzimage(pack(elf) + len(elf).to_bytes(4, "little"))
    found = kernel_elf(image)
    assert found[: len(elf)] == elf
    assert bytes_at(found, LINKED + 8, 4) == b"code"
    assert bytes_at(found, LINKED - 1, 4) == b""


@pytest.mark.parametrize("payload", [b"\x02\x21\x4c\x18 lz4", b"\x1f\x8b damaged", b"\xfd7zXZ\0 damaged"])
def test_payload_that_is_not_read(payload: bytes) -> None:
    with pytest.raises(HarnessError, match="payload is"):
        kernel_elf(made_kernel.bzimage(payload))


def test_damaged_elf() -> None:
    with pytest.raises(HarnessError, match="damaged"):
        segments(b"\x7fELF" + bytes(100)[:40])


def test_kernel_in_a_disk() -> None:
    image = made_kernel.bzimage(gzip.compress(made_kernel.kernel_elf()))
    disk = b"HdrS" + bytes(0x3FC) + bytes(0x8000) + image + bytes(0x1000)
    assert kernel_in(disk) == image
    assert kernel_in(disk[: len(disk) - 0x2000]) is None
    assert kernel_in(bytes(0x1000)) is None
