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
    """A host as far as confidential guests are concerned.

    ``kvm``: a probe guest ran (``/dev/kvm`` alone proves nothing: it can open and still not execute).
    ``sev_snp``: kvm_amd offers SEV-SNP and ``/dev/sev`` is there. ``why`` says, for each that is false, why.
    """

    kvm: bool
    sev_snp: bool
    why: tuple[str, ...] = ()


def probe(root: Path = Path("/"), *, guest_runs: Callable[[], str]) -> Host:
    """Look at the host below ``root``.

    ``guest_runs`` starts a small KVM guest and returns "" when it ran, else the reason; it is called only
    when there is a ``/dev/kvm``. SNP facts are those of Linux's kvm_amd (``sev_snp`` parameter, since 6.11).
    """
    why: list[str] = []
    kvm = False
    if not (root / "dev/kvm").exists():
        why.append("KVM: there is no /dev/kvm")
    elif reason := guest_runs():
        why.append(f"KVM: a probe guest did not run ({reason})")
    else:
        kvm = True

    sev_snp = True
    parameter = root / _PARAMETERS / "sev_snp"
    try:
        value = parameter.read_text().strip()
    except OSError:
        value = ""
    if value not in {"Y", "1"}:
        said = f"is {value}" if value else "does not exist"
        why.append(f"SEV-SNP: /{_PARAMETERS}/sev_snp {said}")
        sev_snp = False
    if not (root / "dev/sev").exists():
        why.append("SEV-SNP: there is no /dev/sev")
        sev_snp = False
    return Host(kvm=kvm, sev_snp=sev_snp and kvm, why=tuple(why))
