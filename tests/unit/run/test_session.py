# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One run of scenarios, with stored boots in the place of real ones."""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError
from harness.machine.process import LaunchError
from harness.recipes.project import find_project
from harness.run.budget import Budget
from harness.run.options import Options
from harness.run.pool import Demand
from harness.run.replay import TRAITS
from harness.run.session import Session
from tests.support.stand_ins import found

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.matrix.cell import Cell

SCENARIO = """\
name: two
description: which?
include:
  - {firmware: debian-2025.02, kernel: debian-5.10, memory: 2G, platform: snp}
  - {firmware: debian-2025.02, kernel: debian-6.1, memory: 2G, platform: plain}
"""
EMULATED = "debian-2025.02+debian-5.10+direct+2G+snp-emulated"
PLAIN = "debian-2025.02+debian-6.1+direct+2G+plain"


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "two.yaml"
    path.write_text(SCENARIO)
    return path


def start(root: Path, **options: Any) -> Session:
    return Session(Options(**options), find_project(root), lambda _line: None)


def chosen(session: Session, scenario: Path) -> list[Cell]:
    return [planned.cell for planned in session.select(session.plan(scenario))]


def cells(session: Session, scenario: Path) -> dict[str, Cell]:
    return {cell.id: cell for cell in chosen(session, scenario)}


def test_a_boot_is_judged_from_its_record(stand_ins: Any, scenario: Path, tmp_path: Path) -> None:
    session = start(tmp_path)
    runs = [session.run(cell) for cell in chosen(session, scenario)]
    session.prepare(runs)
    session.schedule(runs)
    for run in runs:
        assert found(run) == []
        assert run.root_failure == ""
    assert sorted(stand_ins.booted) == [EMULATED, PLAIN]
    assert session.records.parent == tmp_path / "out/records"
    assert sorted(path.name for path in session.records.iterdir()) == [EMULATED, PLAIN]
    assert [run.expectation.outcome for run in runs] == ["refuses-to-boot", "plain"]


def test_a_replay_needs_no_ingredient_and_finds_the_same(
    stand_ins: Any, scenario: Path, tmp_path: Path, records: Path
) -> None:
    session = start(tmp_path, replay=records)
    runs = [session.run(cell) for cell in chosen(session, scenario)]
    session.prepare(runs)
    session.schedule(runs)
    assert [finding for run in runs for finding in found(run)] == []
    assert len(runs) == 2
    assert (stand_ins.booted, stand_ins.built) == ([], [])
    assert not (tmp_path / "out").exists()


def test_a_replay_has_the_cells_that_its_folder_holds(stand_ins: Any, scenario: Path, records: Path) -> None:
    (records / PLAIN).rename(records / "elsewhere")
    assert list(cells(start(records, replay=records), scenario)) == [EMULATED]
    (records / EMULATED).rename(records / EMULATED.replace("-emulated", ""))
    assert list(cells(start(records, replay=records), scenario)) == [EMULATED.replace("-emulated", "")]
    # A cell's platform is not always the last part of its name.
    (records / EMULATED.replace("-emulated", "")).rename(records / EMULATED.replace("-emulated", "+2cpu"))
    scenario.write_text(scenario.read_text().replace("platform: snp}", "platform: snp, vcpus: 2}"))
    smp = EMULATED.replace("-emulated", "+2cpu")
    assert list(cells(start(records, replay=records), scenario)) == [smp]
    assert stand_ins.built == []


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("damage", ["{", "[]", '{"firmware": {}}', None])
def test_traits_of_a_replay_that_are_damaged(scenario: Path, records: Path, damage: str | None) -> None:
    path = records / PLAIN / TRAITS
    path.unlink()
    if damage is not None:
        path.write_text(damage)
    session = start(records, replay=records)
    with pytest.raises(HarnessError, match=r"traits.json: cannot be read"):
        _ = session.run(cells(session, scenario)[PLAIN]).checks


