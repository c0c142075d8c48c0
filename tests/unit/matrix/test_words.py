# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The words of scenarios beside matrix, include and exclude: what each does, and every mistake with it."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.ingredients import Ingredients
from harness.documents.document import YamlError
from harness.matrix.axes import AXES, TABLE
from harness.matrix.cell import Cell
from harness.matrix.choices import Known, parse_version
from harness.matrix.expand import Substitution, plan
from harness.matrix.plan import Bad, Expects, Needs
from harness.matrix.schema import Scenario, load_scenario
from harness.matrix.show import Shown, as_json, as_markdown, as_text
from harness.paths import PROJECT
from harness.recipes.catalog import load_catalog
from harness.recipes.versions import upstream_version, versions
from harness.run.options import Options
from harness.run.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.documents.document import Document
    from harness.matrix.plan import Plan

KNOWN = Known(
    firmware=frozenset({"f-1", "f-2"}),
    kernel=frozenset({"k-5.10", "k-6.1", "k-6.12", "k-6.12.43", "probe"}),
    loader=frozenset({"direct", "grub"}),
    action=frozenset({"touch", "kexec"}),
    versions={
        "kernel": {
            name: parse_version(version)
            for name, version in (
                ("k-5.10", "5.10.223"),
                ("k-6.1", "6.1.176"),
                ("k-6.12", "6.12.117"),
                ("k-6.12.43", "6.12.43"),
            )
        }
    },
    groups={"kernel": {"old": ("k-6.1", "k-5.10"), "all": ("k-6.12", "k-5.10", "k-6.1")}},
    outcome=frozenset({"lazy", "eager"}),
    check=frozenset({"ram-accounted", "no-alarms", "no-sev"}),
)
HEAD = "name: s\ndescription: Does it?\n"
MATRIX = HEAD + (
    "matrix:\n  firmware: [f-1]\n  kernel: [k-6.1, k-6.12]\n  memory: [2G, 8G]\n  platform: [snp]\n"
)
WHY = "reason: because, link: 'https://example.org/1'"


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    monkeypatch.chdir(tmp_path)

    def made(text: str, *substitutions: Substitution) -> Plan:
        (tmp_path / "s.yaml").write_text(text)
        document: Document[Scenario] = load_scenario(tmp_path / "s.yaml", KNOWN)
        return plan(document, lambda name: name, substitutions)

    return made


def kernels(made: Plan) -> list[str]:
    return [cell.kernel for cell in made.cells]


def said(make: Callable[..., Plan], text: str) -> list[str]:
    with pytest.raises(YamlError) as caught:
        make(text)
    return [line for line in str(caught.value).splitlines() if line.startswith("s.yaml:")]


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("'@old'", ["k-6.1", "k-5.10"]),  # in the group's order
        ("'>=6.12'", ["k-6.12.43", "k-6.12"]),  # in the order of versions
        ("'>6.12'", None),  # as far as the comparison goes
        ("'<=6.12'", ["k-5.10", "k-6.1", "k-6.12.43", "k-6.12"]),
        ("'==6.12'", ["k-6.12.43", "k-6.12"]),
        ("'>=6.12.44'", ["k-6.12"]),
        ("'!=6.12 >=6'", ["k-6.1"]),
        ("'@all >=6'", ["k-6.12", "k-6.1"]),
        ("'@all @old'", ["k-5.10", "k-6.1"]),
        ("'>=6 @old'", ["k-6.1"]),
        ("'@old', probe, '@all'", ["k-6.1", "k-5.10", "probe", "k-6.12"]),
        ("probe, '@old'", ["probe", "k-6.1", "k-5.10"]),
    ],
)
def test_groups_and_versions(make: Callable[..., Plan], written: str, names: list[str] | None) -> None:
    text = MATRIX.replace("[k-6.1, k-6.12]", f"[{written}]").replace("[2G, 8G]", "[2G]")
    if names is None:
        assert said(make, text)[0].startswith(
            "s.yaml:5:12: matrix.kernel[0]: no kernel is >6.12; versions are: "
        )
    else:
        assert kernels(make(text)) == names


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("'@odl'", "matrix.kernel[0]: unknown group of kernel 'odl'; did you mean 'old'"),
        ("'@old k-9'", "matrix.kernel[0]: unknown kernel 'k-9'"),
        ("'>= 6.5'", "matrix.kernel[0]: '' is not a version; write numbers and dots, such as 6.5"),
        ("'>=6.5-rc1'", "matrix.kernel[0]: '6.5-rc1' is not a version"),
        ("' '", "matrix.kernel[0]: wanted a kernel's name, found no word"),
        ("'@old >6.2'", "matrix.kernel[0]: no kernel is @old >6.2; versions are: k-5.10 5.10.223, "),
        ("'@old', k-5.10", "matrix.kernel[1]: k-5.10 is on this axis already"),
        ("k-6.12, '@all', '@old'", "matrix.kernel[2]: @old is on this axis already"),
    ],
)
def test_wrong_groups_and_versions(make: Callable[..., Plan], written: str, message: str) -> None:
    assert f": {message}" in said(make, MATRIX.replace("[k-6.1, k-6.12]", f"[{written}]"))[0]


