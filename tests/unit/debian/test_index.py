# SPDX-License-Identifier: BSD-2-Clause-Patent
from __future__ import annotations

import itertools
import subprocess
from typing import TYPE_CHECKING

from harness.debian.index import (
    PackageQuery,
    compare_versions,
    matching,
    package_version,
    relatives,
    source_files,
)

if TYPE_CHECKING:
    from pathlib import Path

VERSIONS = [
    "0", "1.0", "1.0-1", "1.0~rc1-1", "1.0-1~bpo12+1", "1.0-1+b1", "1.0+ds-1", "1.0a-1", "1:0.9", "1.00-1",
    "2022.11-6+deb12u2", "2025.02-8", "2025.02-8+deb13u1", "6.12.9-1", "6.12.43-1", "7.2~rc3-1~exp1",
]  # fmt: skip


def test_order_is_dpkgs() -> None:
    for left, right in itertools.combinations(VERSIONS, 2):
        ours = compare_versions(left, right)
        argv = ["dpkg", "--compare-versions", left, "lt", right]
        less = subprocess.run(argv, check=False, capture_output=True).returncode == 0
        argv[3] = "eq"
        equal = subprocess.run(argv, check=False, capture_output=True).returncode == 0
        assert (ours < 0, ours == 0) == (less, equal), (left, right)
        assert (compare_versions(right, left) > 0) == less


SOURCES = """\
Package: qemu
Version: 1:11.0+ds-1
Extra-Source-Only: yes
Directory: pool/main/q/qemu
Checksums-Sha256:
 aa 10 qemu_11.0+ds.orig.tar.xz
 bb 20 qemu_11.0+ds-1.dsc

Package: qemu
Version: 1:10.2+ds-1
Directory: pool/main/q/qemu
Checksums-Sha256:
 cc 10 qemu_10.2+ds.orig.tar.xz
 dd 20 qemu_10.2+ds-1.dsc

Package: qemu-web
Version: 3
Directory: pool/main/q/qemu-web
Checksums-Sha256:
 ee 20 qemu-web_3.dsc
"""


def test_sources(tmp_path: Path) -> None:
    index = tmp_path / "Sources"
    index.write_text(SOURCES)
    (stanza,) = matching(index, PackageQuery("qemu", "sid", source=True))
    found = package_version(stanza, "sid")
    assert (found.version, found.sha256, found.size, found.source) == ("1:10.2+ds-1", "dd", 20, True)
    assert found.filename == "pool/main/q/qemu/qemu_10.2+ds-1.dsc"
    assert [file.name for file in source_files(stanza)] == ["qemu_10.2+ds.orig.tar.xz", "qemu_10.2+ds-1.dsc"]
    exact = PackageQuery("qemu", "sid", "1:11.0+ds-1", source=True)
    assert [stanza["Version"] for stanza in matching(index, exact)] == ["1:11.0+ds-1"]
    assert len(matching(index, PackageQuery("qemu*", "sid", source=True))) == 2
    assert matching(index, PackageQuery("emu", "sid", source=True)) == []


def test_empty_index(tmp_path: Path) -> None:
    (tmp_path / "Packages").touch()
    assert matching(tmp_path / "Packages", PackageQuery("x", "sid")) == []


def test_query_keys() -> None:
    assert PackageQuery("ovmf", "trixie").key == "trixie:ovmf"
    assert PackageQuery("qemu", "sid", source=True).key == "sid:src:qemu"
    assert PackageQuery("ovmf", "trixie", "2025.*").key == "trixie:ovmf=2025.*"


def test_relatives() -> None:
    assert relatives("linux-image-6.12.43+deb13-amd64") == "linux-image-6.12.*+deb13-amd64"
    assert relatives("linux-image-6.1.0-50-amd64") == "linux-image-6.1.*-amd64"
    assert relatives("ovmf") == "ovmf"
