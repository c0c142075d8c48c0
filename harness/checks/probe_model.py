# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which questions a cell of the EFI probe is asked, by what the cell should do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks import acceptance, boot, exit_acceptance, handoff, memory, protocol, reserved_pages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.checks.finding import Check

_ALWAYS = (
    protocol.PROBE_REPORTS,
    protocol.ALLOW_SUCCEEDS,
    protocol.EBS_GRANTED,
    protocol.KEY_FOLLOWS_MAP,
    protocol.EXIT_EVENT_ONCE,
    protocol.TOUCHED,
    handoff.MAPS_WELL_FORMED,
    handoff.MAP_ACCOUNTS_RAM,
    handoff.UNACCEPTED_AT_START,
    exit_acceptance.MEMORY_ATTRIBUTES,
    handoff.REFUSAL_ONLY_ACCEPTS,
)
_SNP = (
    *_ALWAYS,
    protocol.PROTOCOL_OFFERED,
    protocol.MAP_STAYS,
    protocol.ACCEPTED_BY_PROTOCOL,
    acceptance.LEDGER_WHOLE,
    acceptance.EXITS_AS_REPORTED,
    acceptance.VALIDATED_ONCE,
    acceptance.NO_TERMINATION,
    acceptance.HANDOFF_AUDIT,
    handoff.LARGE_ENTRIES,
    handoff.FAULTS_ARE_OURS,
    reserved_pages.CC_BLOB_KEPT,
)
PROBE_CHECKS: Mapping[str, tuple[Check, ...]] = {
    "plain": (
        *_ALWAYS,
        protocol.PROTOCOL_ABSENT,
        protocol.MAP_STAYS,
        protocol.EBS_GRANTED_AT_ONCE,
        exit_acceptance.ACCEPTS_NOTHING_AT_EXIT,
        memory.NO_UNACCEPTED_ENTRIES,
        boot.NO_LEDGER,
    ),
    "nothing-to-accept": (
        *_SNP,
        protocol.EBS_REFUSED_AT_MOST_ONCE,
        exit_acceptance.ACCEPTS_ONCE_AT_EXIT,
        memory.NO_UNACCEPTED_ENTRIES,
    ),
    "eager": (
        *_SNP,
        protocol.EBS_REFUSED_ONCE,
        exit_acceptance.ACCEPTS_ONCE_AT_EXIT,
        memory.NO_UNACCEPTED_ENTRIES,
        handoff.HIGH_VALIDATED_EXACTLY,
        handoff.BATCHED,
    ),
    "lazy": (
        *_SNP,
        protocol.EBS_GRANTED_AT_ONCE,
        exit_acceptance.ACCEPTS_NOTHING_AT_EXIT,
        memory.UNACCEPTED_ENTRIES_HIGH,
    ),
    "refuses-to-boot": (boot.NO_USERSPACE,),
}
"""By outcome of the rollout model; the first check is about the boot itself."""
