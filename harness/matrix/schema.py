# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a scenario file may say (``scenarios/*.yaml``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from harness.matrix.cell import LAST_ACTIONS, LOADERS, parse_memory
from harness.yamlfile import Document, load_document, near

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

AXES = ("firmware", "kernel", "loader", "memory", "platform", "vcpus", "cmdline", "action")
"""The matrix's axes in the order of nesting: the last one varies fastest."""


@dataclass(frozen=True)
class Known:
    """The names that a scenario may use; the recipes decide."""

    firmware: frozenset[str]
    kernel: frozenset[str]
    loader: frozenset[str] = frozenset(LOADERS)
    action: frozenset[str] = frozenset()


def _known(kind: str) -> AfterValidator:
    """Refuses names that the validation context, a ``Known``, does not hold."""

    def check(name: str, info: ValidationInfo) -> str:
        if isinstance(info.context, Known):
            names: frozenset[str] = getattr(info.context, kind)
            if name not in names:
                raise ValueError(f"unknown {kind} {name!r}; {near(name, sorted(names))}")
        return name

    return AfterValidator(check)


def _action(text: str, info: ValidationInfo) -> str:
    words = text.split()
    for number, word in enumerate(words, start=1):
        name = word.partition(":")[0]
        if isinstance(info.context, Known) and name not in info.context.action:
            raise ValueError(f"unknown action {name!r}; {near(name, sorted(info.context.action))}")
        if re.fullmatch(r"[a-z][a-z0-9-]*(:[A-Za-z0-9_.-]+)*", word) is None:
            raise ValueError(f"{word!r} is not an action; write NAME or NAME:ARGUMENT, such as touch:4096")
        if name in LAST_ACTIONS and number != len(words):
            raise ValueError(f"{name} ends the kernel that runs: it must be the last action")
    return " ".join(words)


def _memory(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)  # so that the message speaks of the unit, not of quotes
    return parse_memory(value) if isinstance(value, str) else value


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else (value,)


class _OneOrMany:
    """JSON Schema of a list that may also be written as its single item."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        many = handler(core)
        return {"anyOf": [many["items"], many]}


T = TypeVar("T")
OneOrMany = Annotated[tuple[T, ...], Field(min_length=1), BeforeValidator(_listed), _OneOrMany()]
Several = Annotated[tuple[T, ...], Field(min_length=1)]

Firmware = Annotated[str, _known("firmware")]
Kernel = Annotated[str, _known("kernel")]
Loader = Annotated[str, _known("loader")]
Memory = Annotated[
    int, BeforeValidator(_memory), WithJsonSchema({"type": "string", "pattern": "^[0-9]*[1-9][0-9]*[MG]$"})
]
Action = Annotated[str, AfterValidator(_action)]
Platform = Literal["snp", "snp-emulated", "plain"]
Vcpus = Annotated[int, Field(ge=1, le=4096)]

_FIRMWARE = "names of firmware recipes"
_KERNEL = "names of kernel recipes"
_LOADER = "names of loader recipes; direct is QEMU's -kernel"
_MEMORY = "guest RAM, such as 8G or 2817M"
_PLATFORM = (
    "snp: an SEV-SNP guest, on hardware where the host has it, else emulated; "
    "snp-emulated: always emulated; plain: not confidential. "
    "Cell ids and results name what was really used: snp, snp-emulated or plain"
)
_VCPUS = "number of vCPUs"
_CMDLINE = "words added to the kernel's command line"
_ACTION = "what the guest does after it has reported, such as touch:4096, or cpu-cycle drain (in this order)"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Matrix(_Strict):
    """Axes; every combination is a cell."""

    firmware: Several[Firmware] = Field(description=_FIRMWARE)
    kernel: Several[Kernel] = Field(description=_KERNEL)
    loader: Several[Loader] = Field(default=("direct",), description=_LOADER)
    memory: Several[Memory] = Field(description=_MEMORY)
    platform: Several[Platform] = Field(description=_PLATFORM)
    vcpus: Several[Vcpus] = Field(default=(1,), description=_VCPUS)
    cmdline: Several[str] = Field(default=("",), description=_CMDLINE)
    action: Several[Action] = Field(default=("",), description=_ACTION)


class Include(_Strict):
    """One more cell, whatever the exclude rules say."""

    firmware: Firmware = Field(description=_FIRMWARE)
    kernel: Kernel = Field(description=_KERNEL)
    loader: Loader = Field(default="direct", description=_LOADER)
    memory: Memory = Field(description=_MEMORY)
    platform: Platform = Field(description=_PLATFORM)
    vcpus: Vcpus = Field(default=1, description=_VCPUS)
    cmdline: str = Field(default="", description=_CMDLINE)
    action: Action = Field(default="", description=_ACTION)


class Exclude(_Strict):
    """A rule: cells of the matrix that have, on every axis named here, one of the values given are left out.

    ``platform`` is compared as the matrix writes it, so that a rule means the same on every host.
    """

    firmware: OneOrMany[Firmware] = Field(default=(), description=_FIRMWARE)
    kernel: OneOrMany[Kernel] = Field(default=(), description=_KERNEL)
    loader: OneOrMany[Loader] = Field(default=(), description=_LOADER)
    memory: OneOrMany[Memory] = Field(default=(), description=_MEMORY)
    platform: OneOrMany[Platform] = Field(default=(), description=_PLATFORM)
    vcpus: OneOrMany[Vcpus] = Field(default=(), description=_VCPUS)
    cmdline: OneOrMany[str] = Field(default=(), description=_CMDLINE)
    action: OneOrMany[Action] = Field(default=(), description=_ACTION)

    @model_validator(mode="after")
    def _names_an_axis(self) -> Self:
        if not self.conditions():
            raise ValueError(f"an empty rule would leave out every cell; name one of {', '.join(AXES)}")
        return self

    def conditions(self) -> Mapping[str, tuple[object, ...]]:
        """Map each axis that the rule names to its values."""
        return {axis: values for axis in AXES if (values := getattr(self, axis))}


class Scenario(_Strict):
    """A scenario file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="short name: lower-case words and hyphens")
    description: str = Field(min_length=1, description="first line: the question that this scenario answers")
    matrix: Matrix | None = Field(default=None, description="axes; every combination is a cell")
    exclude: tuple[Exclude, ...] = Field(default=(), description="rules that leave out cells of the matrix")
    include: tuple[Include, ...] = Field(default=(), description="cells appended after the matrix's own")


def load_scenario(path: Path, known: Known) -> Document[Scenario]:
    """Load a scenario whose names are all in ``known``; ``YamlError`` with every mistake and unknown name."""
    return load_document(path, Scenario, context=known)
