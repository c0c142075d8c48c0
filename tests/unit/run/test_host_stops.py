# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A boot that the host ended is tried once more, and is then the host's error."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.artifacts.traits import Traits
from harness.errors import ExitCode, HostError
from harness.evidence.record import BootRecord, Ending, EndingKind
from harness.matrix.cell import Cell
from harness.run import boots
from harness.run.cell_run import CellRun
from harness.run.pool import Demand
from tests.support.expectations import FIRMWARE, KERNEL

if TYPE_CHECKING:
    from pathlib import Path

CELL = Cell("f", "k", "direct", 2048, "plain")
KILLED = Ending(EndingKind.HOST, "kernel", "", "QEMU was killed (SIGKILL)")
WELL = Ending(EndingKind.COMPLETED, "done", "", "")


@pytest.mark.parametrize(
    ("endings", "last", "times"),
    [((KILLED, WELL), WELL, 2), ((KILLED, KILLED), KILLED, 2), ((WELL,), WELL, 1)],
)
def test_it_boots_once_more(
    endings: tuple[Ending, ...], last: Ending, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, booted = tmp_path / "record", list[boots.Job]()

    def boot(job: boots.Job) -> BootRecord:
        assert [path.name for path in folder.iterdir()] == ["traits.json"]
        booted.append(job)
        (folder / "serial.log").touch()
        return BootRecord(path=folder, cell=CELL.id, platform="plain", ending=endings[len(booted) - 1])

    monkeypatch.setattr(boots, "_boot_now", boot)
    monkeypatch.setattr(boots, "held", lambda *_, **__: nullcontext())
    nothing = cast("Any", None)
    job = boots.Job(CELL, nothing, Traits(FIRMWARE, KERNEL), folder, Demand(1, 64))
    assert boots.boot_here(job).ending == last
    assert len(booted) == times


@pytest.mark.parametrize("there", ["attendant", "talk"])
def test_what_somebody_took_part_in_boots_once(
    there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    booted = list[boots.Job]()

    def boot(job: boots.Job) -> BootRecord:
        booted.append(job)
        return BootRecord(path=job.folder, cell=CELL.id, platform="plain", ending=KILLED)

    monkeypatch.setattr(boots, "_boot_now", boot)
    monkeypatch.setattr(boots, "held", lambda *_, **__: nullcontext())
    somebody: Any = {there: object()}
    job = boots.Job(
        CELL, cast("Any", None), Traits(FIRMWARE, KERNEL), tmp_path / "record", Demand(1, 64), **somebody
    )
    assert boots.boot_here(job).ending == KILLED
    assert len(booted) == 1


def test_then_it_is_the_host_s_error() -> None:
    class Source:
        def record(self, _cell: Cell, _attempt: int) -> BootRecord:
            return cast("BootRecord", type("Record", (), {"ending": KILLED}))

    context: Any = type("Context", (), {"source": Source()})
    run: Any = object.__new__(CellRun)
    run.__dict__.update(cell=CELL, attempt=1, _context=context)
    with pytest.raises(HostError, match="the host did not let the guest run: QEMU was killed") as caught:
        _ = run.record
    assert caught.value.exit_code == ExitCode.HOST
