# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which code of a real firmware a boot executes; the firmware is built, so nightly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.cli import entry
from harness.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients

LIBRARY = "OvmfPkg/Library/BaseMemEncryptSevLib/X64"


@pytest.mark.nightly
@pytest.mark.timeout(0)  # the firmware may have to be built
def test_what_a_boot_executes(
    ingredients: Ingredients,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ingredients.firmware("stock-2025.02")
    lcov = tmp_path / "coverage.info"
    words = ["coverage", "firmware=stock-2025.02,kernel=debian-6.12,memory=2G", "--json", "--lcov", str(lcov)]
    assert entry.main(words) == ExitCode.OK
    files = {it["name"]: it for it in json.loads(capsys.readouterr().out)["files"]}
    in_pei = files[f"{LIBRARY}/PeiSnpSystemRamValidate.c"]
    assert in_pei["functions"]["MemEncryptSevSnpPreValidateSystemRam"] > 0.5
    in_dxe = files[f"{LIBRARY}/DxeSnpSystemRamValidate.c"]
    assert in_dxe["never_run"] == ["MemEncryptSevSnpPreValidateSystemRam"], "2 GiB are accepted in PEI"
    assert "AcceptAllMemory" in files["OvmfPkg/AmdSevDxe/AmdSevDxe.c"]["never_run"], (
        "6.12 takes it unaccepted"
    )
    assert "PeiSnpSystemRamValidate.c" in lcov.read_text()
