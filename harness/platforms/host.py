# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The host survey: the facts of this host by which platforms know whether it can run their guests."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MODULES = "sys/module"


def _runs() -> str:
    return ""


@dataclass(frozen=True)
class Host:
    """A host as a survey found it.

    ``parameters``: those of KVM's modules by name and value, such as ``kvm_amd.sev_snp``. ``devices``: the
    names below ``/dev``. ``kvm_trouble`` says why KVM runs no code here, "" when it does: a ``/dev/kvm`` can
    open and still execute nothing. That needs a QEMU, so it is the last question of all.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    devices: frozenset[str] = frozenset()
    kvm_trouble: Callable[[], str] = field(default=_runs, repr=False, compare=False)

    def lacks(self, parameter: str, *devices: str) -> tuple[str, ...]:
        """Return what is missing for guests that need KVM, its ``parameter`` to be on, and ``devices``."""
        value = self.parameters.get(parameter, "")
        missing = []
        if value not in {"Y", "1"}:
            said = f"is {value}" if value else "does not exist"
            missing.append(f"/{_MODULES}/{parameter.replace('.', '/parameters/')} {said}")
        missing += [
            f"there is no /dev/{device}" for device in (*devices, "kvm") if device not in self.devices
        ]
        if not missing and (reason := self.kvm_trouble()):
            missing.append(f"KVM runs no code: {reason}")
        return tuple(missing)


def survey(root: Path = Path("/"), *, kvm_trouble: Callable[[], str]) -> Host:
    """Return the facts of the host below ``root``; ``kvm_trouble`` is called once, when a platform asks."""
    parameters = {}
    for path in sorted(root.glob(f"{_MODULES}/kvm*/parameters/*")):
        try:
            parameters[f"{path.parent.parent.name}.{path.name}"] = path.read_text().strip()
        except OSError:  # some are for root alone
            continue
    devices = root / "dev"
    names = frozenset(path.name for path in devices.iterdir()) if devices.is_dir() else frozenset()
    return Host(parameters, names, cache(kvm_trouble))
