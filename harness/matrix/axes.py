# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The axes of the matrix. A new one is an entry of ``TABLE`` and a field of ``Cell``, in the same place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    create_model,
)

from harness.documents.document import near
from harness.matrix.cell import ACTION_NAME, GUESTS, format_memory, parse_memory
from harness.matrix.choices import COMPARISON, Choice, Known, parse_comparisons, select

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

NAMES = "x-names"
"""Key in a JSON Schema where names of this kind stand; ``scenario_schema`` fills them in."""
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


def _memory(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)  # so that the message speaks of the unit, not of quotes
    return parse_memory(value) if isinstance(value, str) else value


def _action(text: str, info: ValidationInfo) -> str:
    words = text.split()
    for number, word in enumerate(words, start=1):
        name = word.partition(":")[0]
        if isinstance(info.context, Known) and name not in info.context.action:
            raise ValueError(f"unknown action {name!r}; {near(name, sorted(info.context.action))}")
        if re.fullmatch(f"{ACTION_NAME}(:[A-Za-z0-9_.-]+)*", word) is None:
            raise ValueError(f"{word!r} is not an action; write NAME or NAME:ARGUMENT, such as touch:4096")
        if isinstance(info.context, Known) and name in info.context.last_action and number != len(words):
            raise ValueError(f"{name} ends the kernel that runs: it must be the last action")
    return " ".join(words)


def _cmdline(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a command line is one line of printable text")
    return text


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def named(kind: Literal["platform", "outcome", "check"]) -> AfterValidator:
    """Return the validator that refuses names which the validation context, a ``Known``, does not hold."""

    def check(name: str, info: ValidationInfo) -> str:
        names = getattr(info.context, kind) if isinstance(info.context, Known) else None
        if names is not None and name not in names:
            raise ValueError(f"unknown {kind} {name!r}; {near(name, sorted(names))}")
        return name

    return AfterValidator(check)


Memory = Annotated[
    int, BeforeValidator(_memory), WithJsonSchema({"type": "string", "pattern": "^[0-9]*[1-9][0-9]*[MG]$"})
]
Platform = Annotated[str, named("platform"), WithJsonSchema({"type": "string", NAMES: "platform"})]
Vcpus = Annotated[int, Field(ge=1, le=4096)]
Cmdline = Annotated[str, AfterValidator(_cmdline)]
Action = Annotated[str, AfterValidator(_action)]


@dataclass(frozen=True)
class Axis:
    """An axis. ``value``: the type of one value. ``default`` None: a matrix must name the axis.

    ``named``: values are names of recipes, which groups and versions can stand for. ``read``: how a bound is
    read, for axes whose values can be compared.
    """

    name: str
    value: Any
    meaning: str
    default: Any = None
    named: bool = False
    read: Callable[[str], Any] | None = None
    show: Callable[[Any], str] = str


TABLE = (
    Axis("firmware", str, "names of firmware recipes", named=True),
    Axis("kernel", str, "names of kernel recipes", named=True),
    Axis("loader", str, "names of loader recipes; direct is QEMU's -kernel", "direct", named=True),
    Axis("memory", Memory, "guest RAM, such as 8G or 2817M", read=parse_memory, show=format_memory),
    Axis(
        "platform",
        Platform,
        "how the guest runs: names of platforms. Where the host lacks something for one, the cell runs on "
        "what it falls back to. Cell ids and results name what was really used",
    ),
    Axis("vcpus", Vcpus, "number of vCPUs", 1, read=_number),
    Axis("cmdline", Cmdline, "words added to the kernel's command line", "", show=repr),
    Axis(
        "action",
        Action,
        "what the guest does after it has reported, such as touch:4096, or cpu-cycle drain (in this order)",
        "",
        show=repr,
    ),
    Axis("guest", str, "names of guest recipes; initramfs: busybox and our reporter", GUESTS[0], named=True),
)
"""In the order of nesting: the last one varies fastest."""

AXES = tuple(axis.name for axis in TABLE)
BY_NAME = {axis.name: axis for axis in TABLE}


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else (value,)


class _OneOrMany:
    """JSON Schema of a list that may also be written as its single item."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        many = handler(core)
        return {"anyOf": [many["items"], many]}


class _OrText:
    """JSON Schema of a value that may also be a text of another form."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [handler(core), {"type": "string", "pattern": self._pattern}]}


OneOrMany = Annotated[tuple[T, ...], Field(min_length=1), BeforeValidator(_listed), _OneOrMany()]
_annotated: Any = Annotated  # of types that are made at run time
_tuple: Any = tuple


def several(item: Any) -> Any:
    """Return the type of a list."""
    return _annotated[_tuple[item, ...], Field(min_length=1)]


def one_or_many(item: Any) -> Any:
    """Return the type of a list that may also be written as its single item."""
    return _annotated[_tuple[item, ...], Field(min_length=1), BeforeValidator(_listed), _OneOrMany()]


def one(axis: Axis) -> Any:
    """Return the type of one plain value."""
    if not axis.named:
        return axis.value

    def check(name: str, info: ValidationInfo) -> str:
        if isinstance(info.context, Known) and name not in (names := info.context.names(axis.name)):
            raise ValueError(f"unknown {axis.name} {name!r}; {near(name, sorted(names))}")
        return name

    return _annotated[axis.value, AfterValidator(check), WithJsonSchema({"type": "string", NAMES: axis.name})]


def listed(axis: Axis) -> Any:
    """Return the type of an item of the matrix: a value, or for a named axis all that a text stands for."""

    def choose(value: Any, info: ValidationInfo) -> Choice:
        if axis.named and isinstance(info.context, Known):
            return select(axis.name, value, info.context)
        return Choice(axis.show(value), (value,))

    base = _annotated[axis.value, AfterValidator(choose)]
    if not axis.named:
        return base
    return _annotated[
        base, WithJsonSchema({"type": "string", NAMES: axis.name, "pattern": f"^(@|{COMPARISON})"})
    ]


def tested(axis: Axis) -> Any:
    """Return the type of an item of a condition: as in the matrix, or a comparison."""
    read = axis.read
    if read is None:
        return listed(axis)

    def compare(value: Any, handler: ValidatorFunctionWrapHandler) -> Choice:
        comparisons = parse_comparisons(value, read) if isinstance(value, str) else None
        chosen: Choice = Choice(value, (), comparisons) if comparisons else handler(value)
        return chosen

    return _annotated[listed(axis), WrapValidator(compare), _OrText(f"^{COMPARISON}")]


def of_axes(field: Callable[[Axis], tuple[Any, Any]]) -> Callable[[type[M]], type[M]]:
    """Decorate a model: it gets a field for each axis, of the type and default that ``field`` gives."""

    def decorate(model: type[M]) -> type[M]:
        fields: Any = {axis.name: field(axis) for axis in TABLE}
        made: type[M] = create_model(
            model.__name__, __base__=model, __module__=model.__module__, __doc__=model.__doc__, **fields
        )
        return made

    return decorate
