# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Hosts that are no Debian: the steps of the container's image, in the same root made by mmdebstrap."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.paths import cache_dir
from tests.support.data import PROJECT
from tests.support.debian_root import CHECKOUT, PYTHONS, DebianRoot, add_checkout, add_wheels, bootstrap

if TYPE_CHECKING:
    from harness.artifacts.ingredients import Ingredients

CELL = "debian-2025.02+debian-6.12+direct+2G+snp-emulated"
CONTAINER = PROJECT / "contrib/container"
_NEEDED = (
    "dash",
    "coreutils",
    "util-linux",
    "python3",
    "gcc",
    "libc6-dev",
    "libglib2.0-0",
    "libpixman-1-0",
    "libfdt1",
    "libslirp0",
    "libseccomp2",
)
"""What a cell takes whose parts are in the cache: the libraries of Python and of QEMU, and gcc, whose version
says which of the guest's programs are those of this host."""


def host_suite() -> str:
    """Return this host's own suite, whose Python and QEMU run in a root of it."""
    found = re.search(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(), re.MULTILINE)
    if found is None or found[1] not in PYTHONS:
        pytest.skip("this host is no Debian 12 or 13")
    return found[1]


def test_the_image_has_no_steps_of_its_own() -> None:
    """What builds it is a root, the checkout and the script that the tests below run."""
    lines = (CONTAINER / "Containerfile").read_text().splitlines()
    steps = [line for line in lines if re.match(r"(FROM|COPY|ADD|RUN) ", line)]
    assert steps == [
        "FROM debian:${SUITE}-slim",
        f"COPY . {CHECKOUT}",
        f"RUN {CHECKOUT}/contrib/container/prepare",
    ]
    (suite,) = (line.removeprefix("ARG SUITE=") for line in lines if line.startswith("ARG "))
    assert suite in PYTHONS


@pytest.mark.qemu
def test_a_cell_boots_where_of_the_host_there_are_kvm_and_sev_alone(
    ingredients: Ingredients, tmp_path: Path
) -> None:
    """The short form: a root that is only unpacked, this checkout in it, and what its cache has."""
    firmware, kernel = CELL.split("+")[:2]
    _ = ingredients.initrd, ingredients.firmware(firmware), ingredients.kernel(kernel)
    qemu = ingredients.qemu
    bootstrap(host_suite(), tmp_path / "root", "--variant=extract", f"--include={','.join(_NEEDED)}")
    python = Path(sys.base_prefix)
    own = () if python == Path("/usr") else (python,)
    root = DebianRoot(tmp_path / "root", cache_dir(), (PROJECT, qemu.parent, *own))
    devices = set(root.run("ls", "/dev", cwd=Path("/")).split())
    assert {"kvm", "sev"} & {path.name for path in Path("/dev").iterdir()} <= devices
    assert int(root.run("stat", "-c", "%d", "/dev/null", cwd=Path("/"))) != Path("/dev/null").stat().st_dev
    assert not devices & {"mem", "kmsg", "loop-control", "net", "vhost-net"}
    command = (sys.executable, "-m", "harness.cli.entry", "boot", CELL, "--qemu", str(qemu), "--judge")
    said = root.run(*command, "--record", "/record", cwd=PROJECT)
    assert "the guest reported and powered off, in phase done" in said
    index = json.loads((tmp_path / "root/record/boot.json").read_text())
    assert (index["cell"], index["outcome"]["kind"]) == (CELL, "completed")


@pytest.mark.nightly
@pytest.mark.qemu
@pytest.mark.timeout(8 * 3600)
@pytest.mark.parametrize("suite", PYTHONS)
def test_both_commands_of_the_readme(suite: str, tmp_path: Path) -> None:
    """Both are run whole; what the cache has not, for a suite's compilers and Python, is made in it."""
    bootstrap(suite, tmp_path / "root")
    root = DebianRoot(tmp_path / "root", cache_dir())
    add_checkout(root.path)
    add_wheels(root.path, PYTHONS[suite])
    said = root.run(f"{CHECKOUT}/contrib/container/prepare", cwd=Path("/"))
    assert "run: all is there" in said
    assert "run: no system package is missing" in root.run("./run", "--no-install")
    for command in ("tests", "scenarios"):
        said = root.run("./run", "--no-install", command)
        assert re.search(r"^=+ \d+ passed", said, re.MULTILINE), said[-2000:]
