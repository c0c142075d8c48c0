# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a platform is: how a guest runs, and by which technology it is confidential.

Whoever needs to know what a cell's platform can show asks its ``technology``, ``tier`` and ``acceptance``,
never for its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, get_args, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.machine.spec import MachineSpec
    from harness.platforms.host import Host

Technology = Literal["snp", "sev-es", "sev", "tdx", "none"]
"""By what a guest is confidential; ``none``: it is not."""

Tier = Literal["hardware", "emulated", "none"]
"""What makes a guest confidential: a processor, QEMU's emulation of one, nothing."""

Acceptance = Literal["exact", "page-states", "none"]
"""What a boot shows of acceptance. ``exact``: a ledger of every PVALIDATE. ``page-states``: the page state
changes that the host carried out. ``none``: nothing."""

GUESTS: Mapping[Technology, str] = {
    "snp": "SEV-SNP guests",
    "sev-es": "SEV-ES guests",
    "sev": "SEV guests",
    "tdx": "TDX guests",
    "none": "plain guests",
}
"""How messages speak of a technology's guests."""


@runtime_checkable
class Platform(Protocol):
    """How a guest runs. One object a platform; frozen, so that every cell of it runs the same way."""

    @property
    def name(self) -> str:
        """The name in scenarios, cell ids and records: lower-case words and hyphens."""

    @property
    def technology(self) -> Technology:
        """By what its guests are confidential; the rollout model asks this."""

    @property
    def tier(self) -> Tier:
        """What makes them confidential."""

    @property
    def acceptance(self) -> Acceptance:
        """What a boot shows of acceptance; checks ask this."""

    @property
    def deadline_factor(self) -> float:
        """By how much the phases of a boot may last longer than the accelerator's limits say."""

    @property
    def falls_back_to(self) -> str | None:
        """The platform that takes this one's cells on a host that lacks something for it."""

    def lacking(self, host: Host) -> tuple[str, ...]:
        """Return what the host lacks to run such guests, a reason each; empty when it can."""

    def configure(self, spec: MachineSpec, host: Host) -> MachineSpec:
        """Return ``spec`` with the accelerator and the confidential object of this platform."""


def trouble(found: object) -> str:
    """Return why an object is no platform; "" when it is one."""
    if isinstance(found, type):
        return f"{found.__name__} is a class; name an object of it"
    if not isinstance(found, Platform):
        missing = [name for name in _MEMBERS if not hasattr(found, name)]
        return f"a {type(found).__name__} has no {', '.join(missing)}"
    for field, words in (("technology", Technology), ("tier", Tier), ("acceptance", Acceptance)):
        if (value := getattr(found, field)) not in get_args(words):
            return f"its {field} is {value!r}, not one of {', '.join(get_args(words))}"
    return ""


_MEMBERS = sorted(name for name in vars(Platform) if not name.startswith("_"))
