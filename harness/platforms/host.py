# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What this host can do. Reads files below a root, so that tests can give a host's tree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PARAMETERS = "sys/module/kvm_amd/parameters"


@dataclass(frozen=True)
class Host:
    """A host as far as confidential guests are concerned: can it run SEV-SNP guests, and if not, why not."""

    sev_snp: bool
    why: tuple[str, ...] = ()


def probe(root: Path = Path("/"), *, guest_runs: Callable[[], str]) -> Host:
    """Look at the host below ``root``.

    The facts are those of Linux's kvm_amd (parameter ``sev_snp``, since 6.11). When they all hold,
    ``guest_runs`` starts a small KVM guest and returns "" when it ran, else the reason: a ``/dev/kvm`` can
    open and still not execute anything.
    """
    why: list[str] = []
    parameter = root / _PARAMETERS / "sev_snp"
    try:
        value = parameter.read_text().strip()
    except OSError:
        value = ""
    if value not in {"Y", "1"}:
        said = f"is {value}" if value else "does not exist"
        why.append(f"/{_PARAMETERS}/sev_snp {said}")
    why += [f"there is no /{device}" for device in ("dev/sev", "dev/kvm") if not (root / device).exists()]
    if not why and (reason := guest_runs()):
        why.append(f"a KVM probe guest did not run: {reason}")
    return Host(sev_snp=not why, why=tuple(why))
