# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Firmware at the front doors: ``--firmware``, the fixture, ``harness [build] firmware``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.firmware.choice import choose_firmware
from harness.artifacts.firmware.traits import read_firmware_traits
from harness.artifacts.ingredients import Ingredients as Real
from harness.cli import entry, firmware
from harness.errors import ExitCode, HarnessError
from harness.recipes.catalog import load_catalog
from harness.recipes.firmware import ACCEPTANCE_LOG
from harness.run import session
from harness.run.replay import TRAITS as TRAITS_FILE
from harness.run.replay import load_traits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.paths import Project

TRAITS = read_firmware_traits(b"")
SCENARIO = """\
name: two
description: which?
matrix:
  firmware: [debian-2025.02, debian-2026.08]
  kernel: [debian-6.1, debian-6.12]
  memory: [2G]
  platform: [plain]
exclude:
  - {firmware: debian-2025.02, kernel: debian-6.12}
  - {kernel: debian-6.1}
include:
  - {firmware: debian-2022.11, kernel: debian-5.10, memory: 2G, platform: plain}
"""


class Ingredients(Real):
    """The project's recipes, with images that are nothing but their names."""

    def __init__(self, project: Project | None = None, progress: Callable[[str], None] = print) -> None:
        super().__init__(project, progress)
        error = HarnessError("no compiler", "install gcc")
        self.broken = dict.fromkeys(("unsafe-2022.11", "safe-2022.11-verbatim"), error)

    def firmware(self, name: str) -> Any:
        if name in self.broken:
            raise self.broken[name]
        return SimpleNamespace(name=name, path=f"/images/{name}", traits=TRAITS)

    def kernel(self, name: str) -> Any:
        kernel = load_traits(RECORDS[0] / TRAITS_FILE).kernel
        return SimpleNamespace(path=f"/{name}", traits=kernel, words=None)

    def why_firmware(self, name: str) -> str:
        return f"firmware {name}: never made before"


RECORDS: list[Path] = []


@pytest.fixture(autouse=True)
def no_builds(monkeypatch: pytest.MonkeyPatch, records: Path) -> None:
    RECORDS[:] = sorted(records.iterdir())
    monkeypatch.setattr(firmware, "Ingredients", Ingredients)
    monkeypatch.setattr(session, "Ingredients", Ingredients)


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "My OVMF.fd"
    path.write_bytes(b"image")
    return path


def test_a_developers_own_image(image: Path) -> None:
    recipe = choose_firmware("file:My OVMF.fd", load_catalog())
    assert recipe.name == "file-my-ovmf-6105d6"
    assert recipe.source.file is not None
    assert recipe.source.file.path == str(image)
    image.write_bytes(b"another")
    assert choose_firmware(f"file:{image}", load_catalog()).name != recipe.name


def test_a_developers_own_tree(tmp_path: Path) -> None:
    tree = tmp_path / "edk2"
    (tree / "BaseTools").mkdir(parents=True)
    (tree / "a.c").write_text("1")
    recipe = choose_firmware(f"tree:{tree}", load_catalog())
    assert recipe.name.startswith("tree-edk2-")
    assert dict(recipe.options.pcds) == ACCEPTANCE_LOG
    assert recipe.options.target == "DEBUG"
    (tree / "a.c").write_text("2")
    assert choose_firmware(f"tree:{tree}", load_catalog()).name != recipe.name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stock-2025", "unknown firmware 'stock-2025'\n  did you mean 'stock-2025.02'"),
        ("file:none.fd", "file:none.fd: no such file"),
        ("tree:none", "none: no such folder"),
        ("git:x", r"unknown kind of firmware 'git'\n  write NAME\|file:PATH\|tree:PATH"),
    ],
)
def test_what_is_no_firmware(text: str, said: str) -> None:
    with pytest.raises(HarnessError, match=said):
        choose_firmware(text, load_catalog())


