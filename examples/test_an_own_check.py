# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A check of one's own, asked like a stock one, of two kernels whose guests boot side by side."""

import pytest

from harness import Check


def warns(evidence):
    yield from (line for line in evidence.record.serial_text.splitlines() if "WARNING: CPU:" in line)


@pytest.mark.cell(kernel=["debian-6.1", "debian-6.12"], memory="2G")
def test_the_kernel_warns_of_nothing(check):
    check("no-alarms")
    check(Check("no-warnings", "Does the kernel warn of nothing?", warns))
