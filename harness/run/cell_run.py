# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One cell in a run: what it should do, its boot, and the evidence that the boot left."""

from __future__ import annotations

import errno
import json
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

from harness.artifacts.traits import FirmwareTraits, KernelTraits
from harness.boot.cell_machine import done_line, limits, machine_spec
from harness.boot.driver import boot
from harness.boot.ending import never_started
from harness.boot.ssh_session import with_ssh
from harness.checks.actions import action_checks
from harness.checks.debian import guest_checks
from harness.checks.model import Expected, checks_for, expected
from harness.errors import HarnessError
from harness.evidence.evidence import Evidence
from harness.evidence.record import BootRecord, EndingKind, write_json
from harness.machine.process import LaunchError
from harness.matrix.plan import NOTHING_SAID
from harness.recipes.probe import ProbeRecipe
from harness.recipes.probe_options import parse_probe_options
from harness.run.budget import Budget
from harness.run.estimate import boot_seconds
from harness.run.pool import TOUCHED, VCPUS_PER_CPU, Demand

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.artifacts.loader.traits import Entry
    from harness.checks.finding import Check
    from harness.checks.rollout import Outcome
    from harness.matrix.cell import Cell
    from harness.matrix.plan import Said
    from harness.run.pool import BootPool
    from harness.run.session import Session

TRAITS = "traits.json"
_ENDS_EARLY = {"refuses-to-boot", "hangs"}
_NO_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
_NO_PLACE |= {errno.ENOENT}  # what /proc answers to a new folder


