# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The host survey: the facts of this host by which platforms know whether it can run their guests."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.platforms.sev.answers import NOTHING, Answers, asids

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.platforms.sev.answers import Asids

_MODULES = "sys/module"


def _runs() -> str:
    return ""


@dataclass(frozen=True)
class Host:
    """A host as a survey found it.

    ``parameters``: those of KVM's modules by name and value, such as ``kvm_amd.sev_snp``. ``devices``: the
    names below ``/dev``. ``answers``: what processor, devices and KVM say. ``asids``: how many confidential
    guests fit. ``family``: the processor's. ``kvm_trouble`` says why KVM runs no code here, "" when it does:
    a ``/dev/kvm`` can open and still execute nothing. That needs a QEMU, so it is the last question of all.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    devices: frozenset[str] = frozenset()
    answers: Answers = NOTHING
    asids: Asids | None = None
    family: int = 0
    kvm_trouble: Callable[[], str] = field(default=_runs, repr=False, compare=False)

    @property
    def free_asids(self) -> int | None:
        """How many confidential guests can still start; None where nobody counts them."""
        if self.asids is not None:
            return max(0, self.asids.all - (self.asids.taken or 0))
        found = self.answers.encryption
        return found.asids if found is not None and found.snp else None

    def lacks(self, parameter: str, *devices: str) -> tuple[str, ...]:
        """Return what is missing for guests that need KVM, its ``parameter`` to be on, and ``devices``."""
        missing = [*self.lacks_parameter(parameter)]
        for device in (*devices, "kvm"):
            missing += self.lacks_device(device)
        if not missing and (reason := self.kvm_trouble()):
            missing.append(f"KVM runs no code: {reason}")
        return tuple(missing)

    def lacks_parameter(self, parameter: str) -> tuple[str, ...]:
        """Return what is wrong with a module's parameter that must be on; nothing when it is."""
        value = self.parameters.get(parameter, "")
        if value in {"Y", "1"}:
            return ()
        said = f"is {value}" if value else "does not exist"
        return (f"/{_MODULES}/{parameter.replace('.', '/parameters/')} {said}",)

    def lacks_device(self, device: str) -> tuple[str, ...]:
        """Return why a device below ``/dev`` cannot be used; nothing when it can."""
        if device not in self.devices:
            return (f"there is no /dev/{device}",)
        if reason := self.answers.refused.get(device):
            return (f"/dev/{device} does not open: {reason}",)
        return ()


def survey(
    root: Path = Path("/"),
    *,
    kvm_trouble: Callable[[], str],
    ask: Callable[[Path], Answers] = lambda _root: NOTHING,
) -> Host:
    """Return the facts of the host below ``root``.

    ``kvm_trouble`` is called once, when a platform asks; ``ask`` gives the answers of processor and devices.
    """
    parameters = {}
    for path in sorted(root.glob(f"{_MODULES}/kvm*/parameters/*")):
        try:
            parameters[f"{path.parent.parent.name}.{path.name}"] = path.read_text().strip()
        except OSError:  # some are for root alone
            continue
    devices = root / "dev"
    names = frozenset(path.name for path in devices.iterdir()) if devices.is_dir() else frozenset()
    return Host(parameters, names, ask(root), asids(root), _family(root), cache(kvm_trouble))


def _family(root: Path) -> int:
    try:
        text = (root / "proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return 0
    found = re.search(r"^cpu family\s*: (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0
