# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Boots as a source of records: what each cell needs is made, and several guests share the host."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

from harness.artifacts.traits import Traits
from harness.boot.cell_machine import done_line, limits, machine_spec
from harness.boot.driver import boot
from harness.boot.ending import never_started
from harness.boot.hold import Holder
from harness.boot.running_machine import NO_LIMITS
from harness.boot.same_boot import difference
from harness.errors import HarnessError, HostError
from harness.evidence.record import BootRecord, EndingKind
from harness.evidence.signatures.signatures import shipped
from harness.formats.json_text import write_json
from harness.machine.process import LaunchError
from harness.platforms.registry import platform_named
from harness.progress import say
from harness.results.carried import take_over
from harness.run.budget import GUEST, Budget
from harness.run.estimate import demand_of
from harness.run.host.leases import held
from harness.run.pool import BootPool, Demand, host_capacity, refuse_unevictable
from harness.run.replay import OWN, TRAITS
from harness.run.source import NotJudgedError, attempt_name, concerns_one_cell
from harness.store.packing import packed_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients
    from harness.boot.talk import Attendant, Talk
    from harness.evidence.signatures.signatures import Signatures
    from harness.machine.spec import MachineSpec
    from harness.matrix.cell import Cell
    from harness.platforms.host import Host
    from harness.progress import Progress

_NO_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
_NO_PLACE |= {errno.ENOENT}  # what /proc answers to a new folder


@dataclass(frozen=True)
class Earlier:
    """A run whose records stand for boots that would be the same; in its own folder it goes on."""

    folder: Path
    id: str


