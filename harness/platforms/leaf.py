# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One question to a host, and its answer: the leaves and branches of ``harness doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from harness.documents.strict import Strict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LeafState = Literal["pass", "fail", "skip"]
"""``skip``: nobody could answer here, or a question before it failed."""


class Leaf(Strict):
    """A question to the host. A branch has ``leaves``, and is as bad as the worst of them."""

    name: str = Field(description="stable name, such as sev-device")
    state: LeafState
    said: str = Field(default="", description="what was found")
    mend: str = Field(default="", description="one line that mends it; empty where nothing is wrong")
    leaves: tuple[Leaf, ...] = ()

    def every(self) -> Iterator[Leaf]:
        """Yield the leaf itself, or those of all branches below it."""
        if not self.leaves:
            yield self
        for each in self.leaves:
            yield from each.every()


def passed(name: str, said: str) -> Leaf:
    """Return the leaf of a question with a good answer."""
    return Leaf(name=name, state="pass", said=said)


def failed(name: str, said: str, mend: str) -> Leaf:
    """Return the leaf of a question with a bad answer, and what mends it."""
    return Leaf(name=name, state="fail", said=said, mend=mend)


def skipped(name: str, said: str, mend: str = "") -> Leaf:
    """Return the leaf of a question without an answer; ``mend`` says how to get one."""
    return Leaf(name=name, state="skip", said=said, mend=mend)


def branch(name: str, leaves: Iterable[Leaf]) -> Leaf:
    """Return a branch: failed where a leaf is, skipped where all are, else passed."""
    below = tuple(leaves)
    states = {leaf.state for leaf in below}
    state: LeafState = "fail" if "fail" in states else "skip" if states <= {"skip"} else "pass"
    return Leaf(name=name, state=state, leaves=below)
