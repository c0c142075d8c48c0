# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A memory limit for each QEMU: who is delegated a cgroup, on trees of files, and a process that enters one.

The tree of a kernel's cgroups is played by files: no host need have a memory controller to hand on.
"""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.machine import cgroup
from harness.machine.cgroup import MOUNT, OURS, Group, Kills, Place, delegated, limit_of, prepared
from harness.machine.machine import Machine
from harness.machine.spec import ConfidentialObject, Drive, MachineSpec
from tests.support.data import FAKE_QEMU

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC = MachineSpec(qemu=FAKE_QEMU, firmware=Path("/f"), memory_mib=8192, accel="tcg", cmdline="[]")
FILES = ("cgroup.procs", "cgroup.subtree_control", "memory.max", "memory.swap.max", "memory.events")
SCOPE = "user.slice/user@1000.service/run-r1.scope"


def filled(folder: Path) -> Path:
    """Return a cgroup, with the files in it that the kernel makes."""
    for name in (*FILES, "cgroup.type"):
        (folder / name).touch()
    (folder / "cgroup.controllers").write_text("memory pids\n")
    return folder


def made(folder: Path) -> Path:
    """Return a new cgroup."""
    folder.mkdir(parents=True, exist_ok=True)
    return filled(folder)


def tree(root: Path, own: str) -> Path:
    """Return the cgroup ``own`` of this process below ``root``, and make all above it."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"4:memory:/elsewhere\n0::/{own}\n")
    folder = mount = made(root / MOUNT)
    (mount / "cgroup.type").unlink()  # the host's topmost has none
    for part in Path(own).parts:
        folder = made(folder / part)
    return folder


def marked(*names: str) -> Callable[[Path, str], bytes]:
    """Return the extended attributes of systemd on cgroups of these names, and of no others."""

    def attribute(path: Path, name: str) -> bytes:
        if name == "user.delegate" and path.name in names:
            return b"1"
        raise OSError(errno.ENODATA, "No data available")

    return attribute


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a delegated cgroup, whose children have their files, and lose them, as the kernel's do."""
    make, remove = Path.mkdir, Path.rmdir

    def mkdir(path: Path, *args: object, **named: object) -> None:
        make(path, *args, **named)  # type: ignore[arg-type]
        if path.name.startswith(OURS):
            filled(path)

    def rmdir(path: Path) -> None:
        for file in path.iterdir():
            file.unlink()
        remove(path)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    monkeypatch.setattr(Path, "rmdir", rmdir)
    return made(tmp_path / "delegated")


def test_the_limit_is_of_guest_and_qemu() -> None:
    assert limit_of(SPEC) == (8192 + 512 + 2048) << 20
    drive = Drive(path=Path("/d"))
    assert limit_of(replace(SPEC, drives=(drive,))) == (8192 + 512 + 2048 + 4096) << 20
    hardware = replace(SPEC, accel="kvm", confidential=ConfidentialObject(type="sev-snp-guest"))
    assert limit_of(hardware) == (2 * (8192 + 512) + 2048) << 20, "its private and its shared side"


@pytest.mark.parametrize(
    ("own", "names", "found"),
    [
        (SCOPE, ["run-r1.scope"], SCOPE),
        (f"{SCOPE}/{OURS}", ["run-r1.scope"], SCOPE),
        ("system.slice/ci.service/main", ["ci.service"], "system.slice/ci.service"),
        (SCOPE, ["user@1000.service"], None),  # its children are the user's systemd's to make
        ("user.slice/session-1.scope", [], None),
        ("", [], None),  # the host itself
    ],
)
def test_who_is_delegated_a_cgroup(tmp_path: Path, own: str, names: list[str], found: str | None) -> None:
    tree(tmp_path, own)
    place = delegated(tmp_path, marked(*names))
    assert place.folder == (tmp_path / MOUNT / found if found is not None else None)
    assert place.why == ("" if found is not None else "no cgroup is delegated to this process")


def test_a_container_has_its_own_topmost_cgroup(tmp_path: Path) -> None:
    mount = tree(tmp_path, "")
    (mount / "cgroup.type").touch()
    assert delegated(tmp_path, marked()).folder == mount
    (tmp_path / "proc/self/cgroup").write_text(f"0::/{OURS}\n")
    assert delegated(tmp_path, marked()).folder == mount


def test_why_there_is_no_limit(tmp_path: Path) -> None:
    assert "not mounted" in delegated(tmp_path).why
    folder = tree(tmp_path, SCOPE)
    (folder / "cgroup.controllers").write_text("pids\n")
    assert "has no memory controller" in delegated(tmp_path, marked("run-r1.scope")).why
    filled(folder)
    (folder / "cgroup.subtree_control").unlink()
    assert "cgroup.subtree_control cannot be written" in delegated(tmp_path, marked("run-r1.scope")).why


def test_processes_make_way_once(kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kernel / "cgroup.procs").write_text("11\n12\n")
    (kernel / "ovmf-acceptance-0-3").mkdir()  # a killed harness's; no process has the number 0
    moved, refused = [], iter([True, False])

    def write(path: Path, text: str) -> None:
        moved.append((str(path.relative_to(kernel)), text))
        if text == "+memory" and next(refused):
            raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(cgroup, "_write", write)
    assert prepared(Place(kernel)).folder == kernel
    both = [(f"{OURS}/cgroup.procs", "11"), (f"{OURS}/cgroup.procs", "12")]
    handed_on = ("cgroup.subtree_control", "+memory")
    assert moved == [*both, handed_on, *both, handed_on]
    assert not list(kernel.glob(f"{OURS}-*"))
    (kernel / "cgroup.subtree_control").write_text("memory\n")
    moved.clear()
    assert prepared(Place(kernel)).folder == kernel
    assert not moved


def test_a_kernel_that_refuses_is_told(kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(path: Path, _: str) -> None:
        raise OSError(errno.EPERM, "Operation not permitted", str(path))

    monkeypatch.setattr(cgroup, "_write", write)
    (kernel / "cgroup.procs").write_text("11\n")
    assert prepared(Place(kernel)) == Place(None, f"{kernel}: Operation not permitted")
    assert Group.make(SPEC, Place(kernel)) is None
    assert [path.name for path in kernel.glob(f"{OURS}-*")] == []
    assert Group.make(SPEC, Place(None, "x")) is None


def test_a_group_lasts_as_long_as_its_qemu(kernel: Path) -> None:
    group = Group.make(SPEC, Place(kernel))
    assert group is not None
    assert group.limit == limit_of(SPEC)
    for name in ("memory.max", "memory.swap.max"):
        assert (group.folder / name).read_text() == str(group.limit)
    assert group.kills() == Kills(group.limit)
    (group.folder / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n")
    assert group.kills() == Kills(group.limit, killed=1, own=2)
    group.remove()
    group.remove()
    assert not group.folder.exists()


def test_qemu_starts_in_its_group(kernel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "_place", lambda: Place(kernel))
    with Machine(SPEC, tmp_path / "record") as machine:
        (group,) = kernel.glob(f"{OURS}-{os.getpid()}-*")
        assert (group / "cgroup.procs").read_text() == "0\n"
        assert machine.memory_limit == limit_of(SPEC)
    assert machine.kills == Kills(limit_of(SPEC))
    assert not group.exists()
    monkeypatch.setattr(cgroup, "_place", lambda: Place(None, "none"))
    with Machine(SPEC, tmp_path / "free") as machine:
        assert machine.memory_limit is None
    assert machine.kills is None
