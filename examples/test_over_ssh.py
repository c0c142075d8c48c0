# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A whole Debian: commands over SSH, and what happens beside them."""

import pytest


@pytest.mark.cell(kernel="debian-6.12", memory="4G")
def test_a_debian_has_its_memory(guest):
    assert "SEV-SNP" in guest.succeed("dmesg | grep 'Memory Encryption Features active'")
    assert int(guest.succeed("awk '/MemTotal/ { print $2 }' /proc/meminfo")) > 3 << 20
    guest.fails("journalctl --boot --grep 'Out of memory' --quiet")
