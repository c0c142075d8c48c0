# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A memory limit for one QEMU: a cgroup (version 2) of its own, where one is delegated to the harness.

The limit is the guest's memory and what QEMU takes for itself; no boot within it comes near. Delegation is
what systemd (``Delegate=``) and containers mean by it, see "Delegation" in Linux'
``Documentation/admin-guide/cgroup-v2.rst``: without it, not even root has a cgroup made here. A cgroup holds
processes or has children with limits, never both, so the harness and what runs beside it in its cgroup move
to a child, once.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.machine.spec import MachineSpec

MOUNT = "sys/fs/cgroup"
MEND = "systemd-run --user --scope -p Delegate=yes, before the command, gives it a cgroup of its own"
OURS = "ovmf-acceptance"
"""The child with the harness itself; those of QEMUs have its process number, and their own, behind it."""
OWN_MIB, SHARE = 2048, 16
"""What QEMU may take beside the guest's memory: so much, and one part in so many of that memory.

QEMU was seen with 122 MiB of its own at 4 and 8 GiB. TCG's translations may take 1 GiB, and evidence 768 MiB
where records are files in memory (tmpfs).
"""
DISKS_MIB = 4096
"""What a guest may write to its disks, which may be files in memory, too."""
_MARKS = ("user.delegate", "trusted.delegate")
"""Extended attributes that systemd sets on a cgroup that it has delegated."""
_UNIT = re.compile(r"\.(?:service|scope|slice)$")
_MOVES, _REMOVALS, _PAUSE = 20, 40, 0.05
_numbers = itertools.count()


@dataclass(frozen=True)
class Kills:
    """What the kernel counts of a QEMU's cgroup, whose limit is ``limit`` bytes.

    ``killed``: processes that any OOM killer has ended; ``own``: how often this very limit left no way out.
    """

    limit: int
    killed: int = 0
    own: int = 0


@dataclass(frozen=True)
class Place:
    """A cgroup whose children are the harness's to make; ``why`` there is none, "" where there is one."""

    folder: Path | None
    why: str = ""


def limit_of(spec: MachineSpec) -> int:
    """Return the bytes that a machine's QEMU may take: its guest's memory, and what itself needs.

    On hardware a guest's memory has two sides, of which a host may have both (AMDESE/AMDSEV, issue 250).
    """
    disks = DISKS_MIB if spec.drives else 0
    memory = spec.memory_mib * (2 if spec.protected else 1)
    return (memory + memory // SHARE + OWN_MIB + disks) << 20


def delegated(root: Path = Path("/"), attribute: Callable[[Path, str], bytes] = os.getxattr) -> Place:
    """Return the cgroup that is delegated to this process, by the files below ``root``; nothing is changed.

    It is the own one, or the one above, when the own one is a part of it and no unit of systemd: a unit
    below a delegated one belongs to whoever makes units there.
    """
    found = re.search(r"^0::/(.*)$", _text(root / "proc/self/cgroup"), re.MULTILINE)
    mount = root / MOUNT
    if found is None or not (mount / "cgroup.controllers").exists():
        return Place(None, "cgroups of version 2 are not mounted at /sys/fs/cgroup")
    own = mount / found[1]
    near = [own] if own == mount or _UNIT.search(own.name) else [own, own.parent]
    for folder in near:
        if _is_delegated(folder, mount, attribute):
            return _usable(folder)
    return Place(None, "no cgroup is delegated to this process")


def _is_delegated(folder: Path, mount: Path, attribute: Callable[[Path, str], bytes]) -> bool:
    if folder == mount:  # a container's: the host's own topmost cgroup has no type
        return (folder / "cgroup.type").exists()
    for mark in _MARKS:
        with contextlib.suppress(OSError):
            if attribute(folder, mark) == b"1":
                return True
    return False


def _usable(folder: Path) -> Place:
    if "memory" not in _text(folder / "cgroup.controllers").split():
        return Place(None, f"the cgroup {folder} has no memory controller")
    needed = (folder, folder / "cgroup.procs", folder / "cgroup.subtree_control")
    refused = next((path for path in needed if not os.access(path, os.W_OK)), None)
    return Place(None, f"{refused} cannot be written") if refused else Place(folder)


@dataclass(frozen=True)
class Group:
    """One QEMU's cgroup; ``limit`` in bytes."""

    folder: Path
    limit: int

    @classmethod
    def make(cls, spec: MachineSpec, place: Place | None = None) -> Self | None:
        """Make a machine's cgroup in a place, None: the one that is delegated; None where there is none.

        A host that refuses it has its boots without: what limits a QEMU is a wall, and no question of theirs.
        """
        folder = (place or _place()).folder
        if folder is None:
            return None
        limit = limit_of(spec)
        own = folder / f"{OURS}-{os.getpid()}-{next(_numbers)}"
        try:
            own.mkdir()
            _write(own / "memory.max", str(limit))
            with contextlib.suppress(OSError):  # a kernel without swap has no such file
                _write(own / "memory.swap.max", str(limit))
        except OSError:
            with contextlib.suppress(OSError):
                own.rmdir()
            return None
        return cls(own, limit)

    @property
    def entrance(self) -> Path:
        """The file to which a process writes 0 in order to be in it."""
        return self.folder / "cgroup.procs"

    def kills(self) -> Kills:
        """Return whom the kernel has killed for memory, as far as it says (``memory.events``)."""
        counts = dict(re.findall(r"^(\w+) (\d+)$", _text(self.folder / "memory.events"), re.MULTILINE))
        return Kills(self.limit, int(counts.get("oom_kill", 0)), int(counts.get("oom", 0)))

    def remove(self) -> None:
        """Remove it once its last process is gone, of which the kernel may still have a thread to end."""
        for _ in range(_REMOVALS):
            try:
                self.folder.rmdir()
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno != errno.EBUSY:
                    return
                time.sleep(_PAUSE)
            else:
                return


@lru_cache(maxsize=1)
def _place() -> Place:
    return prepared(delegated())


def prepared(place: Place) -> Place:
    """Return a place whose children can have memory limits; one without a folder where the kernel refuses.

    The processes of its cgroup move to a child, and cgroups of harnesses that were killed go.
    """
    folder = place.folder
    if folder is None:
        return place
    try:
        if "memory" not in _text(folder / "cgroup.subtree_control").split():
            _make_way(folder)
    except OSError as error:
        return Place(None, f"{folder}: {error.strerror}")
    for old in folder.glob(f"{OURS}-*-*"):
        if not Path("/proc", old.name.removeprefix(f"{OURS}-").partition("-")[0]).exists():
            with contextlib.suppress(OSError):
                old.rmdir()
    return place


def _make_way(folder: Path) -> None:
    """Move a cgroup's processes to a child, and hand the memory controller on to its children."""
    child = folder / OURS
    child.mkdir(exist_ok=True)
    for left in reversed(range(_MOVES)):
        for process in _text(folder / "cgroup.procs").split():
            with contextlib.suppress(ProcessLookupError):
                _write(child / "cgroup.procs", process)
        try:
            _write(folder / "cgroup.subtree_control", "+memory")
        except OSError as error:
            if error.errno != errno.EBUSY or not left:  # busy: a process was started meanwhile
                raise
        else:
            return


def _write(path: Path, text: str) -> None:
    """Write to a file that is there: the kernel makes its own."""
    with path.open("r+") as file:
        file.write(text)


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace")
    return ""
