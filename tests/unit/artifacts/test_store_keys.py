# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What builds that take minutes depend on: another form of these inputs would make all of them anew."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.firmware.build import build_inputs
from harness.artifacts.guest.debian_initramfs import debian_initrd
from harness.artifacts.guest.initramfs import initramfs
from harness.artifacts.qemu import qemu_inputs
from harness.debian.lock_file import LOCK_NAME, Lock
from harness.paths import SHIPPED, SHIPPED_PROJECT
from harness.recipes.catalog import load_catalog
from harness.recipes.project import find_project
from harness.recipes.qemu import load_qemu
from harness.store.inputs import canonical

if TYPE_CHECKING:
    from pathlib import Path

    from harness.paths import Project

DIGEST = re.compile(r"[0-9a-f]{64}")


def own_project(folder: Path) -> Project:
    (folder / "harness.toml").write_text('name = "lab"\n')
    return find_project(folder)


def recorded(folder: Path, make: Any) -> dict[str, Any]:
    """Return the inputs that ``make`` gives the store at last; what it asks for before is a file."""
    seen: list[dict[str, Any]] = []

    def get(_kind: str, name: str, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:
        seen.append(inputs)
        (folder / name).write_text(canonical(inputs))
        return SimpleNamespace(path=folder)

    make(SimpleNamespace(store=SimpleNamespace(get=get), progress=print))
    return seen[-1]


def test_qemu(tmp_path: Path) -> None:
    lock = Lock.load(SHIPPED / LOCK_NAME)
    inputs: dict[str, Any] = qemu_inputs(load_qemu(), lock)
    assert list(inputs) == ["source", "data", "configure", "patches", "files", "compiler", "glib", "meson"]
    assert re.fullmatch(r"qemu \S+ [0-9a-f]{64}", inputs["source"])
    assert re.fullmatch(r"qemu-system-data \S+ [0-9a-f]{64}", inputs["data"])
    names = {path.name for path in (SHIPPED / "qemu-builds/patches").iterdir()}
    assert inputs["patches"].keys() == names
    assert {"target/i386/snp-emu/watch/ledger.c", "configs/devices/x86_64-softmmu/harness.mak"} < inputs[
        "files"
    ].keys()
    assert all(map(DIGEST.fullmatch, [*inputs["patches"].values(), *inputs["files"].values()]))
    assert str(SHIPPED) not in canonical(inputs)
    assert qemu_inputs(load_qemu(own_project(tmp_path)), lock, own_project(tmp_path)) == inputs


def test_edk2(tmp_path: Path) -> None:
    source = SimpleNamespace(content="a digest")
    for project in (SHIPPED_PROJECT, own_project(tmp_path)):
        recipe = load_catalog(project).firmware_recipe("safe-2022.11")
        inputs: dict[str, Any] = build_inputs(recipe, source)  # type: ignore[arg-type]
        assert list(inputs) == ["source", "patches", "options", "tools", "way"]
        assert inputs["source"] == "a digest"
        assert len(inputs["patches"]) == 10
        assert all(DIGEST.search(patch) and "/" not in patch for patch in inputs["patches"])
        assert list(inputs["options"]) == ["dsc", "arch", "target", "toolchain", "defines", "pcds"]
        assert str(SHIPPED) not in canonical(inputs)


def test_guests(tmp_path: Path) -> None:
    lock = Lock.load(SHIPPED / LOCK_NAME)
    programs = tmp_path / "programs"
    programs.mkdir()

    def both(project: Project) -> list[dict[str, Any]]:
        return [
            recorded(programs, lambda apt: initramfs(project, apt, lock)),
            recorded(programs, lambda apt: debian_initrd(SHIPPED / "run", (), project, apt)),
        ]

    shipped, project = both(SHIPPED_PROJECT), own_project(tmp_path)
    assert both(project) == shipped
    assert str(SHIPPED) not in canonical(shipped)
    for inputs, key, name in (
        (0, "overlay", "actions/hog"),
        (0, "tools", "kexec"),
        (1, "programs", "snp"),
        (1, "files", "actions/snp"),
    ):
        assert name in shipped[inputs][key]
        assert all(map(DIGEST.fullmatch, shipped[inputs][key].values()))
    actions = tmp_path / "guest-images/initramfs/actions"
    actions.mkdir(parents=True)
    (actions / "hello").write_text("echo\n")
    assert both(project)[0]["overlay"].keys() - shipped[0]["overlay"].keys() == {"actions/hello"}


@pytest.mark.parametrize("guest", ["initramfs", "debian"])
def test_actions_of_ones_own(tmp_path: Path, guest: str) -> None:
    project = own_project(tmp_path)
    folder = tmp_path / "guest-images" / guest / "actions"
    folder.mkdir(parents=True)
    (folder / "hello").write_text("echo\n")
    assert "hello" in load_catalog(project).known().action
