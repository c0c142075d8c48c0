# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A user's text as a value on an axis of the matrix: a name of a recipe or a file, a size, a number."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from harness.documents.document import in_words
from harness.errors import HarnessError
from harness.matrix.axes import one
from harness.matrix.cell import BY_NAME

if TYPE_CHECKING:
    from harness.artifacts.ingredients import Ingredients
    from harness.matrix.choices import Known


def read_value(axis: str, text: str, ingredients: Ingredients, known: Known) -> Any:
    """Return the value of ``text`` on an axis; HarnessError, with what was meant, for none.

    Firmware and kernels may be files and trees, too (``file:PATH``, ``tree:PATH``), loaders files.
    """
    if axis == "firmware":
        return ingredients.choose_firmware(text)
    if axis == "kernel":
        return ingredients.choose_kernel(text)
    if axis == "loader" and text.startswith("file:"):
        return ingredients.choose_loader(text)
    try:
        return _type(axis).validate_python(text, context=known)
    except ValidationError as error:
        first = error.errors()[0]
        told = (
            str(first["ctx"]["error"])
            if first["type"] == "value_error"
            else f"{in_words(first)}, found {text!r}"
        )
        what, _, hint = told.partition("; ")
        raise HarnessError(f"{axis}: {what}", hint) from None


@cache
def _type(axis: str) -> TypeAdapter[Any]:
    return TypeAdapter(one(BY_NAME[axis]))