def test_a_name_without_a_version_is_on_no_side_of_one(make: Callable[..., Plan]) -> None:
    text = MATRIX.replace("[k-6.1, k-6.12]", "[probe, k-6.1]")
    assert kernels(make(f"{text}exclude: [{{kernel: '>=1'}}]\n")) == ["probe", "probe"]
    assert kernels(make(f"{text}exclude: [{{kernel: '!=1'}}]\n")) == ["probe", "probe"]


@pytest.mark.parametrize(
    ("when", "left"),
    [
        ("memory: '>2G'", ["2G", "2G"]),
        ("memory: ['<=2G', '>=8G'], kernel: k-6.1", ["2G", "8G"]),
        ("memory: '>2G <8G'", None),
        ("vcpus: '>=1', memory: 2G", ["8G", "8G"]),
        ("kernel: '@old'", ["2G", "8G"]),
    ],
)
def test_conditions(make: Callable[..., Plan], when: str, left: list[str] | None) -> None:
    text = f"{MATRIX}exclude:\n  - {{{when}}}\n"
    if left is None:
        message = "exclude[0]: matches no cell: memory >2G <8G is not in the matrix (2G, 8G)"
        assert said(make, text) == [f"s.yaml:9:14: {message}"]
    else:
        assert [cell.id.split("+")[3] for cell in make(text).cells] == left


def test_conditions_that_cannot_be_read(make: Callable[..., Plan]) -> None:
    text = f"{MATRIX}exclude:\n  - {{memory: '>2'}}\n  - {{vcpus: '>x'}}\n  - {{vcpus: '> 2'}}\n"
    assert said(make, f'{text}  - {{cmdline: "a\\nb"}}\n  - {{platform: ">snp"}}\n') == [
        "s.yaml:9:14: exclude[0].memory: the memory size 2 has no unit; write 2M or 2G",
        "s.yaml:10:13: exclude[1].vcpus: 'x' is not a whole number",
        "s.yaml:11:13: exclude[2].vcpus: '>' is not a comparison; write it without spaces, such as >",
        "s.yaml:12:15: exclude[3].cmdline: a command line is one line of printable text",
        "s.yaml:13:16: exclude[4].platform: unknown value '>snp'; did you mean 'snp'?",
    ]


def test_a_rule_whose_values_are_never_together(make: Callable[..., Plan]) -> None:
    text = f"{MATRIX}exclude:\n  - {{kernel: k-6.1, memory: 2G}}\nexpect:\n"
    rule = f"  - {{when: {{kernel: k-6.1, memory: 2G}}, outcome: lazy, {WHY}}}\n"
    assert said(make, text + rule) == [
        "s.yaml:11:12: expect[0]: matches no cell: none has all of this at once"
    ]


OVERRIDE = MATRIX + (
    "overrides:\n"
    "  - {when: {kernel: k-6.12}, set: {cmdline: accept_memory=eager}}\n"
    "  - {when: {cmdline: accept_memory=eager, memory: 8G}, set: {memory: 4G, vcpus: 2}}\n"
)


