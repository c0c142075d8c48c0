# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The emulation in QEMUs that are built otherwise: with sanitizers, and without KVM and the ledger.

Each is built for minutes when it is new. ``FUZZ_CASES`` and ``FUZZ_SEED`` say what the sanitizers see.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.qemu import BINARY, build_qemu
from harness.debian.lock_file import Lock
from harness.paths import Project
from harness.recipes.qemu import load_qemu
from tests.support.bare_metal_guest import build, command, run
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients

SANITIZERS = ("--enable-asan", "--enable-ubsan", "-Doptimization=1")
MILLION = {"FUZZ_CASES": "1000000", "FUZZ_VMSAS": "2000"}

pytestmark = [pytest.mark.nightly, pytest.mark.qemu, pytest.mark.timeout(0)]


@pytest.fixture
def own_project(tmp_path: Path) -> Project:
    """Give a project with a copy of ``qemu-builds/``, and nothing else."""
    shutil.copytree(PROJECT / "qemu-builds", tmp_path / "own/qemu-builds")
    return Project((tmp_path / "own",))


def built(ingredients: Ingredients, project: Project, *options: str) -> Path:
    recipe = load_qemu(project)
    recipe = recipe.model_copy(update={"configure": (*recipe.configure, *options)})
    lock = Lock.load(PROJECT / "debian.lock.yaml")
    return build_qemu(recipe, ingredients.apt, lock, project).path / BINARY


def test_sanitizers_find_nothing_in_a_million(ingredients: Ingredients, own_project: Project) -> None:
    qemu = built(ingredients, own_project, *SANITIZERS)
    fuzzers = [str(path) for path in sorted((PROJECT / "tests/emulation").glob("test_*_fuzz.py"))]
    assert len(fuzzers) == 2
    sanitizers = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", *fuzzers],
        cwd=PROJECT,
        env={**MILLION, **os.environ, **sanitizers, "HARNESS_QEMU": str(qemu)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_guests_run_without_kvm_and_without_the_ledger(
    ingredients: Ingredients, own_project: Project, tmp_path: Path
) -> None:
    *_, last = sorted((tmp_path / "own/qemu-builds/patches").iterdir())
    assert "SEV_EMULATED_LEDGER" in last.read_text()
    last.unlink()
    qemu = built(ingredients, own_project, "--disable-kvm")
    image, debug = build(tmp_path), tmp_path / "debug.log"
    done = run(command(qemu, image, debug, ",rmp-entries=4k", kvm=0, entries=0))
    said = debug.read_text()
    assert said.endswith("end of tests\n"), said + done.stderr
    assert "\nFAIL" not in said
    assert ", unknown)" in done.stderr  # nobody knows whose code asked for the end
    accelerators = subprocess.run([qemu, "-accel", "help"], capture_output=True, text=True, check=True).stdout
    assert "kvm" not in accelerators
    for properties, sentence in (
        (f",ledger={debug}", "Invalid parameter 'ledger'"),
        (",host-faults=in-use,fault-phase=kernel", "does not know whose code runs, as 'fault-phase' needs"),
    ):
        refused = run(command(qemu, image, debug, properties))
        assert refused.returncode == 1
        assert sentence in refused.stderr
