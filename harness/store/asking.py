# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A store that fetches and builds nothing, and answers what it would make, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.progress import Progress, say
from harness.store.entries import Artifact, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from harness.store.inputs import JSONValue


class NotMadeError(Exception):
    """Something is not in the store; its text says why it would be made, ``path`` where."""

    def __init__(self, why: str, path: Path) -> None:
        super().__init__(why)
        self.path = path


class Asking(Store):
    """The same entries as a ``Store`` of the same root, of which none is ever made.

    ``joins`` are kinds that are made: they are put together from other entries in no time.
    """

    def __init__(self, root: Path | None = None, joins: frozenset[str] = frozenset()) -> None:
        super().__init__(root)
        self._joins = joins

    def get(
        self,
        kind: str,
        name: str,
        inputs: Mapping[str, JSONValue],
        build: Callable[[Path], None],
        progress: Progress = say,
        *,
        tools: Sequence[str] = (),
        made_with: Sequence[str] = (),
    ) -> Artifact:
        """Return the finished artifact; NotMadeError with the reason to make it when there is none."""
        if found := self.find(kind, name, inputs, made_with):
            return found
        if kind in self._joins:
            return super().get(kind, name, inputs, build, progress, tools=tools, made_with=made_with)
        raise NotMadeError(self.explain(kind, name, inputs), self.place(kind, name, inputs))
