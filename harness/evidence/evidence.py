# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One boot's evidence as the checks see it: parsed when first asked for, and once."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.evidence.actions import ActionReport, parse_actions
from harness.evidence.e820 import E820Entry, parse_e820
from harness.evidence.efi_probe import ProbeReport, parse_probe
from harness.evidence.guest_report import GuestReport, parse_guest
from harness.evidence.host.kernel_trace import KernelTrace, read_kernel_trace
from harness.evidence.host.page_states import PageStates, read_page_states
from harness.evidence.kernel_log import sev_features
from harness.evidence.ledger import Ledger, read_ledger
from harness.evidence.linux.memory_words import kernel_cmdline, map_in_use
from harness.evidence.meminfo import Memory, memory_figures
from harness.evidence.memory_map import MemoryDescriptor, parse_config_tables, parse_memory_map
from harness.evidence.problems import EvidenceError
from harness.evidence.record import BootRecord, Ending, EndingKind, guest_document
from harness.evidence.signatures.signatures import Signatures, shipped
from harness.evidence.ssh import SSH_REPORT, SshReport, parse_ssh
from harness.evidence.symbols.places import Places
from harness.evidence.symbols.whose_code import attributed
from harness.intervals import amount
from harness.machine.memory_layout import configured_ram, high_ram
from harness.platforms.registry import platform_named
from harness.recipes.action import GuestAction

if TYPE_CHECKING:
    from harness.artifacts.traits import Traits
    from harness.intervals import IntervalSet
    from harness.matrix.cell import Cell
    from harness.platforms.platform import Platform


_CONSOLES = ("serial.log", "debugcon.log")


def handed_over(record: BootRecord) -> tuple[MemoryDescriptor, ...]:
    """Return the map that the firmware handed over, as the kernel or the EFI probe saw it, or nothing."""
    if entries := parse_memory_map(record.serial_text):
        return entries
    document = record.guest
    if document is not None and "attempts" in document:
        left = parse_probe(document).left
        return left.map.entries if left is not None else ()
    return ()


@dataclass(frozen=True, kw_only=True)
class LifeRecord(BootRecord):
    """One life of a guest that was reset: what its consoles showed between two resets.

    ``number`` counts from 0. Other files are those of the whole boot.
    """

    number: int

    @classmethod
    def of(cls, record: BootRecord) -> tuple[LifeRecord, ...]:
        """Return a record for each life of a guest that had several."""
        parts = {each.name: getattr(record, each.name) for each in fields(record)}
        reset = Ending(EndingKind.RESET, "actions", "", "the guest was reset and launched anew")
        last = len(record.lives)
        return tuple(
            cls(number=number, **parts | {"ending": record.ending if number == last else reset})
            for number in range(last + 1)
        )

    def bytes_of(self, name: str) -> bytes:
        """Return the content of a file, of a console's log that of this life."""
        content = super().bytes_of(name)
        if name not in _CONSOLES:
            return content
        console = _CONSOLES.index(name)
        bounds = (0, *(begins[console] for begins in self.lives), len(content))
        return content[bounds[self.number] : bounds[self.number + 1]]

    @cached_property
    def guest(self) -> dict[str, Any] | None:
        """The document that the guest printed in this life, None when it did not print a whole one."""
        return guest_document(self.serial_text)[0]


