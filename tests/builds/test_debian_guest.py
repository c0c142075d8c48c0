# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Debian guests: recipes, packages, disks, keys, and what is judged of them. The guests are in scenarios/."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import tarfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.artifacts.guest.debian_disk import EPOCH, write_disk
from harness.artifacts.guest.debian_initramfs import module_names
from harness.artifacts.guest.ext4 import BLOCK, write_ext4
from harness.artifacts.guest.package_set import fetch_set, load_set, update_set
from harness.boot.cell_machine import done_line, limits, machine_spec
from harness.boot.phases import DONE_WITH_ACTIONS, Phase
from harness.debian.index import PackageVersion
from harness.documents.document import YamlError, load_document
from harness.errors import HarnessError
from harness.formats import gpt
from harness.machine.spec import MachineSpec
from harness.machine.ssh import Keys
from harness.matrix.cell import Cell
from harness.matrix.schema import load_scenario
from harness.platforms.host import Host
from harness.recipes.catalog import load_catalog
from harness.recipes.guest import GuestFile, GuestRecipe, whole_guests
from harness.store.entries import Store

if TYPE_CHECKING:
    from harness.artifacts.ingredients import Ingredients
    from harness.debian.archive import AptRoot

CELL = Cell("debian-2025.02", "debian-6.12", "direct", 4096, "snp-emulated", guest="debian-trixie")
RECIPE = GuestRecipe("g", "trixie", ("hello",), where="guests.yaml:1:1")
HELLO = PackageVersion("hello", "2.10-5", "amd64", "trixie", "ab" * 32, 1234, "pool/h/hello.deb")


def test_guests_of_the_project() -> None:
    catalog = load_catalog()
    assert {"debian-bookworm", "debian-trixie"} <= catalog.known().names("guest")
    for name in ("debian-bookworm", "debian-trixie"):
        recipe = catalog.guest_recipe(name)
        packages = {package.package for package in load_set(recipe)}
        assert {*recipe.packages, "libc6", "systemd"} <= packages
    assert {"stress-ng", "snp"} <= catalog.known().action


def test_a_name_of_two_guests(tmp_path: Path) -> None:
    path = tmp_path / "guests.yaml"
    entry = "{name: %s, suite: trixie, packages: [hello]}"
    path.write_text(f"guests: [{entry % 'a'}, {entry % 'a'}, {entry % 'initramfs'}]\n")
    problems: list[Any] = []
    whole_guests([load_document(path, GuestFile)], problems)
    assert ["'a' is taken" in str(problems[0]), "'initramfs' is taken" in str(problems[1])] == [True, True]


def test_unknown_guest_of_a_scenario(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    matrix = "firmware: [debian-2025.02], kernel: [debian-6.1], memory: [2G], platform: [snp]"
    path.write_text(f"name: s\ndescription: d\nmatrix: {{{matrix}, guest: [debian-trixi]}}\n")
    with pytest.raises(YamlError, match=r"unknown guest 'debian-trixi'.*debian-trixie"):
        load_scenario(path, load_catalog().known())


def test_cell_of_a_debian() -> None:
    assert CELL.id.endswith("+snp-emulated+debian-trixie")
    assert done_line(CELL) is DONE_WITH_ACTIONS
    spec = MachineSpec(qemu=Path("/q"), firmware=Path("/f"), memory_mib=4096, accel="tcg")
    initramfs = limits(replace(CELL, guest="initramfs"), spec)[Phase.INIT]
    assert limits(CELL, spec)[Phase.INIT].deadline > 2 * initramfs.deadline


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (replace(CELL, action="kexec"), "debian-trixie cannot do kexec"),
        (replace(CELL, guest="initramfs", action="snp"), "initramfs cannot do snp"),
        (replace(CELL, kernel="efi-probe-lazy"), "the EFI probe starts no debian-trixie"),
        (replace(CELL, guest="initramfs-large", action="crash"), "initramfs-large cannot do crash"),
        (replace(CELL, guest="initramfs-large", action="snp"), "initramfs-large cannot do snp"),
        (
            replace(CELL, guest="initramfs-large", kernel="efi-probe-lazy"),
            "the EFI probe starts no initramfs-large",
        ),
        *(
            (
                replace(CELL, guest="initramfs", kernel="efi-probe-lazy", loader=loader),
                f"{loader} starts Linux kernels alone, and no EFI probe\n  .*grub-2.12-chainloader",
            )
            for loader in ("grub-2.12", "uki-262", "systemd-boot-257-uki")
        ),
    ],
)
def test_what_a_guest_cannot_do(ingredients: Ingredients, cell: Cell, said: str) -> None:
    with pytest.raises(HarnessError, match=said):
        machine_spec(cell, ingredients, Host())


