# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Whether a stored boot is the one that a machine would make now: the same inputs, and the same machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.boot.driver import digest_of, ingredients_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.evidence.record import BootRecord
    from harness.machine.spec import MachineSpec

_FILES = frozenset({"qemu", "firmware", "kernel", "initrd", "drives"})
"""Parts of a machine that name files: their content counts, not their place."""
_GROWS = "extra"
"""A boot that talks to its guest adds to these words; drives of its own come last, too."""


def difference(record: BootRecord, spec: MachineSpec) -> str:
    """Return what a new boot of ``spec`` would have other than the stored one: "" when nothing.

    Files are compared by SHA-256; HarnessError for one that is not there.
    """
    for name, value in ingredients_of(spec).items():
        there = record.inputs.get(name)
        if there is None or there.sha256 != digest_of(value).sha256:
            return name
    machine: Mapping[str, Any] = json.loads(json.dumps(asdict(spec), default=str))
    for name, part in machine.items():
        before = record.spec.get(name)
        if name == _GROWS and isinstance(before, list):
            before = before[: len(part)]
        if name not in _FILES and (before or None) != (part or None):  # older records lack newer parts
            return name
    return ""
