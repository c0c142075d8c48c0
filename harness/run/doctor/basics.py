# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What every run needs: programs, a mirror, room, memory; and what a container may limit."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.debian.apt_config import KEYRING, find_mirror, machine_settings
from harness.errors import HarnessError
from harness.machine.cgroup import MEND, MOUNT, delegated
from harness.platforms.leaf import branch, failed, passed, skipped
from harness.store.carried import DISTRIBUTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.platforms.leaf import Leaf
    from harness.run.pool import Demand

TOOLS = MappingProxyType(
    {
        "apt-get": "apt",
        "dpkg-source": "dpkg-dev",
        "gpg": "gpg",
        "cpio": "cpio",
        "zstd": "zstd",
        "setpriv": "util-linux",
        "patch": "patch",
        "mmdebstrap": "mmdebstrap",
        "fakeroot": "fakeroot",
        "newuidmap": "uidmap",
        "/sbin/mke2fs": "e2fsprogs",
    }
)
"""Programs that fetching and making guests need, each with Debian's package; ``./run`` installs the same."""
COMPILERS = MappingProxyType(
    {
        "gcc": "gcc",
        "g++": "g++",
        "make": "make",
        "nasm": "nasm",
        "iasl": "acpica-tools",
        "ninja": "ninja-build",
        "pkg-config": "pkg-config",
    }
)
"""Programs that compile QEMU, what runs in guests, and firmware, in the same form."""
_MIRROR_SECONDS = 1.5
_LEAST_DISK_GIB = 10
_LEAST_MEMORY_MIB = 6144
"""A guest of 8 GiB takes 4 GiB and 256 MiB when it is emulated; something else runs, too."""
_LEAST_UNEVICTABLE_MIB = 9216
_LEAST_PIDS = 256
_PROXY = re.compile(r"^Acquire::(?:\w+::)+Proxy", re.IGNORECASE | re.MULTILINE)


def tools(which: Callable[[str], object] = shutil.which, keyring: Path = KEYRING) -> Leaf:
    """Return whether the programs are there that fetching and making guests need."""
    missing = _missing(TOOLS, which)
    if not keyring.is_file():
        missing[str(keyring)] = "debian-archive-keyring"
    if missing:
        return failed("tools", f"missing: {', '.join(missing)}", _install(missing, which))
    return passed("tools", f"all {len(TOOLS)} programs are there")


def compilers(uncompiled: Sequence[str], which: Callable[[str], object] = shutil.which) -> Leaf:
    """Return whether what compiles is there; ``uncompiled``: what a first boot would have to compile here.

    Where that is nothing, because it comes built or has been built, a missing compiler is no failure.
    """
    name, missing = "compilers", _missing(COMPILERS, which)
    if not missing:
        return passed(name, f"all {len(COMPILERS)} programs are there")
    said = f"missing: {', '.join(missing)}"
    if not uncompiled:
        none = (
            f"{said}; QEMU and the guest's programs are built, so firmware built from source alone needs them"
        )
        return skipped(name, none, _install(missing, which))
    mend = f"{_install(missing, which)}; or pip install {DISTRIBUTION}, in which all of that comes built"
    return failed(name, f"{said}; to be compiled: {', '.join(uncompiled)}", mend)


def _missing(wanted: Mapping[str, str], which: Callable[[str], object]) -> dict[str, str]:
    return {tool: package for tool, package in wanted.items() if not which(tool)}


def _install(missing: Mapping[str, str], which: Callable[[str], object]) -> str:
    """Return how to get what is missing; a host without apt has no such packages."""
    if not which("apt-get"):
        return "this is no Debian: take the image that contrib/container/Containerfile makes"
    return f"apt-get install {' '.join(sorted(set(missing.values())))}"


def reached(address: str) -> str:
    """Return why an archive does not answer; "" when it does, whatever it says."""
    if address.startswith("file:"):
        folder = Path(address.removeprefix("file:"))
        return "" if (folder / "dists").is_dir() else "there is no folder dists in it"
    request = urllib.request.Request(f"{address}/dists/", method="HEAD")  # noqa: S310  # apt's own address
    try:
        with urllib.request.urlopen(request, timeout=_MIRROR_SECONDS):  # noqa: S310
            return ""
    except urllib.error.HTTPError:
        return ""  # a listing that it does not give is an answer
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def mirror(
    find: Callable[[], str] = find_mirror,
    trouble: Callable[[str], str] = reached,
    settings: Callable[[], list[str]] = machine_settings,
) -> Leaf:
    """Return whether there is a Debian archive, and whether it answers."""
    name = "mirror"
    try:
        address = find()
    except HarnessError as error:
        return failed(name, error.what, error.hint)
    reason = trouble(address)
    if not reason:
        return passed(name, f"{address} answers")
    if _PROXY.search("\n".join(settings())):
        return skipped(name, f"{address} is behind apt's proxy", "apt-get update says whether it answers")
    mend = "mend the network, or name another mirror in HARNESS_DEBIAN_MIRROR; what is built still boots"
    return failed(name, f"{address} does not answer: {reason}", mend)


