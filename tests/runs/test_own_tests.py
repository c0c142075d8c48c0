# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Tests of somebody's own: dimensions, the ladder from a cell to its checks, and what they share."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest

from harness.errors import ExitCode
from tests.support.data import PROJECT
from tests.support.own_tests import ON_PLAIN, PLAIN, ids, run

pytestmark = pytest.mark.usefixtures("stand_ins")


def test_the_usual_cell(pytester: pytest.Pytester) -> None:
    assert ids(pytester, "def test_it(cell): pass") == ["debian-2025.02+debian-6.12+direct+4G+snp-emulated"]


def test_lists_multiply(pytester: pytest.Pytester) -> None:
    code = '@pytest.mark.cell(kernel=["debian-6.1", "debian-5.10"], memory=["2G", "8G"], platform="plain")\n'
    assert ids(pytester, f"{code}def test_it(cell): pass") == [
        f"debian-2025.02+{kernel}+direct+{memory}+plain"
        for kernel in ("debian-6.1", "debian-5.10")
        for memory in ("2G", "8G")
    ]
    code = (
        '@pytest.mark.cell(kernel=">=7.3", vcpus=2, cmdline="x=1", action="drain", guest="debian-trixie")\n'
    )
    (found,) = ids(pytester, f"{code}def test_it(cell): pass")
    assert re.fullmatch(
        r"debian-2025\.02\+debian-7\.3\+direct\+4G\+snp-emulated\+2cpu\+x-1-\w{6}\+drain\+debian-trixie",
        found,
    )


def test_the_nearest_mark_counts_axis_by_axis(pytester: pytest.Pytester) -> None:
    code = (
        'pytestmark = pytest.mark.cell(kernel="debian-6.1", memory="8G")\n'
        '@pytest.mark.cell(memory="2G")\nclass TestIt:\n'
        '    @pytest.mark.cell(platform="plain")\n    def test_it(self, cell): pass\n'
        "    def test_other(self): pass\n"
    )
    result, text = run(pytester, code, "--collect-only", "-q")
    assert result.ret == 0
    assert f"test_own.py::TestIt::test_it[{PLAIN}]\ntest_own.py::TestIt::test_other\n" in text


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (
            ["--loader", "grub-2.12", "--memory", "2G"],
            ["debian-2025.02+debian-5.10+grub-2.12+2G+snp-emulated"],
        ),
        (
            ["--memory", "2G", "--memory", "8G"],
            [
                "debian-2025.02+debian-5.10+direct+2G+snp-emulated",
                "debian-2025.02+debian-5.10+direct+8G+snp-emulated",
            ],
        ),
        (["--platform", "plain"], ["debian-2025.02+debian-5.10+direct+2817M+plain"]),
    ],
)
def test_the_command_line_takes_the_place_of_marks(
    pytester: pytest.Pytester, arguments: list[str], found: list[str]
) -> None:
    code = '@pytest.mark.cell(kernel="debian-5.10", memory="2817M")\ndef test_it(cell): pass'
    assert ids(pytester, code, *arguments) == found


def test_a_platform_that_the_run_does_not_want(pytester: pytest.Pytester) -> None:
    code = f"{ON_PLAIN}def test_it(record): pass"
    result, text = run(pytester, code, "--platform", "snp-emulated")
    result.assert_outcomes(skipped=1)
    assert "not on platform snp-emulated" in text
    several = (
        '@pytest.mark.cell(platform=["snp", "plain"])\ndef test_it(cell): assert cell.platform == "plain"'
    )
    run(pytester, several, "--platform", "plain")[0].assert_outcomes(passed=1)


def test_dimensions_are_fixtures(pytester: pytest.Pytester) -> None:
    """What a test sees is as a scenario writes it; a test that asks for some has these alone in its id."""
    code = (
        "@pytest.mark.cell(vcpus=2)\n"
        "def test_all(firmware, kernel, loader, memory, platform, vcpus, cmdline, action, guest_image):\n"
        '    assert (firmware, kernel, loader, memory) == ("debian-2025.02", "debian-6.12", "direct", "4G")\n'
        '    assert (platform, vcpus, cmdline, action) == ("snp-emulated", 2, "", "")\n'
        '    assert guest_image == "initramfs"\n'
        '@pytest.mark.cell(memory=["2G", "8G"])\ndef test_one(memory, vcpus): assert memory in {"2G", "8G"}\n'
    )
    run(pytester, code)[0].assert_outcomes(passed=3)
    assert ids(pytester, code)[1:] == ["2G", "8G"]


@pytest.mark.parametrize(
    "own",
    [
        '@pytest.fixture\ndef memory(): return "8G"',
        '@pytest.fixture(scope="module")\ndef memory(): return "8G"',
        '@pytest.fixture(params=["8G"])\ndef memory(request): return request.param',
        '@pytest.fixture\ndef memory(memory): return {"4G": "8G"}[memory]',
    ],
)
def test_a_modules_own_dimension(pytester: pytest.Pytester, own: str) -> None:
    code = (
        f'{own}\ndef test_it(cell, memory):\n    assert cell.memory_mib == 8192\n    assert memory == "8G"\n'
    )
    result, text = run(pytester, code, "-v", "--memory", "4G")
    result.assert_outcomes(passed=1)
    assert "test_it[debian-2025.02+debian-6.12+direct+snp-emulated" in text


