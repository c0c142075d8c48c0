# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A platform that another package adds: its cells are planned, named, booted and judged like any."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.boot.cell_machine import limits
from harness.boot.phases import deadlines
from harness.documents.document import YamlError
from harness.errors import HarnessError
from harness.evidence.evidence import Evidence
from harness.evidence.record import BootRecord
from harness.matrix.cell import Cell
from harness.platforms.host import Host
from harness.platforms.registry import platforms
from harness.recipes.project import find_project
from harness.run.options import Options
from harness.run.session import Session
from tests.support.packages import install
from tests.support.stand_ins import found

if TYPE_CHECKING:
    from pathlib import Path

STORED = "debian-2025.02+debian-6.1+direct+2G+plain"
SCENARIO = """\
name: other
description: which?
include:
  - {firmware: debian-2025.02, kernel: debian-6.1, memory: 2G, platform: slow}
"""
MODULE = '''\
"""Plain guests on a slow accelerator."""
from dataclasses import replace

from harness.machine.spec import ConfidentialObject


class Slow:
    name = "slow"
    technology = "none"
    tier = "emulated"
    acceptance = "none"
    deadline_factor = 3.0
    falls_back_to = None

    def lacking(self, host):
        return () if "kvm" in host.devices else ("there is no /dev/kvm",)

    def configure(self, spec, host):
        made = ConfidentialObject(type="made-up", properties=(("size", "1"),))
        return replace(spec, accel="tcg,thread=single", confidential=made)


PLATFORM = Slow()
'''


@pytest.fixture
def slow(site: Path) -> Path:
    """Install a package that adds the platform ``slow``."""
    (site / "slow_platform.py").write_text(MODULE)
    install(site, "slow-platform", "platforms", "slow = slow_platform:PLATFORM")
    return site


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "other.yaml"
    path.write_text(SCENARIO)
    return path


def start(root: Path, **options: Any) -> Session:
    return Session(Options(**options), find_project(root), lambda _line: None)


@pytest.mark.usefixtures("slow")
def test_a_cell_from_plan_to_verdict(
    stand_ins: Any, scenario: Path, tmp_path: Path, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start(tmp_path)
    (planned,) = session.plan(scenario).planned
    assert (planned.cell.id, planned.lacks) == (STORED.replace("plain", "slow"), "")
    run = session.run(planned.cell)
    assert run.expectation.outcome == "plain"
    seen: dict[str, Any] = {}

    def boot(spec: Any, folder: Path, **arguments: Any) -> BootRecord:
        seen.update(arguments, spec=spec)
        return stored_as_slow(records / STORED, folder)

    monkeypatch.setattr("harness.run.boots.boot", boot)
    session.prepare([run])
    session.schedule([run])
    assert found(run) == []
    assert (seen["platform"], seen["spec"].accel) == ("slow", "tcg,thread=single")
    assert seen["spec"].confidential.type == "made-up"
    assert seen["deadlines"] == deadlines("tcg,thread=single", 2048, 3.0)
    assert stand_ins.booted == []
    assert session.records.name in str(run.record.path)
    replayed = start(tmp_path, replay=session.records)
    (again,) = replayed.select(replayed.plan(scenario))
    assert replayed.run(again.cell).evidence.platform.name == "slow"


def stored_as_slow(stored: Path, folder: Path) -> BootRecord:
    """Leave what a plain guest's boot left, as a boot of the other platform."""
    for path in stored.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    index = json.loads((folder / "boot.json").read_text())
    (folder / "boot.json").write_text(json.dumps(index | {"platform": "slow"}))
    return BootRecord.load(folder)


@pytest.mark.usefixtures("stand_ins", "slow")
def test_what_the_host_lacks_is_told(scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.run.session.survey", lambda **_: Host())
    (planned,) = start(tmp_path).plan(scenario).planned
    assert planned.lacks == "platform slow cannot run here (there is no /dev/kvm)"
    with pytest.raises(HarnessError, match="--platform slow: this host cannot run plain guests"):
        start(tmp_path, platform="slow").plan(scenario)


@pytest.mark.usefixtures("stand_ins", "site")
def test_without_the_package_its_name_is_unknown(scenario: Path, tmp_path: Path, records: Path) -> None:
    with pytest.raises(YamlError, match=r"unknown platform 'slow'; known: plain, .*, snp"):
        start(tmp_path).plan(scenario)
    (records / STORED).rename(records / STORED.replace("plain", "slow"))
    scenario.write_text(SCENARIO.replace("slow", "plain"))
    with pytest.raises(HarnessError, match=r"\+slow: unknown platform 'slow'.*\n  install the package"):
        start(tmp_path, replay=records).plan(scenario)
    record = stored_as_slow(next(records.glob("*slow")), records)
    with pytest.raises(HarnessError, match=f"^{records}: unknown platform 'slow'"):
        _ = Evidence(record, None, None).platform  # type: ignore[arg-type]  # it needs neither


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "slow"', 'name = "slwo"', "the entry point 'slow': its name is 'slwo'"),
        ("= Slow()", "= Slow", "'slow': Slow is a class; name an object of it"),
        ("    deadline_factor = 3.0\n", "", "'slow': a Slow has no deadline_factor"),
        ('"emulated"', '"software"', "its tier is 'software', not one of hardware, emulated, none"),
        ('technology = "none"', "technology = 5", "its technology is 5, not one of snp, sev-es, sev,"),
        ("falls_back_to = None", "falls_back_to = 'x'", "'slow' falls back to 'x', which is not there"),
        ("falls_back_to = None", "falls_back_to = 'slow'", "'slow', which comes back to it"),
        ("from dataclasses", "from dataklasses", "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_is_no_platform_is_refused(site: Path, old: str, new: str, message: str) -> None:
    assert old in MODULE
    (site / "slow_platform.py").write_text(MODULE.replace(old, new))
    install(site, "slow-platform", "platforms", "slow = slow_platform:PLATFORM")
    with pytest.raises(HarnessError) as caught:
        platforms()
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", ["platforms", "checks"])
def test_a_run_refuses_it_before_its_files(site: Path, tmp_path: Path, kind: str) -> None:
    """Else each scenario, and each test of one's own, would say it again."""
    install(site, "broken", kind, "broken = no_such_module:IT")
    with pytest.raises(HarnessError, match=f"{kind}: 'broken' .* cannot be imported"):
        start(tmp_path).check_options()


def test_a_name_of_the_projects_own_is_refused(site: Path) -> None:
    (site / "slow_platform.py").write_text(MODULE.replace('name = "slow"', 'name = "snp"'))
    install(site, "slow-platform", "platforms", "snp = slow_platform:PLATFORM")
    with pytest.raises(HarnessError, match="'snp': the harness has a platform of this name"):
        platforms()


@pytest.mark.parametrize(("name", "factor"), [("snp", 4.0), ("snp-emulated", 1.0), ("plain", 1.0)])
@pytest.mark.parametrize("guest", ["initramfs", "debian-trixie"])
def test_the_projects_own_have_the_accelerators_limits(name: str, factor: float, guest: str) -> None:
    """On hardware four times as long: nobody measured them there."""
    cell = Cell("f", "k", "direct", 8192, name, guest=guest)
    for accel in ("kvm", "tcg"):
        files = {"kernel": None, "initrd": None, "drives": (), "vcpus": 1}
        spec: Any = type("Spec", (), {"accel": accel, "memory_mib": 8192, **files})
        assert limits(cell, spec) == deadlines(accel, 8192, factor, debian=cell.whole_system)
