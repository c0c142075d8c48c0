# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The table that says which checks ask about which cell.

A row is a check, the kernels and the expected outcomes that it asks about, and, where that is not all, a
condition. The first row of a cell is about the boot itself. Checks of other packages (entry points of the
group ``ovmf_acceptance.checks``) say themselves about which cells they ask, and come last.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from harness.checks import (
    acceptance,
    actions,
    boot,
    conservation,
    debian,
    exit_acceptance,
    handoff,
    host_faults,
    memory,
    protocol,
    reserved_pages,
)
from harness.checks.finding import Check
from harness.checks.host import page_states
from harness.checks.rollout import OUTCOMES
from harness.documents.document import near
from harness.errors import HarnessError
from harness.extensions import extensions
from harness.machine.memory_layout import high_ram
from harness.platforms.registry import platform_named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.checks.model import Expectation
    from harness.checks.rollout import Outcome

    Condition = Callable[[Expectation], bool]

Outcomes = frozenset["Outcome"]

PLAIN: Outcomes = frozenset({"plain"})
NOTHING: Outcomes = frozenset({"nothing-to-accept"})
LOST: Outcomes = frozenset({"memory-lost"})
ACCEPTED: Outcomes = frozenset({"eager", "memory-lost"})
"""The firmware accepts all memory."""
LAZY: Outcomes = frozenset({"lazy"})
UNACCEPTED: Outcomes = frozenset({"lazy", "kernel-eager"})
"""The kernel gets unaccepted memory."""
CONFIDENTIAL: Outcomes = NOTHING | ACCEPTED | UNACCEPTED
BOOTS: Outcomes = PLAIN | CONFIDENTIAL
REFUSES: Outcomes = frozenset({"refuses-to-boot"})
HANGS: Outcomes = frozenset({"hangs"})
LOUD: Outcomes = frozenset({"ends-loudly"})

LINUX, PROBE = frozenset({False}), frozenset({True})
EITHER = LINUX | PROBE
"""By whether the EFI probe boots in the kernel's place."""


@dataclass(frozen=True)
class Where:
    """A condition, and the words that go on after "where"."""

    words: str
    holds: Condition


ANYWHERE = Where("", lambda _what: True)
NO_START = Where("the hypervisor refuses to start the guest", lambda what: what.refused_by == "hypervisor")
HOST_ENDS = Where("the host ends the guest while its firmware runs", lambda what: what.refused_by == "host")
STARTS = Where("the guest ends by itself", lambda what: what.refused_by not in {"hypervisor", "host"})
IN_LOADER = Where("the loader refuses", lambda what: what.refused_by == "loader")
FEATURES = Where(
    "the kernel says which parts of the guest's technology are active",
    lambda what: platform_named(what.cell.platform).technology in boot.FEATURES,
)
NO_FEATURES = Where("the guest has no technology", lambda what: not FEATURES.holds(what))
BY_STUB = Where(
    "the kernel's EFI stub writes e820, and no loader by its own rules, to which Linux may add its own image",
    lambda what: not what.traits.entry.startswith("legacy"),
)
STUB_RUNS = Where(
    "the kernel's EFI stub runs before the end",
    lambda what: BY_STUB.holds(what) and what.refused_by in {None, "kernel"},
)
IN_KERNEL = Where(
    "the kernel itself refuses, after its EFI stub",
    lambda what: BY_STUB.holds(what) and what.refused_by == "kernel",
)
HIGH_RAM = Where("the guest has RAM above 4 GiB", lambda what: bool(high_ram(what.cell.memory_mib)))
SEVERAL_VCPUS = Where("the guest has several vCPUs", lambda what: what.cell.vcpus > 1)
ACTS = Where("the cell has an action", lambda what: bool(what.cell.action))
SAMPLES = Where(
    "an action reports its unaccepted memory", lambda what: any(it.samples for it in what.traits.actions)
)
FAULTS = Where("the emulated host does something wrong", lambda what: bool(what.traits.faults))
FAIR = Where("the emulated host does nothing wrong", lambda what: not what.traits.faults)
SILENT = Where("the kernel has no console", lambda what: not what.traits.console)
SYSTEM = Where("the guest is a Debian", lambda what: what.cell.whole_system)


def by_action(check: str) -> Condition:
    """Return the condition that an action of the cell says ``judged by CHECK`` in its file."""

    def judged(what: Expectation) -> bool:
        return any(check in action.judged_by for action in what.traits.actions)

    judged.__doc__ = f"an action says `judged by {check}` in its file"
    return judged


def judged_by(check: str) -> Where:
    """Return where an action of the cell says ``judged by CHECK`` in its file."""
    condition = by_action(check)
    return Where(str(condition.__doc__), condition)


