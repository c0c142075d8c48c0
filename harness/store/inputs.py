# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The inputs of an artifact: JSON values, their digest, and what changed between two sets of them."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from types import ModuleType

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


def digest_code(*modules: ModuleType) -> str:
    """Return the SHA-256 (hex) of what modules do: the input of an artifact that our own code writes.

    Their names and places, imports, comments and docstrings do not count: a module that moves, or is
    explained better, makes nothing anew.
    """
    return hashlib.sha256("\0".join(_code(str(module.__file__)) for module in modules).encode()).hexdigest()


@cache
def _code(file: str) -> str:
    tree = ast.parse(Path(file).read_bytes())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [it for it in body if not _explains(it)] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _explains(node: ast.AST) -> bool:
    """Return whether a statement is a docstring or an import."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return text or isinstance(node, ast.Import | ast.ImportFrom)


def differences(old: JSONValue, new: JSONValue, where: str = "") -> list[str]:
    """Return what changed between two JSON values, one line per leaf, such as ``patches.0: 'a' -> 'b'``."""
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
        return _of_lists(old, new, where)
    return [] if old == new else [f"{where}: {_short(old)} -> {_short(new)}"]


def _of_lists(old: Sequence[JSONValue], new: Sequence[JSONValue], where: str) -> list[str]:
    """Return what came, went or changed; what only moved up or down because of that is not told."""
    import difflib  # noqa: PLC0415  # most inputs are as they were

    lines = []
    matcher = difflib.SequenceMatcher(None, [*map(canonical, old)], [*map(canonical, new)], autojunk=False)
    for kind, old_at, old_end, new_at, new_end in matcher.get_opcodes():
        if kind == "equal":
            continue
        both = min(old_end - old_at, new_end - new_at)
        for step in range(both):
            lines += differences(old[old_at + step], new[new_at + step], f"{where}.{new_at + step}")
        for index in range(old_at + both, old_end):
            lines.append(f"{where}.{index}: {_short(old[index])} was removed")
        for index in range(new_at + both, new_end):
            lines.append(f"{where}.{index}: {_short(new[index])} was added")
    return lines


def _short(value: JSONValue) -> str:
    text = repr(value)
    return text if len(text) <= 72 else f"{text[:50]}…{text[-12:]}"
