# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness shell``: what is wrong is said before anything is built or booted."""

from __future__ import annotations

import pytest

from harness.artifacts.ingredients import Ingredients
from harness.cli import entry, shell
from harness.errors import ExitCode
from harness.platforms.host import Host


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["debian-sarge"], "unknown guest 'debian-sarge'"),
        (["--loader", "grub-2.13"], "unknown loader 'grub-2.13'"),
        (["--kernel", "debian-6.2"], "unknown kernel 'debian-6.2'"),
        (["--memory", "8"], "--memory: the memory size 8 has no unit"),
    ],
)
def test_mistakes(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setattr(shell, "survey", lambda **_: Host())
    monkeypatch.setattr(Ingredients, "guest_disk", None)
    monkeypatch.setattr(Ingredients, "qemu", None)
    assert entry.main(["shell", *arguments]) == ExitCode.MISTAKE
    assert message in capsys.readouterr().err
