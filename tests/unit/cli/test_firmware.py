# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Firmware at the front doors: ``--firmware``, and ``harness firmware``."""

from __future__ import annotations

import json
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
    from harness.store.entries import Store

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

    def __init__(
        self,
        project: Project | None = None,
        progress: Callable[[str], None] = print,
        store: Store | None = None,
    ) -> None:
        super().__init__(project, progress, store)
        error = HarnessError("no compiler", "install gcc")
        self.broken = dict.fromkeys(("unsafe-2022.11", "safe-2022.11-verbatim"), error)

    def firmware(self, name: str) -> Any:
        if name in self.broken:
            raise self.broken[name]
        return SimpleNamespace(name=name, path=f"/images/{name}", traits=TRAITS)

    def kernel(self, name: str) -> Any:
        kernel = load_traits(RECORDS[0] / TRAITS_FILE).kernel
        return SimpleNamespace(path=f"/{name}", traits=kernel, words=None, require=lambda *_: None)

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
        ("svn:x", r"unknown kind of firmware 'svn'\n  write NAME\|file:PATH\|tree:PATH"),
        ("git:x", "git:x: no @REF\n  write git:URL@REF, such as"),
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
    assert lines[0] == "two: 4 cells, a run takes all of them, 3 left out"
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


def test_list_and_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["firmware", "list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == list(load_catalog().firmware)
    assert any(line.split()[:2] == ["stock-2025.02", "debian-source"] for line in listed)
    assert entry.main(["firmware", "show", "safe-2022.11"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "name: safe-2022.11"
    at = shown.index("source:")
    assert shown[at : at + 4] == ["source:", "  way: debian-source", "  package: edk2", "  suite: bookworm"]
    assert sum(line.startswith("  /") and line.endswith(".patch") for line in shown) == 10
    assert "  dsc: OvmfPkg/OvmfPkgX64.dsc" in shown
    assert "    gEfiMdePkgTokenSpaceGuid.PcdDebugPrintErrorLevel: 0x8240004F" in shown
    assert "image: /images/safe-2022.11" in shown
    assert any(line.startswith("  accepts_at_exit: false (drivers with both") for line in shown)
    assert entry.main(["firmware", "show", "debian-2025.02", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.keys() == {"name", "description", "source", "expect", "image", "traits"}
    assert told["traits"]["technologies"].keys() == {"value", "source"}
    assert entry.main(["firmware", "show", "unsafe-2022.11"]) == ExitCode.MISTAKE
