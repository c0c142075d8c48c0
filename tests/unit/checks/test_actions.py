# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Actions of the guest: from the matrix to the machine, from the serial log to the checks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.artifacts.traits import Traits
from harness.boot.cell_machine import done_line, machine_spec
from harness.boot.phases import DONE, DONE_WITH_ACTIONS, Phase
from harness.boot.watch import Watch
from harness.checks import actions
from harness.checks.asked import checks_of
from harness.checks.finding import Check
from harness.documents.document import Document, YamlError
from harness.evidence.actions import ActionReport, parse_actions
from harness.evidence.evidence import Evidence
from harness.evidence.problems import EvidenceError
from harness.evidence.record import (
    ACTION_BEGIN,
    ACTION_END,
    ACTIONS_DONE,
    DOCUMENT_BEGIN,
    DOCUMENT_END,
    BootRecord,
    Ending,
    EndingKind,
)
from harness.formats.json_text import write_json
from harness.matrix.cell import Cell
from harness.matrix.choices import Known
from harness.matrix.schema import Scenario, load_scenario
from harness.platforms.host import Host
from tests.support.data import PROJECT
from tests.support.expectations import FIRMWARE, KERNEL, actions_of, catalog, expected

if TYPE_CHECKING:
    from harness.artifacts.ingredients import Ingredients

CELL = Cell("fw", "k", "direct", 4096, "snp-emulated", action="touch:16 drain")
COMPLETED = Ending(EndingKind.COMPLETED, "done", ACTIONS_DONE, "QMP event SHUTDOWN")
RESET = replace(COMPLETED, kind=EndingKind.RESET)


def end(action: str, status: int = 0, errors: str = "", **result: Any) -> str:
    report = {"action": action, "status": status, "result": result, "errors": errors}
    return f"{ACTION_BEGIN} {action}\n{ACTION_END} {json.dumps(report)}\n"


def evidence(tmp_path: Path, action: str, serial: str, outcome: Ending = COMPLETED) -> Evidence:
    (tmp_path / "serial.log").write_text(f"Linux version 6\n{serial}{ACTIONS_DONE}\n")
    write_json(tmp_path / "guest.json", {"schema": 1})
    record = BootRecord(path=tmp_path, cell="c", platform="snp-emulated", ending=outcome)
    traits = Traits(FIRMWARE, KERNEL, actions=actions_of(action))
    return Evidence(record, replace(CELL, action=action), traits)


def findings(seen: Evidence) -> list[str]:
    asked = {*checks_of(expected(FIRMWARE, KERNEL, 4096, "snp", action=seen.cell.action))}
    of_actions = [check for check in vars(actions).values() if isinstance(check, Check) and check in asked]
    return [str(finding) for check in of_actions for finding in check(seen)]


def scenario(tmp_path: Path, action: str) -> Document[Scenario]:
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: s\ndescription: Does it live?\nmatrix: {firmware: [fw], kernel: [k], memory: [8G], "
        f"platform: [snp], action: [{action!r}]}}\n"
    )
    known = frozenset({"touch", "reboot", "kexec"})
    last = frozenset({"reboot", "kexec"})
    recipes = {"firmware": frozenset({"fw"}), "kernel": frozenset({"k"})}
    return load_scenario(path, Known(recipes, action=known, last_action=last))


def test_an_action_is_part_of_the_name() -> None:
    assert CELL.id == "fw+k+direct+4G+snp-emulated+touch-16.drain"


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("tuch:1", "unknown action 'tuch'; did you mean 'touch'"),
        ("touch:1,2", "'touch:1,2' is not an action"),
        ("reboot touch:1", "reboot ends the kernel that runs: it must be the last action"),
    ],
)
def test_actions_that_cannot_be(tmp_path: Path, action: str, said: str) -> None:
    with pytest.raises(YamlError) as error:
        scenario(tmp_path, action)
    assert said in str(error.value)


def test_actions_of_a_scenario(tmp_path: Path) -> None:
    matrix = scenario(tmp_path, "touch:1  touch:2 reboot").model.matrix
    assert matrix is not None
    assert [item.values for item in matrix.choices("action")] == [("touch:1 touch:2 reboot",)]


def test_the_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_QEMU", raising=False)
    file = SimpleNamespace(
        path=Path("/f"),
        words=None,
        traits=SimpleNamespace(kernel_hashes=False),
        require=lambda _options, _what: None,
    )
    ingredients = cast(
        "Ingredients",
        SimpleNamespace(
            qemu=Path("/q"),
            catalog=catalog(),
            firmware=lambda _name: file,
            kernel=lambda _name: file,
            initrd_of=lambda guest: Path("/", guest),
            initrd_with=lambda name: Path("/initrd-with", name),
        ),
    )
    spec = machine_spec(CELL, ingredients, Host())
    assert spec.cmdline.endswith(" harness.actions=touch:16,drain")
    assert spec.initrd == Path("/initramfs")
    crash = machine_spec(replace(CELL, action="crash"), ingredients, Host())
    assert "crashkernel=512M harness.actions=crash" in crash.cmdline
    assert crash.initrd == Path("/initrd-with/k")
    assert "harness.actions" not in machine_spec(replace(CELL, action=""), ingredients, Host()).cmdline
    assert spec.confidential is not None
    assert "kernel-hashes" not in dict(spec.confidential.properties)
    file.traits.kernel_hashes = True
    measured = machine_spec(CELL, ingredients, Host()).confidential
    assert measured is not None
    assert dict(measured.properties)["kernel-hashes"] == "on"
    assert (done_line(CELL), done_line(replace(CELL, action=""))) == (DONE_WITH_ACTIONS, DONE)


