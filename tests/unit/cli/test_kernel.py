# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness kernel``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.artifacts.kernel.files import BZIMAGE
from harness.cli import entry
from harness.errors import ExitCode
from tests.support.kernel_files import bzimage, make_tree

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["kernel", "list"]) == 0
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert ["debian-5.10", "prebuilt", "before SEV-SNP guest support; the negative control"] in lines
    assert ["debian-7.3", "prebuilt"] in lines
    assert "efi-probe-lazy" in [line[0] for line in lines if line[1] == "probe"]


def test_show_a_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = make_tree(tmp_path / "linux")
    assert entry.main(["kernel", "show", f"tree:{tree}"]) == 0
    name, *lines = capsys.readouterr().out.splitlines()
    assert name.startswith("name: tree-linux-")
    assert lines == [
        "source:",
        "  way: tree",
        f"  path: {tree}",
        "efi_stub_cleared: false",
        f"image: {tree / BZIMAGE}",
        "traits:",
        "  version: 6.12.1-test (setup header, kernel_version)",
        "  technologies: snp (config: CONFIG_AMD_MEM_ENCRYPT=y, CONFIG_SEV_GUEST=m)",
        "  unaccepted_memory: true (config: CONFIG_UNACCEPTED_MEMORY=y)",
        "  efi_stub: true (config: CONFIG_EFI_STUB=y; PE header)",
        "  handover: true (setup header, xloadflags 0x7f (bit 3))",
    ]


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bzImage").write_bytes(bzimage()[:0x300])
    for text, message in (
        ("debian-6.33", "harness: unknown kernel 'debian-6.33'\n  did you mean "),
        (f"file:{tmp_path}/bzImage", f"harness: file:{tmp_path}/bzImage: no bzImage: "),
        (
            "tree:/nowhere",
            "harness: tree:/nowhere: no arch/x86/boot/bzImage there\n  run `make bzImage modules`",
        ),
    ):
        assert entry.main(["kernel", "show", text]) == ExitCode.MISTAKE
        assert capsys.readouterr().err.startswith(message)
