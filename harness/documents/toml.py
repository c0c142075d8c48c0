# SPDX-License-Identifier: BSD-2-Clause-Patent
"""TOML files of plain values, read by the standard library, with the place of every value.

``tomllib`` does not tell places. It tells which lines are one statement, though: the fewest that it can read.
The values of a statement stand in its text in their order.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

import yaml

from harness.documents.nodes import TAG, Problem, YamlError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.documents.nodes import Source

_PLACE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)
_VALUE = re.compile(
    r'"""(?:\\.|.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[^\s,\[\]{}=#"\']+|[\[\]{}]',
    re.DOTALL,
)


def compose_toml(source: Source) -> yaml.MappingNode:
    """Parse into a tree of nodes, as ``compose`` does with YAML; ``YamlError`` for what is not TOML.

    Tables are a mistake: the harness's own files have none.
    """
    try:
        data = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        raise YamlError([_problem(source, str(error))]) from None
    mark = _mark(source, 0)
    pairs = []
    for start, text in _statements(source.text):
        said = tomllib.loads(text)
        key = next(iter(said), "")
        at = start + len(text) - len(text.lstrip())
        if isinstance(said[key], dict):
            raise YamlError([source.problem(_mark(source, at), f"{key!r}: tables are not used here")])
        values = _values(text, text.index("=") + 1)
        pairs.append((_scalar(source, at, key), _node(source, start, data[key], values)))
    return yaml.MappingNode(TAG + "map", pairs, mark, mark)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each statement with the offset of its first line; lines without one are left out."""
    start, statement = 0, ""
    for line in text.splitlines(keepends=True):
        statement += line
        try:
            said = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # it goes on in the next line
        if said:
            yield start, statement
        start += len(statement)
        statement = ""


def _values(text: str, start: int) -> Iterator[int]:
    """Yield the offset of each value, that of a list before those of its items."""
    return (match.start() for match in _VALUE.finditer(text, start) if match[0][0] not in "]}#")


def _node(source: Source, start: int, value: Any, offsets: Iterator[int]) -> yaml.Node:
    offset = start + next(offsets, 0)
    if isinstance(value, list):
        mark = _mark(source, offset)
        return yaml.SequenceNode(
            TAG + "seq", [_node(source, start, item, offsets) for item in value], mark, mark
        )
    return _scalar(source, offset, value)


def _scalar(source: Source, offset: int, value: Any) -> yaml.ScalarNode:
    """Make a node as YAML's would be; a date is a text to it."""
    kinds = {bool: "bool", int: "int", float: "float"}
    text = str(value).lower() if isinstance(value, bool) else str(value)
    mark = _mark(source, offset)
    style = '"' if isinstance(value, str) else None
    return yaml.ScalarNode(TAG + kinds.get(type(value), "str"), text, mark, mark, style)


def _mark(source: Source, offset: int) -> yaml.Mark:
    before = source.text[:offset]
    line = before.count("\n")
    return yaml.Mark(source.shown, offset, line, offset - before.rfind("\n") - 1, None, 0)


def _problem(source: Source, message: str) -> Problem:
    place = _PLACE.match(message)
    said = place[1] if place else message
    last = len(source.lines)
    line, column = (int(place[2]), int(place[3])) if place and place[2] else (last, len(source.lines[-1]) + 1)
    shown = source.lines[line - 1] if line <= last else ""
    return Problem(source.shown, line, column, f"not valid TOML: {said[:1].lower()}{said[1:]}", shown)
