# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A boot and an assertion. The evidence holds what the guest reported, the record how its boot ended."""

import pytest


@pytest.mark.cell(kernel="debian-6.12", memory="2G", platform="plain")
def test_the_guest_runs_the_kernel_that_was_asked_for(record, evidence):
    assert record.ending.kind == "completed"
    assert evidence.guest.kernel.release == evidence.traits.kernel.version
