# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The words of scenarios beside matrix, include and exclude: what each does, and every mistake with it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from harness.matrix.cell import AXES, TABLE, Cell
from harness.matrix.expand import Substitution
from harness.matrix.plan import KnownBad, Requirement, StatedOutcome
from harness.matrix.schema import Scenario
from harness.recipes.project import find_project
from harness.run.options import Options
from harness.run.session import Session
from tests.support.data import PROJECT
from tests.support.markdown import page
from tests.support.words import HEAD, MATRIX, SAID, WHY, said

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.words import Make


OVERRIDE = MATRIX + (
    "overrides:\n"
    "  - {when: {kernel: k-6.12}, set: {cmdline: accept_memory=eager}}\n"
    "  - {when: {cmdline: accept_memory=eager, memory: 8G}, set: {memory: 4G, vcpus: 2}}\n"
)


def test_overrides_change_cells_in_order(make: Make) -> None:
    second = "{memory: 8G, cmdline: 'accept_memory=eager'}"
    made = make(f"{OVERRIDE}include:\n  - {{firmware: f-1, kernel: k-6.12, memory: 8G, platform: snp}}\n")
    assert [(c.kernel, c.memory_mib, c.vcpus, c.cmdline) for c in made.cells] == [
        ("k-6.1", 2048, 1, ""),
        ("k-6.1", 8192, 1, ""),
        ("k-6.12", 2048, 1, "accept_memory=eager"),
        ("k-6.12", 4096, 2, "accept_memory=eager"),
        ("k-6.12", 8192, 1, ""),  # an included cell is as it is written
    ]
    assert [planned.changes for planned in made.planned] == [
        (),
        (),
        ("cmdline '' became 'accept_memory=eager' by s.yaml:9:5 {kernel: k-6.12}",),
        (
            "cmdline '' became 'accept_memory=eager' by s.yaml:9:5 {kernel: k-6.12}",
            f"memory 8G became 4G, vcpus 1 became 2 by s.yaml:10:5 {second}",
        ),
        (),
    ]
    assert made.removed == ()


@pytest.mark.parametrize(
    ("rule", "left"),
    [("{when: {memory: 2G}, set: {memory: 8G}}", 8192), ("{when: {memory: 8G}, set: {memory: 2G}}", 2048)],
)
def test_a_cell_that_becomes_another_runs_once(make: Make, rule: str, left: int) -> None:
    made = make(f"{MATRIX}overrides:\n  - {rule}\n")
    assert [cell.memory_mib for cell in made.cells] == [left, left]
    assert all(not planned.changes for planned in made.planned)
    assert {gone.cell.memory_mib for gone in made.removed} == {2048, 8192} - {left}
    assert all("becomes a cell that is there already by s.yaml:9:5" in gone.reason for gone in made.removed)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            "{when: {memory: 4G}, set: {vcpus: 2}}",
            "9:21: overrides[0]: matches no cell: memory 4G is not in the matrix (2G, 8G)",
        ),
        (
            "{when: {memory: 2G}, set: {memory: 2G}}",
            "9:31: overrides[0]: changes nothing: the cells have these values already",
        ),
        (
            "{when: {memory: 2G}, set: {}}",
            "9:31: overrides[0].set: nothing is set; name one of firmware, kernel, loader",
        ),
        (
            "{when: {memory: 2G}, set: {memory: '>2G'}}",
            "9:40: overrides[0].set.memory: '>2G' is not a memory size",
        ),
        (
            "{when: {memory: 2G}, set: {kernel: '@old'}}",
            "9:40: overrides[0].set.kernel: unknown kernel '@old'",
        ),
        ("{when: {}, set: {memory: 2G}}", "9:12: overrides[0].when: an empty rule would be about every cell"),
        ("{set: {memory: 2G}}", "9:5: overrides[0]: missing key 'when'"),
        ("{when: {memory: 2G}, set: {memory: 4G}, reason: x}", "9:45: overrides[0]: unknown key 'reason'"),
    ],
)
def test_wrong_overrides(make: Make, rule: str, message: str) -> None:
    assert any(
        line.startswith(f"s.yaml:{message}") for line in said(make, f"{MATRIX}overrides:\n  - {rule}\n")
    )


