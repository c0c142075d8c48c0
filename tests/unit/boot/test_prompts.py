# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Prompts of firmware and loaders at which nobody is."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from harness.boot import ending as endings
from harness.boot.ending import judge
from harness.boot.phases import Limit, Phase
from harness.boot.terminal import Terminal
from harness.boot.watch import Watch
from harness.evidence.record import EndingKind
from tests.support.fake_boots import Run, fake_boots

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = dict.fromkeys(Phase, Limit(100.0, 10.0))
FAILED = 'BdsDxe: failed to start Boot0001 "X" from PciRoot(0x0): Load Error'
STUB = "../src/boot/linux.c:202@linux_exec: Bad kernel image: Load error"
NO_OPTION = "BdsDxe: No bootable option or device was found."
SCRIPT = "Script Error Status: Unsupported (line number 2)"
NO_FILE = "error: file `/x' not found."
NO_IMAGE = "error: cannot load image."


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Boot the fake through the given steps."""
    return fake_boots(tmp_path)


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        (
            f"{FAILED}\r\nUEFI Shell\r\n\x1b[1mShell> ",
            f"the UEFI shell waits for a command, after: {FAILED}",
        ),
        (f"FS0:\\> vmlinuz\r\n{SCRIPT}\r\nFS0:\\> ", f"the UEFI shell waits for a command, after: {SCRIPT}"),
        (f"{NO_FILE}\r\ngrub rescue> ", f"GRUB waits for a command, after: {NO_FILE}"),
        (
            f"{NO_IMAGE}\n\r\n\rPress any key to continue...",
            f"the loader waits for a key, after: {NO_IMAGE}",
        ),
        (
            f"{STUB}\r\n{NO_OPTION}\r\nBdsDxe: Press any key to enter the Boot Manager Menu.\r\n",
            f"the firmware found nothing to boot, and waits for a key, after: {STUB}",
        ),
        ("before booting or `c' for a command-line.      *guest", "GRUB waits in its menu"),
    ],
)
def test_a_loader_that_gives_up_is_told_at_once(said: str, detail: str) -> None:
    watch = Watch()
    watch.feed("serial", f"BdsDxe: starting Boot0001\r\n{said}".encode(), 3.0)
    seen = watch.seen()
    asked: dict[str, Any] = {"returncode": None, "confidential": False, "qemu_log": "", "limits": LIMITS}
    assert judge(seen, (), now=7.0, prompts=True, **asked) is None
    assert judge(seen, (), now=8.5, prompts=False, **asked) is None
    ending = judge(seen, (), now=8.5, prompts=True, **asked)
    assert ending is not None
    assert (ending.kind, ending.phase, ending.detail) == (EndingKind.GAVE_UP, "loader", detail)


def test_nobody_at_a_boot_of_one_cell_is_nobody_at_its_prompt(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`harness boot` without a keyboard shows the console, and can type nothing."""
    monkeypatch.setattr(endings, "PROMPT_SECONDS", 0.5)
    said = [f"BdsDxe: starting Boot0001\r\n{FAILED}\r\n", "Shell> "]
    with Terminal(io.BytesIO(), None, print) as terminal:
        ending = run(*({"serial": text} for text in said), {"sleep": 600.0}, attendant=terminal).ending
    assert (ending.kind, FAILED in ending.detail) == (EndingKind.GAVE_UP, True)


def test_a_menu_that_counts_down_and_a_kernel_wait_for_nobody() -> None:
    asked: dict[str, Any] = {"returncode": None, "confidential": False, "qemu_log": "", "limits": LIMITS}
    counts = b"for a command-line.   *guest   The highlighted entry will be executed automatically in 9s."
    for said in (b"Welcome to GRUB!\r\n" + counts, b"Linux version 6.12\r\ngrub> "):
        watch = Watch()
        watch.feed("serial", said, 3.0)
        assert judge(watch.seen(), (), now=9.0, prompts=True, **asked) is None
