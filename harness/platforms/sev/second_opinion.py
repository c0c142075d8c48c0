# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The answers of ``snphost ok``, where that program is installed: a second opinion on the same host."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from harness.platforms.leaf import Leaf, branch, skipped

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "snphost"
_SECONDS = 10
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LINE = re.compile(r"^\[ (?P<state>PASS|FAIL|SKIP) \]\s+-\s+(?P<said>.+)$")
_OPTIONAL = "(Optional Feature)"


def second_opinion() -> Leaf:
    """Return what the program says; skipped where it is not installed or cannot run."""
    if not shutil.which(PROGRAM):
        return skipped(PROGRAM, "not installed", "it is the crate snphost; doctor asks what it asks, too")
    try:
        done = subprocess.run(
            [PROGRAM, "ok"], capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return skipped(PROGRAM, str(error), "run `snphost ok` by hand, as root")
    return read(done.stdout)


def read(said: str) -> Leaf:
    """Return the leaves of its output; a feature that it calls optional is skipped, never failed."""
    leaves = [*_leaves(said)]
    if not leaves:
        return skipped(PROGRAM, "no answer that is known here", "run `snphost ok` by hand, as root")
    return branch(PROGRAM, leaves)


def _leaves(said: str) -> Iterator[Leaf]:
    for line in _COLOUR.sub("", said).splitlines():
        if (found := _LINE.match(line)) is None:
            continue
        name, _, detail = found["said"].partition(": ")
        optional = name.startswith(_OPTIONAL)
        bad = found["state"] == "FAIL" and not optional
        state = {"PASS": "pass", "FAIL": "fail" if bad else "skip"}.get(found["state"], "skip")
        mend = "snphost explains it with `snphost ok --verbose`" if bad else ""
        yield Leaf.model_validate({"name": name, "state": state, "said": detail, "mend": mend})
