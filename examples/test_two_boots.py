# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Two boots compared; both run at the same time, for each is queued before the first is waited for."""

from dataclasses import replace

import pytest


@pytest.mark.cell(memory="4G", platform="snp")
def test_a_confidential_guest_has_nearly_the_memory_of_a_plain_one(boot, cell):
    confidential, plain = boot(), boot(replace(cell, platform="plain"))
    assert confidential.evidence.memory.total > 0.9 * plain.evidence.memory.total
