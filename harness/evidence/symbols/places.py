# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Addresses of one boot by name: module, function and source line of firmware; functions of the kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from harness.evidence.record import REGISTERS
from harness.evidence.symbols.firmware import firmware_symbols, fitting_modules, fixed_modules, symbols_of
from harness.evidence.symbols.kernel import LINKED, PVALIDATE, VMGEXIT, KernelSymbols, kernel_symbols
from harness.evidence.symbols.modules import Modules, logged, stored_images
from harness.evidence.symbols.registers import Registers, read_registers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.evidence.ledger_model import Ledger
    from harness.evidence.record import BootRecord
    from harness.evidence.symbols.debug_file import DebugFile

_VALIDATING = frozenset({"validate", "rescind", "validate-again", "rescind-again", "size-mismatch"})
"""What the ledger calls the outcomes of PVALIDATE."""
_INSTRUCTIONS = dict.fromkeys(_VALIDATING, PVALIDATE) | dict.fromkeys(("psc-private", "psc-shared"), VMGEXIT)
_FIRMWARES = {"firmware", "firmware-ebs"}
_CODE_BYTES = 16


@dataclass
class Places:
    """Names for the addresses of one boot; symbols are read when the first address asks for them."""

    record: BootRecord
    ledger: Ledger | None = None
    used: set[str] = field(default_factory=set)
    """Kinds of symbols that somebody wanted: `lacking` tells of these."""

    def name(self, address: int, who: str = "") -> str:
        """Return what is at an address, as far as it is known; "" for nothing.

        ``AmdSevDxe+0x22d0, ResolveUnacceptedMemory()+0x1 at OvmfPkg/AmdSevDxe/AmdSevDxe.c:167``. ``who`` is
        the ledger's word for whose code it is.
        """
        if address >= LINKED:
            self.used.add("kernel")
            found = self._kernel[0]
            return found.place(address) if found is not None else ""
        if who == "kernel":
            return "before the kernel's own page tables"
        module = self.modules.at(address)
        if module is None:
            return ""
        self.used.add("firmware")
        symbols = symbols_of(module, self._firmware[0])
        inside = symbols.place(address - module.base) if symbols is not None else ""
        return self.modules.name(address) + (f", {inside}" if inside else "")

    def is_firmware(self, address: int) -> bool:
        """Return whether a module of the firmware itself is at an address."""
        module = self.modules.at(address)
        return module is not None and not module.name.lower().endswith(".efi")

    def code(self, address: int) -> bytes:
        """Return the bytes of the code at an address, as symbols hold them; none where they do not."""
        if address >= LINKED:
            found = self._kernel[0]
            return found.code(address, _CODE_BYTES) if found is not None else b""
        module = self.modules.at(address)
        symbols = symbols_of(module, self._firmware[0]) if module is not None else None
        if module is None or symbols is None:
            return b""
        start, text = symbols.text
        offset = address - module.base - start
        return text[offset : offset + _CODE_BYTES] if offset >= 0 else b""

    def told(self, address: int, who: str = "") -> str:
        """Return an address with its name behind it."""
        name = self.name(address, who)
        return f"{address:#x}" + (f" ({name})" if name else "")

    def lacking(self) -> list[str]:
        """Return why addresses that somebody wanted have no full names."""
        found = []
        if "firmware" in self.used:
            found.append(("firmware", "functions", self._firmware[1]))
        if "kernel" in self.used:
            symbols, why = self._kernel
            placed = symbols is not None and symbols.offset is not None
            found.append(("kernel", "source lines" if placed else "functions", why))
        return [f"no {what} of the {kind}: {why}" for kind, what, why in found if why]

    @cached_property
    def modules(self) -> Modules:
        """The firmware's modules and what it started, and where they were."""
        log = self.record.debugcon_text + self.record.serial_text
        told = Modules.of((*fixed_modules(self.record), *logged(log), *stored_images(self.record)))
        events = self.ledger.events if self.ledger is not None else ()
        seen = {
            it.rip: _INSTRUCTIONS[it.op]
            for it in events
            if it.phase in _FIRMWARES and it.op in _INSTRUCTIONS and told.at(it.rip) is None
        }
        return Modules.of((*fitting_modules(self.record, seen), *told.all))

    @cached_property
    def _firmware(self) -> tuple[Mapping[str, DebugFile], str]:
        return firmware_symbols(self.record)

    @cached_property
    def _kernel(self) -> tuple[KernelSymbols | None, str]:
        events = self.ledger.events if self.ledger is not None else ()
        seen = {it.rip: PVALIDATE for it in events if it.op in _VALIDATING and it.rip >= LINKED}
        by_vcpu = zip(self.registers.rips, self.registers.codes, strict=False)
        return kernel_symbols(self.record, seen or {rip: code[:_CODE_BYTES] for rip, code in by_vcpu})

    @cached_property
    def registers(self) -> Registers:
        """The vCPUs in the end of a boot that went wrong."""
        return read_registers(self.record.bytes_of(REGISTERS).decode(errors="replace"))
