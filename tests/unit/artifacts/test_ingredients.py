# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From names to files, with packages that are in the store already; there is no network."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import yaml

from harness import paths
from harness.artifacts.firmware.traits import read_firmware_traits
from harness.artifacts.guest.initramfs import BUSYBOX, BUSYBOX_PATH
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.kernel import resolve
from harness.debian.index import PackageQuery, PackageVersion
from harness.debian.lock_file import LOCK_NAME
from harness.errors import HarnessError
from harness.store.entries import Store

if TYPE_CHECKING:
    from pathlib import Path

QEMU = """\
qemu:
  package: qemu
  suite: trixie
  data: {package: qemu-data, paths: [rom.bin]}
  configure: [--small]
"""
KERNELS = """\
kernels:
  - {name: whole, source: {prebuilt: {package: linux-image-1, suite: trixie}}}
  - {name: split, source: {prebuilt: {package: linux-binary-2, suite: sid}}}
"""
FIRMWARE = """\
firmware:
  - name: fw
    source: {prebuilt: {package: ovmf, suite: trixie, path: usr/share/ovmf/OVMF.fd}}
"""
BOOT = ["boot/vmlinuz-*", "boot/config-*"]


class Project:
    """A project whose lock and store a test fills."""

    def __init__(self, root: Path) -> None:
        self.root = root / "project"
        self.locked: dict[str, dict[str, object]] = {}
        for path, text in {
            "qemu-builds/qemu.yaml": QEMU,
            "guest-images/kernels.yaml": KERNELS,
            "ovmf-builds/fw.yaml": FIRMWARE,
            "guest-images/initramfs/init": "#!/bin/sh\n",
            LOCK_NAME: "{}\n",
        }.items():
            self.write(path, text)

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def add(self, query: PackageQuery, paths: list[str], files: dict[str, str]) -> None:
        """Lock a package and put what was extracted from it into the store."""
        digest = f"{len(self.locked):064x}"
        version = PackageVersion(query.package, "1-1", "amd64", query.suite, digest, 1, "pool/x.deb")
        self.locked[query.key] = dataclasses.asdict(version)
        self.write(LOCK_NAME, yaml.safe_dump(self.locked))

        def extract(directory: Path) -> None:
            for name, text in files.items():
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                (directory / name).write_text(text)

        names = ("package", "version", "architecture", "sha256")
        identity = {name: getattr(version, name) for name in names}
        Store().get("deb-tree", query.package, {**identity, "paths": sorted(paths)}, extract)

    def open(self) -> Ingredients:
        return Ingredients(paths.Project((self.root,)), lambda _line: None)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(
        resolve, "read_kernel_traits", lambda image, config: SimpleNamespace(read=(image, config))
    )
    return Project(tmp_path)


def test_firmware_is_read_once(project: Project) -> None:
    path = "usr/share/ovmf/OVMF.fd"
    project.add(PackageQuery("ovmf", "trixie"), [path], {path: "image"})
    ingredients = project.open()
    firmware = ingredients.firmware("fw")
    assert (firmware.name, firmware.path.read_text()) == ("fw", "image")
    assert firmware.traits == read_firmware_traits(b"image")
    assert ingredients.firmware("fw") is firmware


def test_a_file_that_is_no_firmware(project: Project) -> None:
    project.write("ovmf-builds/own.yaml", "firmware:\n  - {name: own, source: {file: {path: own.fd}}}\n")
    project.write("ovmf-builds/own.fd", "image")
    with pytest.raises(HarnessError, match=r"/own.fd: no firmware image, there is no volume in it"):
        project.open().firmware("own")
    project.write("ovmf-builds/own.fd", "image _FVH")
    assert project.open().firmware("own").name == "own"


def test_a_kernel_of_one_package(project: Project) -> None:
    files = {"boot/vmlinuz-1": "image", "boot/config-1": "CONFIG_A=y"}
    project.add(PackageQuery("linux-image-1", "trixie"), BOOT, files)
    kernel = project.open().kernel("whole")
    assert kernel.path.name == "vmlinuz-1"
    assert kernel.traits == SimpleNamespace(read=(b"image", "CONFIG_A=y"))