@dataclass(frozen=True)
class Evidence:
    """A record, the cell that was booted, the traits of its ingredients, and what lines mean.

    Every property raises EvidenceError when what it needs is missing or damaged.
    """

    record: BootRecord
    cell: Cell
    traits: Traits
    signatures: Signatures = field(default_factory=shipped, repr=False)

    @cached_property
    def lives(self) -> tuple[Evidence, ...]:
        """The evidence of each life of the guest, which begins anew at a reset; itself where it had one."""
        if not self.record.lives or isinstance(self.record, LifeRecord):
            return (self,)
        return tuple(replace(self, record=life) for life in LifeRecord.of(self.record))

    @cached_property
    def ram(self) -> IntervalSet:
        """The guest physical addresses, in bytes, that the cell's memory size makes RAM."""
        return configured_ram(self.cell.memory_mib)

    @cached_property
    def high_ram(self) -> IntervalSet:
        """The part of ``ram`` that lies at 4 GiB and above."""
        return high_ram(self.cell.memory_mib)

    @property
    def platform(self) -> Platform:
        """What the boot ran on; HarnessError for a platform that this installation does not know."""
        return platform_named(self.record.platform, str(self.record.path))

    @cached_property
    def features(self) -> frozenset[str] | None:
        """The memory encryption features that the kernel says are active, None when it says nothing."""
        return sev_features(self.record.serial_text)

    @cached_property
    def probe(self) -> ProbeReport:
        """What the EFI probe reported, in a cell that boots it in a kernel's place."""
        document = self.record.guest
        if document is None:
            raise EvidenceError("the EFI probe reported nothing whole", self.end)
        return parse_probe(document)

    @cached_property
    def memory_map(self) -> tuple[MemoryDescriptor, ...]:
        """The map that the firmware handed over."""
        if self.traits.kernel.probe:
            if self.probe.left is None:
                raise EvidenceError(
                    "the EFI probe never left boot services", "see its calls of ExitBootServices"
                )
            return self.probe.left.map.entries
        entries = parse_memory_map(self.record.serial_text)
        if not entries:
            raise EvidenceError(
                "the kernel printed no EFI memory map", "boot it with efi=debug on its command line"
            )
        return entries

    @cached_property
    def config_tables(self) -> dict[str, int]:
        """The EFI configuration tables that the kernel found: address by name; EvidenceError if none."""
        tables = parse_config_tables(self.record.serial_text)
        if not tables:
            raise EvidenceError(
                "the kernel printed no EFI configuration tables", "the boot did not get that far"
            )
        return tables

    @cached_property
    def e820(self) -> tuple[E820Entry, ...]:
        """The e820 map as the kernel printed it, in its order; EvidenceError if it printed none."""
        entries = parse_e820(self.record.serial_text)
        if not entries:
            raise EvidenceError("the kernel printed no e820 map", "the boot did not get that far")
        return entries

    @cached_property
    def map_in_use(self) -> tuple[E820Entry, ...]:
        """The e820 map after what the kernel's command line takes away; EvidenceError if that is unknown."""
        return map_in_use(self.e820, kernel_cmdline(self.record.serial_text))

    @cached_property
    def guest(self) -> GuestReport:
        """The report of the guest's reporter; EvidenceError if the boot ended before it."""
        document = self.record.guest
        if document is None:
            raise EvidenceError("the guest reported nothing", self.end)
        return parse_guest(document)

    @cached_property
    def actions(self) -> tuple[ActionReport, ...]:
        """What each guest action said, in order."""
        return parse_actions(self.record.whole_text)

    def action(self, name: str) -> GuestAction:
        """Return what the file of an action says; nothing of one that the cell did not ask for."""
        return next((each for each in self.traits.actions if each.name == name), GuestAction(name))

    @cached_property
    def ssh(self) -> SshReport:
        """What a Debian guest said over SSH."""
        return parse_ssh(self.record.bytes_of(SSH_REPORT))

    @property
    def good_end(self) -> EndingKind:
        """How this boot ends when all goes well."""
        resets = any(action.ends_by_reset for action in self.traits.actions)
        return EndingKind.RESET if resets else EndingKind.COMPLETED

    @cached_property
    def memory(self) -> Memory:
        """The figures of the guest's /proc/meminfo; EvidenceError without a report."""
        return memory_figures(self.guest.meminfo_kb)

    @cached_property
    def ledger(self) -> Ledger:
        """The acceptance ledger, with the code that called ExitBootServices under its own name.

        EvidenceError if there is none, or if it reached its limit.
        """
        cut = self.ledger_as_written.cut
        if cut is not None:
            raise EvidenceError(
                f"the ledger reached its limit of {amount(cut.limit)}: it has no events from then on",
                "the finding of ledger-whole says who filled it",
            )
        by_stub = not self.traits.kernel.probe and self.traits.entry in {"efi-stub", "handover"}
        return attributed(
            self.ledger_as_written, handed_over(self.record), "efi-stub" if by_stub else "loader"
        )

    @cached_property
    def page_states(self) -> PageStates:
        """The page state changes that QEMU traced in this life; EvidenceError without a trace known here."""
        whole = read_page_states(self.record)
        if not isinstance(self.record, LifeRecord):
            return whole
        if len(whole.lives) != len(self.record.lives) + 1:
            seen = f"the trace has {len(whole.lives)} launches, the boot saw {len(self.record.lives) + 1}"
            raise EvidenceError(seen, "the trace is damaged; boot the cell again")
        return whole.lives[self.record.number]

    @cached_property
    def kernel_trace(self) -> KernelTrace:
        """What the host's kernel traced of this boot; EvidenceError, with the reason, where it did not."""
        return read_kernel_trace(self.record)

    @cached_property
    def ledger_as_written(self) -> Ledger:
        """The part of ``whole_ledger`` that is of this life."""
        whole = self.whole_ledger
        if not isinstance(self.record, LifeRecord) or whole.cut is not None:
            return whole
        if len(whole.resets) != len(self.record.lives):
            seen = f"the ledger has {len(whole.resets)} resets, the boot saw {len(self.record.lives)}"
            raise EvidenceError(seen, "the ledger is damaged; boot the cell again")
        return whole.lives[self.record.number]

    @cached_property
    def whole_ledger(self) -> Ledger:
        """The ledger as the emulation wrote it, also one at its limit; EvidenceError if there is none."""
        path = self.record.ledger_path
        if path is None:
            raise EvidenceError("the record has no acceptance ledger", "QEMU wrote none, or died at once")
        return read_ledger(path)

    @cached_property
    def places(self) -> Places:
        """What has which address in this boot, as far as the evidence says it."""
        try:
            ledger = self.ledger
        except EvidenceError:
            ledger = None
        return Places(self.record, ledger)

    @property
    def end(self) -> str:
        """How the boot ended, in one line."""
        outcome = self.record.ending
        return f"the boot ended as {outcome.kind} in phase {outcome.phase}, last line: {outcome.last_line}"
