# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One run of scenarios: from their files to boots and to the evidence that checks read.

This is where the rooms meet; the front doors hold no more than their own wording.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from harness.artifacts.ingredients import Ingredients
from harness.artifacts.traits import FirmwareTraits, KernelTraits
from harness.boot.cell import done_line, machine_spec
from harness.boot.driver import boot
from harness.boot.pool import BootPool, Demand, host_capacity
from harness.checks.actions import action_checks
from harness.checks.model import Expected, checks_for, expected
from harness.checks.view import Evidence
from harness.errors import HarnessError
from harness.evidence.record import BootRecord, OutcomeKind, write_json
from harness.matrix.expand import Removed, plan, with_firmware
from harness.matrix.schema import load_scenario
from harness.platforms.host import Host, probe
from harness.platforms.kvm_probe import guest_runs
from harness.platforms.platform import resolver, wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from harness.artifacts.filelock import Progress
    from harness.artifacts.loader_traits import Entry
    from harness.checks.finding import Check
    from harness.matrix.cell import Cell
    from harness.matrix.expand import Plan

TRAITS = "traits.json"
_NO_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
_NO_PLACE |= {errno.ENOENT}  # what /proc answers to a new folder


@dataclass(frozen=True)
class Options:
    """What the user chose. ``replay`` is a folder of stored records to judge instead of booting.

    ``firmware`` takes the place of what scenarios name: recipes, ``file:PATH``, ``tree:PATH``.
    """

    platform: str = "auto"
    records: Path | None = None
    replay: Path | None = None
    boots: int | None = None
    firmware: tuple[str, ...] = ()


class Session:
    """The ingredients, the host and the boots of one run; each is looked up when first needed."""

    def __init__(self, options: Options, root: Path, progress: Progress) -> None:
        self.options = options
        self._progress = progress
        self._runs: dict[Cell, CellRun] = {}
        self._build_failure: HarnessError | None = None
        self.records = options.records.absolute() if options.records else _new_records(root)
        """The folder that receives a record per cell."""

    @cached_property
    def ingredients(self) -> Ingredients:
        return Ingredients(progress=self._progress)

    @cached_property
    def host(self) -> Host:
        return probe(guest_runs=lambda: guest_runs(self.ingredients.qemu))

    @cached_property
    def _pool(self) -> BootPool:
        capacity = host_capacity()
        return BootPool(Demand(self.options.boots or capacity.vcpus, capacity.memory_mib))

    @cached_property
    def firmware(self) -> tuple[str, ...]:
        """The names of the firmware that takes the place of what scenarios name; empty: none does."""
        return tuple(self.ingredients.choose_firmware(text) for text in self.options.firmware)

    def plan(self, path: Path) -> Plan:
        """Expand a scenario file for this host and the user's choices; HarnessError with every mistake."""
        document = load_scenario(path, self.ingredients.catalog.known())
        made, choice = plan(document, self._resolve()), self.options.platform
        if self.options.firmware:
            made = with_firmware(made, self.firmware)
        unwanted = [cell for cell in made.cells if not wanted(choice, cell.platform)]
        gone = tuple(Removed(cell, f"not on platform {choice}") for cell in unwanted)
        cells = tuple(cell for cell in made.cells if cell not in unwanted)
        return replace(made, cells=cells, removed=made.removed + gone)

    def cells(self, path: Path) -> tuple[Cell, ...]:
        """Give the cells that this run judges: all of the plan, or those that the replayed folder holds."""
        cells = self.plan(path).cells
        replay = self.options.replay
        return cells if replay is None else tuple(cell for cell in cells if (replay / cell.id).is_dir())

    def run(self, cell: Cell) -> CellRun:
        if cell not in self._runs:
            self._runs[cell] = CellRun(self, cell)
        return self._runs[cell]

    def prepare(self, runs: Iterable[CellRun], *, build: bool) -> None:
        """Fetch what the cells are judged by, and with ``build`` all that their boots need.

        Done before the first cell is shown, so that what cannot be had is told once and not by every cell.
        """
        if self.options.replay is not None:
            return
        runs = tuple(runs)
        for run in runs:
            _ = run.traits, run.entry
        if runs and build:
            self._build()

    def _build(self) -> None:
        """Build what all boots share, or fail as before: a failed build takes minutes each time."""
        if self._build_failure is not None:
            raise self._build_failure
        try:
            _ = self.ingredients.initrd, self.ingredients.qemu
        except HarnessError as error:
            self._build_failure = error
            raise

    def schedule(self, runs: Iterable[CellRun]) -> None:
        """Start the boots of ``runs`` in the background, in order, as many at once as fit."""
        if self.options.replay is not None:
            return
        for run in runs:
            with _writable(self.records):
                self.records.mkdir(parents=True, exist_ok=True)
            run.schedule(self._pool)

    def close(self) -> None:
        if "_pool" in self.__dict__:
            self._pool.cancel()

    def _resolve(self) -> Callable[[str], str]:
        replay = self.options.replay
        if replay is None:
            return resolver(self.options.platform, self.host)
        if not replay.is_dir():
            raise HarnessError(f"--replay {replay}: no such folder", "give a folder of boot records")
        on_hardware = any("snp" in path.name.split("+") for path in replay.iterdir())
        return resolver("auto", Host(sev_snp=on_hardware))


