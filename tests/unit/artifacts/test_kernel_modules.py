# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Modules for a guest: with all that they need, in the order in which they load, unpacked."""

from __future__ import annotations

import gzip
import lzma
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.ingredients import Ingredients
from harness.artifacts.kernel.modules import in_load_order, module_set
from harness.errors import HarnessError
from tests.support.kernel_files import CONFIG, bzimage, make_tree, zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DRIVERS = {
    "drivers/block/virtio_blk": "virtio",
    "drivers/virtio/virtio": "",
    "fs/ext4/ext4": "jbd2,mbcache",
    "fs/jbd2/jbd2": "mbcache",
    "fs/mbcache": "",
    "crypto/crc32c_generic": "",
    "fs/fat/vfat": "",
    "fs/nls/nls_ascii": "",
    "drivers/char/virtio-rng": "virtio,gone-astray",
}
SOFT = {"fs/ext4/ext4": "crypto-crc32c not_there post: post_is_left_out"}


def module(path: str) -> bytes:
    soft = f"softdep=pre: {SOFT[path]}\0softdep=pre: mbcache\0" if path in SOFT else ""
    return f"\x7fELF\0license=GPL\0{soft}depends={DRIVERS[path]}\0name={path}\0".encode()


def install(
    folder: Path, suffix: str = ".ko", pack: Callable[[bytes], bytes] = bytes, *, lists: Path | None = None
) -> Path:
    """Install modules as ``make modules_install`` and Debian do."""
    for path in DRIVERS:
        file = folder / f"kernel/{path}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pack(module(path)))
    lists = lists or folder
    lists.mkdir(exist_ok=True)
    (lists / "modules.order").write_text("".join(f"kernel/{path}.ko\n" for path in DRIVERS))
    (lists / "modules.builtin").write_text("kernel/drivers/virtio/virtio_pci.ko\n")
    return folder


def order(folder: Path, *names: str, lists: Path | None = None) -> list[str]:
    return [path.name for path in in_load_order(module_set(folder, lists or folder), names, "kernel k")]


def test_what_is_needed_comes_first(tmp_path: Path) -> None:
    folder = install(tmp_path / "6.12")
    assert order(folder, "virtio_blk") == ["virtio.ko", "virtio_blk.ko"]
    assert order(folder, "ext4") == ["mbcache.ko", "jbd2.ko", "crc32c_generic.ko", "ext4.ko"]
    assert order(folder, "virtio-blk", "virtio_blk", "virtio") == ["virtio.ko", "virtio_blk.ko"]
    assert order(folder, "virtio_pci", "virtio-pci") == []  # it is built in
    assert order(folder, "vfat") == ["nls_ascii.ko", "vfat.ko"]  # asked for when something is mounted


def test_lists_may_lie_elsewhere(tmp_path: Path) -> None:
    folder = install(tmp_path / "modules", lists=tmp_path / "base")
    assert order(folder, "virtio_blk", lists=tmp_path / "base") == ["virtio.ko", "virtio_blk.ko"]


def test_modules_that_are_not_there(tmp_path: Path) -> None:
    folder = install(tmp_path / "6.12")
    with pytest.raises(HarnessError, match=r"kernel k: has no module ext5.*\n  did you mean 'ext4'"):
        order(folder, "ext5")
    with pytest.raises(HarnessError, match="kernel k: has no module gone_astray, which virtio_rng needs"):
        order(folder, "virtio_rng")


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [(".ko", bytes), (".ko.xz", lzma.compress), (".ko.gz", gzip.compress), (".ko.zst", zstd)],
)
def test_files_are_unpacked(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/vmlinuz-6.12.1-test").write_bytes(bzimage())
    (tmp_path / "boot/config-6.12.1-test").write_text(CONFIG)
    folder = tmp_path / "lib/modules/6.12.1-test"
    install(folder, suffix, pack)
    ingredients = Ingredients(progress=lambda _line: None)
    kernel = ingredients.choose_kernel(f"file:{tmp_path}/boot/vmlinuz-6.12.1-test")
    paths = ingredients.modules(kernel, ["ext4"])
    assert [path.name for path in paths] == [
        *("000-mbcache.ko", "001-jbd2.ko", "002-crc32c_generic.ko", "003-ext4.ko")
    ]
    assert paths[3].read_bytes() == module("fs/ext4/ext4")
    assert ingredients.modules(kernel, ["ext4"]) == paths
    (folder / f"kernel/fs/mbcache{suffix}").write_bytes(pack(module("fs/mbcache") + b"built anew"))
    assert ingredients.modules(kernel, ["ext4"])[0].read_bytes().endswith(b"built anew")
    (folder / f"kernel/fs/mbcache{suffix}").write_bytes(b"damaged")
    if suffix != ".ko":
        with pytest.raises(HarnessError, match=rf"mbcache{suffix}: cannot be unpacked"):
            ingredients.modules(kernel, ["ext4"])


def test_modules_of_a_build_tree(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "linux")
    ingredients = Ingredients(progress=lambda _line: None)
    kernel = ingredients.choose_kernel(f"tree:{tree}")
    with pytest.raises(HarnessError, match=r"no modules: .*modules.order in \S*/linux\n  run `make"):
        ingredients.modules(kernel, ["ext4"])
    for path in DRIVERS:
        (tree / f"{path}.ko").parent.mkdir(parents=True, exist_ok=True)
        (tree / f"{path}.ko").write_bytes(module(path))
    (tree / "modules.order").write_text("".join(f"{path}.o\n" for path in DRIVERS))
    assert [path.name for path in ingredients.modules(kernel, ["virtio_blk"])] == [
        "000-virtio.ko",
        "001-virtio_blk.ko",
    ]


def test_kernels_without_any(tmp_path: Path) -> None:
    ingredients = Ingredients(progress=lambda _line: None)
    gone = r"kernels.yaml:\d+:5: kernel debian-7.0: the mirror has its image, but no longer its modules"
    with pytest.raises(HarnessError, match=gone):
        ingredients.modules("debian-7.0", ["ext4"])
    with pytest.raises(HarnessError, match="efi-probe-lazy is the EFI probe: it has no modules"):
        ingredients.modules("efi-probe-lazy", ["ext4"])
    (tmp_path / "bzImage").write_bytes(bzimage())
    (tmp_path / ".config").write_text(CONFIG)
    kernel = ingredients.choose_kernel(f"file:{tmp_path / 'bzImage'}")
    with pytest.raises(HarnessError, match=r"no modules: .*lib/modules/6.12.1-test.*\n  put lib/modules"):
        ingredients.modules(kernel, ["ext4"])
