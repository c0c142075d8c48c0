# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Named groups of recipes (``groups:`` beside the recipes): ``@NAME`` in a scenario stands for all of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from harness.documents.document import near
from harness.recipes.common import Name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from harness.documents.document import Document, Loc, Problem

Member = Annotated[str, Field(min_length=1, description="name of a recipe, or @NAME of another group")]
Groups = Annotated[
    dict[Name, Annotated[tuple[Member, ...], Field(min_length=1)]],
    Field(default_factory=dict, description="lists of recipes; scenarios name one as @NAME"),
]


def resolve_groups(
    kind: str, documents: Iterable[Document[Any]], names: Collection[str], problems: list[Problem]
) -> dict[str, tuple[str, ...]]:
    """Return the recipes of each group of an axis, whatever file it is in; each recipe once.

    Problems are names and groups that are unknown, a group that is defined twice or is part of itself.
    """
    places: dict[str, tuple[Document[Any], tuple[str, ...]]] = {}
    for document in documents:
        for name, members in document.model.groups.items():
            if name in places:
                there = places[name][0].where(("groups", name))
                message = f"the group {name!r} is at {there} already"
                problems.append(document.problem_at(("groups", name), message, key=True))
            else:
                places[name] = document, members
    whole: dict[str, tuple[str, ...]] = {}
    for name in places:
        _resolve(kind, name, places, names, whole, problems, ())
    return {name: whole[name] for name in places}


def _resolve(
    kind: str,
    group: str,
    places: Mapping[str, tuple[Document[Any], tuple[str, ...]]],
    names: Collection[str],
    whole: dict[str, tuple[str, ...]],
    problems: list[Problem],
    above: tuple[str, ...],
) -> tuple[str, ...]:
    if group in whole:
        return whole[group]
    document, members = places[group]
    found: dict[str, None] = {}
    for number, member in enumerate(members):
        at: Loc = ("groups", group, number)
        inner = member.removeprefix("@")
        if inner == member and member in names:
            found[member] = None
        elif inner == member:
            message = f"groups.{group}[{number}]: unknown {kind} {member!r}; {near(member, names)}"
            problems.append(document.problem_at(at, message))
        elif inner not in places:
            message = f"groups.{group}[{number}]: unknown group {inner!r}; {near(inner, places)}"
            problems.append(document.problem_at(at, message))
        elif inner in (*above, group):
            problems.append(document.problem_at(at, f"groups.{group}[{number}]: the group is part of itself"))
        else:
            found |= dict.fromkeys(_resolve(kind, inner, places, names, whole, problems, (*above, group)))
    whole[group] = tuple(found)
    return whole[group]
