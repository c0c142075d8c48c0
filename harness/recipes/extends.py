# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Firmware recipes that extend others, in any file of the project, become whole ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.documents.document import Problem, near
from harness.recipes.firmware import FirmwareEntry, FirmwareRecipe, whole_recipe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.recipes.common import Located

Places = Mapping[str, "Located[FirmwareEntry]"]


def whole_recipes(places: Places, problems: list[Problem]) -> dict[str, FirmwareRecipe]:
    """Return every recipe with what it extends worked in, in the order of ``places``.

    Those that cannot be had are left out: each unknown name, each cycle and each patch that is not there is a
    problem of its own, but what extends a wrong recipe is not told again.
    """
    whole: dict[str, FirmwareRecipe | None] = {}
    for name in places:
        _resolve(name, places, whole, problems)
    return {name: recipe for name in places if (recipe := whole[name]) is not None}


def _resolve(
    name: str,
    places: Places,
    whole: dict[str, FirmwareRecipe | None],
    problems: list[Problem],
    above: tuple[str, ...] = (),
) -> FirmwareRecipe | None:
    if name in whole:
        return whole[name]
    entry, document, here = places[name].recipe, places[name].document, places[name].at
    parent = None
    whole[name] = None  # until proved good
    if entry.extends is not None:
        at, path = (*here, "extends"), (*above, name)
        if entry.extends not in places:
            message = f"unknown firmware {entry.extends!r}; {near(entry.extends, places)}"
            problems.append(document.problem_at(at, message))
            return None
        if entry.extends in path:
            circle = " extends ".join([*path[path.index(entry.extends) :], entry.extends])
            problems.append(document.problem_at(at, f"a circle: {circle}"))
            return None
        parent = _resolve(entry.extends, places, whole, problems, path)
        if parent is None:
            return None
    try:
        recipe = whole_recipe(entry, parent, document.path.parent)
    except ValueError as error:
        problems.append(document.problem_at(here, str(error)))
        return None
    missing = list(_missing_patches(places[name], recipe))
    problems += missing
    whole[name] = None if missing else recipe
    return whole[name]


def _missing_patches(place: Located[FirmwareEntry], recipe: FirmwareRecipe) -> Iterable[Problem]:
    own = place.recipe.patches or ()
    first = len(recipe.patches) - len(own)
    for index, path in enumerate(recipe.patches[first:]):
        if not path.is_file():
            at = (*place.at, "patches", index)
            yield place.document.problem_at(at, f"there is no patch {own[index]!r} beside this file")
