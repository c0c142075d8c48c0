# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The table that says which check which cell is asked.

A row is a check, the kernels and the expected outcomes where it is asked, and, where that is not all, a
condition. The first row of a cell is about the boot itself. Checks of other packages (entry points of the
group ``ovmf_acceptance.checks``) say themselves of which cells they are asked, and come last.
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
    memory,
    protocol,
    reserved_pages,
)
from harness.checks.finding import Check
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

LINUX, PROBE = frozenset({False}), frozenset({True})
EITHER = LINUX | PROBE
"""By whether the EFI probe boots in the kernel's place."""


def _anywhere(_what: Expectation) -> bool:
    return True


def _no_start(what: Expectation) -> bool:
    return what.refused_by == "hypervisor"


def _starts(what: Expectation) -> bool:
    return not _no_start(what)


def _in_loader(what: Expectation) -> bool:
    return what.refused_by == "loader"


def _features(what: Expectation) -> bool:
    """Where the kernel says which parts of the guest's technology are active."""
    return platform_named(what.cell.platform).technology in boot.FEATURES


def _no_features(what: Expectation) -> bool:
    return not _features(what)


def _by_stub(what: Expectation) -> bool:
    """Where no loader wrote the kernel's e820 by its own rules, to which Linux may add its own image."""
    return not what.traits.entry.startswith("legacy")


def _stub_runs(what: Expectation) -> bool:
    return _by_stub(what) and what.refused_by in {None, "kernel"}


def _in_kernel(what: Expectation) -> bool:
    return _by_stub(what) and what.refused_by == "kernel"


def _high_ram(what: Expectation) -> bool:
    return bool(high_ram(what.cell.memory_mib))


def _several_vcpus(what: Expectation) -> bool:
    return what.cell.vcpus > 1


def _acts(what: Expectation) -> bool:
    return bool(what.cell.action)


def _samples(what: Expectation) -> bool:
    return any(action.samples for action in what.traits.actions)


def _system(what: Expectation) -> bool:
    return what.cell.whole_system


def by_action(check: str) -> Condition:
    """Return the condition that an action of the cell says ``judged by CHECK`` in its file."""
    return lambda what: any(check in action.judged_by for action in what.traits.actions)


@dataclass(frozen=True)
class Row:
    """A check, and where it is asked."""

    check: Check
    kernels: frozenset[bool]
    outcomes: Outcomes
    where: Condition = _anywhere

    def asks(self, what: Expectation) -> bool:
        return what.outcome in self.outcomes and what.traits.kernel.probe in self.kernels and self.where(what)


