# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Recipes of emulated hosts (``qemu-builds/emulations.yaml``): properties of QEMU's object, by a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.documents.strict import Strict
from harness.matrix.choices import EMULATIONS
from harness.recipes.common import Name
from harness.recipes.groups import Groups

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from harness.documents.document import Document, Problem

Switch = Literal["on", "off"] | None
Reaction = Literal["report", "fatal"] | None


class Properties(Strict):
    """Properties of the emulation's object (docs/reference/strictness.md)."""

    hypervisor: Literal["kvm", "spec"] | None = Field(default=None, description="whose answers guests get")
    rmp_entries: Literal["4k", "2m", "mixed"] | None = Field(
        default=None, alias="rmp-entries", description="sizes of RMP entries"
    )
    reflect: Switch = Field(default=None, description="on: intercepted instructions raise #VC")
    dma: Literal["strict", "open"] | None = Field(default=None, description="open: devices reach all memory")
    scramble: Switch = Field(default=None, description="off: contents survive page state changes")
    private_mmio: Reaction = Field(
        default=None, alias="private-mmio", description="accesses with the C-bit to what is no memory"
    )
    validate_twice: Reaction = Field(
        default=None, alias="validate-twice", description="pages that are validated again"
    )
    implicit_conversion: Reaction = Field(
        default=None, alias="implicit-conversion", description="page state changes without a request"
    )
    reset: Literal["end", "rebuild"] | None = Field(
        default=None, description="rebuild: a reset launches the guest anew"
    )
    host_faults: str | None = Field(
        default=None, alias="host-faults", description="what the host does wrong: names with + between them"
    )
    fault_seed: int | None = Field(
        default=None, alias="fault-seed", ge=0, lt=1 << 32, description="from which it follows when"
    )
    fault_phase: Literal["firmware", "kernel"] | None = Field(
        default=None, alias="fault-phase", description="whose code the faults come to"
    )

    @model_validator(mode="after")
    def _names_a_property(self) -> Self:
        if not self.words():
            raise ValueError(f"nothing differs from {EMULATIONS[0]}; name a property")
        return self

    def words(self) -> dict[str, str]:
        """Return the properties that are named, as QEMU writes them."""
        return {name: str(value) for name, value in self.model_dump(by_alias=True, exclude_none=True).items()}


class EmulationEntry(Strict):
    """An emulated host by name."""

    name: Name
    description: str = Field(min_length=1, description="which host it is")
    properties: Properties


class EmulationFile(Strict):
    """The file ``qemu-builds/emulations.yaml``."""

    emulations: Annotated[tuple[EmulationEntry, ...], Field(min_length=1)]
    groups: Groups


@dataclass(frozen=True)
class EmulationRecipe:
    """An emulated host. ``properties`` are QEMU's words; ``where`` is the recipe's ``file:line:column``."""

    name: str
    description: str
    properties: Mapping[str, str]
    where: str = ""


def private_mmio(properties: Mapping[str, str]) -> Literal["ends", "goes-on"]:
    """Return what becomes of a guest that uses what is no memory with the C-bit.

    The properties are words of QEMU's object, whose own default follows the hypervisor.
    """
    usual = "report" if properties.get("hypervisor") == "spec" else "fatal"
    return "goes-on" if properties.get("private-mmio", usual) == "report" else "ends"


def whole_emulations(
    documents: Iterable[Document[EmulationFile]], others: Collection[str], problems: list[Problem]
) -> dict[str, EmulationRecipe]:
    """Return the emulated hosts of all files by name; a name that is taken is a problem.

    ``others`` are the names of guests and actions, which cell ids show in the same place.
    """
    found: dict[str, EmulationRecipe] = {}
    for document in documents:
        for number, entry in enumerate(document.model.emulations):
            where = document.where(("emulations", number, "name"))
            if entry.name in {*EMULATIONS, *others, *found}:
                known = found.get(entry.name)
                by = f"the emulation at {known.where}" if known else "another emulation, guest or action"
                message = f"the name {entry.name!r} is taken by {by}"
                problems.append(document.problem_at(("emulations", number, "name"), message))
                continue
            words = entry.properties.words()
            found[entry.name] = EmulationRecipe(entry.name, entry.description, words, where)
    return found
