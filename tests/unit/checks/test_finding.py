# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Findings as data: each has a kind and values that stay when its sentence changes."""

from __future__ import annotations

import ast
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from harness.checks.finding import CANNOT_JUDGE, Check, Finding, Problem
from harness.evidence.problems import EvidenceError
from tests.support.data import PROJECT
from tests.support.house import walked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.evidence import Evidence

NO_EVIDENCE = cast("Evidence", SimpleNamespace(lives=(None,)))


def problems() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted((PROJECT / "harness/checks").rglob("*.py")):
        for node in walked(path.read_text()):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Problem":
                yield f"{path.name}:{node.lineno}", node


def test_every_problem_has_a_kind_that_is_a_plain_word() -> None:
    """A kind made at run time could change with the guest's words, and nobody could name it in a rule."""
    found = list(problems())
    assert len(found) > 100
    for where, call in found:
        kind = call.args[0]
        assert isinstance(kind, ast.Constant), where
        assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", str(kind.value)), where
        assert len(call.args) > 1, where


def test_a_finding_carries_kind_and_values() -> None:
    def judge(_evidence: Any) -> Iterator[Problem]:
        yield Problem("gone", "4096 bytes are gone", "line 7", bytes=4096)

    (found,) = Check("x", "Is it there?", judge)(NO_EVIDENCE)
    assert found == Finding("x", "4096 bytes are gone", ("line 7",), "gone", {"bytes": 4096})
    assert str(found) == "x: 4096 bytes are gone\n    line 7"


def test_what_cannot_be_judged_has_a_kind_of_its_own() -> None:
    def judge(_evidence: Any) -> Iterator[Problem]:
        yield Problem("gone", "gone")
        raise EvidenceError("the ledger is missing", "boot again")

    first, second = Check("x", "Is it there?", judge)(NO_EVIDENCE)
    assert (first.kind, second.kind) == ("gone", CANNOT_JUDGE)
    assert second.what == "cannot be judged: the ledger is missing"
