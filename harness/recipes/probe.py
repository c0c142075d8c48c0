# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Recipes of the EFI probe (``guest-images/efi-probe.yaml``): the probe with some options, as a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from harness.documents.strict import Strict
from harness.recipes.common import Name
from harness.recipes.groups import Groups  # pydantic reads it at run time
from harness.recipes.probe_options import parse_probe_options

if TYPE_CHECKING:
    from harness.debian.index import PackageQuery


def _options(text: str) -> str:
    parse_probe_options(text)
    return " ".join(text.split())


class ProbeRecipe(Strict):
    """The EFI probe with some options, by a name that scenarios use as a kernel's."""

    name: Name
    description: str = Field(default="", description="what is special about it")
    options: Annotated[str, AfterValidator(_options)] = Field(
        default="", description="words of its command line, such as allow=1 touch=usable"
    )

    def queries(self) -> tuple[PackageQuery, ...]:
        """Return the packages that are needed: none."""
        return ()


class ProbeFile(Strict):
    """The file ``guest-images/efi-probe.yaml``."""

    probes: Annotated[tuple[ProbeRecipe, ...], Field(min_length=1)]
    groups: Groups