@pytest.mark.usefixtures("stand_ins")
def test_a_platform_leaves_out_the_cells_of_others(scenario: Path, tmp_path: Path) -> None:
    plan = start(tmp_path, platform="plain").plan(scenario)
    assert [cell.id for cell in plan.cells] == [PLAIN]
    assert [(gone.cell.id, gone.reason) for gone in plan.removed] == [(EMULATED, "not on platform plain")]
    with pytest.raises(HarnessError, match="--platform snp: this host cannot"):
        start(tmp_path, platform="snp").plan(scenario)


def test_a_session_that_makes_nothing_builds_nothing_for_boots(
    stand_ins: Any, scenario: Path, tmp_path: Path
) -> None:
    session = start(tmp_path, make=False)
    session.prepare([session.run(cell) for cell in chosen(session, scenario)])
    assert set(stand_ins.looked_up) == {"debian-2025.02", "debian-5.10", "debian-6.1"}
    assert stand_ins.built == []


def test_no_cell_needs_no_qemu(stand_ins: Any, tmp_path: Path) -> None:
    start(tmp_path).prepare([])
    assert stand_ins.built == []


def test_a_boot_that_fails_fails_once(stand_ins: Any, scenario: Path, tmp_path: Path) -> None:
    stand_ins.failures[PLAIN] = HarnessError("QEMU did not start: x\n  QEMU said:\n    y", "its log")
    session = start(tmp_path)
    run = session.run(cells(session, scenario)[PLAIN])
    for _ in range(2):
        with pytest.raises(HarnessError, match="QEMU did not start"):
            _ = run.record
        assert run.root_failure == "QEMU did not start: x"
    assert stand_ins.booted == [PLAIN]


@pytest.mark.parametrize("refusal", ["the firmware carries no SEV metadata", "no such CPU"])
def test_a_guest_that_qemu_should_not_even_start(
    stand_ins: Any, scenario: Path, tmp_path: Path, refusal: str
) -> None:
    """QEMU's refusal is the outcome where the firmware is not for SNP guests, and a failure elsewhere."""
    log = tmp_path / "qemu.log"
    log.write_text(f"qemu: warning: slow\nqemu: {refusal}\n")
    session = start(tmp_path)
    run = session.run(cells(session, scenario)[EMULATED])
    stand_ins.failures[EMULATED] = LaunchError("it ended with exit code 1", ["qemu"], 1, log)
    run.traits = replace(run.traits, firmware=replace(run.traits.firmware, technologies=()))
    (check,) = run.checks
    assert run.root_failure == ""
    assert bool(check(run.evidence)) == (refusal == "no such CPU")
    replayed = start(tmp_path, replay=session.records).run(run.cell)
    assert replayed.record.ending == run.record.ending
    with pytest.raises(LaunchError):
        _ = start(tmp_path, records=tmp_path / "other").run(run.cell).record


def test_a_boot_that_nobody_scheduled_runs_when_asked_for(
    stand_ins: Any, scenario: Path, tmp_path: Path
) -> None:
    session = start(tmp_path)
    run = session.run(cells(session, scenario)[PLAIN])
    assert session.run(replace(run.cell)) is run
    assert run.record is run.record
    assert stand_ins.booted == [PLAIN]


@pytest.mark.usefixtures("stand_ins")
def test_an_outcome_that_is_not_as_expected_is_the_root_failure(
    scenario: Path, records: Path, edit_index: Callable[..., None]
) -> None:
    edit_index(records / PLAIN, kind="hang", phase="kernel", detail="no console byte for 9 s")
    session = start(records, replay=records)
    runs = {name: session.run(cell) for name, cell in cells(session, scenario).items()}
    said = "the guest hung, in phase kernel, 2.8 s after it began: no console byte for 9 s"
    assert runs[PLAIN].root_failure == said
    assert runs[EMULATED].root_failure == ""  # it did not complete either, as it should


