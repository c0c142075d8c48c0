# SPDX-License-Identifier: BSD-2-Clause-Patent
"""YAML text to JSON values, with the place of every value kept.

The language is the JSON subset of YAML 1.2 (core schema): ``yes``, ``on``, ``010`` and ``2025-02-01`` are
text, only ``true`` and ``false`` are booleans; custom tags, merge keys (``<<``), duplicate keys and keys that
are not text are mistakes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import yaml

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Loc = tuple[str | int, ...]
"""Where a value is: keys and list indexes from the top of the document, as in pydantic's errors."""

TAG = "tag:yaml.org,2002:"
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what YAML counts as the end of a line
_NOT_YAML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_MAX_VALUES = 1_000_000  # nested aliases can make a small file mean an enormous one
_MAX_DEPTH = 50
_WIDTH = 100  # of a quoted source line

SAFE_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Loader: Any = type("_Loader", (SAFE_LOADER,), {"yaml_implicit_resolvers": {}})
for _name, _pattern, _first in (
    ("null", r"(~|null|)\Z", ["~", "n", ""]),
    ("bool", r"(true|false)\Z", ["t", "f"]),
    ("int", r"[-+]?(0|[1-9][0-9]*)\Z", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?\Z", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(TAG + _name, re.compile(_pattern), _first)


class Mark(Protocol):
    """A place as PyYAML gives it; both count from 0."""

    @property
    def line(self) -> int:
        """The line, from 0."""

    @property
    def column(self) -> int:
        """The column, from 0."""


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a file; ``line`` and ``column`` count from 1, ``source`` is that line of the file."""

    path: str
    line: int
    column: int
    message: str
    source: str = ""

    def __str__(self) -> str:
        """``file:line:column: message`` and, below, the source line with a caret."""
        head = f"{self.path}:{self.line}:{self.column}: {self.message}"
        if not self.source.strip():
            return head
        start = max(0, self.column - 1 - _WIDTH // 2) if len(self.source) > _WIDTH else 0
        shown = self.source[start : start + _WIDTH].replace("\t", " ").rstrip()
        return f"{head}\n  {self.line:>5} | {shown}\n        | {' ' * (self.column - 1 - start)}^"


class YamlError(HarnessError):
    """All that is wrong with one or several files, sorted by place."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True)
class Source:
    """A file's text; ``shown`` is its path in messages: relative to the working directory if below it."""

    shown: str
    text: str
    lines: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read a file without its byte order mark; ``HarnessError`` if it cannot be read or is not text."""
        full = path.absolute()
        shown = str(full.relative_to(Path.cwd()) if full.is_relative_to(Path.cwd()) else path)
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise HarnessError(f"{shown}: cannot read it: {error.strerror}") from error
        text = raw.decode("utf-8-sig", errors="surrogateescape")
        if bad := _NOT_YAML.search(text):
            before = _LINE_BREAK.split(text[: bad.start()])
            kind = "TOML" if path.suffix == ".toml" else "YAML"
            what = "this byte is not UTF-8" if "\udc80" <= bad[0] <= "\udcff" else f"the character {bad[0]!r}"
            raise YamlError([Problem(shown, len(before), len(before[-1]) + 1, f"not valid {kind}: {what}")])
        return cls.of(shown, text)

    @classmethod
    def of(cls, shown: str, text: str) -> Source:
        """Return a text that is no file; ``shown`` stands for the path in messages."""
        return cls(shown, text, tuple(_LINE_BREAK.split(text)))

    def problem(self, mark: Mark | None, message: str) -> Problem:
        """Make a problem at ``mark`` (at the file's beginning if None)."""
        line, column = (mark.line, mark.column) if mark is not None else (0, 0)
        line = min(line, len(self.lines) - 1)
        return Problem(self.shown, line + 1, column + 1, message, self.lines[line])


def compose(source: Source) -> yaml.Node:
    """Parse into a tree of nodes; YAML's own errors become a ``YamlError``."""
    try:
        depth = 0
        for event in yaml.parse(source.text, Loader=_Loader):  # composing recurses, in C without a limit
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                raise YamlError([source.problem(event.start_mark, f"nested more than {_MAX_DEPTH} deep")])
        root = yaml.compose(source.text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        problem = source.problem(error.problem_mark or error.context_mark, _syntax_message(error))
        if problem.source[problem.column - 1 : problem.column] == "\t":
            tab = "not valid YAML: a tab; indent with spaces"
            problem = Problem(problem.path, problem.line, problem.column, tab, problem.source)
        raise YamlError([problem]) from None
    if root is None:
        raise YamlError([Problem(source.shown, 1, 1, "the file is empty; wanted a mapping")])
    return root


def _syntax_message(error: yaml.MarkedYAMLError) -> str:
    problem, context = error.problem or "", error.context or ""
    if problem.startswith("but "):  # "expected a single document in the stream", "but found another document"
        return f"not valid YAML: {context}, {problem}"
    if problem.startswith("mapping values are not allowed"):
        return "not valid YAML: a second ': ' on this line; wrong indentation, or text that needs quotes"
    if problem and context and error.context_mark:
        return f"not valid YAML: {problem} ({context} that starts on line {error.context_mark.line + 1})"
    return f"not valid YAML: {problem or context}"


def found(node: yaml.Node) -> str:
    """Return what a value is: ``the number 6.10``."""
    match node.tag.removeprefix(TAG):
        case "int" | "float":
            return f"the number {node.value}"
        case "bool":
            return str(node.value)
        case "null":
            return "nothing"
        case "seq":
            return "a list"
        case "map":
            return "a mapping"
    return f"the text {str(node.value)!r}"


class JsonReader:
    """Turns nodes into JSON values and gathers as ``problems`` what JSON cannot say."""

    def __init__(self, source: Source) -> None:
        self.problems: list[Problem] = []
        self._source = source
        self._open: set[int] = set()
        self._values = 0

    def value(self, node: yaml.Node) -> Any:
        """Return the JSON value; of duplicate keys the first counts."""
        self._values += 1
        if self._values > _MAX_VALUES:
            self._bad(node, f"more than {_MAX_VALUES} values, once its aliases are expanded")
            raise YamlError(self.problems)
        if id(node) in self._open:
            self._bad(node, "this value contains itself through an alias")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if node.tag not in {TAG + "map", TAG + "seq"}:
            self._bad(node, f"the tag {node.tag!r} is not used here")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node)
            return [self.value(item) for item in node.value]
        finally:
            self._open.discard(id(node))

    def _bad(self, node: yaml.Node, message: str) -> None:
        self.problems.append(self._source.problem(node.start_mark, message))

    def _scalar(self, node: yaml.ScalarNode) -> str | float | bool | None:
        text: str = node.value
        readers: dict[str, Callable[[str], Any]] = {
            "null": lambda _: None,
            "bool": {"true": True, "false": False}.__getitem__,
            "int": int,
            "float": float,
            "str": str,
        }
        try:
            return cast("str | float | bool | None", readers[node.tag.removeprefix(TAG)](text))
        except (KeyError, ValueError):
            self._bad(node, f"the tag {node.tag!r} is not used here or does not fit {text!r}")
            return text

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, yaml.Node] = {}
        for key, item in node.value:
            value = self.value(item)
            if not isinstance(key, yaml.ScalarNode):
                self._bad(key, "a key must be text")
                continue
            if key.tag != TAG + "str":
                self._bad(key, f'a key must be text, found {found(key)}; quote it: "{key.value}"')
            if key.value == "<<" and key.style not in {"'", '"'}:
                self._bad(key, "merge keys (<<) are not used here; write the keys out")
            elif key.value in first:
                line = first[key.value].start_mark.line + 1
                self._bad(key, f"duplicate key {key.value!r}; the first is on line {line}")
            else:
                first[key.value] = key
                result[key.value] = value
        return result


@dataclass(frozen=True)
class Place:
    """Where a ``Loc`` leads: ``path`` holds the steps of it that exist in the file, ``key`` the last key."""

    node: yaml.Node
    key: yaml.Node | None
    path: Loc


def locate(root: yaml.Node, loc: Loc) -> Place:
    """Follow ``loc`` without the steps that the file lacks: a missing key, the tag of a union's branch."""
    node = root
    key: yaml.Node | None = None
    path: list[str | int] = []
    for step in loc:
        if isinstance(node, yaml.MappingNode):
            hit = next((pair for pair in node.value if pair[0].value == step), None)
            if hit is not None:
                key, node = hit
                path.append(step)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node, key = node.value[step], None
            path.append(step)
    return Place(node, key, tuple(path))