def test_overrides_change_cells_in_order(make: Callable[..., Plan]) -> None:
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
def test_a_cell_that_becomes_another_runs_once(make: Callable[..., Plan], rule: str, left: int) -> None:
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
def test_wrong_overrides(make: Callable[..., Plan], rule: str, message: str) -> None:
    assert any(
        line.startswith(f"s.yaml:{message}") for line in said(make, f"{MATRIX}overrides:\n  - {rule}\n")
    )


def test_overrides_need_a_matrix(make: Callable[..., Plan]) -> None:
    cell = "include:\n  - {firmware: f-1, kernel: k-6.1, memory: 8G, platform: snp}\n"
    text = f"{HEAD}{cell}overrides:\n  - {{when: {{memory: 8G}}, set: {{vcpus: 2}}}}\n"
    assert said(make, text) == ["s.yaml:6:3: overrides: there is no matrix for its rules"]


SAID = MATRIX + (
    "requires:\n"
    "  - {cpus: 4}\n"
    "  - {when: {memory: 8G}, platform: snp, memory: 64G}\n"
    "expect:\n"
    f"  - {{when: {{kernel: k-6.12, memory: 8G}}, outcome: eager, {WHY}}}\n"
    "known-bad:\n"
    f"  - {{when: {{memory: 8G}}, checks: [ram-accounted, no-alarms], says: x, {WHY}, since: '6.5'}}\n"
    f"  - {{when: {{kernel: k-6.1}}, checks: no-sev, {WHY}, since: '2026-01-01'}}\n"
)


def test_what_is_said_about_cells(make: Callable[..., Plan]) -> None:
    made = make(SAID)
    told = {planned.cell.id: planned.said for planned in made.planned}
    assert list(told) == [
        f"f-1+{kernel}+direct+{size}+snp" for kernel in ("k-6.1", "k-6.12") for size in ("2G", "8G")
    ]
    cpus, hardware = Needs("s.yaml:9:5", cpus=4), Needs("s.yaml:10:5", "snp", 65536)
    expects = Expects("s.yaml:12:5", "eager", "because", "https://example.org/1")
    both = Bad("s.yaml:14:5", ("ram-accounted", "no-alarms"), "because", "https://example.org/1", "6.5", "x")
    one = Bad("s.yaml:15:5", ("no-sev",), "because", "https://example.org/1", "2026-01-01")
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
        ("requires: [{platform: plain}]", "8:23: requires[0].platform: "),
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
def test_wrong_rules_about_cells(make: Callable[..., Plan], rule: str, message: str) -> None:
    lines = said(make, f"{MATRIX}{rule.replace('REASON', WHY)}\n")
    assert any(line.startswith(f"s.yaml:{message}") for line in lines), lines


def test_two_expectations_of_one_cell(make: Callable[..., Plan]) -> None:
    rules = "".join(
        f"  - {{when: {{{when}}}, outcome: lazy, {WHY}}}\n" for when in ("kernel: k-6.1", "memory: 8G")
    )
    assert said(make, f"{MATRIX}expect:\n{rules}") == [
        "s.yaml:10:12: expect[1]: s.yaml:9:5 is about f-1+k-6.1+direct+8G+snp, too"
    ]


def test_two_reasons_why_one_check_of_a_cell_is_known_bad(make: Callable[..., Plan]) -> None:
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


def test_a_users_values_come_after_the_rules(make: Callable[..., Plan]) -> None:
    """What is said about cells is said of those that result."""
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


def test_cells_that_a_users_value_is_not_for_are_left_out(make: Callable[..., Plan]) -> None:
    text = f"{MATRIX}include: [{{firmware: f-1, kernel: probe, memory: 9G, platform: snp}}]\n"
    made = make(text, Substitution("kernel", ("mine",), frozenset({"probe"})))
    assert [(cell.kernel, cell.memory_mib) for cell in made.cells] == [("mine", 2048), ("mine", 8192)]
    assert {gone.reason for gone in made.removed} == {"--kernel replaces no such kernel"}
    assert {gone.cell.kernel for gone in made.removed} == {"probe"}


def test_an_included_cell_stays_included_with_a_users_value(make: Callable[..., Plan]) -> None:
    text = f"{MATRIX}include: [{{firmware: f-2, kernel: k-6.1, memory: 8G, platform: snp}}]\n"
    made = make(text, Substitution("kernel", ("mine",)))
    assert [planned.always for planned in made.planned] == [False, False, True]


