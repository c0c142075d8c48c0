# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Starting QEMU, failing to, and never leaving one behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from harness.machine import machine as machine_module
from harness.machine.machine import GREETING_SECONDS, LAUNCH_SECONDS, Machine, greeting_seconds
from harness.machine.process import OUTPUT_SHOWN, LaunchError, read_tail
from harness.machine.spec import ConfidentialObject, MachineSpec
from tests.support.data import FAKE_QEMU, PROJECT
from tests.support.processes import HOLDER, alive, gone, wait_for


def fake(*steps: dict[str, object], qemu: Path = FAKE_QEMU) -> MachineSpec:
    return MachineSpec(qemu=qemu, firmware=Path("/f"), memory_mib=1, accel="tcg", cmdline=json.dumps(steps))


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_launch_failure_carries_code_words_command_and_log(tmp_path: Path) -> None:
    with pytest.raises(LaunchError) as caught, Machine(fake({"die": [3, "no such machine"]}), tmp_path):
        pass
    error = caught.value
    assert error.returncode == 3
    assert error.output == "no such machine"
    assert error.log == tmp_path / "qemu.log"
    for part in ("exit code 3", "no such machine", str(FAKE_QEMU), "-bios", str(tmp_path / "qemu.log")):
        assert part in str(error)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises(LaunchError, match="not an executable file"),
        Machine(fake(qemu=tmp_path / "missing"), tmp_path),
    ):
        pass


def test_a_program_that_cannot_run(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    with pytest.raises(LaunchError) as caught, Machine(fake(qemu=program), tmp_path):
        pass
    assert caught.value.returncode in {126, 127}


def test_a_mute_qemu_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_module, "GREETING_SECONDS", 0.3)
    machine = Machine(fake({"mute": True}), tmp_path)
    with pytest.raises(LaunchError, match=r"no QMP greeting within 0\.3 s"):
        machine.__enter__()
    assert machine.returncode == -signal.SIGKILL


def test_memory_that_is_to_be_there_takes_its_time() -> None:
    large = replace(fake(), memory_mib=513 << 10)
    assert greeting_seconds(large) == GREETING_SECONDS
    assert greeting_seconds(replace(large, backing=(("prealloc", "on"),))) == GREETING_SECONDS + 2 * 513


@pytest.mark.parametrize(("accel", "seconds"), [("kvm", LAUNCH_SECONDS), ("tcg", None)])
def test_the_launch_of_a_protected_guest_takes_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accel: str, seconds: float | None
) -> None:
    """All of it is in the command by which the guest is let run, and others may be launched before it."""
    asked: list[tuple[str, float | None]] = []

    class Asked:
        def execute(self, command: str) -> None:
            asked.append((command, None))

        def execute_within(self, seconds: float, command: str) -> None:
            asked.append((command, seconds))

    monkeypatch.setattr(Machine, "qmp", Asked())
    spec = replace(fake(), accel=accel, confidential=ConfidentialObject(type="sev-snp-guest"))
    Machine(spec, tmp_path).go_on()
    assert asked == [("cont", seconds)]


def test_leaving_ends_qemu_and_reports_its_code(tmp_path: Path) -> None:
    with Machine(fake(), tmp_path) as machine:
        pid = machine.pid
        assert alive(pid)
        assert os.getsid(pid) == pid
    assert machine.returncode == 0
    assert not alive(pid)
    machine.close()  # again, without harm


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    with Machine(fake(), tmp_path / "first"):
        pass  # the loop's own descriptors exist from now on
    before = open_descriptors()
    with Machine(fake(), tmp_path / "second") as machine:
        machine.cont()
    with pytest.raises(LaunchError), Machine(fake({"die": [1, ""]}), tmp_path / "third"):
        pass
    with pytest.raises(LaunchError), Machine(fake(qemu=tmp_path / "none"), tmp_path / "fourth"):
        pass
    assert open_descriptors() == before


def test_the_thread_that_started_it_may_end(tmp_path: Path) -> None:
    machine = Machine(fake(), tmp_path)
    thread = threading.Thread(target=machine.__enter__)
    thread.start()
    thread.join()
    try:
        machine.cont()
        assert machine.wait(lambda: machine.returncode, machine.clock() + 0.3) is None
    finally:
        machine.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_qemu_dies_with_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", HOLDER, str(FAKE_QEMU), str(tmp_path)]
    with subprocess.Popen(command, cwd=PROJECT) as parent:
        pid = wait_for(tmp_path / "pid")
        assert alive(pid)
        parent.send_signal(number)
    assert gone(pid, 5)


def test_a_parent_that_died_before_the_signal_was_armed() -> None:
    from harness.machine.process import _SHIM  # noqa: PLC0415 - the shim is private to its module

    not_the_parent = "0"  # in a container, 1 may be pytest itself
    done = subprocess.run(
        [*_SHIM, not_the_parent, "", "echo", "ran"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 125
    assert done.stdout == ""


def test_nothing_is_said_at_interpreter_exit(tmp_path: Path) -> None:
    script = HOLDER.replace("    time.sleep(60)\n", "")
    left_open = script.replace("with Machine", "import contextlib\nmachine = Machine").replace(
        " as machine:", ".__enter__()\nif True:"
    )
    for source in (script, left_open):
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", source, str(FAKE_QEMU), str(tmp_path)],
            cwd=PROJECT, capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
        assert "Task was destroyed" not in done.stderr
        assert "Traceback" not in done.stderr
        assert gone(wait_for(tmp_path / "pid"), 5)
    assert "ResourceWarning" not in subprocess.run(
        [sys.executable, "-X", "dev", "-c", script, str(FAKE_QEMU), str(tmp_path)],
        cwd=PROJECT, capture_output=True, text=True, check=True, timeout=30,
    ).stderr  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("a\nb\n", "a\nb"),
        ("x" * 10 + "\n" + "é" * (OUTPUT_SHOWN - 1), "é" * (OUTPUT_SHOWN - 1)),
        ("line\n" * 100_000, "line\n" * (OUTPUT_SHOWN // 5 - 1) + "line"),
    ],
)
def test_the_end_of_a_log_in_whole_lines(text: str, shown: str, tmp_path: Path) -> None:
    log = tmp_path / "qemu.log"
    assert read_tail(log) == ""
    log.write_text(text)
    assert read_tail(log) == shown


def test_of_a_long_log_no_more_is_read_than_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "qemu.log"
    with log.open("wb") as file:
        file.truncate(1 << 36)  # takes no space
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast words\n")
    monkeypatch.setattr(Path, "read_text", None)
    assert read_tail(log) == "last words"
