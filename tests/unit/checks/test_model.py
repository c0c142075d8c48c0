# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every check passes on a real sample and fails on the same sample with one thing broken."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.traits import Traits
from harness.checks import boot
from harness.checks.asked import checks_of
from harness.errors import HarnessError
from harness.evidence.record import EndingKind
from tests.support.data import DATA
from tests.support.expectations import expected
from tests.support.linux_mutations import MUTATIONS, add_event
from tests.support.linux_sample import FIRMWARE, K61, K72, K510, K612, SAMPLES, Sample
from tests.support.units import wrong_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.artifacts.kernel.traits import KernelTraits


@pytest.mark.parametrize("name", SAMPLES)
def test_good_sample_passes_all(name: str, tmp_path: Path) -> None:
    sample = Sample(name, tmp_path)
    assert [str(finding) for found in sample.findings().values() for finding in found] == []


@pytest.mark.parametrize(
    ("name", "check", "mutate"),
    MUTATIONS,
    ids=[f"{number}-{name}-{check}" for number, (name, check, _) in enumerate(MUTATIONS)],
)
def test_broken_sample_fails(name: str, check: str, mutate: Callable[[Sample], None], tmp_path: Path) -> None:
    sample = Sample(name, tmp_path)
    mutate(sample)
    findings = sample.judge(sample.checks[check])
    assert findings
    assert not any("cannot be judged" in finding.what for finding in findings)
    assert wrong_in(findings) == []


def test_every_check_has_a_mutation(tmp_path: Path) -> None:
    every = set()
    for name in SAMPLES:
        (tmp_path / name).mkdir()
        every |= set(Sample(name, tmp_path / name).checks)
    assert every == {check for _name, check, _mutate in MUTATIONS}


def test_missing_evidence_is_never_a_pass(tmp_path: Path) -> None:
    sample = Sample("lazy", tmp_path)
    sample.document = None
    (tmp_path / "serial.log").write_text("")
    (tmp_path / "ledger.jsonl").unlink()
    passed = [name for name, found in sample.findings().items() if not found]
    # An empty console shows no alarm; reaches-userspace fails beside it. RELEASE firmware says nothing.
    assert set(passed) == {"no-alarms", "accepts-nothing-at-exit"}


def test_death_is_seen_in_either_place(tmp_path: Path) -> None:
    sample = Sample("refuses", tmp_path)
    check = sample.checks["dies-on-unvalidated-access"]
    (tmp_path / "ledger.jsonl").unlink()
    assert sample.judge(check) == []
    sample.serial = re.sub(r"(?m)^.*exit-code 0x404.*$", "", sample.serial)
    assert len(sample.judge(check)) == 1
    shutil.copy(DATA / f"{sample.stem}.ledger.jsonl", tmp_path / "ledger.jsonl")
    assert sample.judge(check) == []


@pytest.mark.parametrize(
    ("kind", "said"), [(EndingKind.HANG, []), (EndingKind.TERMINATED, ["hangs"])], ids=str
)
def test_a_boot_that_is_known_to_hang_must_hang(kind: EndingKind, said: list[str], tmp_path: Path) -> None:
    sample = Sample("refuses", tmp_path)
    sample.outcome = replace(sample.outcome, kind=kind)
    checks = checks_of(replace(expected(FIRMWARE, K510, 8192, "snp"), outcome="hangs", refused_by=None))
    assert [finding.check for check in checks for finding in sample.judge(check)] == said


@pytest.mark.parametrize(
    ("traits", "memory", "platform", "outcome"),
    [
        (K510, 8192, "snp", "refuses-to-boot"),
        (K510, 8192, "plain", "plain"),
        (K61, 8192, "snp-emulated", "eager"),
        (K61, 2048, "snp", "nothing-to-accept"),
        (K612, 8192, "snp", "lazy"),
        (K612, 2816, "snp-emulated", "lazy"),
        (K612, 2815, "snp-emulated", "nothing-to-accept"),
        (K72, 8192, "plain", "plain"),
        (K510, 8192, "sev-emulated", "plain"),
        (K612, 8192, "sev-es-emulated", "plain"),
    ],
)
def test_expected(traits: KernelTraits, memory: int, platform: str, outcome: str) -> None:
    assert expected(FIRMWARE, traits, memory, platform).outcome == outcome


