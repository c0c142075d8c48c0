# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Menus of loaders and the UEFI shell on the serial console: what to wait for, and what to type then.

The scripts are plain data; ``Menu`` plays one beside a boot. Keys: GRUB manual, "The menu interface" and
"Editing a menu entry"; systemd-boot(7), "Key bindings". The loader has to show its menu for a while: recipes
whose names end in ``-menu`` wait a minute, and have a second entry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import pexpect

from harness.errors import HarnessError
from harness.machine.serial import Serial, last_words

if TYPE_CHECKING:
    from harness.machine.machine import Machine

ENTER, UP, DOWN = "\r", "\x1b[A", "\x1b[B"
END_OF_LINE, NEXT_LINE, BOOT = "\x05", "\x0e", "\x18"
_TOP = UP * 16
_SECONDS = 60.0
"""For each step, whatever the host has to do besides."""
_PAUSE = 0.4


@dataclass(frozen=True)
class Step:
    """Wait for a pattern (a regular expression over the console without terminal sequences), then type."""

    wait: str
    keys: str


Script = tuple[Step, ...]

_GRUB_MENU = r"executed automatically in \d+s"
_GRUB_EDITOR = r"setparams '"
_SYSTEMD_BOOT_MENU = r"Boot in \d+ ?s"
_SYSTEMD_BOOT_EDITOR = r"console=\S+"
SHELL_PROMPT = r"Shell> $"


def grub_pick(entry: int) -> Script:
    """Start an entry of GRUB's menu, counted from 0."""
    return (Step(_GRUB_MENU, DOWN * entry + ENTER),)


def grub_edit(words: str, line: int = 2) -> Script:
    """Add words to the kernel's command line in GRUB's editor and boot.

    ``line``: which line of the entry loads the kernel, after ``setparams`` and an empty one.
    """
    return (
        Step(_GRUB_MENU, "e"),
        Step(_GRUB_EDITOR, NEXT_LINE * line + END_OF_LINE + f" {words}" + BOOT),
    )


def systemd_boot_pick(entry: int) -> Script:
    """Start an entry of systemd-boot's menu, counted from 0 in the order in which it shows them."""
    return (Step(_SYSTEMD_BOOT_MENU, _TOP + DOWN * entry + ENTER),)


def systemd_boot_edit(words: str) -> Script:
    """Add words before the kernel's command line in systemd-boot's editor, where its cursor is, and boot."""
    return (Step(_SYSTEMD_BOOT_MENU, "e"), Step(_SYSTEMD_BOOT_EDITOR, f"{words} {ENTER}"))


@dataclass
class Menu:
    """A talk (``harness.boot.talk``) that plays a script and is done."""

    script: Script
    seconds: float = _SECONDS
    types: ClassVar[bool] = True
    serial: Serial | None = field(default=None, init=False)

    def attach(self, machine: Machine) -> None:
        """Take the console, for the keys and for what they are answers to."""
        self.serial = Serial(machine, timeout=self.seconds)

    def run(self, machine: Machine) -> None:
        """Play; HarnessError for a step whose pattern does not come, nothing when the guest ends before."""
        assert self.serial is not None
        for step in self.script:
            expect(self.serial, step.wait)
            self.serial.wait_quiet(_PAUSE)  # keys that come while a menu is drawn can be lost
            if machine.ended is None:
                self.serial.send(step.keys)


def expect(serial: Serial, pattern: str) -> str:
    """Wait for a pattern and give what came before it; HarnessError with the console's last words."""
    try:
        return serial.wait_for(pattern)
    except (pexpect.TIMEOUT, pexpect.EOF) as error:
        why = "QEMU ended" if isinstance(error, pexpect.EOF) else serial.missed
        said = last_words(serial)
        raise HarnessError(f"the console never showed /{pattern}/: {why}; it said: {said}") from error


def ask_shell(serial: Serial, command: str) -> str:
    """Return what the UEFI shell answers to a command; its prompt must have been seen."""
    serial.send(command + ENTER)
    answer = expect(serial, SHELL_PROMPT)
    return answer.partition("\n")[2].replace("\r", "")