def test_two_cells_of_one_name(make: Callable[..., Plan]) -> None:
    text = MATRIX.replace("[2G, 8G]", "[2G]") + "  action: ['touch:a touch:b', 'touch:a.touch:b']\n"
    assert said(make, text)[0].startswith(
        "s.yaml:3:1: two cells have the name f-1+k-6.1+direct+2G+snp+touch-a.touch-b: Cell("
    )


def test_the_axes_are_the_fields_of_cells() -> None:
    fields = dataclasses.fields(Cell)
    assert [field.name.removesuffix("_mib") for field in fields] == list(AXES)
    for field, axis in zip(fields, TABLE, strict=True):
        if field.default is not dataclasses.MISSING:
            assert axis.default == field.default


def test_plan_in_all_formats(make: Callable[..., Plan]) -> None:
    made = make(f"{SAID}exclude:\n  - {{kernel: k-6.1, memory: 2G}}\n")
    shown = Shown(made, frozenset(made.cells[1:]))
    text = as_text(shown).splitlines()
    assert text == [
        "s: 3 cells, 2 without --full (marked *), 1 left out",
        "  all cells: firmware f-1, loader direct, platform snp",
        "   kernel  memory  rules",
        "   k-6.1   8G      1 2",
        "*  k-6.12  2G",
        "*  k-6.12  8G      3 1",
        "  1: ram-accounted, no-alarms known bad since 6.5: because (https://example.org/1) by s.yaml:14:5",
        "  2: no-sev known bad since 2026-01-01: because (https://example.org/1) by s.yaml:15:5",
        "  3: expected to be eager by s.yaml:12:5: because (https://example.org/1)",
        "  1 cell left out, excluded by s.yaml:17:5 {kernel: k-6.1, memory: 2G}:",
        "    f-1+k-6.1+direct+2G+snp",
    ]
    markdown = as_markdown(shown).splitlines()
    assert markdown[0] == "## s"
    assert "|   | k-6.1 | 8G | 1 2 |" in markdown
    assert "| * | k-6.12 | 2G |  |" in markdown
    assert "- `f-1+k-6.1+direct+2G+snp`" in markdown
    values: Any = json.loads(json.dumps(as_json(shown)))
    assert [cell["selected"] for cell in values["cells"]] == [False, True, True]
    assert values["cells"][0]["memory"] == "8G"
    assert values["cells"][0]["known_bad"][0]["where"] == "s.yaml:14:5"
    assert values["cells"][2]["expect"]["outcome"] == "eager"
    assert values["removed"][0]["reason"] == "excluded by s.yaml:17:5 {kernel: k-6.1, memory: 2G}"


def test_a_plan_of_one_cell_or_none(make: Callable[..., Plan]) -> None:
    made = make(SAID)
    one = made.only(lambda cell: cell.id == "f-1+k-6.12+direct+8G+snp")
    assert as_text(Shown(one, frozenset())).splitlines()[1:4] == [
        "   firmware  kernel  loader  memory  platform  rules",
        "   f-1       k-6.12  direct  8G      snp       1 2",
        "  1: expected to be eager by s.yaml:12:5: because (https://example.org/1)",
    ]
    lacking = dataclasses.replace(one.planned[0], lacks="needs a lab, by s.yaml:10:5")
    lines = as_text(Shown(dataclasses.replace(one, planned=(lacking,)), frozenset())).splitlines()
    assert lines[0] == "s: 1 cell, 1 skipped here, 0 left out"
    assert lines[-1] == "  3: skipped here, needs a lab, by s.yaml:10:5"
    none = Shown(made.only(lambda _: False), frozenset())
    assert as_text(none) == "s: 0 cells, 0 left out"
    assert as_markdown(none).strip() == "## s\n\ns: 0 cells, 0 left out"