WITHOUT_CONSOLE = (
    *(boot.NEVER_STARTED, boot.HANGS, boot.NO_USERSPACE, boot.DIES_ON_UNVALIDATED, boot.KERNEL_RAN),
    boot.ENDS_ON_PRIVATE_MMIO,
    *(acceptance.EXIT_GRANTED_AT_ONCE, acceptance.EXIT_RETRIED_ONCE, acceptance.EXIT_ACCEPTS_EXACTLY),
    *(exit_acceptance.ACCEPTS_NOTHING_AT_EXIT, exit_acceptance.ACCEPTS_ONCE_AT_EXIT),
    *(acceptance.LEDGER_WHOLE, acceptance.VALIDATED_ONCE, acceptance.NO_UNVALIDATED_ACCESS),
    *(acceptance.NO_PRIVATE_MMIO, acceptance.NO_TERMINATION, acceptance.ACCEPTED_BEFORE_KERNEL),
    *(acceptance.FIRMWARE_LEFT_HIGH, handoff.LARGE_ENTRIES, handoff.BATCHED),
)
"""What the ledger and the firmware's log alone can answer."""


@dataclass(frozen=True)
class Row:
    """A check, and the cells that it asks about."""

    check: Check
    kernels: frozenset[bool]
    outcomes: Outcomes
    where: Where = ANYWHERE

    def asks(self, what: Expectation) -> bool:
        """Return whether the check asks about a cell of which one expects ``what``."""
        there = what.outcome in self.outcomes and what.traits.kernel.probe in self.kernels
        answers = what.traits.console or self.check in WITHOUT_CONSOLE
        return there and answers and self.where.holds(what)

    def __str__(self) -> str:
        """Return in words which cells the check asks about, such as ``Linux expected to end as lazy``."""
        kernels = {LINUX: "Linux", PROBE: "the EFI probe", EITHER: "Linux or the EFI probe"}[self.kernels]
        outcomes = " or ".join(sorted(self.outcomes, key=OUTCOMES.index))
        where = f", where {self.where.words}" if self.where.words else ""
        return f"{kernels}, expected to be {outcomes}{where}"


