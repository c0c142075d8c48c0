# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The host survey: it names each missing part, and asks KVM last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.platforms import kvm
from harness.platforms.host import survey
from harness.platforms.registry import platform_named
from tests.support.hosts import SNP_HOST

if TYPE_CHECKING:
    from pathlib import Path


def tree(root: Path, *, kvm: bool = True, sev: bool = True, parameter: str | None = "Y") -> Path:
    (root / "dev").mkdir()
    for name, there in (("kvm", kvm), ("sev", sev)):
        if there:
            (root / "dev" / name).touch()
    if parameter is not None:
        folder = root / "sys/module/kvm_amd/parameters"
        folder.mkdir(parents=True)
        (folder / "sev_snp").write_text(f"{parameter}\n")
    return root


def lacking(root: Path, trouble: str = "") -> str:
    return " ".join(platform_named("snp").lacking(survey(root, kvm_trouble=lambda: trouble)))


def test_a_host_that_has_all(tmp_path: Path) -> None:
    assert survey(tree(tmp_path), kvm_trouble=str) == SNP_HOST
    assert lacking(tmp_path) == ""


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"kvm": False}, "there is no /dev/kvm"),
        ({"sev": False}, "there is no /dev/sev"),
        ({"parameter": "N"}, "/sys/module/kvm_amd/parameters/sev_snp is N"),
        ({"parameter": None}, "/sys/module/kvm_amd/parameters/sev_snp does not exist"),
    ],
)
def test_each_missing_part_is_named(tmp_path: Path, options: dict[str, bool], reason: str) -> None:
    assert lacking(tree(tmp_path, **options)) == reason  # type: ignore[arg-type]  # the parametrised keys


def test_a_host_without_anything(tmp_path: Path) -> None:
    assert lacking(tmp_path).count("there is no /dev/") == 2


def test_kvm_that_runs_nothing_is_no_hardware(tmp_path: Path) -> None:
    assert lacking(tree(tmp_path), "internal error") == "KVM runs no code: internal error"


def test_kvm_is_asked_last_and_once(tmp_path: Path) -> None:
    asked: list[None] = []

    def trouble() -> str:
        asked.append(None)
        return ""

    snp = platform_named("snp")
    assert snp.lacking(survey(tree(tmp_path, sev=False), kvm_trouble=trouble))
    assert not asked
    (tmp_path / "dev/sev").touch()
    host = survey(tmp_path, kvm_trouble=trouble)
    assert (snp.lacking(host), snp.lacking(host)) == ((), ())
    assert len(asked) == 1


def test_the_firmware_has_its_code_at_the_reset_vector() -> None:
    image = kvm.image()
    assert len(image) == 64 * 1024
    assert image[-16:-11] == bytes.fromhex("b011e6f4f4")


def test_a_qemu_that_cannot_start_is_a_reason(tmp_path: Path) -> None:
    assert "No such file" in kvm.trouble(tmp_path / "absent")
