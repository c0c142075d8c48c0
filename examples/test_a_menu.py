# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A loader's menu with pexpect: GRUB's second entry has a word of its own on the kernel's command line."""

import pytest


@pytest.mark.cell(loader="grub-2.12-menu", memory="2G")
def test_grub_starts_its_second_entry(machine):
    machine.serial.expect("executed automatically")
    machine.serial.wait_quiet(0.4)  # keys that come while GRUB draws can be lost
    machine.serial.sendline("\x1b[B")  # down, Enter
    assert "menu.entry=second" in machine.wait_for_console_text("Command line:")
