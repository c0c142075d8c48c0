# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What harness debug refuses before anything boots."""

from __future__ import annotations

import pytest

from harness.cli import entry
from harness.errors import ExitCode, HarnessError, HostError
from harness.run.single.debugger import Debugger, check_place


def test_a_place_is_a_phase_or_a_module() -> None:
    check_place("bds", [])
    check_place("AmdSevDxe", ["AmdSevDxe"])
    with pytest.raises(HarnessError, match="--until AmdSevDx: neither a phase nor a module"):
        check_place("AmdSevDx", ["AmdSevDxe"])


def test_without_gdb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(HostError, match="gdb is not installed"):
        Debugger("bds", (), None, print)


def test_without_a_terminal_gdb_needs_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["debug", "firmware=debian-2025.02,kernel=debian-6.12,memory=2G"]) == ExitCode.MISTAKE
    assert "gdb has nothing to do" in capsys.readouterr().err
