# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness boot``: which cell it boots, what it leaves, how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.boot.running_machine import NO_LIMITS
from harness.cli import entry
from harness.errors import ExitCode
from harness.formats.qcow2 import overlay_bytes
from harness.results.folder import VERDICT, StoredRun, find_run
from harness.run import boots
from harness.run.replay import OWN, TRAITS
from harness.run.single import boot as single_boot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD = "debian-2025.02+debian-6.1+direct+2G+plain"
OF_GOOD = ["--kernel", "debian-6.1", "--memory", "2G", "--platform", "plain"]


def made_boot() -> Callable[..., Any]:
    found: Callable[..., Any] = vars(boots)["boot"]
    return found


@pytest.fixture(autouse=True)
def project(stand_ins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a project of one's own."""
    assert stand_ins.booted == []
    (tmp_path / "harness.toml").write_text('name = "own"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--guest", "debian-sarge"], "unknown guest 'debian-sarge'"),
        (["--loader", "grub-2.13"], "unknown loader 'grub-2.13'"),
        (["--kernel", "debian-6.2"], "unknown kernel 'debian-6.2'"),
        (["--memory", "8"], "memory: the memory size 8 has no unit"),
        (["--vcpus", "0"], "harness: vcpus: wanted 1 or more, found '0'\n"),
        (["--vcpus", "two"], "harness: vcpus: wanted a whole number, found 'two'\n"),
        (["--action", "tuch"], "unknown action 'tuch'"),
        (["debian+x"], "no cell's id"),
        (["--initrd", "x.img"], "--initrd x.img: not file:PATH\n  write --initrd file:x.img"),
        (["--disk", "file:none.qcow2"], "--disk file:none.qcow2: no such file"),
        (["--loader", "file:none.efi"], "none.efi: no such file"),
    ],
)
def test_mistakes(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    stand_ins: Any,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setattr(type(stand_ins), "boot", None)
    assert entry.main(["boot", *arguments]) == ExitCode.MISTAKE
    assert message in capsys.readouterr().err


def test_a_used_folder_is_refused_before_anything_is_made(
    project: Path, stand_ins: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "used").mkdir()
    (project / "used/serial.log").write_text("of another boot")
    monkeypatch.setattr(single_boot, "machine_spec", None)
    assert entry.main(["boot", GOOD, "--record", "used"]) == ExitCode.MISTAKE
    assert f"{project}/used: already holds a boot" in capsys.readouterr().err
    assert stand_ins.booted == []


@pytest.mark.parametrize("arguments", [OF_GOOD, [GOOD], [GOOD.replace("2G", "8G"), "--memory", "2G"]])
def test_a_boot_is_a_run_of_its_own_kind(
    project: Path, stand_ins: Any, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert entry.main(["boot", *arguments]) == ExitCode.OK
    assert stand_ins.booted == [GOOD]
    err = capsys.readouterr().err
    assert f"booting {GOOD}\n" in err
    (path,) = (project / "out/records").iterdir()
    assert f"record: {path / GOOD}\n" in err
    run = StoredRun.load(path)
    assert (run.run.kind, len(run.boots), run.checks) == ("boot", 1, ())
    with pytest.raises(Exception, match="there is no such run of scenarios"):
        find_run("last", project / "out/records")


def test_the_models_questions(
    project: Path, capsys: pytest.CaptureFixture[str], stand_ins: Any, edit_index: Callable[..., None]
) -> None:
    assert entry.main(["boot", *OF_GOOD, "--judge", "--record", "rec"]) == ExitCode.OK
    assert "checks asked, 0 of them bad" in capsys.readouterr().err
    assert not (project / "out").exists()
    verdict = json.loads((project / "rec" / VERDICT).read_text())
    assert {line["scenario"] for line in verdict["checks"]} == {"harness boot"}

    stand_ins.in_boot = lambda: None
    whole = made_boot()

    def bad(*arguments: Any, **named: Any) -> Any:
        record = whole(*arguments, **named)
        edit_index(record.path, kind="guest-panic", phase="kernel")
        return type(record).load(record.path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boots, "boot", bad)
        assert entry.main(["boot", *OF_GOOD, "--judge"]) == ExitCode.WRONG
        assert "reaches-userspace: failed: " in capsys.readouterr().err
        assert entry.main(["boot", *OF_GOOD]) == ExitCode.WRONG


def test_json(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["boot", *OF_GOOD, "--judge", "--record", "rec", "--json"]) == ExitCode.OK
    told = capsys.readouterr()
    facts = json.loads(told.out)
    assert (facts["cell"], facts["record"], facts["code"]) == (GOOD, str(project / "rec"), 0)
    assert facts["ending"]["kind"] == "completed"
    assert facts["ending"]["says"].startswith("the guest reported and powered off, in phase ")
    assert {check["state"] for check in facts["checks"]} <= {"passed", "not-asked"}
    assert entry.main(["judge", "rec", "--json"]) == ExitCode.OK
    (judged,) = json.loads(capsys.readouterr().out)
    assert (judged["record"], judged["error"]) == (str(project / "rec"), "")
    assert [it["check"] for it in judged["checks"]] == [it["check"] for it in facts["checks"]]
    assert entry.main(["pack", "rec", "-o", "rec.tar.zst", "--json"]) == ExitCode.OK
    packed = json.loads(capsys.readouterr().out)
    assert packed["bytes"] == (project / "rec.tar.zst").stat().st_size
    assert "boot.json" in {it["name"] for it in packed["inside"]}
    assert packed["redacted"] is False
    assert packed["damaged"] == []
    assert entry.main(["pack", "rec", "-o", "no/folder.tar.zst"]) == ExitCode.MISTAKE
    assert "there is no folder" in capsys.readouterr().err
    assert entry.main(["unpack", "rec.tar.zst", "-o", "again", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == {"record": str(project / "again"), "lacks": packed["lacks"]}


def test_own_parts(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "my.img").write_bytes(b"initrd")
    (project / "my.qcow2").write_bytes(overlay_bytes("/x", 1 << 20))
    seen: list[Any] = []
    whole = made_boot()

    def note(spec: Any, *arguments: Any, **named: Any) -> Any:
        seen.append((spec, named, json.loads((arguments[0] / TRAITS).read_text())[OWN]))
        return whole(spec, *arguments, **named)

    monkeypatch.setattr(boots, "boot", note)
    own = ["--initrd", "file:my.img", "--disk", "file:my.qcow2"]
    assert entry.main(["boot", *OF_GOOD, *own, "--monitor", "--hold", "--record", "rec"]) == ExitCode.OK
    ((spec, named, stored),) = seen
    assert spec.initrd == project / "my.img"
    assert [(drive.path, drive.format) for drive in spec.drives] == [(project / "my.qcow2", "qcow2")]
    assert "socket,id=monitor,path=monitor.sock,server=on,wait=off" in spec.extra
    assert named["deadlines"] is NO_LIMITS
    assert named["attendant"].by_gdb is False
    assert stored == {"initrd": f"file:{project}/my.img", "disk": f"file:{project}/my.qcow2"}


def test_shell_says_its_new_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["shell", "debian-trixie"]) == ExitCode.MISTAKE
    assert "`harness boot --guest debian-trixie --hold` now" in capsys.readouterr().err
