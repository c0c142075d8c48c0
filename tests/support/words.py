# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Scenarios of names that only tests know."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.documents.document import YamlError
from harness.matrix.choices import Known, parse_version
from harness.matrix.plan import Plan

KNOWN = Known(
    {
        "firmware": frozenset({"f-1", "f-2"}),
        "kernel": frozenset({"k-5.10", "k-6.1", "k-6.12", "k-6.12.43", "probe"}),
        "loader": frozenset({"grub"}),
        "guest": frozenset({"touch"}),
    },
    action=frozenset({"touch", "kexec"}),
    platform=frozenset({"snp", "plain"}),
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
SAID = MATRIX + (
    "requires:\n"
    "  - {cpus: 4}\n"
    "  - {when: {memory: 8G}, platform: snp, memory: 64G}\n"
    "expect:\n"
    f"  - {{when: {{kernel: k-6.12, memory: 8G}}, outcome: eager, {WHY}}}\n"
    "known-bad:\n"
    f"  - {{when: {{memory: 8G}}, checks: [ram-accounted, no-alarms], finding: x, {WHY}, since: '6.5'}}\n"
    f"  - {{when: {{kernel: k-6.1}}, checks: no-sev, {WHY}, since: '2026-01-01'}}\n"
)

Make = Callable[..., Plan]
"""Makes the plan of a scenario's text, with a user's substitutions."""


def kernels(made: Plan) -> list[str]:
    return [cell.kernel for cell in made.cells]


def said(make: Make, text: str) -> list[str]:
    with pytest.raises(YamlError) as caught:
        make(text)
    return [line for line in str(caught.value).splitlines() if line.startswith("s.yaml:")]