def disk(folder: Path, free: int) -> Leaf:
    """Return whether ``free`` bytes are enough for the cache in ``folder``."""
    gib = free / (1 << 30)
    if gib < _LEAST_DISK_GIB:
        mend = f"make room, or name another folder in HARNESS_CACHE; all of it takes {_LEAST_DISK_GIB} GiB"
        return failed("disk", f"{gib:.1f} GiB are free for {folder}", mend)
    return passed("disk", f"{gib:.0f} GiB are free for {folder}")


def free_bytes(folder: Path) -> int:
    """Return what is free where a folder is or would be made."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    return shutil.disk_usage(there).free


def memory(capacity: Demand, *, unevictable: bool = False) -> Leaf:
    """Return whether processors and memory are enough for the usual guest.

    ``unevictable``: guests are on hardware, where each takes all of its memory and none can be paged out.
    """
    said = f"{capacity.memory_mib >> 10} GiB available, {capacity.cpus} processors"
    least = _LEAST_UNEVICTABLE_MIB if unevictable else _LEAST_MEMORY_MIB
    if capacity.memory_mib < least:
        why = ", for a guest of 8 GiB that cannot be paged out" if unevictable else ""
        mend = f"end other guests and programs: {least >> 10} GiB are wanted{why}; or boot with --memory 2G"
        return failed("memory", said, mend)
    return passed("memory", said)


def container(root: Path = Path("/"), *, superuser: bool | None = None) -> Leaf:
    """Return what limits this process and its QEMUs, and whether it may make user namespaces."""
    is_root = os.geteuid() == 0 if superuser is None else superuser
    return branch("limits", (*_limits(root), _qemu_limit(root), _namespaces(root, is_root)))


def _qemu_limit(root: Path) -> Leaf:
    """Return whether each QEMU gets a memory limit of its own; nothing fails without."""
    name, place = "qemu-memory-limit", delegated(root)
    if place.folder is None:
        return skipped(name, f"none: {place.why}", MEND)
    return passed(name, f"each QEMU has a cgroup of its own in {place.folder}")


def _limits(root: Path) -> Iterator[Leaf]:
    groups = [root / MOUNT]
    if own := re.search(r"^0::/(.*)$", _text(root / "proc/self/cgroup"), re.MULTILINE):
        below = root / MOUNT / own[1]
        groups = [below, *(each for each in below.parents if each.is_relative_to(root / MOUNT))]
    for name, least, unit, mend in (
        ("memory", _LEAST_MEMORY_MIB << 20, 1 << 20, "give the container more memory (--memory)"),
        ("pids", _LEAST_PIDS, 1, "give the container more processes (--pids-limit)"),
    ):
        values = (_text(group / f"{name}.max").strip() for group in groups)
        limits = [int(value) for value in values if value.isdecimal()]
        if not limits:
            yield passed(f"{name}-limit", "none")
        elif (limit := min(limits)) < least:
            yield failed(f"{name}-limit", f"{limit // unit}, and {least // unit} are wanted", mend)
        else:
            yield passed(f"{name}-limit", str(limit // unit))


def _namespaces(root: Path, superuser: bool) -> Leaf:
    name, sys = "user-namespaces", root / "proc/sys"
    if superuser:
        return passed(name, "root needs none")
    for setting, bad, path in (
        ("user.max_user_namespaces", "0", "user/max_user_namespaces"),
        ("kernel.unprivileged_userns_clone", "0", "kernel/unprivileged_userns_clone"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "kernel/apparmor_restrict_unprivileged_userns"),
    ):
        if _text(sys / path).strip() == bad:
            mend = f"sysctl {setting}={1 - int(bad) or 10000}: Debian guests are made without root by them"
            return failed(name, f"{setting} is {bad}", mend)
    return passed(name, "may be made")


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace")
    return ""
