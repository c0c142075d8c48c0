# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A store that makes nothing, and answers what it would make, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.store.entries import Artifact, Store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.store.inputs import JSONValue


class NotMadeError(Exception):
    """Something is not in the store; its text says why it would be made."""


class Asking(Store):
    """The same entries as a ``Store`` of the same root, of which none is ever made."""

    def get(
        self,
        kind: str,
        name: str,
        inputs: Mapping[str, JSONValue],
        *_: object,
        made_with: Sequence[str] = (),
        **__: object,
    ) -> Artifact:
        """Return the finished artifact; NotMadeError with the reason to make it when there is none."""
        found = self.find(kind, name, inputs, made_with)
        if found is None:
            raise NotMadeError(self.explain(kind, name, inputs))
        return found