@pytest.mark.usefixtures("stand_ins")
def test_records_that_cannot_be_written(scenario: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    session = start(tmp_path, records=tmp_path / "taken/below")
    with pytest.raises(HarnessError, match=r"cannot be written to .*taken/below: Not a directory"):
        session.schedule([session.run(cell) for cell in chosen(session, scenario)])


@pytest.mark.parametrize(("number", "told"), [(errno.ENOSPC, HarnessError), (errno.EIO, OSError)])
def test_a_disk_that_fills_up_in_the_middle_of_a_boot(
    stand_ins: Any, scenario: Path, tmp_path: Path, number: int, told: type[Exception]
) -> None:
    stand_ins.failures[PLAIN] = OSError(number, os.strerror(number))
    session = start(tmp_path)
    with pytest.raises(told, match=os.strerror(number)):
        _ = session.run(cells(session, scenario)[PLAIN]).record


def test_a_boot_holds_its_part_of_a_shared_host(stand_ins: Any, scenario: Path, tmp_path: Path) -> None:
    budget, seen = tmp_path / "budget", []
    whole = Budget.create(budget, Demand(1, 1 << 20))

    def count() -> int:
        with whole._changed() as state:
            return len(state["running"])

    stand_ins.in_boot = lambda: seen.append(count())
    session = start(tmp_path, budget=budget)
    runs = [session.run(cell) for cell in chosen(session, scenario)]
    session.schedule(runs)
    assert len([run.record for run in runs]) == 2
    assert seen == [1, 1]


@pytest.mark.parametrize(
    ("kernel", "cmdline", "share"),
    [
        ("debian-6.12", "", 1 / 2),
        ("efi-probe-stale", "", 0),
        ("efi-probe-stale", "touch=all step=1024", 1 / 1024),
        ("efi-probe-touch", "", 1),
        ("efi-probe-stale", "no-such-word", 1 / 2),
    ],
)
@pytest.mark.usefixtures("stand_ins")
def test_a_boot_wants_the_memory_that_it_touches(
    scenario: Path, tmp_path: Path, kernel: str, cmdline: str, share: float
) -> None:
    session = start(tmp_path)
    cell = replace(cells(session, scenario)[PLAIN], kernel=kernel, cmdline=cmdline, memory_mib=1 << 20)
    demand = session.run(cell).demand
    assert demand.host_mib - replace(demand, memory_mib=0).host_mib == (1 << 20) * share


@pytest.mark.parametrize(("vcpus", "cpus"), [(1, 1), (2, 1), (4, 1), (5, 2), (8, 2)])
@pytest.mark.usefixtures("stand_ins")
def test_further_vcpus_mostly_wait(scenario: Path, tmp_path: Path, vcpus: int, cpus: int) -> None:
    session = start(tmp_path)
    assert session.run(replace(cells(session, scenario)[PLAIN], vcpus=vcpus)).demand.cpus == cpus


def test_close_forgets_the_boots_that_have_not_begun(stand_ins: Any, scenario: Path, tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert go_on.wait(10)

    stand_ins.in_boot = hold
    session = start(tmp_path, boots=1)
    runs = [session.run(cell) for cell in chosen(session, scenario)]
    session.schedule(runs)
    assert begun.wait(10)
    session.close()
    go_on.set()
    assert runs[0].record.cell == EMULATED
    assert stand_ins.booted == [EMULATED]


def test_processes_of_one_run_share_a_boot(stand_ins: Any, scenario: Path, tmp_path: Path) -> None:
    """Workers of xdist: whoever asks second waits for the first one's record, or hears that there is none."""
    budget = tmp_path / "run" / "budget"
    budget.parent.mkdir()
    Budget.create(budget, Demand(4, 64 << 10))
    workers = [start(tmp_path, records=tmp_path / "records", budget=budget) for _ in range(2)]
    runs = [worker.run(cells(worker, scenario)[PLAIN]) for worker in workers]
    assert runs[0].record == runs[1].record
    assert stand_ins.booted == [PLAIN]
    stand_ins.failures[EMULATED] = HarnessError("no such CPU")
    for worker, said in zip(workers, ("no such CPU", "no boot.json, so an unfinished boot"), strict=True):
        with pytest.raises(HarnessError, match=said):
            _ = worker.run(cells(worker, scenario)[EMULATED]).record
    assert stand_ins.booted == [PLAIN, EMULATED]
