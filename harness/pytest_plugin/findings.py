# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A check's findings as the text of a failed test."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.checks.finding import Finding
    from harness.run.judge import Answer


class FindingsError(Exception):
    """A check's findings, for `CheckItem.repr_failure` to show."""

    def __init__(self, answer: Answer, record: Path, told_at: str = "", steps: Iterable[str] = ()) -> None:
        shown = "\n".join(_brief(it) if told_at else str(it) for it in answer.findings)
        again = f"\nthe same boot has failed in {told_at}, which tells all" if told_at else ""
        why = f"\n{answer.reason}" if answer.reason and answer.state == "failed" else ""
        why += f"\n{answer.known_in}" if answer.known_in else ""
        following = "".join(f"next: {step}\n" for step in steps)
        super().__init__(f"{shown}{again}{why}\n\n{following}boot record: {record}")


class KnownBadError(FindingsError):
    """Findings that a rule of the scenario knows."""


def again(file: str, cell: str, axes: Mapping[str, tuple[str, ...]]) -> str:
    """Return the command that judges a cell of a scenario anew, with what took the place of values."""
    options = [f"--{axis} {shlex.quote(text)}" for axis, texts in axes.items() for text in texts]
    return " ".join([f"pytest '{file}::{cell}'", *options])


def has_own(axes: Mapping[str, tuple[str, ...]]) -> bool:
    """Return whether a file or tree of the user's is on an axis.

    No name says it again in a cell's id; a record says where it is.
    """
    return any(":" in text for texts in axes.values() for text in texts)


def _brief(finding: Finding) -> str:
    return str(replace(finding, evidence=()))