# fmt: off
TABLE = (
    # Does the boot go as far as it should?
    Row(boot.NEVER_STARTED,                 EITHER, REFUSES,            NO_START),
    Row(boot.ENDS_ON_PRIVATE_MMIO,          EITHER, REFUSES,            HOST_ENDS),
    Row(boot.HANGS,                         EITHER, HANGS),
    Row(host_faults.ENDS_LOUDLY,            EITHER, LOUD),
    Row(boot.NO_USERSPACE,                  EITHER, REFUSES | HANGS,    STARTS),
    Row(boot.DIES_IN_LOADER,                LINUX,  REFUSES,            IN_LOADER),
    Row(boot.NO_SNP_CLAIM,                  LINUX,  REFUSES,            STUB_RUNS),
    Row(boot.DIES_ON_UNVALIDATED,           LINUX,  REFUSES,            IN_KERNEL),
    Row(boot.KERNEL_RAN,                    LINUX,  CONFIDENTIAL,       SILENT),
    Row(boot.REACHES_USERSPACE,             LINUX,  BOOTS),
    Row(protocol.PROBE_REPORTS,             PROBE,  BOOTS),
    Row(boot.NO_ALARMS,                     LINUX,  BOOTS - LOST),
    Row(boot.ALL_CPUS_ONLINE,               LINUX,  BOOTS),
    Row(boot.TECHNOLOGY_ACTIVE,             LINUX,  BOOTS,              FEATURES),
    Row(boot.NO_SEV_LINES,                  LINUX,  PLAIN,              NO_FEATURES),
    Row(boot.NO_LEDGER,                     EITHER, PLAIN),
    # Is every byte accounted for?
    Row(memory.RAM_ACCOUNTED,               LINUX,  BOOTS),
    Row(memory.HIGH_RAM_USABLE,             LINUX,  BOOTS - LOST,       HIGH_RAM),
    Row(memory.HIGH_RAM_LOST,               LINUX,  LOST),
    Row(memory.E820_MATCHES_FIRMWARE,       LINUX,  BOOTS - LOST,       BY_STUB),
    Row(memory.KERNEL_USES_USABLE,          LINUX,  BOOTS - LOST),
    Row(exit_acceptance.MEMORY_ATTRIBUTES,  EITHER, BOOTS - LOST),
    Row(conservation.PRESENT_IS_USABLE,     LINUX,  BOOTS - LOST,       BY_STUB),
    Row(conservation.TOTAL_IS_PRESENT,      LINUX,  BOOTS - LOST),
    Row(conservation.MEMINFO_IS_VMSTAT,     LINUX,  BOOTS - LOST),
    Row(handoff.MAPS_WELL_FORMED,           PROBE,  BOOTS),
    Row(handoff.MAP_ACCOUNTS_RAM,           PROBE,  BOOTS),
    Row(protocol.TOUCHED,                   PROBE,  BOOTS),
    # What is unaccepted, and who learns of it?
    Row(memory.NO_UNACCEPTED_ENTRIES,       EITHER, BOOTS - UNACCEPTED),
    Row(memory.NO_UNACCEPTED_TABLE,         LINUX,  BOOTS - UNACCEPTED),
    Row(memory.NOTHING_UNACCEPTED,          LINUX,  BOOTS - LAZY),
    Row(memory.SOMETHING_UNACCEPTED,        LINUX,  LAZY),
    Row(memory.UNACCEPTED_ENTRIES_HIGH,     EITHER, UNACCEPTED),
    Row(memory.UNACCEPTED_TABLE,            LINUX,  UNACCEPTED),
    Row(handoff.UNACCEPTED_AT_START,        PROBE,  BOOTS),
    # Does the firmware offer the protocol, and keep to it?
    Row(protocol.PROTOCOL_OFFERED,          PROBE,  CONFIDENTIAL),
    Row(protocol.PROTOCOL_ABSENT,           PROBE,  PLAIN),
    Row(protocol.ALLOW_SUCCEEDS,            PROBE,  BOOTS),
    Row(protocol.MAP_STAYS,                 PROBE,  BOOTS),
    Row(protocol.ACCEPTED_BY_PROTOCOL,      PROBE,  CONFIDENTIAL),
    # How does ExitBootServices go?
    Row(protocol.EBS_GRANTED,               PROBE,  BOOTS),
    Row(protocol.EBS_GRANTED_AT_ONCE,       PROBE,  PLAIN | UNACCEPTED),
    Row(protocol.EBS_REFUSED_AT_MOST_ONCE,  PROBE,  NOTHING),
    Row(protocol.EBS_REFUSED_ONCE,          PROBE,  ACCEPTED),
    Row(protocol.KEY_FOLLOWS_MAP,           PROBE,  BOOTS),
    Row(protocol.EXIT_EVENT_ONCE,           PROBE,  BOOTS),
    Row(handoff.REFUSAL_ONLY_ACCEPTS,       PROBE,  BOOTS),
    Row(acceptance.EXIT_GRANTED_AT_ONCE,    LINUX,  UNACCEPTED),
    Row(acceptance.EXIT_RETRIED_ONCE,       LINUX,  NOTHING | ACCEPTED),
    Row(acceptance.EXIT_ACCEPTS_EXACTLY,    EITHER, ACCEPTED),
    Row(handoff.EXITS_AS_REPORTED,          PROBE,  CONFIDENTIAL),
    Row(exit_acceptance.ACCEPTS_NOTHING_AT_EXIT, EITHER, PLAIN | UNACCEPTED),
    Row(exit_acceptance.ACCEPTS_ONCE_AT_EXIT, EITHER, NOTHING | ACCEPTED),
    # Who accepted which page, and how?
    Row(acceptance.LEDGER_WHOLE,            EITHER, CONFIDENTIAL | LOUD),
    Row(page_states.TRACE_IS_LEDGER,        EITHER, CONFIDENTIAL),
    Row(acceptance.HANDOFF_AUDIT,           EITHER, CONFIDENTIAL),
    Row(acceptance.VALIDATED_ONCE,          EITHER, CONFIDENTIAL),
    Row(acceptance.NO_UNVALIDATED_ACCESS,   LINUX,  CONFIDENTIAL),
    Row(exit_acceptance.GUEST_ACCEPTS_EXACTLY, PROBE, CONFIDENTIAL),
    Row(handoff.FAULTS_ARE_OURS,            PROBE,  CONFIDENTIAL),
    Row(acceptance.NO_PRIVATE_MMIO,         EITHER, CONFIDENTIAL),
    Row(acceptance.NO_TERMINATION,          EITHER, CONFIDENTIAL),
    Row(conservation.UNVALIDATED_IS_UNACCEPTED, LINUX, CONFIDENTIAL),
    Row(acceptance.ACCEPTED_BEFORE_KERNEL,  LINUX,  ACCEPTED),
    Row(acceptance.FIRMWARE_LEFT_HIGH,      LINUX,  UNACCEPTED),
    Row(handoff.HIGH_VALIDATED_EXACTLY,     PROBE,  ACCEPTED),
    Row(handoff.LARGE_ENTRIES,              LINUX,  ACCEPTED,           FAIR),
    Row(handoff.LARGE_ENTRIES,              PROBE,  CONFIDENTIAL,       FAIR),
    Row(handoff.BATCHED,                    EITHER, ACCEPTED,           FAIR),
    # What becomes of a guest whose host fails?
    Row(host_faults.FAULTS_CAME,            EITHER, CONFIDENTIAL | LOUD, FAULTS),
    Row(host_faults.TAKEN_MEMORY_GIVEN_UP,  EITHER, CONFIDENTIAL | LOUD, FAULTS),
    # Which pages may no kernel use?
    Row(reserved_pages.CC_BLOB_KEPT,        PROBE,  CONFIDENTIAL),
    Row(reserved_pages.CC_BLOB_TRUE,        PROBE,  CONFIDENTIAL),
    Row(reserved_pages.VMSA_RESERVED,       LINUX,  CONFIDENTIAL,       SEVERAL_VCPUS),
    Row(reserved_pages.VMSA_OFF_2MIB,       LINUX,  CONFIDENTIAL,       SEVERAL_VCPUS),
    # Did the guest do its action after it had reported?
    Row(actions.ENDS_AS_ASKED,              LINUX,  BOOTS,              ACTS),
    Row(actions.ACTIONS_DONE,               LINUX,  BOOTS,              ACTS),
    Row(actions.NO_LATER_ALARMS,            LINUX,  BOOTS,              ACTS),
    Row(actions.UNACCEPTED_FALLS,           LINUX,  BOOTS,              SAMPLES),
    Row(actions.CPUS_CYCLE,                 LINUX,  BOOTS,              judged_by("cpus-cycle")),
    Row(debian.SSH_REACHED,                 LINUX,  BOOTS,              SYSTEM),
    Row(debian.SYSTEM_RUNS,                 LINUX,  BOOTS,              SYSTEM),
    Row(debian.STRESS_VERIFIED,             LINUX,  BOOTS,              judged_by("stress-verified")),
    Row(debian.SNP_SELF,                    LINUX,  BOOTS,              judged_by("snp-self")),
)
# fmt: on