def test_a_mark_is_nearer_than_a_modules_own_dimension(pytester: pytest.Pytester) -> None:
    code = (
        '@pytest.fixture\ndef memory(): return "8G"\n@pytest.mark.cell(memory="2G")\ndef test_it(cell): pass'
    )
    assert ids(pytester, code) == ["debian-2025.02+debian-6.12+direct+2G+snp-emulated"]
    code = '@pytest.mark.parametrize("memory", ["2G", "8G"])\ndef test_it(cell, memory): pass'
    assert len(ids(pytester, code)) == 2


def test_an_own_cell(pytester: pytest.Pytester, stand_ins: Any) -> None:
    code = (
        '@pytest.fixture\ndef cell(): return Cell("debian-2025.02", "debian-6.1", "direct", 2048, "plain")\n'
        "def test_it(cell, record, check):\n    assert record.cell == cell.id\n    check('no-sev')\n"
    )
    run(pytester, code)[0].assert_outcomes(passed=1)
    assert stand_ins.booted == [PLAIN]


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ('kernel="debian-6.13"', r"kernel: unknown kernel 'debian-6\.13'; did you mean 'debian-6\.1'"),
        ('memroy="2G"', r"unknown axis 'memroy'; did you mean 'memory'\?"),
        ("memory=2048", r"memory: the memory size 2048 has no unit; write 2048M or 2048G"),
        ('kernel=["debian-6.1", "debian-6.1"]', r"kernel\[1\]: debian-6\.1 is on this axis already"),
        ("kernel=6.12", r"kernel: wanted text, found the number 6\.12; quote it"),
        ("kernel=[]", r"kernel: wanted at least 1 item"),
        ("kernel=object()", r"Object of type object is not JSON serializable"),
        ('"debian-6.12"', r"cell takes axes by name\n  write cell\(kernel="),
    ],
)
def test_mistakes_in_a_mark(pytester: pytest.Pytester, mark: str, said: str) -> None:
    result, text = run(pytester, f"\n@pytest.mark.cell({mark})\ndef test_it(cell): pass")
    assert result.ret == ExitCode.MISTAKE
    assert len(re.findall(rf"^test_own\.py:5: (?:cell: )?{said}", text, re.MULTILINE)) == 1
    assert "harness/" not in text


def test_other_mistakes(pytester: pytest.Pytester) -> None:
    _, text = run(pytester, "@pytest.mark.cell(memory='2G')\ndef test_it(tmp_path): pass")
    assert "test_own.py:4: the mark cell changes nothing\n  ask for a fixture that the cell is for" in text
    _, text = run(pytester, "@pytest.mark.firmware('stock')\ndef test_it(firmware): pass")
    assert "test_own.py:4: the mark firmware has moved\n  write cell(firmware=NAME)" in text
    _, text = run(pytester, "def test_it(cell): pass", "--platform", "snp")
    assert text.count("--platform snp: this host cannot run SEV-SNP guests (there is no /dev/sev)") == 1
    _, text = run(pytester, "def test_it(cell): pass", "--memory", "8")
    assert re.search(r"memory: the memory size 8 has no unit\W+write 8M or 8G", text)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            '@pytest.fixture\ndef memory(): return ["2G", "8G"]\ndef test_it(cell): pass',
            "test_own.py:6: wanted one value on each axis, found memory 2G, 8G",
        ),
        (
            "@pytest.fixture\ndef memory(memory): return memory\n\ndef test_it(cell): pass",
            "test_own.py:7: cell: memory: wanted one value, found 2: 2G, 8G\n  name one",
        ),
        (
            '@pytest.fixture\ndef kernel(): return "debian-6.13"\ndef test_it(cell): pass',
            "test_own.py:6: kernel: unknown kernel 'debian-6.13'; did you mean",
        ),
    ],
)
def test_mistakes_that_a_run_shows(pytester: pytest.Pytester, code: str, said: str) -> None:
    arguments = ["--memory", "2G", "--memory", "8G"] if "memory(memory)" in code else []
    result, text = run(pytester, code, *arguments)
    result.assert_outcomes(errors=1)
    assert text.count(said) == 1
    assert "harness/" not in text


def test_every_fixture_says_what_it_gives_and_how_to_override_it(pytester: pytest.Pytester) -> None:
    text = str(pytester.runpytest_inprocess("--fixtures", "-v").stdout)
    for name in (
        *("firmware", "kernel", "loader", "memory", "vcpus", "platform", "cmdline", "action", "guest_image"),
        *("cell", "spec", "boot", "record", "evidence", "check", "machine", "guest"),
    ):
        found = re.search(rf"^{name} -- \S+harness/pytest_plugin/\S+\n((?:    .*\n|\n)+)", text, re.MULTILINE)
        assert found, name
        assert "efine" in " ".join(found[1].split()), name


def test_another_projects_fixtures_are_left_alone(pytester: pytest.Pytester) -> None:
    code = (
        "@pytest.fixture(params=[1, 2])\ndef memory(request): return request.param\n"
        "@pytest.fixture\ndef cell(memory): return memory\n"
        "@pytest.mark.cell\ndef test_it(cell): assert cell in {1, 2}\n"
    )
    result, text = run(pytester, code.replace("@pytest.mark.cell\n", ""), "-v")
    result.assert_outcomes(passed=2)
    assert "test_it[1]" in text


def test_examples_are_short() -> None:
    examples = sorted((PROJECT / "examples").glob("test_*.py"))
    assert len(examples) >= 5
    for path in examples:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
                assert (node.end_lineno or 0) - first < 8, f"{path}: {node.name}"
