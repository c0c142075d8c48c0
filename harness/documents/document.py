# SPDX-License-Identifier: BSD-2-Clause-Patent
"""YAML and TOML files checked against pydantic models; all mistakes at once, with ``file:line:column``.

Values are validated in pydantic's strict mode, so ``"4"`` is not a number and ``6.10`` is not text. What YAML
itself may contain is in ``harness.documents.nodes``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from harness.documents.nodes import (
    TAG,
    JsonReader,
    Loc,
    Place,
    Problem,
    Source,
    YamlError,
    compose,
    found,
    locate,
)
from harness.documents.toml import compose_toml

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import ErrorDetails
    from pydantic_core.core_schema import DictSchema

__all__ = [
    "Document",
    "Loc",
    "Problem",
    "YamlError",
    "document_of",
    "json_schema",
    "load",
    "load_document",
    "near",
]

M = TypeVar("M", bound=BaseModel)
DRAFT = "https://json-schema.org/draft/2020-12/schema"
"""The JSON Schema that ours are written in."""

_WANTED = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "dataclass": "a mapping",
}


@dataclass(frozen=True)
class Document(Generic[M]):
    """A valid file: its ``model``, and the marks that let later checks point into the file."""

    path: Path
    model: M
    _source: Source = field(repr=False, compare=False)
    _root: yaml.Node = field(repr=False, compare=False)

    def problem_at(self, loc: Loc, message: str, *, key: bool = False) -> Problem:
        """Make a problem with the value at ``loc`` (``key``: its key), or with what is around it."""
        place = locate(self._root, loc)
        node = place.key if key and place.key is not None else place.node
        return self._source.problem(node.start_mark, message)

    def error_at(self, loc: Loc, message: str, *, key: bool = False) -> YamlError:
        """Make an error of one problem; several problems together are ``YamlError([...])``."""
        return YamlError([self.problem_at(loc, message, key=key)])

    def where(self, loc: Loc) -> str:
        """Return ``file:line:column`` of the value at ``loc``."""
        problem = self.problem_at(loc, "")
        return f"{problem.path}:{problem.line}:{problem.column}"


def load(path: Path, model: type[M], *, context: object = None) -> M:
    """Read the file as ``model``; ``YamlError`` with all mistakes, ``HarnessError`` if it cannot be read."""
    return load_document(path, model, context=context).model


def load_document(path: Path, model: type[M], *, context: object = None) -> Document[M]:
    """Load with marks. ``context`` goes to the model's validators as ``info.context``."""
    return _document(path, Source.read(path), model, context)


def document_of(text: str, model: type[M], name: str, *, context: object = None) -> Document[M]:
    """Return the document of a text that no file holds; ``name`` stands for its path in messages.

    ``YamlError`` with all mistakes.
    """
    return _document(Path(name), Source.of(name, text), model, context)


def _document(path: Path, source: Source, model: type[M], context: object) -> Document[M]:
    root, data, strange = _parsed(source, toml=path.suffix == ".toml")
    try:
        valid = model.model_validate_json(data, strict=True, context=context)
    except ValidationError as error:
        problems = _explain_all(error.errors(include_url=False), source, root, _own_schema(model))
        raise YamlError([*strange, *problems]) from None
    if strange:
        raise YamlError(list(strange))
    return Document(path, valid, source, root)


@lru_cache(maxsize=128)
def _parsed(source: Source, *, toml: bool) -> tuple[yaml.Node, str, tuple[Problem, ...]]:
    """Return a text's nodes, which nobody changes, its value as JSON, and what JSON cannot say of it."""
    root = compose_toml(source) if toml else compose(source)
    reader = JsonReader(source)
    data = reader.value(root)
    return root, json.dumps(data), tuple(reader.problems)


@cache
def _own_schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Export the JSON Schema of a model's files, for editors and other checkers."""
    made = model.model_json_schema(schema_generator=_Closed)
    return {"$schema": DRAFT, **made}


class _Closed(GenerateJsonSchema):
    """Mappings whose names follow a pattern have no others: pydantic checks that, but does not export it."""

    def dict_schema(self, schema: DictSchema) -> JsonSchemaValue:
        made = super().dict_schema(schema)
        return {**made, "additionalProperties": False} if "patternProperties" in made else made


def near(word: str, known: Iterable[str]) -> str:
    """Return what an unknown ``word`` may mean: up to three names that look like it, else all known ones."""
    names = list(known)
    lower = {name.lower(): name for name in names}
    if close := [lower[name] for name in _resembling(word.lower(), lower)]:
        return f"did you mean {' or '.join(repr(name) for name in close)}?"
    return f"known: {', '.join(names)}" if names else "none is known"


def _resembling(word: str, known: Iterable[str]) -> list[str]:
    from difflib import get_close_matches  # noqa: PLC0415  # most names are known

    return get_close_matches(word, list(known))


