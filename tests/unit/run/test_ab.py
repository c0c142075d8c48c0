# SPDX-License-Identifier: BSD-2-Clause-Patent
"""``harness ab`` boots both sides in turn, judges each boot, and says what differs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli.entry import main
from harness.errors import ExitCode, HostError
from harness.results.folder import StoredRun
from harness.run import boots
from tests.support.pytest_runs import PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.evidence.record import BootRecord

OLD = "debian-2025.02+debian-5.10+direct+2G+plain"
SCENARIO = """\
name: s
description: Is it so?
matrix: {firmware: [debian-2025.02], kernel: [debian-6.1], memory: [2G], platform: [plain]}
"""
SIDES = ("--kernel", "debian-5.10", "--kernel", "debian-6.1", "--boots", "1")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "harness.toml").write_text('name = "ab"\n')
    (tmp_path / "s.yaml").write_text(SCENARIO)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_host_that_lacks_something_for_each_cell(
    project: Path, stand_ins: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the host's fault, as in a run, and no mistake of the user's."""
    (project / "s.yaml").write_text(f"{SCENARIO}requires: [{{cpus: 99999}}]\n")
    assert main(["ab", "s.yaml", *SIDES]) == ExitCode.HOST
    said = "this run judged nothing: the host lacks something for each of its 2 cells (needs 99999 processors"
    assert said in capsys.readouterr().err
    assert stand_ins.booted == []


@pytest.fixture
def booted(
    project: Path, stand_ins: Any, edit_index: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Let both kernels boot as the newer one did, and the older one hang; give the order of the boots."""
    assert project.is_dir()
    names: list[str] = []

    def boot(spec: Any, folder: Path, *, cell_id: str, **words: Any) -> BootRecord:
        names.append(cell_id)
        made: BootRecord = stand_ins.boot(spec, folder, cell_id=PLAIN, **words)
        if cell_id == OLD:
            edit_index(folder, kind="hang", detail="no console byte for 40 s")
        return type(made).load(folder)

    monkeypatch.setattr(boots, "boot", boot)
    return names


@pytest.mark.parametrize("what", ["s.yaml", PLAIN])
def test_sides_boot_in_turn(
    project: Path, booted: list[str], capsys: pytest.CaptureFixture[str], what: str
) -> None:
    assert main(["ab", what, *SIDES, "--times", "2", "--json"]) == 0
    assert booted == [OLD, PLAIN, OLD, PLAIN]
    page = json.loads(capsys.readouterr().out)
    assert (page["axis"], page["a"], page["b"], page["worse"]) == (
        "kernel",
        "debian-5.10",
        "debian-6.1",
        False,
    )
    assert page["pairs"] == [{"a": OLD, "b": PLAIN}]
    failed = {it["name"]: it for it in page["checks"]}
    assert failed["reaches-userspace"]["verdict"] == "better"
    assert (failed["reaches-userspace"]["a"]["times"], failed["reaches-userspace"]["a"]["of"]) == (2, 2)
    (folder,) = (project / "out" / "records").glob("*/")
    run = StoredRun.load(folder)
    assert (run.run.kind, len(run.boots), run.end and run.end.code) == ("ab", 4, 1)


def test_b_is_worse(booted: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    turned = ["--kernel", "debian-6.1", "--kernel", "debian-5.10"]
    assert main(["ab", "s.yaml", *turned, "--times", "1"]) == 1
    assert sorted(booted) == [OLD, PLAIN]
    assert "reaches-userspace: B is worse" in capsys.readouterr().out


def test_the_host_fails(booted: list[str], stand_ins: Any, capsys: pytest.CaptureFixture[str]) -> None:
    stand_ins.failures[PLAIN] = HostError("QEMU did not start: no memory", "close something")
    assert main(["ab", "s.yaml", *SIDES, "--times", "1"]) == 6
    assert len(booted) == 2
    assert "has 0 of 1 boots" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["s.yaml"], "wanted one axis given twice, found none"),
        (["s.yaml", "--kernel", "debian-6.1"], "found --kernel 1 times"),
        (["s.yaml", "--kernel", "a", "--kernel", "b", "--kernel", "c"], "found --kernel 3 times"),
        (
            ["s.yaml", *SIDES[:4], "--memory", "2G", "--memory", "4G"],
            "found --kernel 2 times, --memory 2 times",
        ),
        (["s.yaml", "--kernel", "debian-6.1", "--kernel", "debian-6.1"], "both sides are debian-6.1"),
        (["t.yaml", *SIDES], "t.yaml: no such file"),
        (["s.yaml", "--kernel", "debian-6.1", "--kernel", "debian-6.111"], "debian-6.111"),
    ],
)
def test_mistakes(
    project: Path, stand_ins: Any, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert project.is_dir()
    assert main(["ab", *arguments]) == 4
    told = capsys.readouterr().err
    assert says in told
    assert "Traceback" not in told
    assert not stand_ins.booted
