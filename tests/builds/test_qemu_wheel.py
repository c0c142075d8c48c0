# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The package that carries what the harness compiles: it is whole, and takes the compiler's place."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.debian.apt_config import MIRROR_SETTING, find_mirror
from harness.store.carried import PACKAGE
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

GLIBC = re.compile(r"(linux-vdso|/lib64/ld-linux|libc|libm|libpthread|libdl|librt|libresolv)\b")


def call(*command: str | Path, env: Mapping[str, str], cwd: Path = PROJECT) -> str:
    """Run a program in this environment alone, and return what it said."""
    done = subprocess.run(command, cwd=cwd, env=dict(env), capture_output=True, text=True, check=False)
    assert not done.returncode, f"{done.args}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the wheel and the source archive, with tools in a folder of their own."""
    tools, out = tmp_path_factory.mktemp("tools"), tmp_path_factory.mktemp("dist")
    lock = PROJECT / "qemu-builds/requirements.lock"
    pip = (sys.executable, "-m", "pip", "-q", "install", "--no-deps", "--require-hashes", "-r", lock)
    call(*pip, "--target", tools, env=os.environ)
    env = {**os.environ, "PYTHONPATH": str(tools), "PATH": f"{tools}/bin:{os.environ['PATH']}"}
    call(sys.executable, "qemu-builds/wheel.py", "--untrained", "--dist", out, env=env)
    return out


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the wheel as pip does, programs executable."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as archive:
        for member in archive.infolist():
            path = Path(archive.extract(member, folder))
            path.chmod(0o755 if member.external_attr >> 16 & 0o100 else 0o644)
    return folder


@pytest.mark.qemu
def test_its_qemu_needs_glibc_alone(installed: Path) -> None:
    qemu = installed / PACKAGE / "qemu/qemu/qemu-system-x86_64"
    needed = call("ldd", qemu, env={"PATH": os.environ["PATH"]}).split("\n")
    from_host = [line for line in needed if line and str(installed) not in line]
    assert all(GLIBC.match(line.strip()) for line in from_host), from_host
    assert "sev-snp-emulated" in call(qemu, "-object", "help", env={})


@pytest.mark.qemu
def test_it_takes_the_compilers_place(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for tool in ("git", "apt-config", "apt-get", "dpkg-deb", "tar", "zstd", "xz"):
        if found := shutil.which(tool):
            (tmp_path / "bin" / tool).symlink_to(found)
    env = {
        "PATH": str(tmp_path / "bin"),
        "PYTHONPATH": str(installed),
        "HARNESS_CACHE": str(tmp_path / "cache"),
    }
    harness = (sys.executable, "-m", "harness.cli.entry")
    said = call(*harness, "why", "qemu", "efi-probe-lazy", env=env)
    assert "qemu qemu: comes built, in ovmf-acceptance-qemu" in said
    assert said.count(f"/{PACKAGE}/") == 2
    built = call(*harness, "build", "qemu", "efi-probe-lazy", env=env)
    assert built.count(f"/{PACKAGE}/") == 2
    assert "QEMU comes built, in ovmf-acceptance-qemu" in built
    assert not (tmp_path / "cache/store").exists()


def test_the_source_travels_with_it(dist: Path) -> None:
    with tarfile.open(next(dist.glob("*-source.tar"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    shipped = {str(path.relative_to(PROJECT)) for path in (PROJECT / "qemu-builds").rglob("*.[ch]")}
    shipped |= {str(path.relative_to(PROJECT)) for path in (PROJECT / "qemu-builds").rglob("*.patch")}
    assert shipped
    assert shipped <= names
    assert {re.sub(r".*(\.dsc|\.orig\.tar\.xz|\.debian\.tar\.xz)$", r"\1", name) for name in names} >= {
        ".dsc",
        ".orig.tar.xz",
        ".debian.tar.xz",
    }


def test_licences_are_inside(dist: Path) -> None:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as archive:
        names = [name for name in archive.namelist() if "/licenses/" in name]
        libraries = {Path(name).name for name in archive.namelist() if "/lib/" in name}
        sizes = [archive.getinfo(name).file_size for name in names]
    told = {Path(name).name.removesuffix(".copyright") for name in names}
    assert libraries <= told
    assert "GPL-2.0-or-later.txt" in told
    assert all(sizes)


@pytest.fixture(scope="module")
def root(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a minimal Debian with python3 and nothing that compiles, and both wheels in /dist."""
    if os.geteuid():
        pytest.skip("chroot wants root")
    folder = tmp_path_factory.mktemp("debian") / "root"
    packages = "python3,python3-venv,ca-certificates,cpio,zstd,xz-utils,debian-archive-keyring"
    mirror = find_mirror()
    env = {**os.environ, "LC_ALL": "C"}
    call("mmdebstrap", "--variant=minbase", f"--include={packages}", "bookworm", folder, mirror, env=env)
    wheels = folder / "dist"
    wheels.mkdir()
    pip = (sys.executable, "-m", "pip", "-q")
    call(*pip, "wheel", PROJECT, "--no-deps", "--no-build-isolation", "-w", wheels, env=os.environ)
    shutil.copy(next(dist.glob("*.whl")), wheels)
    locked = wheels / "requirements.txt"
    pins = re.findall(r"^[\w.-]+==\S+", (PROJECT / "requirements.lock").read_text(), re.MULTILINE)
    locked.write_text("\n".join(pins))
    own = [*wheels.glob("*.whl")]
    call(*pip, "download", "-c", locked, "--dest", wheels, *own, env=os.environ)
    return folder


@pytest.mark.nightly
@pytest.mark.qemu
def test_the_first_verdict_without_a_compiler(root: Path) -> None:
    """What docs/how-to/do-without-a-compiler.md says, in a Debian that has no compiler."""
    env = {"PATH": "/venv/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
    env[MIRROR_SETTING] = find_mirror()

    def inside(*words: str) -> str:
        mounts = "mount -t proc proc /proc && mount -t devtmpfs dev /dev"
        script = f'{mounts} && cd "$0" && exec "$@"'
        namespace = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
        return call(*namespace, "chroot", root, "sh", "-c", script, *words, env=env)

    assert not [*root.glob("usr/bin/*gcc*"), *root.glob("usr/bin/ld"), *root.glob("usr/bin/ninja")]
    inside("/", "python3", "-m", "venv", "/venv")
    wheels = [f"/dist/{path.name}" for path in (root / "dist").glob("ovmf_acceptance*.whl")]
    inside("/", "pip", "-q", "install", "--no-index", "--find-links", "/dist", *wheels)
    inside("/", "harness", "init", "/lab")
    began = time.monotonic()
    said = inside("/lab", "pytest")
    print(f"the whole run took {time.monotonic() - began:.0f} s")
    assert "QEMU comes built" in said
    assert re.search(r"^=+ \d+ passed", said, re.MULTILINE)
