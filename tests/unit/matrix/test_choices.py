# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How scenarios choose values: groups, versions and conditions, and every mistake with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.words import MATRIX, WHY, kernels, said

if TYPE_CHECKING:
    from tests.support.words import Make


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
def test_groups_and_versions(make: Make, written: str, names: list[str] | None) -> None:
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
def test_wrong_groups_and_versions(make: Make, written: str, message: str) -> None:
    assert f": {message}" in said(make, MATRIX.replace("[k-6.1, k-6.12]", f"[{written}]"))[0]


def test_a_name_without_a_version_is_on_no_side_of_one(make: Make) -> None:
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
def test_conditions(make: Make, when: str, left: list[str] | None) -> None:
    text = f"{MATRIX}exclude:\n  - {{{when}}}\n"
    if left is None:
        message = "exclude[0]: matches no cell: memory >2G <8G is not in the matrix (2G, 8G)"
        assert said(make, text) == [f"s.yaml:9:14: {message}"]
    else:
        assert [cell.id.split("+")[3] for cell in make(text).cells] == left


def test_conditions_that_cannot_be_read(make: Make) -> None:
    text = f"{MATRIX}exclude:\n  - {{memory: '>2'}}\n  - {{vcpus: '>x'}}\n  - {{vcpus: '> 2'}}\n"
    assert said(make, f'{text}  - {{cmdline: "a\\nb"}}\n  - {{platform: ">snp"}}\n') == [
        "s.yaml:9:14: exclude[0].memory: the memory size 2 has no unit; write 2M or 2G",
        "s.yaml:10:13: exclude[1].vcpus: 'x' is not a whole number",
        "s.yaml:11:13: exclude[2].vcpus: '>' is not a comparison; write it without spaces, such as >",
        "s.yaml:12:15: exclude[3].cmdline: a command line is one line of printable text",
        "s.yaml:13:16: exclude[4].platform: unknown platform '>snp'; did you mean 'snp'?",
    ]


def test_a_rule_whose_values_are_never_together(make: Make) -> None:
    text = f"{MATRIX}exclude:\n  - {{kernel: k-6.1, memory: 2G}}\nexpect:\n"
    rule = f"  - {{when: {{kernel: k-6.1, memory: 2G}}, outcome: lazy, {WHY}}}\n"
    assert said(make, text + rule) == [
        "s.yaml:11:12: expect[0]: matches no cell: none has all of this at once"
    ]
