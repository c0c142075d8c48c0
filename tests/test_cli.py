# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness``: what it prints and how it ends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness import cli
from harness.artifacts.lock import PackageQuery, PackageVersion
from harness.errors import HarnessError

if TYPE_CHECKING:
    from pathlib import Path

OVMF = PackageVersion("ovmf", "2", "all", "trixie", "00", 1, "pool/ovmf.deb")


def test_plan_of_all_scenarios(stand_ins: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "first-boot: 16 cells, 0 left out" in lines
    assert "  debian-6.12  8G      snp-emulated" in lines
    assert cli.main(["plan", "--platform", "plain"]) == 0
    assert "first-boot: 8 cells, 8 left out" in capsys.readouterr().out
    assert stand_ins.built == []


@pytest.mark.usefixtures("stand_ins")
def test_mistakes_are_one_message_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text("nane: x\ndescription: y\n")
    assert cli.main(["plan", "x.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("harness: x.yaml:1:1: ")
    assert "unknown key 'nane'; did you mean 'name'?" in err
    assert cli.main(["plan", "absent.yaml"]) == 2
    assert capsys.readouterr().err == "harness: absent.yaml: cannot read it: No such file or directory\n"
    assert cli.main(["plan", "--platform", "snp"]) == 2
    assert "use --platform auto or snp-emulated here" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["plann"], ["plan", "--platform", "sev"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: harness")


@pytest.mark.usefixtures("stand_ins")
def test_host(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "c"))
    assert cli.main(["host"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "SEV-SNP guests: emulated (there is no /dev/sev)",
        f"cache: {tmp_path}/c",
    ]


class Fake:
    """Ingredients that are files of these names."""

    catalog = SimpleNamespace(firmware=("f",), kernels=("k",))
    initrd = "/i"
    apt = None
    lock_file = "/lock"

    def __init__(self, trouble: BaseException | None = None) -> None:
        self.trouble = trouble

    def firmware(self, name: str) -> object:
        return SimpleNamespace(path=f"/{name}")

    kernel = firmware

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
    monkeypatch.setattr(cli, "Ingredients", Fake)
    assert cli.main(["build"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "firmware f: /f",
        "kernel k: /k",
        "initramfs: /i",
        "qemu: /q",
    ]
    assert cli.main(["why"]) == 0
    assert capsys.readouterr().out == "qemu qemu: never made before\n"


@pytest.mark.parametrize(
    ("trouble", "code", "said"),
    [
        (HarnessError("no compiler", "install gcc"), 2, "harness: no compiler\n  install gcc\n"),
        (KeyboardInterrupt(), 130, "harness: interrupted\n"),
    ],
)
def test_a_build_that_ends_early(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    trouble: BaseException,
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr(cli, "Ingredients", lambda: Fake(trouble))
    assert cli.main(["build"]) == code
    assert capsys.readouterr().err == said


def test_update(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    older = PackageVersion("ovmf", "1", "all", "trixie", "00", 1, "pool/ovmf.deb")

    def update(queries: tuple[PackageQuery, ...], *_: object) -> list[object]:
        return [(queries[0], older, OVMF), (PackageQuery("qemu", "trixie"), None, OVMF)]

    monkeypatch.setattr(cli, "Ingredients", Fake)
    monkeypatch.setattr(cli, "update", update)
    assert cli.main(["update"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "trixie:ovmf: 1 -> ovmf 2",
        "trixie:qemu: new -> ovmf 2",
        "/lock: 2 changed",
    ]
