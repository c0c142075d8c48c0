# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness``: what it prints and how it ends."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli import entry
from harness.debian.index import PackageQuery, PackageVersion
from harness.errors import ExitCode, HarnessError
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

OVMF = PackageVersion("ovmf", "2", "all", "trixie", "00", 1, "pool/ovmf.deb")


def plans(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[Any]:
    assert entry.main(["plan", "--format", "json", *arguments]) == 0
    made: list[Any] = json.loads(capsys.readouterr().out)
    return made


def test_plan_of_all_scenarios(stand_ins: Any, capsys: pytest.CaptureFixture[str]) -> None:
    files = list((PROJECT / "scenarios").rglob("*.yaml"))
    assert entry.main(["plan"]) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if re.match(r"[a-z-]+: \d+ cell", line)]
    names = [made["scenario"] for made in plans(capsys)]
    assert [head.partition(":")[0] for head in heads] == names
    assert len(set(names)) == len(files)
    plain = plans(capsys, "--platform", "plain")
    assert {cell["platform"] for made in plain for cell in made["cells"]} == {"plain"}
    assert "not on platform plain" in {gone["reason"] for made in plain for gone in made["removed"]}
    few = plans(capsys, "-k", "first-boot and 5.10 and not plain")
    assert [made["scenario"] for made in few] == ["first-boot"]
    found = {(cell["kernel"], cell["platform"]) for cell in few[0]["cells"]}
    assert found == {("debian-5.10", "snp-emulated")}
    assert stand_ins.built == []


def test_keywords_that_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["plan", "-k", "loaders and"]) == ExitCode.MISTAKE
    assert "harness: -k loaders and: expected" in capsys.readouterr().err


@pytest.mark.usefixtures("stand_ins")
def test_mistakes_are_one_message_and_one_exit_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text("nane: x\ndescription: y\n")
    assert entry.main(["plan", "x.yaml"]) == ExitCode.MISTAKE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("harness: x.yaml:1:1: ")
    assert "unknown key 'nane'; did you mean 'name'?" in err
    assert entry.main(["plan", "absent.yaml"]) == ExitCode.MISTAKE
    assert capsys.readouterr().err == "harness: absent.yaml: cannot read it: No such file or directory\n"
    assert entry.main(["plan", "--platform", "snp"]) == ExitCode.HOST
    assert "use --platform auto or snp-emulated here" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["plann"], ["plan", "--platform", "sev"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        entry.main(arguments)
    assert caught.value.code == ExitCode.MISTAKE
    assert capsys.readouterr().err.startswith("usage: harness")


@pytest.mark.usefixtures("stand_ins")
def test_host(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "c"))
    assert entry.main(["host"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "platform plain: runs here",
        "platform snp: there is no /dev/sev",
        "platform snp-emulated: runs here",
        f"cache: {tmp_path}/c",
        f"shipped recipes and scenarios: {PROJECT}",
    ]


class Fake:
    """Ingredients that are files of these names."""

    catalog = SimpleNamespace(
        firmware=("f",),
        kernels=("k",),
        loaders=("direct", "l"),
        guests={"g": SimpleNamespace(lock_file="/g.packages")},
    )
    initrd = "/i"
    apt = None
    lock_file = "/lock"

    def __init__(self, trouble: BaseException | None = None) -> None:
        self.trouble = trouble

    def firmware(self, name: str) -> object:
        return SimpleNamespace(path=f"/{name}")

    kernel = firmware

    def own_guests(self) -> tuple[object, ...]:
        return tuple(self.catalog.guests.values())

    def loader(self, name: str) -> object:
        return SimpleNamespace(binaries={"image": "/grub", "shim": "/shim"} if name == "l" else {})

    def guest_disk(self, name: str) -> str:
        return f"/{name}"

    @property
    def qemu(self) -> str:
        if self.trouble:
            raise self.trouble
        return "/q"

    def queries(self) -> tuple[PackageQuery, ...]:
        return (PackageQuery("ovmf", "trixie"),)

    def why_qemu(self) -> str:
        return "qemu qemu: never made before"


def test_build(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "Ingredients", Fake)
    assert entry.main(["build"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "firmware f: /f",
        "kernel k: /k",
        "loader l, image: /grub",
        "loader l, shim: /shim",
        "initramfs: /i",
        "guest g: /g",
        "qemu: /q",
    ]
    assert entry.main(["why"]) == 0
    assert capsys.readouterr().out == "qemu qemu: never made before\n"


@pytest.mark.parametrize(
    ("trouble", "code", "said"),
    [
        (HarnessError("no compiler", "install gcc"), 4, "harness: no compiler\n  install gcc\n"),
        (KeyboardInterrupt(), 2, "harness: interrupted\n"),
    ],
)
def test_a_build_that_ends_early(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    trouble: BaseException,
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr(entry, "Ingredients", lambda: Fake(trouble))
    assert entry.main(["build"]) == code
    assert capsys.readouterr().err == said


def test_update(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    older = PackageVersion("ovmf", "1", "all", "trixie", "00", 1, "pool/ovmf.deb")

    def update(queries: tuple[PackageQuery, ...], *_: object) -> list[object]:
        return [(queries[0], older, OVMF), (PackageQuery("qemu", "trixie"), None, OVMF)]

    monkeypatch.setattr(entry, "Ingredients", Fake)
    monkeypatch.setattr(entry, "update", update)
    monkeypatch.setattr(entry, "update_set", lambda *_: 0)
    assert entry.main(["update"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "trixie:ovmf: 1 -> ovmf 2",
        "trixie:qemu: new -> ovmf 2",
        "/lock: 2 changed",
        "/g.packages: 0 changed",
    ]
