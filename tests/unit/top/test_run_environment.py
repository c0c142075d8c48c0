# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The script ``run`` makes environments and never pulls one away: real processes, a made-up python."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.data import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_PYTHON = """#!/bin/sh
if [ "$1" = "-c" ]; then
    echo /usr/bin/made-up
fi
if [ "$1 $2" = "-m venv" ]; then
    echo made >>"$LOG"
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    printf '#!/bin/sh\\necho "${0%%/bin/*}"\\nwhile [ -e "$HOLD" ]; do sleep 0.05; done\\n' >"$3/bin/pytest"
    chmod +x "$3/bin/pytest"
fi
"""
_SECONDS = 60.0
PROC = Path("/proc")


class Checkout:
    """A copy of what ``run`` reads, in a folder of its own; ``start`` calls it as a process."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "check out"
        self.path.mkdir()
        for name in ("run", "requirements.lock", "pyproject.toml"):
            shutil.copy2(PROJECT / name, self.path)
        script = (self.path / "run").read_text()
        start, end = script.index("install_packages() {"), script.index("# The lock is not passed on")
        (self.path / "run").write_text(script[:start] + "install_packages() { :; }\n" + script[end:])
        programs = folder / "programs"
        programs.mkdir()
        (programs / "python3").write_text(_PYTHON)
        (programs / "python3").chmod(0o755)
        self.log, self.hold = folder / "log", folder / "hold"
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "LOG": str(self.log),
            "HOLD": str(self.hold),
        }
        self.started: list[subprocess.Popen[str]] = []

    def start(self, place: Path | None = None) -> subprocess.Popen[str]:
        command = [str((place or self.path) / "run"), "scenarios"]
        process = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True)
        self.started.append(process)
        return process

    def run(self, place: Path | None = None) -> str:
        out, _ = self.start(place).communicate(timeout=_SECONDS)
        return out.strip()

    @property
    def environments(self) -> set[str]:
        return {path.name for path in (self.path / ".venvs").iterdir() if path.is_dir()}

    @property
    def made(self) -> int:
        return self.log.read_text().count("made")


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(tmp_path)
    yield made
    made.hold.unlink(missing_ok=True)
    for process in made.started:
        process.kill()
        process.communicate()


def until(what: Callable[[], bool]) -> None:
    give_up = time.monotonic() + _SECONDS
    while not what():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_two_at_once_make_one_environment(checkout: Checkout) -> None:
    runs = [checkout.start() for _ in range(3)]
    said = {run.communicate(timeout=_SECONDS)[0].strip() for run in runs}
    assert checkout.made == 1
    (name,) = checkout.environments
    assert said == {str(checkout.path / ".venvs" / name)}
    assert (checkout.path / ".venv").readlink() == Path(".venvs", name)


def test_one_that_is_used_stays_until_its_run_ends(checkout: Checkout) -> None:
    checkout.hold.touch()
    running = checkout.start()
    until((checkout.path / ".venv").exists)
    (old,) = checkout.environments
    assert running.stdout is not None
    assert running.stdout.readline().strip().endswith(old)  # its pytest runs
    with (checkout.path / "requirements.lock").open("a") as file:
        file.write("# another\n")
    second = checkout.start()
    assert second.stdout is not None
    new = second.stdout.readline().strip().rpartition("/")[2]
    assert checkout.environments == {old, new}
    assert (checkout.path / ".venv").readlink() == Path(".venvs", new)
    checkout.hold.unlink()
    assert running.wait(_SECONDS) == second.wait(_SECONDS) == 0
    checkout.run()
    assert checkout.environments == {new}
    assert checkout.made == 2


def test_a_link_to_the_checkout_is_the_same_place(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(checkout.path)
    assert checkout.run() == checkout.run(tmp_path / "link")
    assert checkout.made == 1


def test_a_folder_of_before_is_replaced_once(checkout: Checkout) -> None:
    (checkout.path / ".venv/bin").mkdir(parents=True)
    place = checkout.run()
    assert (checkout.path / ".venv").resolve() == (checkout.path / place)
    assert (checkout.path / ".venv").is_symlink()


def test_a_folder_of_before_that_is_used_stays(checkout: Checkout) -> None:
    (checkout.path / ".venv/bin").mkdir(parents=True)
    program = checkout.path / ".venv/bin/sleep"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    with subprocess.Popen([str(program), "60"]) as user:
        until(lambda: str(program).encode() in (PROC / str(user.pid) / "cmdline").read_bytes())
        assert "/.venvs/" in checkout.run()
        assert program.exists()
        user.kill()
    checkout.run()
    assert (checkout.path / ".venv").is_symlink()


def test_one_python_by_two_paths_makes_one_environment(checkout: Checkout, tmp_path: Path) -> None:
    """As a shim of pyenv and the activated environment are."""
    checkout.run()
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "python3").write_text(_PYTHON)
    (shims / "python3").chmod(0o755)
    checkout.environment["PATH"] = f"{shims}:{checkout.environment['PATH']}"
    checkout.run()
    assert checkout.made == 1
