# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Guests whose host fails or lies: which outcome is expected, and what is wrong with another one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import pytest

from harness.artifacts.traits import Traits
from harness.checks.asked import checks_of
from harness.checks.host_faults import ENDS_LOUDLY, FAULTS_CAME, TAKEN_MEMORY_GIVEN_UP
from harness.checks.model import expectation
from harness.checks.rollout import DEADLY
from harness.evidence.ledger_model import LIES, Operation
from harness.evidence.record import EndingKind
from harness.matrix.cell import Cell
from tests.support.expectations import KERNEL, catalog, expected
from tests.support.linux_mutations import add_event
from tests.support.linux_sample import FIRMWARE, Sample

if TYPE_CHECKING:
    from pathlib import Path

    from harness.checks.finding import Check, Finding

PAGE = {"gpa": 0x1_0000_0000, "size": 4096}
REQUESTS = {"large-entries", "batched"}


def judged(check: Check, sample: Sample, *faults: str) -> list[Finding]:
    sample.write()
    evidence = sample.evidence({})
    return check(replace(evidence, traits=replace(evidence.traits, faults=faults)))


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample("lazy", tmp_path)


def ended(sample: Sample, kind: EndingKind) -> None:
    sample.outcome = replace(sample.outcome, kind=kind)


def append(sample: Sample, **values: object) -> None:
    """Add an event right before the ledger's end line."""
    add_event(sample, len(sample.ledger) - 1, **{"phase": "kernel", **PAGE, **values})


def test_each_fault_of_the_recipes_is_an_operation_and_has_an_outcome() -> None:
    hosts = {
        name: it.properties for name, it in catalog().emulations.items() if "host-faults" in it.properties
    }
    assert len(hosts) > 10
    named = set()
    for name, properties in hosts.items():
        faults = properties["host-faults"].split("+")
        named |= set(faults)
        what = expected(FIRMWARE, KERNEL, 8192, "snp-emulated", emulation=name)
        assert what.outcome == ("ends-loudly" if DEADLY & set(faults) else "lazy"), name
        asked = {check.name for check in checks_of(what)}
        assert {"host-faults-came", "taken-memory-given-up"} <= asked
        assert not asked & REQUESTS
    assert {f"host-{fault}" for fault in named} == {
        op for op in get_args(Operation) if op.startswith("host-")
    }
    assert {op.removeprefix("host-") for op in LIES} < DEADLY < named


def test_a_fair_host_is_not_asked() -> None:
    asked = {check.name for check in checks_of(expected(FIRMWARE, KERNEL, 8192, "snp-emulated"))}
    assert not asked & {"host-faults-came", "taken-memory-given-up", "ends-loudly"}


def test_faults_travel_with_the_traits() -> None:
    traits = Traits(FIRMWARE, KERNEL, faults=("shared",))
    assert Traits.from_json(traits.to_json()) == traits
    assert expectation(Cell("fw", "k", "direct", 8192, "snp"), traits).outcome == "ends-loudly"
    old = {key: value for key, value in traits.to_json().items() if key != "faults"}
    assert Traits.from_json(old).faults == ()


def test_a_fault_that_never_came_proves_nothing(sample: Sample) -> None:
    append(sample, op="host-psc-partial")
    assert judged(FAULTS_CAME, sample, "psc-partial") == []
    (finding,) = judged(FAULTS_CAME, sample, "psc-partial", "busy")
    assert (finding.kind, finding.values["fault"]) == ("fault-missing", "busy")


@pytest.mark.parametrize("kind", EndingKind)
def test_a_loud_end(kind: EndingKind, sample: Sample) -> None:
    append(sample, op="host-psc-refused")
    ended(sample, kind)
    quiet = {
        EndingKind.COMPLETED,
        EndingKind.POWERED_OFF_EARLY,
        EndingKind.HANG,
        EndingKind.QEMU_EXIT,
        EndingKind.UNREACHABLE,
        EndingKind.GAVE_UP,
        EndingKind.RECORD_FULL,
        EndingKind.HOST,
    }
    findings = judged(ENDS_LOUDLY, sample, "psc-refused")
    assert [it.kind for it in findings] == (["not-loud"] if kind in quiet else [])
    assert all("host-psc-refused" in "".join(it.evidence) for it in findings)


@pytest.mark.parametrize("lie", sorted(LIES))
def test_memory_that_was_taken(lie: str, sample: Sample) -> None:
    append(sample, op=lie)
    ended(sample, EndingKind.TERMINATED)
    assert judged(TAKEN_MEMORY_GIVEN_UP, sample) == []
    ended(sample, EndingKind.COMPLETED)
    (finding,) = judged(TAKEN_MEMORY_GIVEN_UP, sample)
    assert finding.kind == "went-on"
    assert lie in finding.evidence[0]


def test_memory_that_was_taken_and_validated_again(sample: Sample) -> None:
    """It may be another page now: the guest cannot know."""
    append(sample, op="host-remapped")
    append(sample, op="validate")
    ended(sample, EndingKind.TERMINATED)
    (finding,) = judged(TAKEN_MEMORY_GIVEN_UP, sample)
    assert (finding.kind, finding.values["bytes"]) == ("validated-after-loss", 4096)
    assert ["host-remapped" in finding.evidence[0], "validate" in finding.evidence[1]] == [True, True]


@pytest.mark.parametrize("op", ["psc-shared", "rescind"])
def test_memory_that_the_guest_gave_up_itself_is_its_own_again(op: str, sample: Sample) -> None:
    append(sample, op="host-unvalidated")
    append(sample, op=op)
    append(sample, op="validate")
    ended(sample, EndingKind.TERMINATED)
    assert judged(TAKEN_MEMORY_GIVEN_UP, sample) == []


@pytest.mark.parametrize(("lie", "shared"), [("host-shared", True), ("host-remapped", False)])
def test_a_replay_knows_what_was_taken(lie: str, sample: Sample, *, shared: bool) -> None:
    append(sample, op="validate")
    before = sample.evidence({}).ledger.final()
    append(sample, op=lie)
    after = sample.evidence({}).ledger.final()
    gone = before.validated - after.validated
    assert [(int(a), int(b)) for a, b in gone] == [(PAGE["gpa"], PAGE["gpa"] + PAGE["size"])]
    assert bool(after.shared - before.shared) is shared
    said = sample.evidence({}).ledger.state_text(PAGE["gpa"])
    assert said.startswith("is shared" if shared else "was taken away by the host, and is not validated")
