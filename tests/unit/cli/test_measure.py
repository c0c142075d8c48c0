# SPDX-License-Identifier: BSD-2-Clause-Patent
"""``harness measure``: the digest, its parts, and the exit code that compares."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.cli import entry, measure
from tests.support.launch_image import SPEC, image

if TYPE_CHECKING:
    from pathlib import Path

CELL = "firmware=debian-2025.02,kernel=debian-6.12,memory=2G,platform=snp-emulated"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(SPEC, firmware=image(tmp_path), measured_kernel=False, cpu="EPYC-v4")
    monkeypatch.setattr(measure, "machine_spec", lambda cell, *_: replace(spec, vcpus=cell.vcpus))


def measured(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = entry.main(["measure", *words])
    return code, capsys.readouterr().out


def test_parts_and_digest(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = measured(capsys, f"{CELL},vcpus=2")
    *rows, digest = told.splitlines()
    assert (code, len(rows), len(digest)) == (0, 7, 96)
    assert rows[0].split()[:4] == ["firmware", "image", "0xffff0000", "16"]
    assert rows[-1].split() == ["vCPU", "1", "1", digest[:16]]
    code, told = measured(capsys, f"{CELL},vcpus=2", "--json")
    found = json.loads(told)
    assert (found["digest"], found["parts"][-1]["digest"], found["differences"]) == (digest, digest, [])
    assert measured(capsys, f"{CELL},vcpus=2", "--against", digest.upper())[0] == 0
    code, told = measured(capsys, CELL, "--against", digest)
    assert (code, told.splitlines()[-1]) == (1, f"{digest[:16]}: it has 2 vCPUs, not 1")


def test_what_is_no_digest(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["measure", CELL, "--against", "abc"]) == 4
    assert "--against abc: not a launch digest" in capsys.readouterr().err
