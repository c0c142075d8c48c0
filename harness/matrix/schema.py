# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a scenario file may say (``scenarios/*.yaml``); ``docs/reference/scenarios.md`` explains it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from harness.documents.document import Document, json_schema, load_document
from harness.documents.strict import Strict
from harness.matrix.axes import OneOrMany, listed, of_axes, one, one_or_many, several, tested
from harness.matrix.cell import AXES, NAMES, Axis, Memory, Platform, named
from harness.matrix.choices import GROUP, Choice, Known, Selection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def _matrix_field(axis: Axis) -> tuple[Any, Any]:
    default = ... if axis.default is None else (Choice(axis.show(axis.default), (axis.default,)),)
    return several(listed(axis)), Field(default, description=axis.meaning)


def _include_field(axis: Axis) -> tuple[Any, Any]:
    return one(axis), Field(... if axis.default is None else axis.default, description=axis.meaning)


def _when_field(axis: Axis) -> tuple[Any, Any]:
    return one_or_many(tested(axis)), Field((), description=axis.meaning)


def _set_field(axis: Axis) -> tuple[Any, Any]:
    return one(axis) | None, Field(None, description=axis.meaning)


@of_axes(_matrix_field)
class Matrix(Strict):
    """Axes; every combination is a cell."""

    def choices(self, axis: str) -> tuple[Choice, ...]:
        """Return the items of an axis as they are written."""
        items: tuple[Choice, ...] = getattr(self, axis)
        return items


@of_axes(_include_field)
class Include(Strict):
    """One more cell as it is written, whatever exclude and overrides say."""


@of_axes(_when_field)
class When(Strict):
    """The cells that have, on every axis named here, one of the values given.

    ``platform`` is compared as the scenario writes it, so that a rule means the same on every host.
    """

    @model_validator(mode="after")
    def _names_an_axis(self) -> Self:
        if not self.conditions():
            raise ValueError(f"an empty rule would be about every cell; name one of {', '.join(AXES)}")
        return self

    def conditions(self) -> Mapping[str, tuple[Choice, ...]]:
        """Map each axis that is named to its choices."""
        return {axis: choices for axis in AXES if (choices := getattr(self, axis))}


@of_axes(_set_field)
class Settings(Strict):
    """Axes and the values that they get."""

    @model_validator(mode="after")
    def _sets_an_axis(self) -> Self:
        if not self.values():
            raise ValueError(f"nothing is set; name one of {', '.join(AXES)}")
        return self

    def values(self) -> Mapping[str, Any]:
        """Map each axis that is named to its value."""
        return {axis: value for axis in AXES if (value := getattr(self, axis)) is not None}


Outcome = Annotated[str, named("outcome"), WithJsonSchema({"type": "string", NAMES: "outcome"})]
CheckName = Annotated[str, named("check"), WithJsonSchema({"type": "string", NAMES: "check"})]
Text = Annotated[str, StringConstraints(min_length=1)]
Reason = Annotated[Text, Field(description="why, in one sentence")]
Link = Annotated[
    str,
    StringConstraints(pattern=r"^(https?://|docs/)\S+$"),
    Field(description="where that is shown: an upstream report or commit, or a page of docs/"),
]
About = Annotated[When, Field(description="the cells that it is about")]


_TAKEN = frozenset(
    {"skip", "skipif", "xfail", "timeout", "parametrize", "usefixtures", "filterwarnings", "cell", "qemu"}
)


def _free(tag: str) -> str:
    if tag in _TAKEN:
        raise ValueError(f"{tag!r} is a mark that pytest or the harness gives a meaning; choose another word")
    return tag


Tag = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"), AfterValidator(_free)]


class Override(Strict):
    """Cells of the matrix that get other values on some axes."""

    when: About
    set: Settings = Field(description="what they get")