def test_phases_of_a_guest_with_actions() -> None:
    watch = Watch(DONE_WITH_ACTIONS)
    watch.feed("serial", f"{DOCUMENT_BEGIN}\n{{}}\n{DOCUMENT_END}\n".encode(), 1.0)
    assert watch.seen().phase is Phase.INIT
    watch.feed(
        "serial", f"{ACTION_BEGIN} crash\nKernel panic - not syncing: sysrq triggered crash\n".encode(), 2
    )
    assert (watch.seen().phase, watch.seen().death) == (Phase.ACTIONS, None)
    watch.feed("serial", f"{ACTIONS_DONE}\n".encode(), 3.0)
    assert watch.seen().phase is Phase.DONE
    watch.feed("serial", b"---[ end Kernel panic - not syncing: sysrq triggered crash ]---\n", 4.0)
    assert watch.seen().death is not None


def test_reports_are_read_in_order() -> None:
    text = end("touch:16", unaccepted_kb=[8, 4]) + f"noise\n{ACTION_BEGIN} reboot\n"
    assert parse_actions(text) == (
        ActionReport("touch:16", 0, {"unaccepted_kb": [8, 4]}),
        ActionReport("reboot"),
    )
    assert parse_actions(text)[0].unaccepted_kb == (8, 4)


@pytest.mark.parametrize(
    "text",
    [
        f"{ACTION_BEGIN} touch\n{ACTION_END} {{half\n",
        f'{ACTION_BEGIN} touch\n{ACTION_END} {{"action":"touch","status":"0","result":{{}},"errors":""}}\n',
        end("touch").replace(f"{ACTION_BEGIN} touch\n", ""),
    ],
)
def test_damaged_reports(text: str) -> None:
    with pytest.raises(EvidenceError):
        parse_actions(text)


def test_samples_must_be_numbers() -> None:
    with pytest.raises(EvidenceError):
        _ = ActionReport("touch", 0, {"unaccepted_kb": ["4"]}).unaccepted_kb


GOOD = {
    "touch:16 drain": end("touch:16", unaccepted_kb=[8, 8, 4]) + end("drain", unaccepted_kb=[4, 0]),
    "cpu-cycle": end("cpu-cycle", before="0-1", offline="0", after="0-1"),
    "kexec": f"{ACTION_BEGIN} kexec\n" + end("kexec-done", kexec=True),
    "reboot": f"{ACTION_BEGIN} reboot\n",
}


@pytest.mark.parametrize("action", GOOD)
def test_good_runs_have_no_findings(tmp_path: Path, action: str) -> None:
    outcome = RESET if action == "reboot" else COMPLETED
    assert findings(evidence(tmp_path, action, GOOD[action], outcome)) == []


@pytest.mark.parametrize(
    ("action", "serial", "said"),
    [
        ("idle:1 drain", end("idle:1"), "asked for: idle:1, drain; begun: idle:1"),
        ("touch:16", f"{ACTION_BEGIN} touch:16\n", "touch:16 did not end"),
        ("touch:16", end("touch:16", 3, "no memory"), "touch:16 failed with status 3\n    no memory"),
        ("touch:16", end("touch:16", unaccepted_kb=[4, 8]), "Unaccepted rose from 4 to 8 kB"),
        (
            "touch:16 drain",
            end("touch:16", unaccepted_kb=[8, 4]) + end("drain", unaccepted_kb=[6, 0]),
            "drain: Unaccepted rose from 4 to 6 kB",
        ),
        ("drain", end("drain"), "drain took no sample of Unaccepted"),
        ("drain", end("drain", unaccepted_kb=[8, 4]), "still 4 kB are unaccepted"),
        ("cpu-cycle", end("cpu-cycle", before="0-1", offline="0-1", after="0-1"), "but the first: 0-1"),
        ("cpu-cycle", end("cpu-cycle", before="0-1", offline="0", after="0"), "after: 0"),
        ("kexec", f"{ACTION_BEGIN} kexec\n", "asked for: kexec, kexec-done; begun: kexec"),
        ("idle:1", end("idle:1") + "[ 9.0] watchdog: BUG: soft lockup - CPU#0 stuck\n", "soft lockup"),
    ],
)  # fmt: skip
def test_bad_runs_are_found(tmp_path: Path, action: str, serial: str, said: str) -> None:
    found = findings(evidence(tmp_path, action, serial))
    assert len(found) == 1
    assert said in found[0]


def test_the_end_must_be_the_one_asked_for(tmp_path: Path) -> None:
    (found,) = findings(evidence(tmp_path, "reboot", GOOD["reboot"], COMPLETED))
    assert found.startswith("ends-as-asked: the guest should end as reset")
    (found,) = findings(evidence(tmp_path, "kexec", GOOD["kexec"], RESET))
    assert found.startswith("ends-as-asked: the guest should end as completed")


def test_every_action_says_what_it_does() -> None:
    for path in (PROJECT / "guest-images").glob("*/actions/*"):
        lines = path.read_text().splitlines()
        assert lines[1].startswith(f"# {path.name}"), path.name
