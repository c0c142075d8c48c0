# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A guest under a debugger: with a stand-in for gdb, and every night with gdb itself."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.cli import entry
from harness.errors import ExitCode
from harness.evidence.record import BootRecord

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients

CELL = "firmware=debian-2025.02,kernel=debian-6.12,memory=2G"
STAND_IN = """\
#!/bin/sh
echo "$@" > "$(dirname "$0")/words"
"""


@pytest.mark.usefixtures("qemu_binary")
def test_gdb_gets_a_script_of_a_guest_that_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "gdb").write_text(STAND_IN)
    (programs / "gdb").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    words = ["debug", CELL, "--ex", "info registers", "--record", str(tmp_path / "r")]
    assert entry.main(words) == ExitCode.OK
    script = tmp_path / "r/debug.gdb"
    assert (programs / "words").read_text().split() == [
        *("-q", "-nx", "-x", str(script), "-ex", "info", "registers", "-batch"),
    ]
    text = script.read_text()
    assert f"target remote {tmp_path / 'r/gdb.sock'}" in text
    assert "define kernel-symbols" in text, "Debian's kernel carries its own symbols"
    said = capfd.readouterr()
    stopped = re.search(r"stopped in phase (\w+), (\d+) modules are known", said.out + said.err)
    assert stopped is not None
    assert int(stopped[2]) > 50, "the image table of a RELEASE firmware was found"
    assert "has no symbols" in said.out + said.err
    assert BootRecord.load(tmp_path / "r").holds("debug.gdb")


@pytest.mark.nightly
@pytest.mark.timeout(0)  # the firmware may have to be built
def test_the_handler_before_exit_boot_services_is_hit(ingredients: Ingredients, tmp_path: Path) -> None:
    """Needs gdb: apt-get install gdb."""
    ingredients.firmware("stock-2025.02")
    command = [
        *(sys.executable, "-m", "harness.cli.entry", "debug"),
        *("firmware=stock-2025.02,kernel=debian-6.12,memory=6G", "--record", str(tmp_path / "r")),
        *("--ex", "break ResolveUnacceptedMemory", "--ex", "continue", "--ex", "backtrace"),
        *("--ex", "physical $cr3", "--ex", "x/1xg $rsp"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == ExitCode.OK, done.stderr
    assert re.search(r"^Breakpoint 1.*ResolveUnacceptedMemory .*AmdSevDxe\.c:\d+$", done.stdout, re.MULTILINE)
    assert re.search(r"^\d+\s+if \(!mAcceptAllMemoryAtEBS\) \{$", done.stdout, re.MULTILINE)
    assert re.search(r"^#\d+ .* CoreExitBootServices \(", done.stdout, re.MULTILINE)
    assert re.search(r"^0x[0-9a-f]+:\t0x[0-9a-f]{16}$", done.stdout, re.MULTILINE)