class RequirementEntry(Strict):
    """What the host must have; cells that lack it are skipped and say so."""

    when: When | None = Field(default=None, description="the cells that it is about; default: all")
    platform: Platform | None = Field(
        default=None, description="this very platform, and not one that it falls back to"
    )
    memory: Memory | None = Field(default=None, description="its RAM, at least")
    cpus: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="processors of the host, at least"
    )

    @model_validator(mode="after")
    def _requires_something(self) -> Self:
        if self.platform is None and self.memory is None and self.cpus is None:
            raise ValueError("nothing is required; name one of platform, memory, cpus")
        return self


class StatedOutcomeEntry(Strict):
    """Cells whose outcome is not the one that the rollout model gives."""

    when: About
    outcome: Outcome = Field(description="an outcome of the rollout model")
    reason: Reason
    link: Link


class KnownBadEntry(Strict):
    """Checks that are known to fail; the run reports them as such, and fails when they start to pass."""

    when: About
    checks: OneOrMany[CheckName] = Field(description="names of checks")
    finding: Text | None = Field(
        default=None, description="kind of the finding that is known: they fail for this reason alone"
    )
    values: dict[Text, Text | int | bool] = Field(
        default_factory=dict, description="values that the finding must have, such as bytes: 4096"
    )
    shows: Text | None = Field(
        default=None, description="words that its sentence, or a line of its evidence, must have"
    )
    reason: Reason
    link: Link
    since: Text = Field(description="version or date from which on it is so")

    @model_validator(mode="before")
    @classmethod
    def _moved(cls, data: Any) -> Any:
        if isinstance(data, dict) and "says" in data:
            raise ValueError("`says` is now `finding` (its kind), `values` and `shows`")
        return data


class Scenario(Strict):
    """A scenario file."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, title="Scenario of the harness")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="short name: lower-case words and hyphens")
    description: str = Field(min_length=1, description="first line: the question that this scenario answers")
    selection: Selection = Field(
        default="pairs",
        description="what a run without --full takes. pairs: cells that cover every pair of axis values; "
        "all: every cell; on-request: nothing, unless the command line names the file",
    )
    tags: tuple[Tag, ...] = Field(
        default=(), description="marks of all its checks, for -m: smoke, nightly, hw, …"
    )
    repeat: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=1, description="boots of each cell, each judged by itself; --attempts takes its place"
    )
    matrix: Matrix | None = Field(default=None, description="axes; every combination is a cell")
    exclude: tuple[When, ...] = Field(default=(), description="rules that leave out cells of the matrix")
    overrides: tuple[Override, ...] = Field(default=(), description="rules that change cells of the matrix")
    include: tuple[Include, ...] = Field(default=(), description="cells appended after the matrix's own")
    requires: tuple[RequirementEntry, ...] = Field(default=(), description="what the host must have")
    expect: tuple[StatedOutcomeEntry, ...] = Field(default=(), description="outcomes other than the model's")
    known_bad: tuple[KnownBadEntry, ...] = Field(
        default=(), alias="known-bad", description="checks that are known to fail"
    )


def load_scenario(path: Path, known: Known) -> Document[Scenario]:
    """Load a scenario whose names are all in ``known``; ``YamlError`` with every mistake and unknown name."""
    return load_document(path, Scenario, context=known)


def scenario_schema(known: Known) -> dict[str, Any]:
    """Export the JSON Schema of scenarios with the names that there are, for an editor to offer."""
    schema: dict[str, Any] = _with_names(json_schema(Scenario), known)
    return schema


def _with_names(part: Any, known: Known) -> Any:
    """Replace each mark ``NAMES`` by the names that may stand there."""
    if isinstance(part, list):
        return [_with_names(item, known) for item in part]
    if not isinstance(part, dict):
        return part
    if NAMES not in part:
        return {key: _with_names(value, known) for key, value in part.items()}
    kind = part[NAMES]
    other = {key: value for key, value in part.items() if key not in {NAMES, "type", "pattern"}}
    names = sorted(known.names(kind) or getattr(known, kind, None) or ())
    if not names:
        return {"type": "string", **other}
    if "pattern" not in part:
        return {"enum": names, **other}
    groups = [GROUP + name for name in known.groups.get(kind, {})]
    return {"anyOf": [{"enum": names + groups}, {"type": "string", "pattern": part["pattern"]}], **other}