def test_overrides_need_a_matrix(make: Make) -> None:
    cell = "include:\n  - {firmware: f-1, kernel: k-6.1, memory: 8G, platform: snp}\n"
    text = f"{HEAD}{cell}overrides:\n  - {{when: {{memory: 8G}}, set: {{vcpus: 2}}}}\n"
    assert said(make, text) == ["s.yaml:6:3: overrides: there is no matrix for its rules"]


def test_what_is_said_about_cells(make: Make) -> None:
    made = make(SAID)
    told = {planned.cell.id: planned.said for planned in made.planned}
    assert list(told) == [
        f"f-1+{kernel}+direct+{size}+snp" for kernel in ("k-6.1", "k-6.12") for size in ("2G", "8G")
    ]
    cpus, hardware = Requirement("s.yaml:9:5", cpus=4), Requirement("s.yaml:10:5", "snp", 65536)
    expects = StatedOutcome("s.yaml:12:5", "eager", "because", "https://example.org/1")
    both = KnownBad(
        "s.yaml:14:5", ("ram-accounted", "no-alarms"), "because", "https://example.org/1", "6.5", "x"
    )
    one = KnownBad("s.yaml:15:5", ("no-sev",), "because", "https://example.org/1", "2026-01-01")
    small, large, small_lazy, large_lazy = told.values()
    assert (small.requires, small.expect, small.known_bad) == ((cpus,), None, (one,))
    assert (large.requires, large.expect, large.known_bad) == ((cpus, hardware), None, (both, one))
    assert (small_lazy.requires, small_lazy.expect, small_lazy.known_bad) == ((cpus,), None, ())
    assert (large_lazy.requires, large_lazy.expect, large_lazy.known_bad) == (
        (cpus, hardware),
        expects,
        (both,),
    )
    assert large.bad("no-alarms") == both
    assert small_lazy.bad("no-alarms") is None
    assert small.bad("ram-accounted") is None
    assert str(both) == "known bad since 6.5: because (https://example.org/1)"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("requires: [{}]", "8:12: requires[0]: nothing is required; name one of platform, memory, cpus"),
        ("requires: [{platform: plane}]", "8:23: requires[0].platform: unknown platform 'plane'"),
        (
            "requires: [{when: {memory: 4G}, cpus: 2}]",
            "8:28: requires[0]: matches no cell: memory 4G is not in the matrix (2G, 8G)",
        ),
        ("requires: [{memory: 64}]", "8:21: requires[0].memory: the memory size 64 has no unit"),
        (
            "expect: [{when: {memory: 8G}, outcome: lzay, REASON}]",
            "8:40: expect[0].outcome: unknown outcome 'lzay'; did you mean 'lazy'?",
        ),
        (
            "expect: [{when: {memory: 8G}, outcome: lazy}]",
            "8:10: expect[0]: missing key 'reason' (why, in one sentence)",
        ),
        ("expect: [{when: {memory: 8G}, outcome: lazy, reason: r, link: nowhere}]", "8:63: expect[0].link: "),
        (
            "expect: [{when: {memory: 8G}, outcome: lazy, reason: '', link: docs/x.md}]",
            "8:54: expect[0].reason: ",
        ),
        (
            "known-bad: [{when: {memory: 8G}, checks: no-alrams, REASON, since: '1'}]",
            "8:42: known-bad[0].checks: unknown check 'no-alrams'; did you mean 'no-alarms'?",
        ),
        (
            "known-bad: [{when: {memory: 8G}, checks: [], REASON, since: '1'}]",
            "8:42: known-bad[0].checks: wanted at least 1 item(s), found 0",
        ),
        (
            "known-bad: [{when: {memory: 8G}, checks: no-alarms, REASON}]",
            "8:13: known-bad[0]: missing key 'since'",
        ),
        (
            "known-bad: [{when: {memory: 4G}, checks: no-alarms, REASON, since: '1'}]",
            "8:29: known-bad[0]: matches no cell: memory 4G is not in the matrix (2G, 8G)",
        ),
        ("known_bad: []", "8:1: unknown key 'known_bad'; did you mean 'known-bad'?"),
        ("selection: some", "8:12: selection: unknown value 'some'"),
    ],
)
def test_wrong_rules_about_cells(make: Make, rule: str, message: str) -> None:
    lines = said(make, f"{MATRIX}{rule.replace('REASON', WHY)}\n")
    assert any(line.startswith(f"s.yaml:{message}") for line in lines), lines


