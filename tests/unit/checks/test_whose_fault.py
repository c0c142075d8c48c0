# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Findings name who did it: firmware, loader or host; and what a firmware may do is no finding."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.firmware.traits import MetadataSection, SectionKind
from harness.checks.ended import headline
from harness.checks.finding import CANNOT_JUDGE
from harness.evidence.record import EndingKind
from tests.support.probe_mutations import (
    add_event,
    before_granted,
    by_loader,
    event,
    fault,
    own,
    terminate,
)
from tests.support.probe_sample import FIRMWARE, GIB4, INVALID_PARAMETER, Sample

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.probe_sample import Mutate

SVSM = MetadataSection(0x80_F000, 4096, SectionKind.SVSM_CAA)


def kinds(name: str, check: str, path: Path, *mutations: Mutate, **changes: Any) -> list[str]:
    sample = Sample(name, path)
    sample.firmware = replace(FIRMWARE, **changes)
    for mutate in mutations:
        mutate(sample)
    return [finding.kind for finding in sample.judge(sample.checks[check])]


def reserve_page(address: int) -> Mutate:
    """Let one page of a free range below 4 GiB become reserved while ExitBootServices is refused."""

    def mutate(sample: Sample) -> None:
        entries = sample.last["map"]["entries"]
        kind, start, pages, bits = entry = next(
            it for it in entries if it[0] == 7 and 0 <= address - int(it[1], 16) < it[2] * 4096
        )
        at = (address - int(start, 16)) // 4096
        split = [[kind, start, at, bits], [0, hex(address), 1, bits]]
        split.append([kind, hex(address + 4096), pages - at - 1, bits])
        entries[entries.index(entry) : entries.index(entry) + 1] = [it for it in split if it[2]]

    return mutate


def tops(sample: Sample) -> list[int]:
    """Return the last pages of free ranges below 4 GiB, before the last call."""
    free = [entry for entry in sample.first["map"]["entries"] if entry[0] == 7]
    ends = [int(start, 16) + pages * 4096 for _, start, pages, _ in free]
    return [end - 4096 for end in ends if end <= GIB4]


def test_a_page_is_reserved_by_a_firmware_that_has_its_reason(tmp_path: Path) -> None:
    first, *_, last = tops(Sample("eager", tmp_path))

    def judged(*pages: int, **changes: Any) -> list[str]:
        return kinds("eager", "refusal-only-accepts", tmp_path, *map(reserve_page, pages), **changes)

    reworked = {"sections": (*FIRMWARE.sections, SVSM)}
    assert judged(last) == ["type-changed"]
    assert judged(last, **reworked) == []
    assert judged(last - 4096, **reworked) == ["type-changed"]
    assert judged(first, last, **reworked) == ["type-changed"]


def test_acceptance_in_the_granted_call_is_found_with_the_probe_too(tmp_path: Path) -> None:
    assert "accepted-in-granted-call" in kinds("eager", "exit-accepts-exactly", tmp_path, before_granted)


@pytest.mark.parametrize(
    ("mutations", "found"),
    [
        ((own(GIB4, 1), by_loader("psc-private", "validate")), []),
        ((own(GIB4, 2), by_loader("psc-private", "validate")), ["not-accepted"]),
        ((by_loader("psc-private", "validate"),), ["accepted-beyond"]),
        ((own(GIB4, 1), by_loader("validate")), ["validated-unasked"]),
        # What the firmware does before is not the loader's.
        ((add_event(),), []),
    ],
)
def test_what_the_loader_accepts_itself(
    tmp_path: Path, mutations: tuple[Mutate, ...], found: list[str]
) -> None:
    assert kinds("lazy", "guest-accepts-exactly", tmp_path, *mutations) == found


@pytest.mark.parametrize(("stale", "kind"), [(True, "only-stale-keys"), (False, "exit-not-granted")])
def test_a_loader_that_gives_up(tmp_path: Path, stale: bool, kind: str) -> None:
    def mutate(sample: Sample) -> None:
        refused = {**sample.last, "status": INVALID_PARAMETER, "exit_events": 0, "stale": stale}
        sample.document["attempts"] = [refused]

    assert kinds("eager", "ebs-granted", tmp_path, mutate) == [kind]


def host(op: str, gpa: int) -> Mutate:
    """Let the host fail the guest before anything that comes later."""
    return lambda sample: sample.ledger.insert(len(sample.ledger) - 1, event(op=op, gpa=gpa, phase="loader"))


def test_a_page_that_the_host_took(tmp_path: Path) -> None:
    for op in ("host-shared", "host-remapped", "host-unvalidated"):
        taken = kinds("eager", "faults-are-ours", tmp_path, host(op, GIB4 + 4096), fault)
        assert taken == ["taken-by-host"]
    assert kinds("eager", "faults-are-ours", tmp_path, host("host-shared", GIB4), fault) == ["fault"]
    assert kinds("eager", "faults-are-ours", tmp_path, host("host-busy", GIB4 + 4096), fault) == ["fault"]


def test_an_end_after_the_host_had_failed(tmp_path: Path) -> None:
    assert kinds("eager", "no-termination", tmp_path, terminate) == ["terminated"]
    assert kinds("eager", "no-termination", tmp_path, host("host-in-use", GIB4), terminate) == [
        "failed-by-host"
    ]
    # What came after the end did not lead to it.
    assert kinds("eager", "no-termination", tmp_path, terminate, host("host-in-use", GIB4)) == ["terminated"]


def test_the_first_line_says_that_the_host_failed(tmp_path: Path) -> None:
    sample = Sample("eager", tmp_path)
    sample.outcome = replace(sample.outcome, kind=EndingKind.RESET)
    sample.write()
    assert "its host had failed it" not in headline(sample.evidence({}))
    host("host-psc-refused", GIB4)(sample)
    sample.write()
    assert "its host had failed it: host-psc-refused of 0x100000000" in headline(sample.evidence({}))


def unaccepted_again(sample: Sample) -> None:
    """Let the loader use once more what it reports that it touched once."""
    touched = next(line for line in sample.ledger if line["type"] == "fault")
    sample.ledger.insert(sample.ledger.index(touched), dict(touched))


def test_a_fault_that_the_probe_reports_excuses_one(tmp_path: Path) -> None:
    assert kinds("lazy", "faults-are-ours", tmp_path) == []
    assert kinds("lazy", "faults-are-ours", tmp_path, unaccepted_again) == ["fault"]


def test_a_fault_before_any_report_is_found(tmp_path: Path) -> None:
    sample = Sample("eager", tmp_path)
    check = sample.checks["faults-are-ours"]
    fault(sample)
    sample.write()
    (tmp_path / "guest.json").unlink()
    assert [finding.kind for finding in check(sample.evidence({}))] == ["fault"]


def test_a_boot_that_never_called_the_exit_accepted_nothing_wrongly(tmp_path: Path) -> None:
    def mutate(sample: Sample) -> None:
        sample.ledger = [line for line in sample.ledger if line["type"] != "ebs"]

    assert kinds("eager", "exit-accepts-exactly", tmp_path, mutate) == [CANNOT_JUDGE]
