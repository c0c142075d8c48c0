# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What hardware shows of acceptance: each check by its hardware form alone, on good and broken evidence."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.traits import Traits
from harness.checks.asked import checks
from harness.checks.finding import CANNOT_JUDGE, Needs
from harness.checks.host import page_states
from harness.checks.host.page_states import TRACE_IS_LEDGER
from harness.evidence.record import Ending, EndingKind, PhaseMark
from harness.machine.memory_layout import FOUR_GIB, GIB
from tests.support.linux_sample import FIRMWARE, K612, Sample
from tests.support.traces import on_hardware, request, trace_of, traced, write_trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.evidence.evidence import Evidence

    Mutate = Callable[[list[str]], list[str]]

LARGE = 2 << 20
sound = Traits(FIRMWARE, K612)


def of(sample: Sample, mutate: Mutate = lambda lines: lines, **changes: Any) -> Evidence:
    before = trace_of(sample.ledger)
    lines = mutate(list(before))
    write_trace(sample.path, lines)
    return on_hardware(sample, **changes)


def without(pattern: str) -> Mutate:
    """Take away the events that a pattern finds, requests with their conversions."""

    def mutate(lines: list[str]) -> list[str]:
        kept = [line for line in lines if not re.search(pattern, line)]
        assert len(kept) < len(lines)
        return kept

    return mutate


def adding(*more: str) -> Mutate:
    return lambda lines: [*lines, *more]


HIGH = rf"{FOUR_GIB:#x} size"
FORMS = {
    "accepted-before-kernel": ("eager", without(rf"(gpa|start) {HIGH}"), "not-made-private"),
    "exit-accepts-exactly": ("eager", without(rf"(gpa|start) {HIGH}"), "not-made-private"),
    "exit-retried-at-most-once": ("eager", adding(*request(FOUR_GIB, LARGE, 0.5)), "made-private-again"),
    "firmware-left-high": ("lazy", adding(*request(FOUR_GIB, LARGE, 0.5)), "made-private-by-firmware"),
    "handoff-audit": (
        "eager",
        adding(*request(FOUR_GIB + 2 * GIB, LARGE, 0.5, private=False)),
        "given-shared",
    ),
    "unvalidated-is-unaccepted": ("eager", without(rf"(gpa|start) {HIGH}"), "never-made-private"),
    "large-entries": ("eager", adding(*request(FOUR_GIB, GIB, 0.5, large=False)), "small-entries"),
    "batched": (
        "eager",
        adding(*(line for at in range(40) for line in request(FOUR_GIB + at * LARGE, LARGE, 0.5))),
        "not-batched",
    ),
}
"""By check: the sample, what breaks its trace, and the finding that has to come of it."""


@pytest.mark.parametrize(("name", "case"), FORMS.items(), ids=FORMS)
def test_a_form_for_hardware(tmp_path: Path, name: str, case: tuple[str, Mutate, str]) -> None:
    sample, mutate, kind = case
    check = checks()[name]
    for folder in ("good", "bad"):
        (tmp_path / folder).mkdir()
    assert check(of(Sample(sample, tmp_path / "good"))) == []
    found = check(of(Sample(sample, tmp_path / "bad"), mutate))
    assert kind in {finding.kind for finding in found}
    assert check.strength_on("snp") in {"exact", "upper bound"}
    assert check.strength_on("snp-emulated") == ""


def test_ends_are_told_by_qemu_and_consoles(tmp_path: Path) -> None:
    evidence = of(Sample("eager", tmp_path))
    assert checks()["no-termination"](evidence) == []
    ended = Ending(EndingKind.TERMINATED, "kernel", "x", "QEMU said: KVM: unknown exit reason 24")
    broken = replace(evidence, record=replace(evidence.record, ending=ended))
    assert [it.kind for it in checks()["no-termination"](broken)] == ["terminated"]
    dies = checks()["dies-in-loader"]
    assert [it.kind for it in dies(evidence)] == ["kernel-started", "no-loader"]
    marks = (PhaseMark("launch", 0.0), PhaseMark("loader", 1.0))
    assert dies(replace(evidence, record=replace(evidence.record, phases=marks))) == []


def test_an_exit_that_is_not_granted_is_on_the_console(tmp_path: Path) -> None:
    sample = Sample("eager", tmp_path)
    sample.serial = sample.serial.replace(
        "Linux version", "EFI stub: ERROR: exit_boot() failed!\nLinux version", 1
    )
    assert "exit-not-granted" in {it.kind for it in checks()["exit-retried-at-most-once"](of(sample))}


