# SPDX-License-Identifier: BSD-2-Clause-Patent
from pathlib import Path

import pytest

from harness.artifacts.ingredients import Ingredients


@pytest.fixture(scope="session")
def ingredients() -> Ingredients:
    return Ingredients()


@pytest.fixture(scope="session")
def qemu_binary(ingredients: Ingredients) -> Path:
    """Give the project's own QEMU, built when it is new."""
    return ingredients.qemu
