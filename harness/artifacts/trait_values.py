# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Values of traits, as messages show them and as records store them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

TRAIT = "technologies"


def told(value: object) -> str:
    """Return a trait's value for a message: ``true``, ``none``, ``snp, tdx``; a text stays as it is."""
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def with_technologies(data: Mapping[str, Any], before: str) -> dict[str, Any]:
    """Return stored traits with ``technologies``; older records say yes or no under the name ``before``."""
    values = dict(data)
    if before in values:
        values[TRAIT] = ("snp",) if values.pop(before) else ()
        sources = dict(data["sources"])
        values["sources"] = sources | {TRAIT: sources.pop(before, "")}
    values[TRAIT] = tuple(values[TRAIT])
    return values