class CellRun:
    """A cell, and what its scenario says about it; cells of the same values share one boot."""

    def __init__(self, session: Session, cell: Cell, said: Said = NOTHING_SAID) -> None:
        self.cell = cell
        self.said = said
        self._session = session
        self.failure_told = False
        """Whether an item has failed with ``root_failure`` already."""

    @cached_property
    def traits(self) -> tuple[FirmwareTraits, KernelTraits]:
        """Traits from the ingredients, or, in a replay, from the record."""
        replay = self._session.options.replay
        if replay is not None:
            return load_traits(replay / self.cell.id / TRAITS)
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
            return load_entry(replay / self.cell.id / TRAITS)
        loader = self._session.ingredients.loader(self.cell.loader).traits
        if not loader.passes_cmdline:
            raise HarnessError(
                f"{self.cell.id}: the kernel has no console with {self.cell.loader}: nothing can be judged",
                f"boot the disk of `harness image show {self.cell.loader}` by hand",
            )
        return loader.entry(self.traits[1])

    @cached_property
    def modelled(self) -> Expected:
        """What the rollout model says."""
        cell = self.cell
        return expected(*self.traits, cell.memory_mib, cell.platform, cell.cmdline, self.entry, cell.vcpus)

    @cached_property
    def expected(self) -> Expected:
        """What the rollout model says, unless the scenario knows better."""
        if (said := self.said.expect) is None:
            return self.modelled
        outcome = cast("Outcome", said.outcome)  # one of OUTCOMES, else the scenario is not valid
        return replace(self.modelled, outcome=outcome, because=said.reason, source=said.link, refused_by=None)

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """Known before anything boots; the first one is about the boot itself."""
        checks = (*checks_for(self.expected), *action_checks(self.cell.action))
        if self.expected.outcome in _ENDS_EARLY:
            return checks
        return (*checks, *guest_checks(self.cell.guest, self.cell.action))

    @property
    def demand(self) -> Demand:
        """What the boot takes of the host."""
        cell, touched = self.cell, TOUCHED
        recipe = self._session.ingredients.catalog.kernels.get(cell.kernel)
        if isinstance(recipe, ProbeRecipe):
            with suppress(ValueError):  # words that it will not understand either, and report
                options = parse_probe_options(f"{recipe.options} {cell.cmdline}")
                touched = 1 / options.step if options.touch else 0.0
        return Demand(-(-cell.vcpus // VCPUS_PER_CPU), cell.memory_mib, touched)

    @property
    def seconds(self) -> float:
        """A guess how long the boot takes."""
        eager = self.expected.outcome in {"eager", "kernel-eager"}
        return boot_seconds(self.cell, probe=self.expected.probe, eager=eager)

    def schedule(self, pool: BootPool) -> None:
        """Queue the boot; fetches and builds what it needs first, so that waiting shows."""
        boots = self._session.boots
        if self.cell not in boots:
            _ = machine_spec(self.cell, self._session.ingredients, self._session.host)
            boots[self.cell] = pool.submit(self.demand, self._boot)

    @cached_property
    def record(self) -> BootRecord:
        """The boot's record; boots, or waits for the boot, when first asked for.

        A boot that failed to start raises the same error each time: no cell boots twice.
        """
        replay = self._session.options.replay
        if replay is not None:
            return BootRecord.load(replay / self.cell.id)
        self._session.schedule([self])
        return self._session.boots[self.cell].result()

    @cached_property
    def evidence(self) -> Evidence:
        firmware, kernel = self.traits
        cell = self.cell
        return Evidence(self.record, kernel, firmware, cell.memory_mib, cell.action, cell.guest)

    @property
    def root_failure(self) -> str:
        """Why there is nothing to judge beyond the boot itself; "" when the boot went as it should."""
        try:
            outcome, reported = self.record.ending, self.record.guest is not None
        except HarnessError as error:
            return error.what.partition("\n")[0]
        if self.expected.outcome in _ENDS_EARLY or outcome.kind is EndingKind.COMPLETED:
            return ""
        if self.cell.action and reported:
            return ""  # the boot itself went well; the checks of the action say the rest
        return f"the boot ended as {outcome.kind} in phase {outcome.phase}: {outcome.detail}"

    def _boot(self) -> BootRecord:
        shared = self._session.options.budget
        with nullcontext() if shared is None else Budget(shared).hold(self.demand):
            try:
                return self._boot_now()
            except LaunchError as error:
                if self.expected.refused_by != "hypervisor":
                    raise
                return self._never_started(error)

    def _never_started(self, error: LaunchError) -> BootRecord:
        """Leave a record of a guest that QEMU refused to start, where that is what should happen."""
        cell, outcome = self.cell, never_started(error.returncode, error.output)
        record = BootRecord(
            path=self._session.records / cell.id, cell=cell.id, platform=cell.platform, ending=outcome
        )
        record.write_index()
        return record

    def _boot_now(self) -> BootRecord:
        session, cell = self._session, self.cell
        folder = session.records / cell.id
        firmware, kernel = self.traits
        spec = machine_spec(cell, session.ingredients, session.host)
        with writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
            traits = {"firmware": asdict(firmware), "kernel": asdict(kernel), "entry": self.entry}
            write_json(folder / TRAITS, traits)
            talk = None
            if cell.whole_system:
                spec, talk = with_ssh(spec, tuple(cell.action.split()), folder)
            return boot(
                spec,
                folder,
                cell_id=cell.id,
                platform=cell.platform,
                deadlines=limits(cell, spec),
                done=done_line(cell),
                survives_faults=kernel.probe,
                talk=talk,
            )


@contextmanager
def writable(folder: Path) -> Iterator[None]:
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


def load_traits(path: Path) -> tuple[FirmwareTraits, KernelTraits]:
    """Read what the ingredients of a stored boot could do; HarnessError for a damaged file."""
    try:
        data = json.loads(path.read_bytes())
        return FirmwareTraits.from_json(data["firmware"]), KernelTraits(**data["kernel"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HarnessError(f"{path}: cannot be read ({error})", "boot the cell again") from error


def load_entry(path: Path) -> Entry:
    """Read how the kernel was entered; records from before there were loaders are all of the EFI stub."""
    try:
        entry: Entry = json.loads(path.read_bytes()).get("entry", "efi-stub")
    except (OSError, ValueError, AttributeError) as error:
        raise HarnessError(f"{path}: cannot be read ({error})", "boot the cell again") from error
    return entry
