# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What is wrong on purpose: ``mutants.yaml`` as frozen values (docs/how-to/add-a-mutant.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from harness.documents.document import load
from harness.documents.strict import Strict
from harness.matrix.cell import format_memory
from harness.matrix.choices import EMULATIONS
from harness.platforms.registry import platform_named
from harness.recipes.common import Name
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    from harness.matrix.cell import Cell

USUAL = {EMULATIONS[0], "older-host"}
"""The base starts on no host of today, so its cells as SEV-SNP guests are of an older one."""
HERE = PROJECT / "tests/builds/mutants"
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]


class Mutant(Strict):
    """A wrong firmware, the patch ``NAME.patch`` on the base.

    ``boots`` names the cells of ``scenario.yaml`` in which it boots (see `key`), ``caught_by`` the checks
    that all must find it wrong there, ``hardware`` those whose form for hardware must, with nothing but what
    a host shows. ``ci``: it belongs to the part that runs with each change.
    """

    name: Name
    claim: Text
    boots: Texts
    caught_by: Texts = Field(alias="caught-by")
    hardware: tuple[Text, ...] = ()
    ci: bool = False

    @property
    def patch(self) -> Path:
        return HERE / f"{self.name}.patch"


class Equivalent(Strict):
    """A wrong firmware that no boot can show, and why; the patch is built and booted like a mutant's."""

    name: Name
    claim: Text
    because: Text
    boots: Texts


class GuestMutant(Strict):
    """A guest that goes wrong under the base: the EFI probe with more options.

    ``caught_by`` names all checks that find something; each names the loader.
    """

    name: Name
    claim: Text
    boots: Text
    options: Text
    caught_by: Texts = Field(alias="caught-by")


class HostMutant(Strict):
    """A host that goes wrong, and does not say so, by the name of its emulation.

    ``caught_by`` names checks that find something; each finding of any check names the host.
    """

    name: Name
    claim: Text
    boots: Text
    caught_by: Texts = Field(alias="caught-by")


class Registry(Strict):
    """``mutants.yaml``. ``under_hosts``: the firmware that runs on hosts that go wrong."""

    base: Name
    under_hosts: Name = Field(alias="under-hosts")
    mutants: tuple[Mutant, ...]
    equivalent: tuple[Equivalent, ...]
    guests: tuple[GuestMutant, ...]
    hosts: tuple[HostMutant, ...]


def key(cell: Cell) -> str:
    """Return how the registry names a cell: kernel and memory, then what is not as usual."""
    words = [cell.kernel, format_memory(cell.memory_mib)]
    if platform_named(cell.platform).technology != "snp":
        words.append(cell.platform)
    if cell.emulation not in USUAL:
        words.append(cell.emulation)
    return " ".join(words)


REGISTRY = load(HERE / "mutants.yaml", Registry)
BOOTS = {it.name: it.boots for it in REGISTRY.mutants} | {it.name: it.boots for it in REGISTRY.equivalent}
"""By mutant of the firmware, or equivalent one: the cells in which it boots."""