def test_versions_of_debian_packages() -> None:
    for text, version in (
        ("6.12.43-1~bpo12+1", (6, 12, 43)),
        ("1+2.12+9+deb13u4", (2, 12)),
        ("2:1.0-1", (1, 0)),
        ("2026.08+ds-2", (2026, 8)),
        ("262.1-1", (262, 1)),
    ):
        assert upstream_version(text) == version
    assert upstream_version("none") is None
    own = Ingredients(progress=print)
    found = versions(own.catalog, own.lock)
    assert found["kernel"]["debian-6.12.43"] == (6, 12, 43)
    assert found["firmware"]["safe-2022.11"] == (2022, 11)  # inherited from what it extends
    assert found["loader"]["shim-16.1-grub-2.12"] == (2, 12)
    assert found["loader"]["uki-257"][0] == 257
    assert not any(name.startswith("efi-probe") for name in found["kernel"])


NAME = "^[a-z0-9][a-z0-9._-]*$"
FIRMWARE = "firmware:\n  - {name: f-1, source: {file: {path: x}}}\n"
KERNELS = "kernels:\n  - {name: k-1, source: {file: {path: x}}}\n  - {name: k-2, source: {file: {path: x}}}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with recipes."""
    monkeypatch.chdir(tmp_path)
    for name in ("ovmf-builds", "guest-images"):
        (tmp_path / name).mkdir()
    (tmp_path / "ovmf-builds/a.yaml").write_text(FIRMWARE)
    (tmp_path / "guest-images/kernels.yaml").write_text(KERNELS)
    (tmp_path / "guest-images/efi-probe.yaml").write_text("probes:\n  - {name: probe}\n")
    return tmp_path


def test_groups_are_written_beside_the_recipes(project: Path) -> None:
    (project / "guest-images/kernels.yaml").write_text(
        f"{KERNELS}groups:\n  both: ['@one', k-1, '@probes']\n  one: [k-2]\n"
    )
    (project / "guest-images/efi-probe.yaml").write_text(
        "probes:\n  - {name: probe}\ngroups:\n  probes: [probe, k-2]\n"
    )
    assert load_catalog(project).known().groups["kernel"] == {
        "both": ("k-2", "k-1", "probe"),
        "one": ("k-2",),
        "probes": ("probe", "k-2"),
    }


def test_wrong_groups(project: Path) -> None:
    (project / "ovmf-builds/a.yaml").write_text(f"{FIRMWARE}groups:\n  g: [f-1, k-1]\n")
    (project / "ovmf-builds/b.yaml").write_text(
        FIRMWARE.replace("f-1", "f-2")
        + "groups:\n  g: [f-2]\n  h: ['@i']\n  i: ['@h']\n  j: ['@k']\n  l: []\n  M: [f-1]\n"
    )
    with pytest.raises(YamlError) as caught:
        load_catalog(project)
    heads = [line for line in str(caught.value).splitlines() if line.startswith("ovmf-builds/")]
    assert heads == [
        "ovmf-builds/a.yaml:4:12: groups.g[1]: unknown firmware 'k-1'; did you mean 'f-1'?",
        "ovmf-builds/b.yaml:8:6: groups.l: wanted at least 1 item(s), found 0",
        f"ovmf-builds/b.yaml:9:3: groups.M: string should match pattern '{NAME}', found the text 'M'",
    ]
    (project / "ovmf-builds/b.yaml").write_text(
        FIRMWARE.replace("f-1", "f-2") + "groups:\n  g: [f-2]\n  h: ['@i']\n  i: ['@h']\n  j: ['@k']\n"
    )
    with pytest.raises(YamlError) as caught:
        load_catalog(project)
    heads = [line for line in str(caught.value).splitlines() if line.startswith("ovmf-builds/b")]
    assert heads == [
        "ovmf-builds/b.yaml:4:3: the group 'g' is at ovmf-builds/a.yaml:4:6 already",
        "ovmf-builds/b.yaml:6:7: groups.i[0]: the group is part of itself",
        "ovmf-builds/b.yaml:7:7: groups.j[0]: unknown group 'k'; known: g, h, i, j",
    ]


def test_the_examples_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One scenario, with one example of each word."""
    monkeypatch.chdir(tmp_path)
    text = (PROJECT / "docs/reference/scenarios.md").read_text().partition("## What runs")[0]
    blocks = [block for block in text.split("\n\n") if block.startswith("    ")]
    (tmp_path / "s.yaml").write_text("\n".join(map(textwrap.dedent, blocks)) + "\n")
    session = Session(Options(), tmp_path, print)
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
