# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The table of the rollout model (``rollout.yaml``): from what is known of a boot to what it should do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, ConfigDict, Field

from harness.artifacts.loader.traits import Entry
from harness.documents.document import load
from harness.documents.strict import Strict
from harness.errors import HarnessError
from harness.evidence.ledger_model import HOST_FAILURES
from harness.platforms.platform import Technology

Outcome = Literal[
    "eager",
    "lazy",
    "kernel-eager",
    "nothing-to-accept",
    "memory-lost",
    "refuses-to-boot",
    "hangs",
    "ends-loudly",
    "plain",
]
"""``eager``: the firmware accepts all memory before the kernel runs. ``lazy``: the kernel gets the RAM at
4 GiB and above unaccepted. ``kernel-eager``: the same, and the command line makes it accept all in its boot.
``nothing-to-accept``: there is no such RAM. ``memory-lost``: all of it is lost, a known fault of a loader.
``refuses-to-boot``: kernel, firmware or loader end the boot. ``hangs``: the boot never ends, a known fault.
``ends-loudly``: the host fails the guest, which ends itself and says so.
``plain``: nothing is accepted, since the platform knows no acceptance."""

RefusedBy = Literal["kernel", "hypervisor", "loader", "host"]
"""Who, where a row names one: each refuses in its own way. ``hypervisor``: does not even start the guest.
``host``: ends the guest while its firmware runs."""

DEADLY = frozenset(op.removeprefix("host-") for op in HOST_FAILURES)
"""A host's faults that no guest can go on after, by their names in emulations.yaml; after others it must."""

TABLE = "rollout.yaml"
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the table's conditions are about.

    ``technology``: that of the platform. ``entry``: how the loader enters the kernel, a trait of the loader
    with this kernel. ``firmware_supports``, ``kernel_supports``: the firmware's or the kernel's trait
    ``technologies`` has it. ``acceptance_protocol``, ``kernel_unaccepted``: the firmware's trait
    ``memory_acceptance``, the kernel's ``unaccepted_memory``. ``high_ram``: QEMU puts RAM at 4 GiB and above.
    ``accept_memory``: what the kernel's command line says. ``host``: ``failing`` where the emulated host does
    what no guest can go on after. ``private_apic``: the firmware's trait. ``private_mmio``: what the host
    does about it.
    """

    technology: Technology
    entry: Entry
    firmware_supports: bool
    kernel_supports: bool
    high_ram: bool
    acceptance_protocol: bool
    kernel_unaccepted: bool
    accept_memory: Literal["lazy", "eager"]
    host: Literal["fair", "failing"] = "fair"
    private_apic: bool = False
    private_mmio: Literal["ends", "goes-on"] = "ends"


class _Hyphened(Strict):
    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"))


class Conditions(_Hyphened):
    """What must hold; a fact that is not named may be anything, of several technologies one must be it."""

    technology: Technology | tuple[Technology, ...] | None = None
    entry: Entry | None = None
    firmware_supports: bool | None = None
    kernel_supports: bool | None = None
    high_ram: bool | None = None
    acceptance_protocol: bool | None = None
    kernel_unaccepted: bool | None = None
    accept_memory: Literal["lazy", "eager"] | None = None
    host: Literal["fair", "failing"] | None = None
    private_apic: bool | None = None
    private_mmio: Literal["ends", "goes-on"] | None = None

    def hold(self, facts: Facts) -> bool:
        """Return whether each fact has the value that the row names."""
        return all(_is(getattr(facts, name), wanted) for name, wanted in self.named().items())

    def named(self) -> dict[str, object]:
        """Map the facts that matter to their values."""
        return self.model_dump(exclude_none=True)


def _is(fact: object, wanted: object) -> bool:
    return fact in wanted if isinstance(wanted, tuple) else fact == wanted


def _in_one_line(text: object) -> object:
    return " ".join(text.split()) if isinstance(text, str) else text


Text = Annotated[str, Field(min_length=1), BeforeValidator(_in_one_line)]


class Row(_Hyphened):
    """One row: when its conditions hold, and none above it does, this is the outcome."""

    when: Conditions
    outcome: Outcome
    because: Text
    source: Text
    refused_by: RefusedBy | None = None


class Table(_Hyphened):
    """The file ``rollout.yaml``."""

    rows: tuple[Row, ...] = Field(min_length=1)


@cache
def table() -> Table:
    """Load the table."""
    return load(Path(__file__).with_name(TABLE), Table)


def deciding_row(facts: Facts) -> Row:
    """Return the row that decides; HarnessError for a technology that the table has no rows for."""
    for row in table().rows:
        if row.when.hold(facts):
            return row
    raise HarnessError(
        f"the rollout model says nothing of technology {facts.technology!r}",
        f"add rows with technology: {facts.technology} to {TABLE}",
    )
