# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A Debian in a folder, in which commands run as in a container, with the host's KVM, SEV and network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.debian.apt_config import MIRROR_SETTING, find_mirror, machine_settings
from tests.support.checkouts import git
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from collections.abc import Sequence

CHECKOUT = Path("/ovmf-acceptance")
"""Where the Containerfile has the checkout, too."""
WHEELS = Path("/wheels")
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
LOCKS = ("requirements.lock", "qemu-builds/requirements.lock")
"""Those of ``./run`` and of the test that makes QEMU's package."""
_PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENTER = """\
root=$1 cache=$2
shift 2
mkdir -p "$root/dev" "$root/proc" "$root/sys" "$root/cache" "$root/tmp"
while [ "$1" != -- ]; do
    mkdir -p "$root$1"
    mount --bind "$1" "$root$1"
    shift
done
shift
mount -t tmpfs -o mode=755 dev "$root/dev"
# Nodes of its own: who runs in it may change their modes, and a bound one is the host's.
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 666 "$root/dev/full" c 1 7
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
mknod -m 666 "$root/dev/tty" c 5 0
for name in kvm sev; do
    [ -e "/dev/$name" ] || continue
    : >"$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs shm "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --bind "$cache" "$root/cache"
exec chroot "$root" sh -c 'cd "$0" && "$@"; exit $?' "$@"
"""


@dataclass(frozen=True)
class DebianRoot:
    """The root of a Debian in ``path``.

    Its ``/cache`` is the folder ``cache`` of the host; it has the folders ``shared`` of the host, too.
    """

    path: Path
    cache: Path
    shared: tuple[Path, ...] = ()

    def run(self, *words: str, cwd: Path = CHECKOUT, **settings: str) -> str:
        """Return what a program said that ran in it; it must end well."""
        environment = {
            "PATH": f"{CHECKOUT}/.venv/bin:{_PROGRAMS}",
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
            "HARNESS_CACHE": "/cache",
            MIRROR_SETTING: find_mirror(),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(WHEELS),
            **settings,
        }
        mortal = ("setpriv", "--pdeathsig", "KILL")  # what runs in it ends with the tests
        apart = (*mortal, "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", _ENTER)
        folders = (*map(str, self.shared), "--", str(cwd))
        done = subprocess.run(
            [*apart, "enter", str(self.path), str(self.cache), *folders, *words], env=environment,
            capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert not done.returncode, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


def bootstrap(suite: str, root: Path, *options: str) -> None:
    """Make the root of a Debian as its container images are, or with other ``options`` of mmdebstrap."""
    if os.geteuid():
        pytest.skip("chroot wants root")
    if shutil.which("mmdebstrap") is None:
        pytest.skip("there is no mmdebstrap")
    apart = ("unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt")
    if subprocess.run(apart, capture_output=True, check=False).returncode:
        pytest.skip("nobody may mount here")
    settings = [f"--aptopt={line}" for line in machine_settings() if line.startswith("Acquire::")]
    _call("mmdebstrap", *(options or ("--variant=minbase",)), *settings, suite, str(root), find_mirror())
    for name in ("resolv.conf", "hosts"):
        if (host := Path("/etc", name)).is_file():
            (root / "etc").mkdir(exist_ok=True)
            shutil.copy(host, root / "etc" / name)


def add_checkout(root: Path) -> None:
    """Put what the repository holds, with all that is new, into a root, as a repository."""
    checkout = root / CHECKOUT.relative_to("/")
    listed = git(PROJECT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, listed):
        if (PROJECT / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, checkout / name)
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "all")


def add_wheels(root: Path, python: str) -> None:
    """Fetch what ``./run`` and its tests install, as this machine's pip does, for a root's Python."""
    place = str(root / WHEELS.relative_to("/"))
    pip: Sequence[str] = (sys.executable, "-m", "pip", "-q", "download", "--no-deps", "--dest", place)
    for lock in LOCKS:
        _call(*pip, "--python-version", python, "--require-hashes", "-r", str(PROJECT / lock))
    _call(*pip, "setuptools")  # what has no wheel is built by it


def _call(*command: str) -> None:
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert not done.returncode, f"{command}\n{done.stdout}{done.stderr}"
