# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From scenario files to cells: names of cells, order, exclude and include, and every kind of mistake."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.ingredients import Ingredients
from harness.documents.document import Document, YamlError, json_schema
from harness.matrix.cell import AXES, Cell, format_memory, parse_memory
from harness.matrix.choices import Known
from harness.matrix.expand import expand, plan
from harness.matrix.pairs import selection
from harness.matrix.schema import Scenario, load_scenario
from harness.matrix.show import Shown, as_text
from harness.platforms.registry import platforms
from harness.recipes.versions import versions
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    from harness.matrix.plan import Plan

Load = Callable[[str], Document[Scenario]]

KNOWN = Known(
    {
        "firmware": frozenset({"fw-1", "fw-2", "debian-2025.02"}),
        "kernel": frozenset({"k-1", "k-2", "k-3", "debian-6.12"}),
    },
    platform=frozenset({"snp", "snp-emulated", "plain"}),
)
HEAD = "name: s\ndescription: Does it boot?\n"
TWO_BY_TWO = (
    f"{HEAD}matrix:\n  firmware: [fw-1, fw-2]\n  kernel: [k-1, k-2]\n  memory: [8G]\n  platform: [snp]\n"
)


def emulated(asked: str) -> str:
    return platforms()[asked].falls_back_to or asked