def _explain_all(
    details: list[ErrorDetails], source: Source, root: yaml.Node, schema: dict[str, Any]
) -> list[Problem]:
    """Pydantic's errors in our words, at their places; what a union's branches say of one value is joined."""
    unknown = [locate(root, error["loc"]).path for error in details if error["type"] == "extra_forbidden"]
    problems: list[Problem] = []
    branches: dict[Loc, dict[str, Problem]] = {}
    for error in details:
        place = locate(root, error["loc"])
        if error["loc"][-1:] == ("[key]",) and place.key is not None:
            place = Place(place.key, place.key, place.path)  # wrong is not the value but its name
        node, where, kind = place.node, place.path, error["type"]
        if kind == "missing":
            misspelt = [str(path[-1]) for path in unknown if path[:-1] == place.path]
            if _resembling(str(error["loc"][-1]), misspelt):
                continue  # said once, at the misspelt key
        if kind == "too_short" and not _is_short(place.node, error["ctx"]["min_length"]):
            continue  # pydantic does not count wrong items; they are reported themselves
        if kind == "extra_forbidden" and place.key is not None:
            node, where = place.key, place.path[:-1]
        label = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where).lstrip(".")
        message = _explain(error, place, schema)
        problem = source.problem(node.start_mark, f"{label}: {message}" if label else message)
        if len(place.path) < len(error["loc"]) and kind != "missing":
            branches.setdefault(place.path, {})[message] = problem
        else:
            problems.append(problem)
    for said in branches.values():
        first, *others = said
        text = "; or ".join([said[first].message, *others])
        at = said[first]
        problems.append(Problem(at.path, at.line, at.column, text, at.source))
    return problems


def _is_short(node: yaml.Node, minimum: int) -> bool:
    return isinstance(node, yaml.CollectionNode) and len(node.value) < minimum


def _explain(error: ErrorDetails, place: Place, schema: dict[str, Any]) -> str:
    """Return what is wrong and what was meant, for one of pydantic's errors."""
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            name = str(error["loc"][-1])
            parts = [part.get("properties", {}).get(name, {}) for part in _schemas_at(schema, place.path)]
            meaning = next((f" ({part['description']})" for part in parts if "description" in part), "")
            text = f"missing key {name!r}{meaning}"
        case "extra_forbidden":
            name = str(place.path[-1])
            parts = _schemas_at(schema, place.path[:-1])
            keys = dict.fromkeys(key for part in parts for key in part.get("properties", {}))
            text = f"unknown key {name!r}; {near(name, keys)}"
        case "literal_error" | "enum" if place.node.tag == TAG + "str":
            parts = _schemas_at(schema, place.path)
            values = [value for part in parts for value in (*part.get("enum", ()), part.get("const"))]
            options = [str(value) for value in values if value is not None]
            text = f"unknown value {place.node.value!r}; {near(place.node.value, options)}"
        case "too_short":
            text = f"wanted at least {context['min_length']} item(s), found {context['actual_length']}"
        case "value_error":
            text = str(context["error"])
        case _:
            wanted = in_words(error)
            remedy = _remedy(wanted.removeprefix("wanted "), place.node)
            text = f"{wanted}, found {found(place.node)}{remedy}"
    return text


def in_words(error: ErrorDetails) -> str:
    """Return what one of pydantic's errors wanted of a single value, such as ``wanted 1 or more``."""
    context = error.get("ctx", {})
    match error["type"]:
        case "greater_than_equal":
            return f"wanted {context['ge']} or more"
        case "less_than_equal":
            return f"wanted {context['le']} or less"
        case kind if wanted := _WANTED.get(kind.removesuffix("_type").removesuffix("_parsing")):
            return f"wanted {wanted}"
        case _:
            said = error["msg"].removeprefix("Input ")
            return f"{said[:1].lower()}{said[1:]}"


def _remedy(wanted: str, node: yaml.Node) -> str:
    """How to write the value that was probably meant, if that is a matter of quotes or brackets."""
    kind = node.tag.removeprefix(TAG)
    if wanted == "text" and kind in {"int", "float", "bool"}:
        return f'; quote it: "{node.value}"'
    if wanted == "a list" and isinstance(node, yaml.ScalarNode) and kind != "null":
        return f'; write it as ["{node.value}"]' if node.style else f"; write it as [{node.value}]"
    if wanted in {"a whole number", "a number"} and kind == "str" and str(node.value).isdecimal():
        return "; remove the quotes"
    return ""


def _any_key(part: dict[str, Any]) -> Any:
    """Return the schema of what a mapping has under names that the schema does not list."""
    patterns = part.get("patternProperties", {}).values()
    return next(iter(patterns), part.get("additionalProperties"))


def _schemas_at(schema: dict[str, Any], loc: Loc) -> list[dict[str, Any]]:
    """Find the parts of a JSON Schema that describe the value at ``loc``: several under a union."""

    def flat(part: Any) -> list[dict[str, Any]]:
        if not isinstance(part, dict):
            return []
        if "$ref" in part:
            return flat(schema["$defs"][part["$ref"].rsplit("/", 1)[1]])
        branches = [*part.get("anyOf", ()), *part.get("oneOf", ()), *part.get("allOf", ())]
        return [leaf for branch in branches for leaf in flat(branch)] if branches else [part]

    here = flat(schema)
    for step in loc:
        if isinstance(step, int):
            # A rule may allow one value where its schema also knows a list of them.
            inner = [part.get("items") for part in here]
        else:
            inner = [part.get("properties", {}).get(step) or _any_key(part) for part in here]
        here = [leaf for part in inner for leaf in flat(part)]
    return here
