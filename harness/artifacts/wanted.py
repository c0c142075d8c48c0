# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the boots of cells need, by name, and what of it has not been made."""

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING

from harness.artifacts.named import QEMU, Named, Payload, make
from harness.errors import HarnessError
from harness.matrix.choices import GUESTS
from harness.recipes.probe import ProbeRecipe
from harness.store.asking import NotMadeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.artifacts.ingredients import Ingredients
    from harness.matrix.cell import Cell


def needs(cell: Cell) -> tuple[Named, ...]:
    """Return what a cell's boot needs, QEMU first; a loader stands for its program, not for its disk."""
    things = (QEMU, QEMU), ("guest", cell.guest), ("firmware", cell.firmware), ("kernel", cell.kernel)
    return tuple(starmap(Named, (*things, ("loader", cell.loader))))


def have(named: Named, ingredients: Ingredients) -> None:
    """Fetch or build what `needs` names, unless it is there; HarnessError when it cannot be had."""
    if named.kind == "loader":
        _ = ingredients.loader(named.name)
    else:
        make(named, ingredients, Payload())


def is_compiled(named: Named, ingredients: Ingredients) -> bool:
    """Return whether making a thing keeps processors busy; anything else is mostly a download."""
    if named.kind == "firmware":
        return not ingredients.firmware_recipe(named.name).source.is_image
    if named.kind == "kernel":
        return isinstance(ingredients.kernel_recipe(named.name), ProbeRecipe)
    return named.kind == QEMU or (named.kind == "guest" and named.name not in GUESTS)


def lacking(cells: Iterable[Cell], asking: Ingredients) -> Mapping[Cell, tuple[Named, ...]]:
    """Return the cells whose boots need what is not made, with what that is.

    ``asking`` are ingredients of an `Asking` store. What cannot be had at all counts as made: whoever makes
    it hears why.
    """
    missing: dict[Named, bool] = {}
    found = {}
    for cell in cells:
        for it in needs(cell):
            if it not in missing:
                missing[it] = _is_missing(it, asking)
        if wanted := tuple(it for it in needs(cell) if missing[it]):
            found[cell] = wanted
    return found


def _is_missing(named: Named, asking: Ingredients) -> bool:
    try:
        have(named, asking)
    except NotMadeError:
        return True
    except HarnessError:
        return False
    return False


def unmade(cells: Iterable[Cell], asking: Ingredients) -> list[str]:
    """Return a line for all that the boots of cells need and that is not there, or cannot be had.

    ``asking`` are ingredients of an `Asking` store. Disks of loaders are no matter: they take no time.
    """
    lines = []
    for it in dict.fromkeys(it for cell in cells for it in needs(cell)):
        try:
            have(it, asking)
        except (NotMadeError, HarnessError) as reason:
            name = it.name if it.kind == QEMU else f"{it.kind} {it.name}"
            why_not = str(reason).partition("\n")[0]
            lines.append(f"{name} ({why_not})")
    return lines
