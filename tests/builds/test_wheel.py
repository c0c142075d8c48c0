# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The wheel: it carries the shipped project, and works where nothing may be written and no checkout is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.matrix.cell import Cell
from harness.paths import cache_dir
from tests.support.data import DATA, PROJECT
from tests.support.pytest_runs import TWO, stored_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

INSIDE = "harness/_project"
EMULATED, PLAIN = (
    Cell("own-2025.02", "own-6.12", "direct", 2048, platform, action="hello:world").id
    for platform in ("snp-emulated", "plain")
)
SHIPPED = ("guest-images", "ovmf-builds", "qemu-builds", "scenarios", "contrib/project", "debian.lock.yaml")


def call(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None, fails: bool = False) -> str:
    """Run a program and return what it said; it must end well, or with ``fails`` must not."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == fails, f"{done.args}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of what the repository holds."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    names = call("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=PROJECT).split(
        "\0"
    )
    for name in filter(None, names):
        if (PROJECT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((PROJECT / name).read_bytes())
    pip = (sys.executable, "-m", "pip", "-q", "wheel", ".", "--no-deps", "--no-build-isolation", "-w", out)
    call(*pip, cwd=source)
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Unpack the wheel where nothing may be written; the environment in which Python finds it first."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    there = sorted([folder, *folder.rglob("*")])
    for path in there:
        path.chmod(path.stat().st_mode & ~0o222)
    times = [path.stat().st_mtime_ns for path in there]
    yield {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    assert sorted([folder, *folder.rglob("*")]) == there  # root may write everywhere
    assert [path.stat().st_mtime_ns for path in there] == times


def harness(*arguments: str | Path, cwd: Path, env: Mapping[str, str], fails: bool = False) -> str:
    return call(sys.executable, "-m", "harness.cli.entry", *arguments, cwd=cwd, env=env, fails=fails)


def test_it_carries_the_shipped_project_and_no_path_of_this_machine(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        texts = {name: archive.read(name) for name in names}
    wanted = call("git", "ls-files", *SHIPPED, cwd=PROJECT).split()
    assert len(wanted) > 100
    assert {f"{INSIDE}/{name}" for name in wanted} <= names
    for name in wanted:
        assert texts[f"{INSIDE}/{name}"] == (PROJECT / name).read_bytes()
    there = "|".join(re.escape(path) for path in (str(PROJECT), f"{Path.home()}/"))
    path = re.compile(rf"(?<![\w.-])(?:{there})".encode())  # a checkout in / is no end of another path
    assert not [name for name, text in texts.items() if path.search(text)]
    entries = next(text for name, text in texts.items() if name.endswith("entry_points.txt")).decode()
    for command in ("harness", "ovmf-acceptance"):
        assert f"{command} = harness.cli.entry:command" in entries


def test_it_is_what_python_finds(installed: Mapping[str, str], tmp_path: Path) -> None:
    code = "from harness.paths import SHIPPED_PROJECT as p; print(*p.roots, p.own, p.scenarios)"
    said = call(sys.executable, "-c", code, cwd=tmp_path, env=installed).split()
    inside = f"{installed['PYTHONPATH']}/{INSIDE}"
    assert said == [inside, "None", f"{inside}/scenarios"]


def test_a_project_in_an_empty_folder(installed: Mapping[str, str], tmp_path: Path) -> None:
    harness("init", "lab", cwd=tmp_path, env=installed)
    lab = tmp_path / "lab"
    assert "own: 2 cells" in harness("plan", cwd=lab, env=installed)
    assert "own-2025.02" in harness("firmware", "list", cwd=lab, env=installed)
    (lab / "scenarios/two.yaml").write_text(TWO)
    pytest_here = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
    said = call(*pytest_here, "scenarios/two.yaml", "--replay", DATA / "records", cwd=lab, env=installed)
    assert re.search(r"\d\d passed", said)
    cold = {**installed, "HARNESS_CACHE": str(tmp_path / "cache")}
    said = call(*pytest_here, "--collect-only", "-q", "--platform", "plain", cwd=lab, env=cold)
    assert f"scenarios/own.yaml::{PLAIN}::unmade" in said
    assert "a run would fetch or build kernel own-6.12 (" in said
    assert not (tmp_path / "out").exists()  # results stay in the project


def test_what_is_shipped_can_be_named_from_anywhere(installed: Mapping[str, str], tmp_path: Path) -> None:
    assert "rollout: " in harness("plan", cwd=tmp_path, env=installed)
    said = harness("update", cwd=tmp_path, env=installed, fails=True)
    assert "no lock file can be renewed here" in said
    assert "`harness init DIR` makes one" in said
    scenario = Path(installed["PYTHONPATH"], INSIDE, "scenarios/first-boot.yaml")
    harness("init", "lab", cwd=tmp_path, env=installed)
    said = call(
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", scenario, "--replay", DATA / "records",
        cwd=tmp_path / "lab", env=installed,
    )  # fmt: skip
    assert "scenarios: 1 of" in said or "scenarios: 1 cell" in said


def test_its_builds_have_the_keys_of_a_checkouts(installed: Mapping[str, str], tmp_path: Path) -> None:
    """What a checkout has built is not built again."""
    code = (
        "from harness.artifacts.qemu import qemu_inputs\nfrom harness.debian.lock_file import Lock\n"
        "from harness.paths import SHIPPED\nfrom harness.recipes.qemu import load_qemu\n"
        "from harness.store.inputs import canonical\n"
        "print(canonical(qemu_inputs(load_qemu(), Lock.load(SHIPPED / 'debian.lock.yaml'))))"
    )
    here = call(sys.executable, "-c", code, cwd=PROJECT, env={"PYTHONPATH": str(PROJECT)})
    assert call(sys.executable, "-c", code, cwd=tmp_path, env=installed) == here
    assert INSIDE not in here


@pytest.mark.nightly
@pytest.mark.qemu
def test_a_fresh_environment_boots_its_own_project(wheel: Path, tmp_path: Path) -> None:
    """What the README says: install, init, pytest; with the cache that this machine has."""
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv/bin"
    pip = (programs / "python", "-m", "pip", "-q", "install")
    call(*pip, "--require-hashes", "-r", PROJECT / "requirements.lock", cwd=tmp_path)
    call(*pip, "--no-deps", wheel, cwd=tmp_path)
    for name in ("harness", "ovmf-acceptance"):
        call(programs / name, "init", name, cwd=tmp_path)
    environment = {"HARNESS_CACHE": str(cache_dir())}
    said = call(programs / "pytest", cwd=tmp_path / "harness", env=environment)
    assert re.search(r"^=+ \d+ passed in ", said, re.MULTILINE)
    (run,) = (tmp_path / "harness/out/records").iterdir()
    assert {EMULATED, PLAIN} <= set(stored_records(run))
