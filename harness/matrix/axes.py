# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What may stand on an axis: the types of fields, for models that have one for each axis of ``TABLE``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

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

from harness.matrix.cell import NAMES, TABLE
from harness.matrix.choices import (
    COMPARISON,
    OWN_QEMU,
    Choice,
    Known,
    is_own_qemu,
    parse_comparisons,
    select,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

    from harness.matrix.cell import Axis

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


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
        if isinstance(info.context, Known):
            info.context.refuse_unknown(axis.name, name)
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
    own = f"|{OWN_QEMU}/" if is_own_qemu(axis.name, OWN_QEMU) else ""
    pattern = f"^(@|{COMPARISON}{own})"
    return _annotated[base, WithJsonSchema({"type": "string", NAMES: axis.name, "pattern": pattern})]


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
