# SPDX-License-Identifier: BSD-2-Clause-Patent
"""QEMU's monitor, while a guest runs."""

import pytest


@pytest.mark.cell(memory="2G", action="idle:60")
def test_qemu_knows_how_much_memory_it_gave(machine):
    machine.wait_for_console_text("HARNESS-ACTION-BEGIN")
    assert machine.qmp.execute("query-status")["status"] == "running"
    assert machine.qmp.execute("query-memory-size-summary")["base-memory"] == 2 << 30