# fmt: off
TABLE = (
    # Does the boot go as far as it should?
    Row(boot.NEVER_STARTED,                 EITHER, REFUSES,            _no_start),
    Row(boot.HANGS,                         EITHER, HANGS),
    Row(boot.NO_USERSPACE,                  EITHER, REFUSES | HANGS,    _starts),
    Row(boot.DIES_IN_LOADER,                LINUX,  REFUSES,            _in_loader),
    Row(boot.NO_SNP_CLAIM,                  LINUX,  REFUSES,            _stub_runs),
    Row(boot.DIES_ON_UNVALIDATED,           LINUX,  REFUSES,            _in_kernel),
    Row(boot.REACHES_USERSPACE,             LINUX,  BOOTS),
    Row(protocol.PROBE_REPORTS,             PROBE,  BOOTS),
    Row(boot.NO_ALARMS,                     LINUX,  BOOTS - LOST),
    Row(boot.ALL_CPUS_ONLINE,               LINUX,  BOOTS),
    Row(boot.TECHNOLOGY_ACTIVE,             LINUX,  BOOTS,              _features),
    Row(boot.NO_SEV_LINES,                  LINUX,  PLAIN,              _no_features),
    Row(boot.NO_LEDGER,                     EITHER, PLAIN),
    # Is every byte accounted for?
    Row(memory.RAM_ACCOUNTED,               LINUX,  BOOTS),
    Row(memory.HIGH_RAM_USABLE,             LINUX,  BOOTS - LOST,       _high_ram),
    Row(memory.HIGH_RAM_LOST,               LINUX,  LOST),
    Row(memory.E820_MATCHES_FIRMWARE,       LINUX,  BOOTS - LOST,       _by_stub),
    Row(memory.KERNEL_USES_USABLE,          LINUX,  BOOTS - LOST),
    Row(exit_acceptance.MEMORY_ATTRIBUTES,  EITHER, BOOTS - LOST),
    Row(conservation.PRESENT_IS_USABLE,     LINUX,  BOOTS - LOST,       _by_stub),
    Row(conservation.TOTAL_IS_PRESENT,      LINUX,  BOOTS - LOST),
    Row(conservation.MEMINFO_IS_VMSTAT,     LINUX,  BOOTS - LOST),
    Row(handoff.MAPS_WELL_FORMED,           PROBE,  BOOTS),
    Row(handoff.MAP_ACCOUNTS_RAM,           PROBE,  BOOTS),
    Row(protocol.TOUCHED,                   PROBE,  BOOTS),
    # What is unaccepted, and who is told?
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
    Row(acceptance.EXIT_ACCEPTS_EXACTLY,    LINUX,  ACCEPTED),
    Row(acceptance.EXITS_AS_REPORTED,       PROBE,  CONFIDENTIAL),
    Row(exit_acceptance.ACCEPTS_NOTHING_AT_EXIT, EITHER, PLAIN | UNACCEPTED),
    Row(exit_acceptance.ACCEPTS_ONCE_AT_EXIT, EITHER, NOTHING | ACCEPTED),
    # Who accepted which page, and how?
    Row(acceptance.LEDGER_WHOLE,            EITHER, CONFIDENTIAL),
    Row(acceptance.HANDOFF_AUDIT,           EITHER, CONFIDENTIAL),
    Row(acceptance.VALIDATED_ONCE,          EITHER, CONFIDENTIAL),
    Row(acceptance.NO_UNVALIDATED_ACCESS,   LINUX,  CONFIDENTIAL),
    Row(handoff.FAULTS_ARE_OURS,            PROBE,  CONFIDENTIAL),
    Row(acceptance.NO_PRIVATE_MMIO,         EITHER, CONFIDENTIAL),
    Row(acceptance.NO_TERMINATION,          EITHER, CONFIDENTIAL),
    Row(conservation.UNVALIDATED_IS_UNACCEPTED, LINUX, CONFIDENTIAL),
    Row(acceptance.ACCEPTED_BEFORE_KERNEL,  LINUX,  ACCEPTED),
    Row(acceptance.FIRMWARE_LEFT_HIGH,      LINUX,  UNACCEPTED),
    Row(handoff.HIGH_VALIDATED_EXACTLY,     PROBE,  ACCEPTED),
    Row(handoff.LARGE_ENTRIES,              LINUX,  ACCEPTED),
    Row(handoff.LARGE_ENTRIES,              PROBE,  CONFIDENTIAL),
    Row(handoff.BATCHED,                    EITHER, ACCEPTED),
    # Which pages may no kernel use?
    Row(reserved_pages.CC_BLOB_KEPT,        PROBE,  CONFIDENTIAL),
    Row(reserved_pages.VMSA_RESERVED,       LINUX,  CONFIDENTIAL,       _several_vcpus),
    Row(reserved_pages.VMSA_OFF_2MIB,       LINUX,  CONFIDENTIAL,       _several_vcpus),
    # Did the guest do what it was told after it had reported?
    Row(actions.ENDS_AS_ASKED,              LINUX,  BOOTS,              _acts),
    Row(actions.ACTIONS_DONE,               LINUX,  BOOTS,              _acts),
    Row(actions.NO_LATER_ALARMS,            LINUX,  BOOTS,              _acts),
    Row(actions.UNACCEPTED_FALLS,           LINUX,  BOOTS,              _samples),
    Row(actions.CPUS_CYCLE,                 LINUX,  BOOTS,              by_action("cpus-cycle")),
    Row(debian.SSH_REACHED,                 LINUX,  BOOTS,              _system),
    Row(debian.SYSTEM_RUNS,                 LINUX,  BOOTS,              _system),
    Row(debian.STRESS_VERIFIED,             LINUX,  BOOTS,              by_action("stress-verified")),
    Row(debian.SNP_SELF,                    LINUX,  BOOTS,              by_action("snp-self")),
)
# fmt: on


def checks_of(what: Expectation) -> tuple[Check, ...]:
    """Return the checks that a cell is asked; the first one is about the boot itself.

    ``Check.not_applicable`` names those that the cell's platform cannot answer. HarnessError for a check of
    another package that cannot be asked, and for one that an action names and nobody has.
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
        return "its check does not say of which cells it is asked (asked_of)"
    return ""
