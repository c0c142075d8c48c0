# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Recipes of guests that are a whole Debian (``guest-images/guests.yaml``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from harness.documents.strict import Strict
from harness.matrix.choices import GUESTS
from harness.recipes.common import Name, Suite
from harness.recipes.groups import Groups

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.documents.document import Document, Problem

Package = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]


class GuestEntry(Strict):
    """A Debian by name."""

    name: Name
    description: str = Field(default="", description="what is special about it")
    suite: Suite
    packages: Annotated[tuple[Package, ...], Field(min_length=1)] = Field(
        description="what is installed beside the essential packages and all that these need"
    )


class GuestFile(Strict):
    """The file ``guest-images/guests.yaml``."""

    guests: Annotated[tuple[GuestEntry, ...], Field(min_length=1)]
    groups: Groups


@dataclass(frozen=True)
class GuestRecipe:
    """A guest. ``folder`` is the one of its file, ``where`` the recipe's ``file:line:column``."""

    name: str
    suite: str
    packages: tuple[str, ...]
    description: str = ""
    folder: Path = Path()
    where: str = ""

    @property
    def lock_file(self) -> Path:
        """Return the file with the exact packages."""
        return self.folder / "debian" / f"{self.name}.packages"


def whole_guests(documents: Iterable[Document[GuestFile]], problems: list[Problem]) -> dict[str, GuestRecipe]:
    """Return the guests of all files by name; a name that is taken is a problem."""
    guests: dict[str, GuestRecipe] = {}
    for document in documents:
        for number, entry in enumerate(document.model.guests):
            if entry.name in {*GUESTS, *guests}:
                known = guests.get(entry.name)
                by = f"the guest at {known.where}" if known is not None else "an initramfs guest"
                message = f"the name {entry.name!r} is taken by {by}"
                problems.append(document.problem_at(("guests", number, "name"), message))
                continue
            guests[entry.name] = GuestRecipe(
                name=entry.name,
                suite=entry.suite,
                packages=entry.packages,
                description=entry.description,
                folder=document.path.parent,
                where=document.where(("guests", number, "name")),
            )
    return guests
