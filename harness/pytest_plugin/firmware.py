# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The fixture ``firmware``, for tests of any kind: an image and its traits, built when it is new.

::

    @pytest.mark.firmware("safe-2022.11", "stock-2025.02")
    def test_it(firmware):
        boot(firmware.path)

``--firmware`` on the command line takes the place of the names. Images are made once, whatever number of
tests, workers and runs asks for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.pytest_plugin.items import SESSION

if TYPE_CHECKING:
    from harness.artifacts.firmware.resolve import Firmware

_HOW = '@pytest.mark.firmware("NAME", …) says which firmware the test is for, or --firmware does'


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker ``firmware``."""
    config.addinivalue_line("markers", "firmware(*names): recipes, one at a time, for the fixture firmware")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each name of its marker, or of ``--firmware``."""
    marker = metafunc.definition.get_closest_marker("firmware")
    if marker is None or "firmware" not in metafunc.fixturenames:
        return
    names = metafunc.config.getoption("--firmware") or marker.args
    metafunc.parametrize("firmware", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def firmware(request: pytest.FixtureRequest) -> Firmware:
    """Give an image for QEMU's ``-bios`` (``path``), with ``name`` and ``traits``."""
    chosen = [request.param] if hasattr(request, "param") else request.config.getoption("--firmware")
    if len(chosen) != 1:
        pytest.fail(_HOW, pytrace=False)
    ingredients = request.config.stash[SESSION].ingredients
    try:
        return ingredients.firmware(ingredients.choose_firmware(chosen[0]))
    except HarnessError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None  # said once
