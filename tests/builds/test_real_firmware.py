# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Real edk2, built for real: minutes, so nightly."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.firmware.build import build_firmware
from harness.store import file_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.artifacts.ingredients import Ingredients
    from harness.store.entries import Artifact

SAFE, VERBATIM = "safe-2022.11", "safe-2022.11-verbatim"
COMPILES = '"gcc" -MMD'
MODULES = 274
"""How many modules a platform of 2022.11 has, libraries included."""

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(0)]  # a cold build takes 5 minutes


@pytest.fixture(scope="module")
def safe(ingredients: Ingredients) -> Artifact:
    ingredients.firmware(SAFE)  # its traits are what its recipe expects
    return build_firmware(ingredients.firmware_recipe(SAFE), ingredients.apt, ingredients.lock)


@pytest.fixture
def build_again(ingredients: Ingredients) -> Iterator[Callable[[str], Artifact]]:
    """Build a recipe in the warm tree although the store has it: under another name, to be thrown away."""
    made: list[Artifact] = []

    def build(name: str) -> Artifact:
        recipe = dataclasses.replace(ingredients.firmware_recipe(name), name=f"again-{name}")
        made.append(build_firmware(recipe, ingredients.apt, ingredients.lock))
        return made[-1]

    yield build
    for artifact in made:
        file_tree.remove(artifact.path)


def image(built: Artifact) -> str:
    return hashlib.sha256((built.path / "OVMF.fd").read_bytes()).hexdigest()


def test_what_a_build_yields(safe: Artifact) -> None:
    assert (safe.path / "OVMF.fd").stat().st_size == 4 << 20
    for module in ("AmdSevDxe", "PlatformPei", "DxeCore"):
        symbols = (safe.path / f"symbols/{module}.debug").read_bytes()
        assert symbols.startswith(b"\x7fELF")
        assert b".debug_info" in symbols
    assert "SnpAcceptMemory" in (safe.path / "maps/OvmfPkg/AmdSevDxe/AmdSevDxe.map").read_text()
    assert "AmdSevDxe.inf" in (safe.path / "report.txt").read_text()
    assert (safe.path / "build.log").read_text().count("Building ... ") == MODULES


def test_a_variant_compiles_what_it_changes_and_history_does_not_show(
    safe: Artifact, build_again: Callable[[str], Artifact]
) -> None:
    file_tree.remove(build_again(SAFE).path)  # what the work tree held before is not known
    variant = build_again(VERBATIM)
    assert 0 < (variant.path / "build.log").read_text().count(COMPILES) < 20
    assert image(variant) != image(safe)
    assert image(build_again(SAFE)) == image(safe)
