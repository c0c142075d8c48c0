# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A test of this project: the firmware's traits are read from the image itself."""

import pytest


@pytest.mark.firmware("own-2025.02")
def test_the_firmware_starts_snp_guests(firmware):
    assert "snp" in firmware.traits.technologies
