# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Artifacts that come built, in the package ``ovmf-acceptance-qemu`` (``tox -e qemu-wheel`` makes it).

What was compiled elsewhere serves where all its inputs but the tools are the same: another compiler makes
other bytes of the same sources, and a machine without one needs none.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.store.inputs import digest_inputs

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from harness.store.inputs import JSONValue

DISTRIBUTION = "ovmf-acceptance-qemu"
PACKAGE = "ovmf_acceptance_qemu"
PROVENANCE, CARRIED_KEY = "provenance.json", "carried-key"
"""The file of each of the package's folders ``KIND/NAME``, and what it has beside what the store writes."""


def carried_key(kind: str, inputs: Mapping[str, JSONValue], made_with: Collection[str]) -> str:
    """Return the key of an artifact wherever it is made: that of its inputs without the tools."""
    return digest_inputs(kind, {name: value for name, value in inputs.items() if name not in made_with})


def carried(kind: str, name: str, key: str) -> tuple[Path, dict[str, Any]] | None:
    """Return the folder and provenance of an artifact that comes built; None without one of this key."""
    if (package := _package()) is None:
        return None
    folder = package / kind / name
    try:
        provenance = json.loads((folder / PROVENANCE).read_bytes())
    except (OSError, ValueError):
        return None
    same = isinstance(provenance, dict) and provenance.get(CARRIED_KEY) == key
    return (folder, provenance) if same else None


@cache
def _package() -> Path | None:
    spec = util.find_spec(PACKAGE)
    places = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(places))) if places else None
