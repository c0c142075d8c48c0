# SPDX-License-Identifier: BSD-2-Clause-Patent
"""No QEMU outlives the pytest that started it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.data import FAKE_QEMU, PROJECT
from tests.support.processes import HOLDER, alive, gone, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


CELL = "debian-2025.02+debian-6.12+direct+2G+snp-emulated"


def descendants(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from descendants(int(child))


def is_qemu(pid: int, binary: Path) -> bool:
    """Return whether the process runs this program; a zombie runs none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/exe").readlink() == binary
    return False


@pytest.mark.faults
@pytest.mark.qemu
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_qemu_survives_a_pytest_that_is_killed(
    qemu_binary: Path, tmp_path: Path, how: signal.Signals
) -> None:
    command = [sys.executable, "-m", "pytest", str(PROJECT / "scenarios"), "--platform", "snp-emulated"]
    command += ["--cell", CELL, "--records", str(tmp_path / "records")]
    # Started in the background by a shell it would ignore Ctrl-C, and hand that on.
    default = "import os, signal, sys; signal.signal(2, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    with (
        (tmp_path / "output").open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-c", default, *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            start_new_session=True,
        ) as outer,
    ):
        try:
            qemus = wait_for_boot(outer, qemu_binary, tmp_path / "records")
        finally:
            outer.send_signal(how)
        begin = time.monotonic()
        outer.wait(60)
    assert qemus
    while (left := [pid for pid in qemus if is_qemu(pid, qemu_binary)]) and time.monotonic() - begin < 40:
        time.sleep(0.02)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "QEMU survives"
    assert "Traceback" not in (tmp_path / "output").read_text()
    unfinished = [path.name for path in (tmp_path / "records").iterdir() if path.is_dir()]
    assert unfinished == [CELL]
    assert not (tmp_path / "records" / unfinished[0] / "boot.json").exists()


def wait_for_boot(outer: subprocess.Popen[bytes], qemu: Path, records: Path) -> list[int]:
    """Wait until a guest has spoken; gives the QEMU processes below ``outer``."""
    end = time.monotonic() + 240
    while not any(path.stat().st_size for path in records.glob("*/serial.log")):
        assert outer.poll() is None, "it ended by itself"
        assert time.monotonic() < end, "no guest spoke"
        time.sleep(0.02)
    return [pid for pid in descendants(outer.pid) if is_qemu(pid, qemu)]


@pytest.mark.parametrize("whom", ["worker", "controller"])
def test_qemu_dies_with_pytest_xdist(tmp_path: Path, whom: str) -> None:
    (tmp_path / "test_holds.py").write_text(
        f"import os, sys, pathlib\n"
        f"def test_holds():\n"
        f"    sys.argv = ['', {str(FAKE_QEMU)!r}, {str(tmp_path)!r}]\n"
        f"    pathlib.Path({str(tmp_path)!r}, 'worker').write_text(str(os.getpid()))\n"
        f"    exec({HOLDER!r})\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-n1", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(tmp_path), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env=environment, cwd=tmp_path
    ) as pytest_process:
        try:
            pid = wait_for(tmp_path / "pid")
            assert alive(pid)
            os.kill(wait_for(tmp_path / "worker") if whom == "worker" else pytest_process.pid, signal.SIGKILL)
            assert gone(pid, 25)
        finally:
            pytest_process.kill()