def hardware(asked: str) -> str:
    return asked


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a scenario from its text."""
    monkeypatch.chdir(tmp_path)

    def make(text: str) -> Document[Scenario]:
        (tmp_path / "s.yaml").write_text(text)
        return load_scenario(tmp_path / "s.yaml", KNOWN)

    return make


def heads(error: pytest.ExceptionInfo[YamlError]) -> list[str]:
    return [line for line in str(error.value).splitlines() if line.startswith("s.yaml:")]


def table(result: Plan) -> str:
    return as_text(Shown(result, frozenset(planned.cell for planned in selection(result, full=False))))


def ids(document: Document[Scenario], resolve: Callable[[str], str] = emulated) -> list[str]:
    return [cell.id for cell in expand(document, resolve)]


@pytest.mark.parametrize(("text", "mib"), [("2G", 2048), ("8G", 8192), ("2817M", 2817), ("1100G", 1126400)])
def test_memory_sizes(text: str, mib: int) -> None:
    assert parse_memory(text) == mib
    assert format_memory(mib) == text


def test_memory_has_one_spelling_in_ids() -> None:
    assert format_memory(parse_memory("8192M")) == "8G"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8", "the memory size 8 has no unit; write 8M or 8G"),
        ("8g", "'8g' is not a memory size; write 8G"),
        ("8GiB", "'8GiB' is not a memory size; write 8G"),
        ("2817 mb", "'2817 mb' is not a memory size; write 2817M"),
        ("2.5G", "'2.5G' is not a memory size; write a whole number with M or G: 8G, 2817M"),
        ("1T", "'1T' is not a memory size; write a whole number with M or G: 8G, 2817M"),
        ("-1G", "'-1G' is not a memory size; write a whole number with M or G: 8G, 2817M"),
        ("", "'' is not a memory size; write a whole number with M or G: 8G, 2817M"),
        ("٨G", "'٨G' is not a memory size; write a whole number with M or G: 8G, 2817M"),
        ("8G\n", "'8G\\n' is not a memory size; write 8G"),
        ("0G", "a guest needs memory, found 0G"),
    ],
)
def test_bad_memory_sizes(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="memory") as caught:
        parse_memory(text)
    assert str(caught.value) == message


def test_cell_id() -> None:
    cell = Cell("debian-2025.02", "debian-6.12", "direct", 8192, "snp-emulated")
    assert cell.id == str(cell) == "debian-2025.02+debian-6.12+direct+8G+snp-emulated"
    assert Cell("f", "k", "direct", 2817, "plain", vcpus=4).id == "f+k+direct+2817M+plain+4cpu"


def test_cell_id_tells_command_lines_apart_and_is_safe_as_a_file_name() -> None:
    lines = ["mem=16G", "mem 16G", "mem=16G ", "a/b ../c", "x" * 200 + "1", "x" * 200 + "2", "4cpu"]
    names = [Cell("f", "k", "direct", 8192, "plain", cmdline=line).id for line in lines]
    assert len(set(names)) == len(lines)
    assert names[0].startswith("f+k+direct+8G+plain+mem-16G-")
    for name in names:
        assert "/" not in name
        assert " " not in name
        assert len(name) < 64


def test_product_in_written_order(scenario: Load) -> None:
    document = scenario(
        f"{HEAD}matrix:\n  platform: [plain, snp]\n  memory: [8G, 2G]\n  kernel: [k-2, k-1]\n"
        "  firmware: [fw-2]\n"
        "  vcpus: [1, 4]\n"
    )
    assert ids(document)[:5] == [
        "fw-2+k-2+direct+8G+plain",
        "fw-2+k-2+direct+8G+plain+4cpu",
        "fw-2+k-2+direct+8G+snp-emulated",
        "fw-2+k-2+direct+8G+snp-emulated+4cpu",
        "fw-2+k-2+direct+2G+plain",
    ]
    assert len(ids(document)) == 16
    assert ids(document, hardware)[2] == "fw-2+k-2+direct+8G+snp"


@pytest.mark.parametrize("path", sorted((PROJECT / "scenarios").rglob("*.yaml")), ids=str)
def test_the_projects_scenarios(path: Path) -> None:
    """Each asks a question and has cells."""
    ingredients = Ingredients(progress=print)
    catalog = ingredients.catalog
    document = load_scenario(path, replace(catalog.known(), versions=versions(catalog, ingredients.lock_of)))
    assert document.model.description.splitlines()[0].endswith("?")
    assert expand(document, emulated)
    scenario = document.model
    # What is known to be bad is known exactly: a check that fails for another reason is news.
    assert not [bad.reason for bad in scenario.known_bad if not (bad.finding or bad.values or bad.shows)]
    links = [said.link for said in scenario.expect] + [said.link for said in scenario.known_bad]
    assert not [link for link in links if link.startswith("docs/") and not (PROJECT / link).is_file()]


def test_exclude_and_include(scenario: Load) -> None:
    document = scenario(
        TWO_BY_TWO
        + "exclude:\n  - kernel: k-1\n    firmware: [fw-1]\n"
        + "  - {kernel: [k-2, k-1], memory: 8G, firmware: fw-1}\n"
        + "include:\n  - {firmware: fw-1, kernel: k-3, memory: 2817M, platform: plain, vcpus: 2}\n"
        + "  - {firmware: fw-1, kernel: k-1, memory: 8192M, platform: snp}\n"
    )
    result = plan(document, emulated)
    assert [cell.id for cell in result.cells] == [
        "fw-2+k-1+direct+8G+snp-emulated",
        "fw-2+k-2+direct+8G+snp-emulated",
        "fw-1+k-3+direct+2817M+plain+2cpu",
        "fw-1+k-1+direct+8G+snp-emulated",  # include brings back what a rule left out
    ]
    assert [(gone.cell.id, gone.reason) for gone in result.removed] == [
        ("fw-1+k-1+direct+8G+snp-emulated", "excluded by s.yaml:9:5 {firmware: fw-1, kernel: k-1}"),
        (
            "fw-1+k-2+direct+8G+snp-emulated",
            "excluded by s.yaml:11:5 {firmware: fw-1, kernel: k-2 or k-1, memory: 8G}",
        ),
    ]


def test_include_alone_is_a_scenario(scenario: Load) -> None:
    document = scenario(f"{HEAD}include:\n  - {{firmware: fw-1, kernel: k-1, memory: 2G, platform: snp}}\n")
    assert ids(document) == ["fw-1+k-1+direct+2G+snp-emulated"]


def test_rules_mean_the_same_on_every_host(scenario: Load) -> None:
    document = scenario(
        TWO_BY_TWO.replace("[snp]", "[snp, snp-emulated, plain]")
        + "exclude:\n  - platform: snp\n    kernel: k-1\n"
    )
    gone = {resolve: [r.cell.id for r in plan(document, resolve).removed] for resolve in (emulated, hardware)}
    assert "fw-1+k-1+direct+8G+snp" in gone[hardware]
    assert "fw-1+k-1+direct+8G+snp-emulated" in gone[emulated]
    assert "fw-1+k-1+direct+8G+snp-emulated" in ids(document, hardware)


def test_platforms_that_are_the_same_here_run_once(scenario: Load) -> None:
    document = scenario(TWO_BY_TWO.replace("[snp]", "[snp, snp-emulated]"))
    assert len(ids(document, hardware)) == 8
    result = plan(document, emulated)
    assert len(result.cells) == len(set(result.cells)) == 4
    assert len(result.removed) == 4
    assert (
        result.removed[0].reason
        == "platform snp-emulated is snp-emulated here, which the scenario names already"
    )


def test_names_types_and_keys_are_all_reported_at_once(scenario: Load) -> None:
    text = (
        "name: First Boot\n"
        "descripton: Does it boot?\n"
        "matrix:\n"
        "  firmware: [debian-2025.2, fw-1]\n"
        "  kernel: [6.10, debian-6.21]\n"
        "  loader: [dircet]\n"
        "  memroy: [8G]\n"
        "  platform: [snp-emulatd]\n"
        "  vcpus: ['4', 0]\n"
        "exclude:\n"
        "  - {kernel: k-9, memory: 8192}\n"
        "  - {}\n"
        "  - {kernel: , vcpus: 1}\n"
        "include:\n"
        "  - {firmware: fw-3, kernel: k-1, memory: 8GB, platform: plain}\n"
    )
    with pytest.raises(YamlError) as caught:
        scenario(text)
    assert heads(caught) == [
        "s.yaml:1:7: name: string should match pattern '^[a-z0-9][a-z0-9-]*$', found the text 'First Boot'",
        "s.yaml:2:1: unknown key 'descripton'; did you mean 'description'?",
        "s.yaml:4:14: matrix.firmware[0]: unknown firmware 'debian-2025.2'; did you mean 'debian-2025.02'?",
        's.yaml:5:12: matrix.kernel[0]: wanted text, found the number 6.10; quote it: "6.10"',
        "s.yaml:5:18: matrix.kernel[1]: unknown kernel 'debian-6.21'; did you mean 'debian-6.12'?",
        "s.yaml:6:12: matrix.loader[0]: unknown loader 'dircet'; did you mean 'direct'?",
        "s.yaml:7:3: matrix: unknown key 'memroy'; did you mean 'memory'?",
        "s.yaml:8:14: matrix.platform[0]: unknown platform 'snp-emulatd'; did you mean 'snp-emulated'?",
        "s.yaml:9:11: matrix.vcpus[0]: wanted a whole number, found the text '4'; remove the quotes",
        "s.yaml:9:16: matrix.vcpus[1]: wanted 1 or more, found the number 0",
        "s.yaml:11:14: exclude[0].kernel: unknown kernel 'k-9'; did you mean 'k-3' or 'k-2' or 'k-1'?",
        "s.yaml:11:27: exclude[0].memory: the memory size 8192 has no unit; write 8192M or 8192G",
        f"s.yaml:12:5: exclude[1]: an empty rule would be about every cell; name one of {', '.join(AXES)}",
        "s.yaml:13:14: exclude[2].kernel: wanted text, found nothing",
        "s.yaml:15:16: include[0].firmware: unknown firmware 'fw-3'; did you mean 'fw-2' or 'fw-1'?",
        "s.yaml:15:43: include[0].memory: '8GB' is not a memory size; write 8G",
    ]


def test_expansion_mistakes_are_all_reported_at_once(scenario: Load) -> None:
    document = scenario(
        f"{HEAD}matrix:\n  firmware: [fw-1]\n  kernel: [k-1, k-2, k-1]\n  memory: [8G, 8192M]\n"
        "  platform: [snp]\n"
        "exclude:\n"
        "  - {kernel: k-3}\n"
        "  - {kernel: [k-3, k-2], platform: plain}\n"
        "include:\n"
        "  - {firmware: fw-1, kernel: k-1, memory: 8G, platform: snp}\n"
        "  - {firmware: fw-1, kernel: k-3, memory: 8G, platform: snp}\n"
        "  - {firmware: fw-1, kernel: k-3, memory: 8G, platform: snp, loader: direct}\n"
    )
    with pytest.raises(YamlError) as caught:
        plan(document, emulated)
    assert heads(caught) == [
        "s.yaml:5:22: matrix.kernel[2]: k-1 is on this axis already",
        "s.yaml:6:16: matrix.memory[1]: 8G is on this axis already",
        "s.yaml:9:14: exclude[0]: matches no cell: kernel k-3 is not in the matrix (k-1, k-2)",
        "s.yaml:10:36: exclude[1]: matches no cell: platform plain is not in the matrix (snp)",
        "s.yaml:12:5: include[0]: this cell is there already",
        "s.yaml:14:5: include[2]: this cell is there already",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD, "s.yaml:1:1: no cell is left to run"),
        (f"{TWO_BY_TWO}exclude:\n  - memory: 8G\n", "s.yaml:3:1: no cell is left to run"),
        (
            f"{HEAD}exclude:\n  - memory: 8G\n",
            "s.yaml:4:3: exclude: there is no matrix for its rules",
        ),
    ],
)
def test_nothing_to_run(scenario: Load, text: str, message: str) -> None:
    with pytest.raises(YamlError) as caught:
        plan(scenario(text), emulated)
    assert heads(caught) == [message]


def test_empty_axis(scenario: Load) -> None:
    with pytest.raises(YamlError) as caught:
        scenario(TWO_BY_TWO.replace("[8G]", "[]").replace("[k-1, k-2]", "k-1"))
    assert heads(caught) == [
        "s.yaml:5:11: matrix.kernel: wanted a list, found the text 'k-1'; write it as [k-1]",
        "s.yaml:6:11: matrix.memory: wanted at least 1 item(s), found 0",
    ]


def test_table(scenario: Load) -> None:
    document = scenario(TWO_BY_TWO + "exclude:\n  - {kernel: k-1, firmware: fw-2}\n")
    assert table(plan(document, emulated)).splitlines() == [
        "s: 3 cells, a run takes all of them, 1 left out",
        "  all cells: loader direct, memory 8G, platform snp-emulated",
        "   firmware  kernel",
        "   fw-1      k-1",
        "   fw-1      k-2",
        "   fw-2      k-2",
        "  1 cell left out, excluded by s.yaml:9:5 {firmware: fw-2, kernel: k-1}:",
        "    fw-2+k-1+direct+8G+snp-emulated",
    ]


def test_ten_thousand_cells_in_seconds(scenario: Load) -> None:
    """Both ways of asking for them; reading the file included."""
    sizes = [f"{2048 + size}M" for size in range(2500)]
    rules = "".join(f"  - {{kernel: k-1, memory: {size}, firmware: fw-2}}\n" for size in sizes[:100])
    product = TWO_BY_TWO.replace("[8G]", f"[{', '.join(sizes)}]") + f"exclude:\n{rules}"
    listed = f"{HEAD}include:\n" + "".join(
        f"  - {{firmware: fw-1, kernel: k-1, memory: {2048 + size}M, platform: snp}}\n"
        for size in range(10_000)
    )
    for text, count in ((product, 9900), (listed, 10_000)):
        start = time.process_time()
        result = plan(scenario(text), emulated)
        table(result)
        taken = time.process_time() - start
        assert len({cell.id for cell in result.cells}) == len(result.cells) == count
        assert taken < 10


def test_json_schema_of_scenarios() -> None:
    schema = json_schema(Scenario)
    parts = schema["$defs"]
    assert set(schema["required"]) == {"name", "description"}
    assert parts["Matrix"]["properties"]["memory"]["items"]["type"] == "string"
    assert [branch["type"] for branch in parts["When"]["properties"]["kernel"]["anyOf"]] == [
        "string",
        "array",
    ]
    assert parts["Matrix"]["properties"]["platform"]["description"].startswith("how the guest runs")
