# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Ingredients made in the background."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts import making as module
from harness.artifacts.making import Making
from harness.artifacts.named import QEMU, Named
from harness.errors import HostError
from harness.store.build_steps import run_step
from tests.support.processes import gone

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = 60.0
NICE: dict[str, int] = {}
KERNEL, OTHER = Named("kernel", "debian-6.1"), Named("kernel", "debian-6.12")
BUILT, THE_QEMU = Named("firmware", "safe"), Named(QEMU, QEMU)


class Slow:
    """Ingredients of which each waits until it may be had."""

    def __init__(self, progress: Callable[[str], None], gates: dict[str, threading.Event]) -> None:
        self.progress = progress
        self._gates = gates

    def kernel_recipe(self, _name: str) -> object:
        return object()

    def firmware_recipe(self, _name: str) -> object:
        return SimpleNamespace(source=SimpleNamespace(is_image=False))

    def _get(self, name: str) -> Any:
        NICE[name] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        self.progress(f"making {name}")
        assert self._gates[name].wait(LONG)
        if name == "debian-6.12":
            raise HostError("no mirror answers")
        return SimpleNamespace(path=Path(name))

    firmware = kernel = _get

    @property
    def qemu(self) -> Path:
        return Path(str(self._get(QEMU).path))


@pytest.fixture
def gates() -> dict[str, threading.Event]:
    return {name: threading.Event() for name in ("debian-6.1", "debian-6.12", "safe", QEMU)}


@pytest.fixture
def making(gates: dict[str, threading.Event]) -> Making:
    def copy(progress: Callable[[str], None]) -> Any:
        return Slow(progress, gates)

    return Making([THE_QEMU, KERNEL, BUILT, OTHER, KERNEL], copy)


def until(making: Making, *things: Named) -> None:
    while not making.over(things):
        making.lines()
        making.wait(LONG)


def test_downloads_go_on_beside_compilation(making: Making, gates: dict[str, threading.Event]) -> None:
    making.start()
    gates["debian-6.1"].set()
    gates["debian-6.12"].set()
    until(making, KERNEL, OTHER)
    assert not making.over([THE_QEMU])
    assert making.error([KERNEL]) is None
    assert str(making.error([THE_QEMU, KERNEL, OTHER])) == "no mirror answers"
    gates[QEMU].set()
    gates["safe"].set()
    until(making, THE_QEMU, BUILT)
    assert str(making) == "making nothing; 4 of 4 made, less than a minute left"


def test_what_is_being_made_and_how_long_that_may_take(
    making: Making, gates: dict[str, threading.Event]
) -> None:
    assert str(making) == "making nothing; 0 of 4 made, about 5 min left"
    making.start()
    gates["debian-6.1"].set()
    gates[QEMU].set()
    until(making, THE_QEMU, KERNEL)
    while "safe" not in str(making) or "6.12" not in str(making):
        making.lines()
        making.wait(0.1)
    assert "firmware safe" in str(making)
    assert "2 of 4 made, about" in str(making)


def test_progress_is_told_once(making: Making, gates: dict[str, threading.Event]) -> None:
    for gate in gates.values():
        gate.set()
    making.start()
    lines: list[str] = []
    while not making.over([THE_QEMU, KERNEL, BUILT, OTHER]):
        lines += making.lines()
        making.wait(0.1)
    lines += making.lines()
    assert sorted(lines) == [f"making {name}" for name in ("debian-6.1", "debian-6.12", QEMU, "safe")]


def test_compilers_leave_processors_to_boots(making: Making, gates: dict[str, threading.Event]) -> None:
    for gate in gates.values():
        gate.set()
    making.start()
    until(making, THE_QEMU, KERNEL, BUILT, OTHER)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert {QEMU: min(own + 10, 19), "safe": min(own + 10, 19), "debian-6.1": own, "debian-6.12": own} == NICE


def test_what_is_stopped_leaves_no_process(
    making: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {begun}.$$ && mv {begun}.$$ {begun} && wait"

    def build(named: Named, _ingredients: object) -> None:
        if named.kind == "kernel":
            return
        run_step("compile", ["sh", "-c", script], tmp_path, tmp_path / "log", lambda _line: None)

    monkeypatch.setattr(module, "have", build)
    making.start()
    while not begun.exists():
        time.sleep(0.01)
    making.stop()
    assert gone(int(begun.read_text()), LONG)
    assert making.over([THE_QEMU])
    assert not making.over([BUILT]), "and begins nothing more"


def test_what_nobody_makes_counts_as_made(making: Making) -> None:
    assert making.over([Named("loader", "direct")])
    assert not making.over([KERNEL])
