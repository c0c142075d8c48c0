# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The inputs of an artifact: JSON values, their digest, and what changed between two sets of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

JSONValue: TypeAlias = "bool | int | float | str | Sequence[JSONValue] | Mapping[str, JSONValue] | None"


def canonical(value: JSONValue) -> str:
    """Write a JSON value in its one canonical form; TypeError for anything JSON cannot hold."""

    def encode(other: object) -> object:
        if isinstance(other, Mapping):
            return dict(other)
        raise TypeError(f"{other!r} is not a JSON value and cannot be an input of an artifact")

    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, default=encode
    )


def digest_inputs(kind: str, inputs: Mapping[str, JSONValue]) -> str:
    """Compute an artifact's key: SHA-256 (hex) over kind and inputs as canonical JSON.

    Raises TypeError for an input that JSON cannot hold.
    """
    return hashlib.sha256(canonical({"inputs": inputs, "kind": kind}).encode()).hexdigest()


def differences(old: JSONValue, new: JSONValue, where: str = "") -> list[str]:
    """List what changed between two JSON values, one line per leaf, such as ``patches.0: 'a' -> 'b'``."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        lines = []
        for name in sorted({*old, *new}):
            path = f"{where}.{name}" if where else name
            if name not in new:
                lines.append(f"{path}: {_short(old[name])} was removed")
            elif name not in old:
                lines.append(f"{path}: {_short(new[name])} was added")
            else:
                lines += differences(old[name], new[name], path)
        return lines
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        return differences(
            {str(index): item for index, item in enumerate(old)},
            {str(index): item for index, item in enumerate(new)},
            where,
        )
    return [] if old == new else [f"{where}: {_short(old)} -> {_short(new)}"]


def _short(value: JSONValue) -> str:
    text = repr(value)
    return text if len(text) <= 72 else f"{text[:50]}…{text[-12:]}"