def checks_of(what: Expectation) -> tuple[Check, ...]:
    """Return the checks that ask about a cell; the first one is about the boot itself.

    ``Check.not_applicable`` names those that the cell's platform cannot answer. HarnessError for a check of
    another package that cannot answer, and for one that an action names and nobody has.
    """
    for action in what.traits.actions:
        for name in action.judged_by:
            if name not in checks():
                raise HarnessError(f"{action.where}: unknown check {name!r}", near(name, sorted(checks())))
    shipped = (row.check for row in TABLE if row.asks(what))
    own = (check for check in own_checks().values() if check.asked_of is not None and check.asked_of(what))
    return (*shipped, *own)


@cache
def checks() -> Mapping[str, Check]:
    """Return every check by name, in the order of the table; HarnessError for a name that two checks have."""
    shipped = {row.check.name: row.check for row in TABLE}
    if taken := shipped.keys() & own_checks().keys():
        raise HarnessError(
            f"checks: the entry point {min(taken)!r}: the harness has a check of this name",
            "rename the entry point and its check",
        )
    return {**shipped, **own_checks()}


def asked_where(check: Check) -> tuple[str, ...]:
    """Return in words which cells a check asks about, one text for each row of the table.

    A check of another package says it in the docstring of its ``asked_of``.
    """
    if check.asked_of is None:
        return tuple(str(row) for row in TABLE if row.check.name == check.name)
    said = (check.asked_of.__doc__ or "").strip().partition("\n")[0]
    return (said or "the package that adds it decides",)


def check_named(name: str) -> Check:
    """Return a check; HarnessError with names that look like an unknown one."""
    try:
        return checks()[name]
    except KeyError:
        raise HarnessError(f"unknown check {name!r}", near(name, sorted(checks()))) from None


@cache
def own_checks() -> Mapping[str, Check]:
    """Return the checks of other packages; HarnessError for an entry point that gives no check to ask."""
    found = extensions("checks")
    for name, given in found.items():
        reason = _trouble(name, given)
        if reason:
            raise HarnessError(f"checks: the entry point {name!r}: {reason}", "mend the package that adds it")
    return found


def _trouble(name: str, given: object) -> str:
    if not isinstance(given, Check):
        return f"{given!r} is no Check"
    if given.name != name:
        return f"its check is called {given.name!r}"
    if given.asked_of is None:
        return "its check does not say which cells it asks about (asked_of)"
    return ""
