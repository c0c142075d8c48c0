# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The version of each recipe, as far as the lock file tells it: nothing is fetched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.matrix.choices import parse_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from harness.debian.index import PackageQuery
    from harness.debian.lock_file import Lock
    from harness.matrix.choices import Version
    from harness.recipes.catalog import Catalog
    from harness.recipes.loader import LoaderRecipe

    Locks = Callable[[str, str], Lock]
    """Gives the lock of a recipe, by axis and name."""

# An epoch, or what Debian puts before the version of a signed package (1+2.12+9+deb13u4), does not count.
_UPSTREAM = re.compile(r"(?:[0-9]+[:+])?([0-9]+(?:\.[0-9]+)*)")
_STARTS_KERNELS = ("image", "stub")
"""Which of a loader's binaries is compared: GRUB or systemd-boot, else systemd's stub; never shim."""


def versions(catalog: Catalog, locks: Locks) -> dict[str, dict[str, Version]]:
    """Return upstream versions by axis and name: those of the locked packages, for recipes that have one.

    For a kernel it is the image's package, for firmware the image's or source's, for a loader the one of
    GRUB, systemd-boot or systemd's stub.
    """
    queries: dict[str, dict[str, Iterable[PackageQuery]]] = {
        "firmware": {name: recipe.queries() for name, recipe in catalog.firmware.items()},
        "kernel": {name: recipe.queries() for name, recipe in catalog.kernels.items()},
        "loader": {name: _loader_queries(recipe) for name, recipe in catalog.loaders.items()},
    }
    return {axis: _locked(axis, of_axis, locks) for axis, of_axis in queries.items()}


def upstream_version(text: str) -> Version | None:
    """Return the numbers of Debian's ``6.12.43-1~bpo12+1``; None when it begins with none."""
    match = _UPSTREAM.match(text)
    return parse_version(match[1]) if match else None


def _locked(axis: str, queries: Mapping[str, Iterable[PackageQuery]], locks: Locks) -> dict[str, Version]:
    found = {}
    for name, wanted in queries.items():
        first = next(iter(wanted), None)
        package = locks(axis, name).resolved(first) if first is not None else None
        version = upstream_version(package.version) if package is not None else None
        if version is not None:
            found[name] = version
    return found


def _loader_queries(recipe: LoaderRecipe) -> Iterable[PackageQuery]:
    binaries = dict(recipe.binaries)
    return [binaries[key].query() for key in _STARTS_KERNELS if key in binaries]
