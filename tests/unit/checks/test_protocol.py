# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every check of the EFI probe passes on real samples and fails on one with a single thing broken."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.probe_mutations import MUTATIONS, refused_entries
from tests.support.probe_sample import FIRMWARE, SAMPLES, Sample
from tests.support.units import wrong_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.probe_sample import Mutate


@pytest.mark.parametrize("name", SAMPLES)
def test_good_sample_passes_all(name: str, tmp_path: Path) -> None:
    sample = Sample(name, tmp_path)
    assert [str(finding) for found in sample.findings().values() for finding in found] == []


@pytest.mark.parametrize(
    ("name", "check", "mutate"),
    MUTATIONS,
    ids=[f"{number}-{name}-{check}" for number, (name, check, _) in enumerate(MUTATIONS)],
)
def test_broken_sample_fails(name: str, check: str, mutate: Mutate, tmp_path: Path) -> None:
    sample = Sample(name, tmp_path)
    asked = sample.checks[check]
    mutate(sample)
    findings = sample.judge(asked)
    assert findings
    assert not any("cannot be judged" in finding.what for finding in findings)
    assert wrong_in(findings) == []


@pytest.mark.parametrize("name", ["eager", "accepts"])
def test_a_host_of_small_entries_is_not_the_firmware_s_fault(name: str, tmp_path: Path) -> None:
    sample = Sample(name, tmp_path)
    refused_entries(sample)
    assert sample.judge(sample.checks["large-entries"]) == []


def test_every_check_has_a_mutation(tmp_path: Path) -> None:
    every = set().union(*(Sample(name, tmp_path).checks for name in SAMPLES))
    assert every == {check for _name, check, _mutate in MUTATIONS}


def test_missing_evidence_is_never_a_pass(tmp_path: Path) -> None:
    sample = Sample("eager", tmp_path)
    (tmp_path / "debugcon.log").unlink()
    evidence = sample.evidence({})
    assert [name for name, check in sample.checks.items() if not check(evidence)] == []


def test_a_firmware_without_the_protocol(tmp_path: Path) -> None:
    """It accepts everything before it starts a loader; and if it does not, that is found."""
    sample = Sample("nothing", tmp_path)
    sample.firmware = replace(FIRMWARE, memory_acceptance=False)
    sample.document["protocols"].update(sev_memory_acceptance=0, memory_accept=0)
    assert [str(finding) for found in sample.findings().values() for finding in found] == []
    other = Sample("eager", tmp_path)
    other.firmware = sample.firmware
    other.document["protocols"].update(sev_memory_acceptance=0, memory_accept=0)
    failed = {name for name, found in other.findings().items() if found}
    assert failed == {"protocol-offered", "unaccepted-at-start", "exit-accepts-exactly"}


def test_a_firmware_that_cannot_be_an_snp_guest_is_not_asked_for_more(tmp_path: Path) -> None:
    sample = Sample("eager", tmp_path)
    sample.firmware = replace(FIRMWARE, technologies=())
    assert list(sample.checks) == ["never-started"]
