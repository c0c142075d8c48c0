# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A test of this project. It is about a cell that scenarios/own.yaml has, too: both share one boot."""

import pytest


@pytest.mark.cell(
    firmware="own-2025.02", kernel="own-6.12", memory="2G", platform="plain", action="hello:world"
)
def test_the_guest_says_hello(evidence):
    (report,) = evidence.actions
    assert report.result["name"] == "world"
    assert report.result["free_kb"] > 1 << 20