def test_a_firmware_that_tells_its_ranges_is_held_to_them(tmp_path: Path) -> None:
    sample = Sample("eager", tmp_path)
    console = tmp_path / "debugcon.log"
    line = "AmdSevDxe:InternalSetPageState Address 0x100000000 - 0x{} State = Private LargeEntry = 1\n"
    check, kinds = checks()["accepted-before-kernel"], []
    evidence = of(sample)
    for end in ("280000000", "27FE00000"):
        console.write_text(line.format(end))
        again = replace(evidence, record=replace(evidence.record))
        kinds.append([it.kind for it in check(again)])
    assert kinds == [[], ["not-said-private"]]


def test_the_probe_accepts_all_once(tmp_path: Path) -> None:
    """Of the boot only what came before the kernel, which is what a boot of the probe has."""
    sample = Sample("eager", tmp_path)
    sample.ledger = [
        line for line in sample.ledger if line.get("phase") != "kernel" or line["type"] != "event"
    ] + [line for line in sample.ledger if line.get("phase") == "kernel"][:1]
    evidence = of(sample)
    assert [*page_states.high_validated_exactly(evidence)] == []
    write_trace(
        sample.path,
        [*trace_of([]), *(tmp_path / "trace.log").read_text().splitlines(), *request(FOUR_GIB, LARGE, 2)],
    )
    again = [it.kind for it in page_states.high_validated_exactly(replace(evidence))]
    assert again == ["made-private-again"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"phases": ()}, "no console shows when the early-kernel begins"),
        ({"started": ""}, "the trace has no times"),
    ],
)
def test_what_nobody_knows_is_not_judged(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    (found,) = checks()["accepted-before-kernel"](of(Sample("eager", tmp_path), **change))
    assert found.kind == CANNOT_JUDGE
    assert words in found.what


def test_no_trace_is_no_pass(tmp_path: Path) -> None:
    evidence = of(Sample("eager", tmp_path))
    (tmp_path / "trace.log").unlink()
    assert {it.kind for it in checks()["accepted-before-kernel"](evidence)} == {CANNOT_JUDGE}


def test_the_others_say_why_not() -> None:
    told = {
        name: check.not_applicable("snp", sound)
        for name, check in checks().items()
        if check.needs in {Needs.LEDGER, Needs.HANDOVER} and check.by_page_states is None
    }
    assert {"validated-once", "no-unvalidated-access", "faults-are-ours"} <= told.keys()
    assert all(reason.startswith("only emulation has an exact ledger; ") for reason in told.values())
    assert checks()["accepted-before-kernel"].not_applicable("snp", sound) == ""
    assert checks()["accepted-before-kernel"].not_applicable("plain", sound)


@pytest.mark.parametrize("name", ["eager", "lazy", "nothing"])
def test_trace_and_ledger_agree(tmp_path: Path, name: str) -> None:
    sample = Sample(name, tmp_path)
    write_trace(sample.path, trace_of(sample.ledger))
    assert TRACE_IS_LEDGER(traced(sample)) == []


BROKEN = {
    "a request is lost": without(rf"(gpa|start) {HIGH}"),
    "a request is made up": adding(*request(0x10_0000, 4096, 3.0, large=False)),
    "a fault is lost": without(r"kvm_memory_fault|start 0x809000 size 0x1000 private_to_shared"),
    "a launch is lost": without(r"gpa 0xffc00000 len"),
    "a launch is made up": adding("kvm_sev_snp_launch_update src 0x0 gpa 0x20000000 len 0x1000 (Zero page)"),
}


@pytest.mark.parametrize("mutate", BROKEN.values(), ids=BROKEN)
def test_trace_and_ledger_that_differ(tmp_path: Path, mutate: Mutate) -> None:
    sample = Sample("eager", tmp_path)
    write_trace(sample.path, mutate(trace_of(sample.ledger)))
    assert {it.kind for it in TRACE_IS_LEDGER(traced(sample))} & {"differs", "launch-differs"}


def test_a_boot_that_traced_nothing_is_not_compared(tmp_path: Path) -> None:
    sample = Sample("eager", tmp_path)
    (tmp_path / "trace.log").unlink()
    assert [it.kind for it in sample.judge(TRACE_IS_LEDGER)] == [CANNOT_JUDGE]


def test_a_cut_trace_is_not_compared(tmp_path: Path) -> None:
    sample = Sample("eager", tmp_path)
    write_trace(sample.path, trace_of(sample.ledger))
    with (tmp_path / "trace.log").open("a") as file:
        file.write("7@1700000009.000000:kvm_hc_map")
    assert [it.kind for it in TRACE_IS_LEDGER(traced(sample))] == [CANNOT_JUDGE]