def test_the_scenarios_rules_hold_for_what_it_names(
    pytester: pytest.Pytester, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pytester.mkdir("scenarios")
    path = folder / "two.yaml"
    path.write_text(SCENARIO)
    assert entry.main(["plan", str(path), "--firmware", f"file:{image}", "--firmware", "stock-2025.02"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "two: 4 cells, 3 left out"
    assert [line.split()[:2] for line in lines[3:7]] == [
        ["file-my-ovmf-6105d6", "debian-6.12"],
        ["file-my-ovmf-6105d6", "debian-5.10"],
        ["stock-2025.02", "debian-6.12"],
        ["stock-2025.02", "debian-5.10"],
    ]
    result = pytester.runpytest_inprocess(folder, "--collect-only", "-q", "--firmware", f"file:{image}")
    names = {line.split("::")[1] for line in result.outlines if "::" in line}
    assert names == {
        "file-my-ovmf-6105d6+debian-6.12+direct+2G+plain",
        "file-my-ovmf-6105d6+debian-5.10+direct+2G+plain",
    }
    result = pytester.runpytest_inprocess(folder, "--firmware", "file:none.fd")
    assert result.ret == ExitCode.MISTAKE
    result.stderr.fnmatch_lines(["ERROR: file:none.fd: no such file"])


FIXTURE_TESTS = """
import pytest

@pytest.mark.firmware("stock-2022.11", "stock-2025.02")
def test_marked(firmware):
    print("marked:", firmware.path)

def test_bare(firmware):
    print("bare:", firmware.path)
"""


def test_the_fixture(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FIXTURE_TESTS)
    result = pytester.runpytest_inprocess("-rA", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines_random(
        ["marked: /images/stock-2022.11", "marked: /images/stock-2025.02", "*says which firmware*"]
    )
    result = pytester.runpytest_inprocess("-rA", "--firmware", "safe-2022.11")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines_random(["marked: /images/safe-2022.11", "bare: /images/safe-2022.11"])
    # No summary: pytest repeats whole messages in it where CI is set.
    result = pytester.runpytest_inprocess("-rN", "--firmware", "unsafe-2022.11")
    result.assert_outcomes(errors=2)
    assert "Traceback" not in result.stdout.str()
    assert [line.strip() for line in result.outlines].count("install gcc") == 2
    result.stdout.fnmatch_lines(["*no compiler"])


def test_build_firmware(capsys: pytest.CaptureFixture[str], image: Path) -> None:
    assert entry.main(["build", "firmware", "stock-2025.02", f"file:{image}"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "firmware stock-2025.02: /images/stock-2025.02",
        "firmware file-my-ovmf-6105d6: /images/file-my-ovmf-6105d6",
    ]
    assert entry.main(["build", "firmware", "--all"]) == ExitCode.MISTAKE
    out, err = capsys.readouterr()
    assert out.count("\n") == len(load_catalog().firmware) - 2
    assert err == "harness: no compiler\n  install gcc\n"
    assert entry.main(["build", "firmware", "stock-2025.02", "stock-2052.02"]) == ExitCode.MISTAKE
    out, err = capsys.readouterr()
    assert not out
    assert "unknown firmware 'stock-2052.02'" in err
    for wrong in ([], ["x", "--all"]):
        assert entry.main(["build", "firmware", *wrong]) == ExitCode.MISTAKE
        assert "name firmware, or say --all" in capsys.readouterr().err


def test_list_show_why_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["firmware", "list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == list(load_catalog().firmware)
    assert any(line.split()[:2] == ["stock-2025.02", "debian-source"] for line in listed)
    assert entry.main(["firmware", "show", "safe-2022.11"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "name: safe-2022.11"
    assert "source: debian-source: package edk2, suite bookworm, version 2022.11-*" in shown[2]
    assert sum(line.startswith("patch: ") for line in shown) == 10
    assert "build: OvmfPkg/OvmfPkgX64.dsc X64 DEBUG" in shown
    assert "pcd: gEfiMdePkgTokenSpaceGuid.PcdDebugPrintErrorLevel=0x8240004F" in shown
    assert "expect: accepts_at_exit=true" in shown
    assert "image: /images/safe-2022.11" in shown
    assert any(line.startswith("accepts_at_exit: false (drivers with both") for line in shown)
    assert entry.main(["firmware", "show", "debian-2025.02"]) == 0
    assert "build:" not in capsys.readouterr().out
    assert entry.main(["firmware", "why", "safe-2022.11"]) == 0
    assert capsys.readouterr().out == "firmware safe-2022.11: never made before\n"
    assert entry.main(["firmware", "path", "safe-2022.11"]) == 0
    assert capsys.readouterr().out == "/images/safe-2022.11\n"
    assert entry.main(["firmware", "path", "unsafe-2022.11"]) == ExitCode.MISTAKE