class CellRun:
    """One cell in a run: what it should do, its boot, and the evidence that the boot left."""

    def __init__(self, session: Session, cell: Cell) -> None:
        self.cell = cell
        self._session = session
        self._future: Future[BootRecord] | None = None
        self.failure_told = False
        """Whether an item has failed with ``root_failure`` already."""

    @cached_property
    def traits(self) -> tuple[FirmwareTraits, KernelTraits]:
        """Traits from the ingredients, or, in a replay, from the record."""
        replay = self._session.options.replay
        if replay is not None:
            return _load_traits(replay / self.cell.id / TRAITS)
        ingredients = self._session.ingredients
        return (
            ingredients.firmware(self.cell.firmware).traits,
            ingredients.kernel(self.cell.kernel).traits,
        )

    @cached_property
    def entry(self) -> Entry:
        """How the loader enters the kernel, from the loader's traits, or, in a replay, from the record."""
        replay = self._session.options.replay
        if replay is not None:
            return _load_entry(replay / self.cell.id / TRAITS)
        loader = self._session.ingredients.loader(self.cell.loader).traits
        if not loader.passes_cmdline:
            raise HarnessError(
                f"{self.cell.id}: the kernel has no console with {self.cell.loader}: nothing can be judged",
                f"boot the disk of `harness image show {self.cell.loader}` by hand",
            )
        return loader.entry(self.traits[1])

    @cached_property
    def expected(self) -> Expected:
        cell = self.cell
        return expected(*self.traits, cell.memory_mib, cell.platform, cell.cmdline, self.entry)

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """Known before anything boots; the first one is about the boot itself."""
        return (*checks_for(self.expected), *action_checks(self.cell.action))

    def schedule(self, pool: BootPool) -> None:
        """Queue the boot; fetches and builds what it needs first, so that waiting shows."""
        if self._future is None:
            spec = machine_spec(self.cell, self._session.ingredients, self._session.host)
            demand = Demand(spec.vcpus, spec.memory_mib)
            self._future = pool.submit(demand, self._boot)

    @cached_property
    def record(self) -> BootRecord:
        """The boot's record; boots, or waits for the boot, when first asked for.

        A boot that failed to start raises the same error each time: no cell boots twice.
        """
        replay = self._session.options.replay
        if replay is not None:
            return BootRecord.load(replay / self.cell.id)
        self._session.schedule([self])
        assert self._future is not None
        return self._future.result()

    @cached_property
    def evidence(self) -> Evidence:
        firmware, kernel = self.traits
        return Evidence(self.record, kernel, firmware, self.cell.memory_mib, self.cell.action)

    @property
    def root_failure(self) -> str:
        """Why there is nothing to judge beyond the boot itself; "" when the boot went as it should."""
        try:
            outcome, reported = self.record.outcome, self.record.guest is not None
        except HarnessError as error:
            return error.what.partition("\n")[0]
        if self.expected.outcome == "refuses-to-boot" or outcome.kind is OutcomeKind.COMPLETED:
            return ""
        if self.cell.action and reported:
            return ""  # the boot itself went well; the checks of the action say the rest
        return f"the boot ended as {outcome.kind} in phase {outcome.phase}: {outcome.detail}"

    def _boot(self) -> BootRecord:
        session, cell = self._session, self.cell
        folder = session.records / cell.id
        firmware, kernel = self.traits
        spec = machine_spec(cell, session.ingredients, session.host)
        with _writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
            traits = {"firmware": asdict(firmware), "kernel": asdict(kernel), "entry": self.entry}
            write_json(folder / TRAITS, traits)
            return boot(
                spec,
                folder,
                cell_id=cell.id,
                platform=cell.platform,
                done=done_line(cell),
                survives_faults=kernel.probe,
            )


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Turn the system's refusal to write below ``folder`` into a HarnessError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_PLACE:
            raise
        raise HarnessError(
            f"boot records cannot be written to {folder}: {error.strerror}",
            "make room there, or choose another folder with --records",
        ) from error


def _new_records(root: Path) -> Path:
    # Local time: it is a name for the person at this machine; records hold UTC.
    return root / "out/records" / datetime.now().astimezone().strftime(f"%Y%m%d-%H%M%S-{os.getpid()}")


def _load_traits(path: Path) -> tuple[FirmwareTraits, KernelTraits]:
    try:
        data = json.loads(path.read_bytes())
        return FirmwareTraits.from_json(data["firmware"]), KernelTraits(**data["kernel"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HarnessError(f"{path}: cannot be read ({error})", "boot the cell again") from error


def _load_entry(path: Path) -> Entry:
    """Read how the kernel was entered; records from before there were loaders are all of the EFI stub."""
    try:
        entry: Entry = json.loads(path.read_bytes()).get("entry", "efi-stub")
    except (OSError, ValueError, AttributeError) as error:
        raise HarnessError(f"{path}: cannot be read ({error})", "boot the cell again") from error
    return entry