class Boots:
    """Each attempt of a cell boots once, into a folder of ``records``; all may take ``capacity`` together.

    ``budget``: the file by which several processes share the host, None for one process. ``signatures`` say
    what console lines mean, None: those that come with the harness. ``earlier``: the run of which records are
    taken over. ``holds``: what tells of a boot that went wrong and whose machine stays, None: all end.
    ``wait``: whether boots wait for a part of the host that others have.
    """

    def __init__(
        self,
        ingredients: Ingredients,
        host: Host,
        records: Path,
        capacity: Demand,
        budget: Path | None = None,
        signatures: Signatures | None = None,
        earlier: Earlier | None = None,
        holds: Progress | None = None,
        *,
        wait: bool = True,
    ) -> None:
        self._ingredients = ingredients
        self._host = host
        self._records = records
        self._capacity = capacity
        self._budget = budget
        self._signatures = signatures
        self._earlier = earlier
        self._wait = wait
        self._holds = holds
        self._specs: dict[Cell, MachineSpec] = {}
        self._boots: dict[str, Future[BootRecord]] = {}
        self._failure: HarnessError | None = None

    @cached_property
    def _pool(self) -> BootPool:
        return BootPool(self._capacity)

    def folder(self, cell: Cell, attempt: int = 1) -> Path:
        """Return the folder of the record of a cell's attempt."""
        return self._records / attempt_name(cell, attempt)

    def holds(self, cell: Cell) -> bool:
        """Return true, for every cell has a record: it only has to boot."""
        del cell
        return True

    def traits(self, cell: Cell) -> Traits:
        """Return the traits of what the cell boots; HarnessError for a loader without a console."""
        ingredients = self._ingredients
        firmware, kernel = ingredients.firmware(cell.firmware).traits, ingredients.kernel(cell.kernel).traits
        loader = ingredients.loader(cell.loader).traits
        has_ledger = platform_named(cell.platform).acceptance == "exact"
        if not loader.passes_cmdline and (kernel.probe or not has_ledger):
            raise NotJudgedError(
                f"{cell.id}: the kernel has no console with {cell.loader}: nothing can be judged",
                "a Linux in an emulated confidential guest has a ledger, which can be judged alone",
            )
        actions, faults = ingredients.catalog.actions_of(cell), ingredients.catalog.faults_of(cell)
        host = ingredients.catalog.private_mmio_of(cell)
        return Traits(firmware, kernel, loader.entry(kernel), actions, faults, loader.passes_cmdline, host)

    def spec(self, cell: Cell) -> MachineSpec:
        """Return the machine that boots the cell; what it needs is fetched and built."""
        if cell not in self._specs:
            self._specs[cell] = machine_spec(cell, self._ingredients, self._host)
        return self._specs[cell]

    def prepare(self) -> None:
        """Build what all boots share, or fail as before: a failed build takes minutes each time."""
        if self._failure is not None:
            raise self._failure
        try:
            _ = self._ingredients.initrd, self._ingredients.qemu
        except HarnessError as error:
            self._failure = error
            raise

    def start(self, boots: Iterable[tuple[Cell, int]]) -> None:
        """Queue the boots of cells and attempts, in this order.

        A cell with an error that concerns no other is left out: who asks for its record hears of it.
        """
        for cell, attempt in boots:
            try:
                _ = self.boot(cell, name=attempt_name(cell, attempt))
            except HarnessError as error:
                if not concerns_one_cell(error):
                    raise

    def boot(
        self, cell: Cell, spec: MachineSpec | None = None, name: str = "", talk: Talk | None = None
    ) -> Future[BootRecord]:
        """Queue the boot of a cell and return its future record; a boot of the same name happens once.

        ``spec``: the machine to boot in place of the cell's own; ``talk``: what runs beside the boot. Either
        wants a ``name`` (of the record's folder) other than the cell's. Fetches and builds what is needed
        before it returns, so that waiting shows.
        """
        if (spec is not None or talk is not None) and name in {"", cell.id}:
            raise ValueError(f"a special boot of {cell.id} needs a name of its own")
        name = name or cell.id
        if name not in self._boots:
            with writable(self._records):
                self._records.mkdir(parents=True, exist_ok=True)
            job = Job(
                cell,
                spec or self.spec(cell),
                self.traits(cell),
                self._records / name,
                demand_of(cell, self._ingredients.catalog),
                talk,
                attendant=self._holder(cell),
                signatures=self._signatures,
                earlier=self._earlier,
                wait=self._wait,
            )
            self._boots[name] = self._pool.submit(job.demand, partial(_boot, job, self._budget))
        return self._boots[name]

    def _holder(self, cell: Cell) -> Holder | None:
        """Return who keeps the machine of a boot of the cell that went wrong; None for nobody."""
        if self._holds is None:
            return None
        resets = any(action.ends_by_reset for action in self.traits(cell).actions)
        return Holder(EndingKind.RESET if resets else EndingKind.COMPLETED, self._holds)

    def record(self, cell: Cell, attempt: int = 1) -> BootRecord:
        """Return the record of a cell's attempt when its boot has ended."""
        return self.boot(cell, name=attempt_name(cell, attempt)).result()

    @contextmanager
    def place(self, cell: Cell) -> Iterator[None]:
        """Hold what a boot of the cell takes of the host, for a guest that a test works with; wait for it."""
        demand = demand_of(cell, self._ingredients.catalog)
        with self._pool.hold(demand):
            if self._budget is None:
                yield
            else:
                with Budget(self._budget).hold(demand, GUEST):
                    yield

    def close(self) -> None:
        """Forget the boots that have not begun."""
        if "_pool" in self.__dict__:
            self._pool.cancel()


@dataclass(frozen=True)
class Job:
    """One boot: the machine of a cell, and the folder of its record.

    ``own``: what of the machine the cell does not say, by option. ``attendant``: who is there, None for
    nobody; ``unlimited``: no phase has a deadline; ``invites``: what tells a person how to log in to a
    Debian, which then is left to that person; ``signatures`` say what lines mean (None: the shipped ones).
    """

    cell: Cell
    spec: MachineSpec
    traits: Traits
    folder: Path
    demand: Demand
    talk: Talk | None = None
    own: Mapping[str, str] = field(default_factory=dict)
    attendant: Attendant | None = None
    unlimited: bool = False
    invites: Callable[[str], None] | None = None
    signatures: Signatures | None = None
    earlier: Earlier | None = None
    wait: bool = True