def test_expected_follows_the_firmware() -> None:
    accepts_all = replace(FIRMWARE, memory_acceptance=False)
    assert expected(accepts_all, K612, 8192, "snp").outcome == "eager"
    no_snp = replace(FIRMWARE, technologies=())
    what = expected(no_snp, K612, 8192, "snp")
    assert what.outcome == "refuses-to-boot"
    assert [check.name for check in checks_of(what)] == ["never-started"]


def test_a_loader_that_dies_before_the_kernel_runs(tmp_path: Path) -> None:
    sample = Sample("refuses", tmp_path)
    assert len(sample.judge(boot.DIES_IN_LOADER)) == 2  # the kernel runs, and it is the kernel that dies
    sample.serial = "Welcome to GRUB!\n"
    assert len(sample.judge(boot.DIES_IN_LOADER)) == 1
    sample.ledger = [
        {**line, "phase": "loader"} if line["type"] == "fault" else line for line in sample.ledger
    ]
    assert sample.judge(boot.DIES_IN_LOADER) == []


@pytest.mark.parametrize(("phase", "findings"), [("loader", 0), ("firmware", 1)])
def test_a_loader_that_runs_noise(phase: str, findings: int, tmp_path: Path) -> None:
    sample = Sample("refuses", tmp_path)
    sample.serial = "Welcome to GRUB!\n"
    sample.ledger = [line for line in sample.ledger if line["type"] != "fault"]
    add_event(sample, -1, op="shared-read", gpa=0x8F000, phase=phase)
    assert len(sample.judge(boot.DIES_IN_LOADER)) == findings


def test_a_guest_that_started_was_not_refused(tmp_path: Path) -> None:
    sample = Sample("refuses", tmp_path)
    assert [finding.check for finding in sample.judge(boot.NEVER_STARTED)] == ["never-started"]


def test_expected_refuses_unknown_platform() -> None:
    with pytest.raises(HarnessError, match="unknown platform 'tdx'"):
        expected(FIRMWARE, K612, 8192, "tdx")


def test_encrypted_guests_have_nothing_to_accept_and_say_what_is_active() -> None:
    plain = {check.name for check in checks_of(expected(FIRMWARE, K612, 8192, "plain"))}
    for platform in ("sev-emulated", "sev-es-emulated"):
        checks, traits = checks_of(expected(FIRMWARE, K612, 8192, platform)), Traits(FIRMWARE, K612)
        names = {check.name for check in checks}
        assert (plain - names, names - plain) == ({"no-sev"}, {"technology-active"})
        assert {"nothing-unaccepted", "no-unaccepted-entries", "accepts-nothing-at-exit"} <= names
        assert not any(check.not_applicable(platform, traits) for check in checks)


def test_ledger_checks_are_not_applicable_on_hardware() -> None:
    checks, traits = checks_of(expected(FIRMWARE, K612, 8192, "snp")), Traits(FIRMWARE, K612)
    refused = {check.name for check in checks if check.not_applicable("snp", traits)}
    assert {"no-unvalidated-access", "validated-once", "ledger-whole"} <= refused
    assert "firmware-left-high" not in refused
    assert "technology-active" not in refused
    assert not any(check.not_applicable("snp-emulated", traits) for check in checks)


def test_a_firmware_without_debug_output_is_not_asked_what_it_logs() -> None:
    checks = {check.name: check for check in checks_of(expected(FIRMWARE, K612, 8192, "snp-emulated"))}
    release = Traits(replace(FIRMWARE, debug_output=False), K612)
    refused = {name for name, check in checks.items() if check.not_applicable("snp-emulated", release)}
    assert refused == {"accepts-nothing-at-exit"}
    assert "RELEASE" in checks["accepts-nothing-at-exit"].not_applicable("snp-emulated", release)


@pytest.mark.parametrize(
    ("said", "findings"),
    [
        ("SEV SEV-ES", []),
        ("SEV", ["features-missing"]),
        ("SEV SEV-ES SEV-SNP", ["features-extra"]),
        ("SEV SEV-SNP", ["features-extra", "features-missing"]),
    ],
)
def test_a_technology_without_acceptance(tmp_path: Path, said: str, findings: list[str]) -> None:
    sample = Sample("plain", tmp_path)
    sample.platform = "sev-es-emulated"
    sample.serial = f"[    0.3] Memory Encryption Features active: AMD {said}\n{sample.serial}"
    assert [found.kind for found in sample.judge(boot.TECHNOLOGY_ACTIVE)] == findings