def test_a_kernel_whose_config_is_in_another_package(project: Project) -> None:
    modules = "usr/lib/modules"
    image, config = f"{modules}/*/vmlinuz", f"{modules}/*/config"
    project.add(PackageQuery("linux-binary-2", "sid"), [image], {f"{modules}/2/vmlinuz": "image"})
    with pytest.raises(HarnessError, match=r"no version for sid:linux-base-2\n  run `harness update`"):
        project.open().kernel("split")
    project.add(PackageQuery("linux-base-2", "sid"), [config], {f"{modules}/2/config": "CONFIG_A=y"})
    assert project.open().kernel("split").traits == SimpleNamespace(read=(b"image", "CONFIG_A=y"))


def test_a_config_of_another_kernel_is_refused(project: Project) -> None:
    modules = "usr/lib/modules"
    image, config = f"{modules}/*/vmlinuz", f"{modules}/*/config"
    project.add(PackageQuery("linux-binary-2", "sid"), [image], {f"{modules}/2.1/vmlinuz": "image"})
    project.add(PackageQuery("linux-base-2", "sid"), [config], {f"{modules}/2.2/config": "config"})
    with pytest.raises(HarnessError, match=r"the image is of 2\.1, the config of 2\.2"):
        project.open().kernel("split")


def test_a_package_with_another_layout(project: Project) -> None:
    files = {"boot/vmlinuz-1": "image", "boot/vmlinuz-2": "image", "boot/config-1": "config"}
    project.add(PackageQuery("linux-image-1", "trixie"), BOOT, files)
    with pytest.raises(
        HarnessError,
        match=r"kernels.yaml:2:5: kernel whole: linux-image-1 1-1: [^\n]*: 2 files match",
    ):
        project.open().kernel("whole")


def test_the_initramfs_follows_its_inputs(project: Project) -> None:
    project.add(BUSYBOX, [BUSYBOX_PATH], {BUSYBOX_PATH: "\x7fELF"})
    first = project.open().initrd
    assert first.read_bytes().startswith(b"070701")
    assert project.open().initrd == first
    project.write("guest-images/initramfs/init", "#!/bin/sh\necho changed\n")
    second = project.open().initrd
    assert second != first
    assert b"echo changed" in second.read_bytes()


def test_every_package_of_the_project_is_asked_for(project: Project) -> None:
    names = [
        "ovmf",
        "linux-image-1",
        "linux-binary-2",
        "linux-base-2",
        "linux-modules-2",
        "qemu",
        "qemu-data",
        "busybox-static",
    ]
    assert [query.package for query in project.open().queries()] == names


def test_what_the_lock_lacks_names_the_command(project: Project) -> None:
    ingredients = project.open()
    for wanted in (
        lambda: ingredients.firmware("fw"),
        lambda: ingredients.kernel("whole"),
        lambda: ingredients.initrd,
        lambda: ingredients.qemu,
        ingredients.why_qemu,
    ):
        with pytest.raises(HarnessError, match="run `harness update`"):
            wanted()
    with pytest.raises(HarnessError, match="unknown kernel 'hole'"):
        ingredients.kernel("hole")


def test_the_shipped_lock_answers_every_query() -> None:
    ingredients = Ingredients()
    assert [query.key for query in ingredients.queries() if ingredients.lock.resolved(query) is None] == []


def test_a_package_that_cannot_be_had_is_one_message(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_DEBIAN_MIRROR", f"file:{project.root}/mirror")
    project.add(PackageQuery("ovmf", "trixie"), ["another"], {"another": ""})
    project.write("ovmf-builds/more.yaml", FIRMWARE.replace("name: fw", "name: again"))
    needed = "; needed by firmware fw, again"
    with pytest.raises(HarnessError, match=rf"could not fetch.*{needed}|keyring") as caught:
        project.open().firmware("fw")
    assert caught.value.hint


def test_a_developers_own_qemu_replaces_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "qemu-system-x86_64"
    own.write_text("#!/bin/sh\n")
    monkeypatch.setenv("HARNESS_QEMU", str(own))
    project = Project(tmp_path)
    with pytest.raises(HarnessError, match="no such program"):
        _ = Ingredients(paths.Project((project.root,))).qemu
    own.chmod(0o755)
    assert Ingredients(paths.Project((project.root,))).qemu == own