def _boot(job: Job, budget: Path | None) -> BootRecord:
    """Boot when the host has room; a guest that QEMU does not start leaves a record that says so."""
    if budget is None:
        return boot_here(job)
    with _claimed(budget.parent / "boots" / job.folder.name) as first:
        if not first:
            return BootRecord.load(job.folder)  # another process of this run has booted it
        with Budget(budget).hold(job.demand):
            return boot_here(job)


@contextmanager
def _claimed(lock: Path) -> Iterator[bool]:
    """Hold a lock of the run, waiting for it; give whether nobody has held it before."""
    lock.parent.mkdir(exist_ok=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        first = not os.fstat(file.fileno()).st_size
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield first


def boot_here(job: Job) -> BootRecord:
    """Boot now, on this thread, and return the record.

    It is that of an earlier run where that has booted the same. LaunchError when QEMU does not start; there
    is a record then, too.
    """
    cell, folder = job.cell, job.folder
    refuse_unevictable(job.demand, host_capacity())
    with writable(folder):
        if job.earlier is not None and (record := _taken_over(job, job.earlier)) is not None:
            return record
        folder.mkdir(parents=True, exist_ok=True)
        own = {OWN: dict(job.own)} if job.own else {}
        traits = {"cell": asdict(cell), **own, **job.traits.to_json()}
        write_json(folder / TRAITS, traits)
        try:
            with held(job.demand, cell.id, wait=job.wait):
                record = _boot_now(job)
                if record.ending.kind is not EndingKind.HOST or job.attendant or job.talk:
                    return record  # who was there, or has talked, cannot begin anew
                # It says nothing of the guest: once more, and what the host does again is its answer.
                say(f"{cell.id} boots once more: {record.ending.detail}")
                shutil.rmtree(folder)
                folder.mkdir()
                write_json(folder / TRAITS, traits)
                return _boot_now(job)
        except LaunchError as error:
            ending = never_started(error.returncode, error.output)
            BootRecord(path=folder, cell=cell.id, platform=cell.platform, ending=ending).write_index()
            raise explained(error, job.signatures or shipped()) from None


def explained(error: LaunchError, signatures: Signatures) -> LaunchError:
    """Return a launch that failed with what mends it, where a signature knows one of QEMU's lines."""
    known = (match.signature.says.try_ for match in signatures.matches(error.output, "qemu"))
    mend = next((each for each in known if each), "")
    return error.mended(mend) if mend else error


def _taken_over(job: Job, earlier: Earlier) -> BootRecord | None:
    """Return the earlier run's record of the boot, in the job's folder; None where it boots anew.

    What stands in the folder then, of a boot that was cut short or had other inputs, goes.
    """
    source = earlier.folder / job.folder.name
    try:
        same = job.talk is None and not difference(BootRecord.load(source), job.spec)
    except HarnessError:
        same = False  # cut short or damaged; or a file is not there, which the boot will say
    if same:
        if source != job.folder:
            take_over(source, job.folder, earlier.id)
        return BootRecord.load(job.folder)
    if source == job.folder:
        shutil.rmtree(source, ignore_errors=True)
        packed_file(source).unlink(missing_ok=True)
    return None


def _boot_now(job: Job) -> BootRecord:
    cell, spec, talk = job.cell, job.spec, job.talk
    if cell.whole_system and talk is None:
        from harness.boot.ssh_session import Invitation, with_ssh  # noqa: PLC0415  # paramiko is slow to load

        last = any(action.last for action in job.traits.actions)
        spec, session = with_ssh(spec, tuple(cell.action.split()), job.folder, last=last)
        talk = session if job.invites is None else Invitation(session, job.invites)
    return boot(
        spec,
        job.folder,
        cell_id=cell.id,
        platform=cell.platform,
        deadlines=NO_LIMITS if job.unlimited else limits(cell, spec),
        done=done_line(cell),
        survives_faults=job.traits.kernel.probe or bool(job.traits.faults),
        resets=any(action.ends_by_reset for action in job.traits.actions),
        talk=talk,
        attendant=job.attendant,
        signatures=job.signatures,
    )


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turn the system's refusal to write below ``folder`` into a HarnessError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_PLACE:
            raise
        raise HostError(
            f"boot records cannot be written to {folder}: {error.strerror}",
            "make room there, or choose another folder with --records",
        ) from error
