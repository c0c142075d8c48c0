# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Kernels in packages on this disk."""

from __future__ import annotations

import gzip
import lzma
import re
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest
import zstandard

from harness.artifacts.kernel.package import packaged_kernel
from harness.debian.archive import AptRoot
from harness.errors import HarnessError
from harness.store.entries import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def apt(tmp_path: Path) -> AptRoot:
    return AptRoot(progress=lambda _line: None, store=Store(tmp_path / "store"))


def deb(folder: Path, names: list[str]) -> Path:
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    fields = "Package: linux-image-x\nVersion: 1\nArchitecture: amd64\nMaintainer: a\nDescription: b\n"
    (tree / "DEBIAN/control").write_text(fields)
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    made = folder / "linux-image-x_1_amd64.deb"
    subprocess.run(["dpkg-deb", "--build", str(tree), str(made)], check=True, capture_output=True)
    return made


def rpm(folder: Path, names: list[str], compress: Callable[[bytes], bytes]) -> Path:
    tree = folder / "rpm"
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    listed = "\n".join(f"./{name}" for name in names).encode()
    made = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"], input=listed, cwd=tree, check=True, capture_output=True
    ).stdout
    header = struct.pack(">4s4xII", b"\x8e\xad\xe8\x01", 1, 5) + bytes(16 + 5)
    signature = header + bytes(-(96 + len(header)) % 8)
    file = folder / "kernel-core-6.12.rpm"
    file.write_bytes(b"\xed\xab\xee\xdb" + bytes(92) + signature + header + compress(made))
    return file


def test_debian(apt: AptRoot, tmp_path: Path) -> None:
    file = deb(
        tmp_path,
        ["boot/vmlinuz-6.12-amd64", "boot/config-6.12-amd64", "lib/modules/6.12-amd64/modules.order"],
    )
    recipe = packaged_kernel(f"file:{file}", apt)
    assert recipe is not None
    assert recipe.name.startswith("file-linux-image-x_1_amd64-")
    source = recipe.source.file
    assert source is not None
    assert source.path.endswith("/boot/vmlinuz-6.12-amd64")
    assert recipe.path(source.path).with_name("config-6.12-amd64").read_text() == "boot/config-6.12-amd64"
    assert str(source.modules).endswith("/lib/modules/6.12-amd64")


@pytest.mark.parametrize(
    "compress", [zstandard.compress, lzma.compress, gzip.compress], ids=["zstd", "xz", "gzip"]
)
def test_fedora(apt: AptRoot, tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    file = rpm(tmp_path, ["lib/modules/6.12/vmlinuz", "lib/modules/6.12/config"], compress)
    recipe = packaged_kernel(f"file:{file}", apt)
    assert recipe is not None
    assert recipe.source.file is not None
    image = recipe.path(recipe.source.file.path)
    assert image.read_text() == "lib/modules/6.12/vmlinuz"
    assert image.with_name("config").is_file()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.rpm", b"text", "no RPM package"),
        ("y.rpm", b"\xed\xab\xee\xdb" + bytes(200), "damaged or cut"),
        ("z.rpm", b"\xed\xab\xee\xdb", "damaged or cut"),
        ("x.deb", b"text", "x.deb: cannot be unpacked"),
    ],
)
def test_what_is_no_package(apt: AptRoot, tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HarnessError, match=re.escape(said)):
        packaged_kernel(f"file:{tmp_path / name}", apt)


def test_a_package_without_a_kernel(apt: AptRoot, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="not one kernel in the package: none"):
        packaged_kernel(f"file:{deb(tmp_path, ['usr/share/doc/x'])}", apt)
    assert packaged_kernel("file:/boot/vmlinuz", apt) is None
    assert packaged_kernel("debian-6.12", apt) is None