def test_two_expectations_of_one_cell(make: Make) -> None:
    rules = "".join(
        f"  - {{when: {{{when}}}, outcome: lazy, {WHY}}}\n" for when in ("kernel: k-6.1", "memory: 8G")
    )
    assert said(make, f"{MATRIX}expect:\n{rules}") == [
        "s.yaml:10:12: expect[1]: s.yaml:9:5 is about f-1+k-6.1+direct+8G+snp, too"
    ]


def test_two_reasons_why_one_check_of_a_cell_is_known_bad(make: Make) -> None:
    """The first one would hide the second, and what it says."""
    rules = "".join(
        f"  - {{when: {{{when}}}, checks: [{checks}], {WHY}, since: '1'}}\n"
        for when, checks in (
            ("kernel: k-6.1", "no-alarms"),
            ("kernel: k-6.1", "ram-accounted"),
            ("memory: 8G", "no-alarms"),
        )
    )
    assert said(make, f"{MATRIX}known-bad:\n{rules}") == [
        "s.yaml:11:12: known-bad[2]: no-alarms of s.yaml:9:5 is about f-1+k-6.1+direct+8G+snp, too"
    ]


def test_a_users_values_come_after_the_rules(make: Make) -> None:
    """Words about cells hold for those that result."""
    memory = Substitution("memory", (8192, 65536))
    made = make(SAID, Substitution("kernel", ("k-6.12", "mine")), memory)
    assert [(c.kernel, c.memory_mib) for c in made.cells] == [
        ("k-6.12", 8192),
        ("mine", 8192),
        ("k-6.12", 65536),
        ("mine", 65536),
    ]
    assert [planned.said.expect is not None for planned in made.planned] == [True, False, False, False]
    assert [len(planned.said.known_bad) for planned in made.planned] == [1, 1, 0, 0]


def test_cells_that_a_users_value_is_not_for_are_left_out(make: Make) -> None:
    text = f"{MATRIX}include: [{{firmware: f-1, kernel: probe, memory: 9G, platform: snp}}]\n"
    made = make(text, Substitution("kernel", ("mine",), frozenset({"probe"})))
    assert [(cell.kernel, cell.memory_mib) for cell in made.cells] == [("mine", 2048), ("mine", 8192)]
    assert {gone.reason for gone in made.removed} == {"--kernel replaces no such kernel"}
    assert {gone.cell.kernel for gone in made.removed} == {"probe"}


def test_an_included_cell_stays_included_with_a_users_value(make: Make) -> None:
    text = f"{MATRIX}include: [{{firmware: f-2, kernel: k-6.1, memory: 8G, platform: snp}}]\n"
    made = make(text, Substitution("kernel", ("mine",)))
    assert [planned.always for planned in made.planned] == [False, False, True]


def test_two_cells_of_one_name(make: Make) -> None:
    text = MATRIX.replace("[2G, 8G]", "[2G]") + "  action: ['', touch]\n  guest: [initramfs, touch]\n"
    assert said(make, text)[0].startswith(
        "s.yaml:3:1: two cells have the name f-1+k-6.1+direct+2G+snp+touch: Cell("
    )


def test_the_axes_are_the_fields_of_cells() -> None:
    fields = dataclasses.fields(Cell)
    assert [field.name.removesuffix("_mib") for field in fields] == list(AXES)
    for field, axis in zip(fields, TABLE, strict=True):
        if field.default is not dataclasses.MISSING:
            assert axis.default == field.default


def test_the_examples_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One scenario, with one example of each word."""
    monkeypatch.chdir(tmp_path)
    fences = page(PROJECT / "docs/reference/scenarios.md").fences
    blocks = [fence.text for fence in fences if fence.language == "yaml"]
    (tmp_path / "s.yaml").write_text("".join(blocks))
    session = Session(Options(), find_project(tmp_path), print)
    made = session.plan(tmp_path / "s.yaml")
    assert {block.split(":")[0].strip() for block in blocks} == set(Scenario.model_fields) - {
        *("description", "matrix", "known_bad")
    } | {"known-bad"}
    assert len(made.cells) > 100
    assert made.removed
    assert any(planned.changes for planned in made.planned)
    assert any(planned.lacks or planned.said.requires for planned in made.planned)
    assert any(planned.said.expect for planned in made.planned)
    assert any(planned.said.known_bad for planned in made.planned)