def test_lock_file_of_packages(tmp_path: Path) -> None:
    class Apt:
        def closure(self, suite: str, names: tuple[str, ...]) -> tuple[PackageVersion, ...]:
            assert (suite, names) == ("trixie", ("hello",))
            return (HELLO,)

    recipe, apt = replace(RECIPE, folder=tmp_path), cast("AptRoot", Apt())
    with pytest.raises(HarnessError, match=r"guests.yaml:1:1: there is no .*g\.packages"):
        load_set(recipe)
    assert update_set(recipe, apt) == 1
    assert update_set(recipe, apt) == 0
    assert load_set(recipe) == (HELLO,)
    with pytest.raises(HarnessError, match="lacks more"):
        load_set(replace(recipe, packages=("hello", "more")))
    recipe.lock_file.write_text(recipe.lock_file.read_text().replace(" 1234 ", " "))
    with pytest.raises(HarnessError, match=r"g\.packages:3: damaged"):
        load_set(recipe)


def test_packages_are_those_of_the_lock_file(tmp_path: Path) -> None:
    package = replace(HELLO, sha256=hashlib.sha256(b"deb").hexdigest())

    def apt(content: bytes) -> AptRoot:
        def download_all(packages: tuple[PackageVersion, ...], directory: Path) -> None:
            assert packages == (package,)
            (directory / "hello.deb").write_bytes(content)

        store = Store(tmp_path / "store")
        quiet = SimpleNamespace(store=store, progress=lambda _line: None, download_all=download_all)
        return cast("AptRoot", quiet)

    with pytest.raises(HarnessError, match="not the packages of its lock file"):
        fetch_set("g", [package], apt(b"other"))
    assert (fetch_set("g", [package], apt(b"deb")) / "hello.deb").read_bytes() == b"deb"


def archive(path: Path, mtime: int) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, size, owner in (("etc/a", 5000, 0), ("home/me", 3, 1000)):
            folder = tarfile.TarInfo(name.partition("/")[0])
            folder.type, folder.mtime, folder.mode = tarfile.DIRTYPE, mtime, 0o755
            tar.addfile(folder)
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uid, member.gid = size, mtime, owner, owner
            tar.addfile(member, BytesIO(b"x" * size))
    return path


def ext4(folder: Path, mtime: int) -> Path:
    folder.mkdir()
    image = folder / "root.ext4"
    write_ext4(
        image, archive(folder / "a.tar", mtime), "g", EPOCH, folder, folder / "log", lambda _line: None
    )
    return image


def test_file_system_is_the_same_each_time(tmp_path: Path) -> None:
    first = ext4(tmp_path / "1", EPOCH - 5)
    os.utime(first, (1, 1))
    assert first.read_bytes() == ext4(tmp_path / "2", EPOCH - 5).read_bytes()
    # what is newer than the epoch is not told either, but what is older is
    late, later = ext4(tmp_path / "3", EPOCH + 9), ext4(tmp_path / "4", EPOCH + 99)
    assert late.read_bytes() == later.read_bytes() != first.read_bytes()
    checked = subprocess.run(["/sbin/e2fsck", "-fn", str(first)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    owner = subprocess.run(
        ["/sbin/debugfs", "-R", "stat /home/me", str(first)], capture_output=True, text=True, check=True
    ).stdout
    assert "User:  1000   Group:  1000" in owner


def test_disk_has_esp_and_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    content = os.urandom(3 * BLOCK) + bytes(64 * BLOCK) + b"end" + bytes(BLOCK - 3)
    root.write_bytes(content)
    disk = tmp_path / "disk"
    write_disk(disk, root)
    data = disk.read_bytes()
    entries = [data[2 * gpt.SECTOR + at : 2 * gpt.SECTOR + at + 128] for at in (0, 128, 256)]
    assert [entry[56:].decode("utf-16le").rstrip("\0") for entry in entries] == ["EFI system", "root", ""]
    (_, esp_last), (first, last) = (struct.unpack_from("<QQ", entry, 32) for entry in entries[:2])
    assert first == esp_last + 1
    assert data[first * gpt.SECTOR : (last + 1) * gpt.SECTOR] == content
    assert data[gpt.FIRST * gpt.SECTOR :][82:90] == b"FAT32   "


def test_modules_follow_the_config() -> None:
    assert "sev_guest" not in module_names({"CONFIG_SEV_GUEST": "y"})
    assert {"sev_guest", "ext4"} <= set(module_names({"CONFIG_SEV_GUEST": "m"}))
    assert "ghash_generic" not in module_names(None)


def test_keys_are_of_one_run(tmp_path: Path) -> None:
    keys, other = Keys.generate(), Keys.generate()
    assert len({keys.user, keys.host, other.user, other.host}) == 4
    (tmp_path / "disk").write_bytes(keys.disk())
    command = f"cd {tmp_path} && cpio --quiet -idu < disk"
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    authorized = (tmp_path / "root/.ssh/authorized_keys").read_text()
    assert authorized.startswith("ssh-ed25519 ")
    assert (tmp_path / "etc/ssh/ssh_host_ed25519_key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "etc/ssh/ssh_host_ed25519_key").read_text() == keys.host
    assert keys.user not in keys.disk().decode("latin-1")
