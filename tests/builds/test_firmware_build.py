# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Building firmware, with a tree that stands in for edk2: what is built, and what is not built again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.firmware import edk2_build
from harness.artifacts.firmware.build import build_firmware, explain_firmware
from harness.artifacts.firmware.edk2_build import build_command, toolchain
from harness.artifacts.firmware.resolve import resolve_firmware
from harness.debian.archive import AptRoot
from harness.debian.lock_file import Lock
from harness.errors import HarnessError
from harness.recipes.firmware import BuildOptions, FirmwareRecipe, FirmwareSource
from harness.store import file_tree, leftovers
from harness.store.build_tree import WorkTree
from harness.store.locks import held
from tests.support.data import DATA

if TYPE_CHECKING:
    from harness.store.entries import Artifact

FAKE = DATA / "fake-edk2"
NO_LOCK = Lock(Path("lock"), {})
PATCH = "--- a/Pkg/Two.c\n+++ b/Pkg/Two.c\n@@ -1 +1 @@\n-two\n+TWO\n"
# What a process that is to be killed in mid-build runs.
BUILDER = """
import sys
from pathlib import Path
from harness.artifacts.firmware import edk2_build
from harness.debian.archive import AptRoot
from harness.artifacts.firmware.build import build_firmware
from harness.recipes.firmware import FirmwareRecipe, FirmwareSource
from harness.debian.lock_file import Lock
root = Path(sys.argv[1])
edk2_build.TOOLS.clear()
source = FirmwareSource.model_validate({"tree": {"path": "edk2"}})
recipe = FirmwareRecipe("x", source, root, patches=(root / "hang.patch",))
build_firmware(recipe, AptRoot("http://127.0.0.1:9/debian"), Lock(root, {}))
"""


class Firmware:
    """A developer's tree and a cache; HOME is where the fake tools leave their tracks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.edk2 = shutil.copytree(FAKE, root / "edk2")
        self.said: list[str] = []
        self.patch("two.patch", PATCH)

    def patch(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def recipe(self, name: str = "x", patches: list[str] | None = None, **options: Any) -> FirmwareRecipe:
        source = FirmwareSource.model_validate({"tree": {"path": "edk2"}})
        paths = tuple(self.root / patch for patch in patches or [])
        return FirmwareRecipe(name, source, self.root, patches=paths, options=BuildOptions(**options))

    @property
    def apt(self) -> AptRoot:
        return AptRoot("http://127.0.0.1:9/debian", progress=self.said.append)

    def build(self, name: str = "x", **recipe: Any) -> Artifact:
        return build_firmware(self.recipe(name, **recipe), self.apt, NO_LOCK)

    def image(self, name: str = "x", **recipe: Any) -> str:
        return (self.build(name, **recipe).path / "OVMF.fd").read_text()

    def compiled(self) -> list[str]:
        """Return what was compiled since the last call."""
        tracks = self.root / "compiled"
        lines = tracks.read_text().split() if tracks.exists() else []
        tracks.unlink(missing_ok=True)
        return lines


@pytest.fixture
def firmware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Firmware:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(edk2_build, "TOOLS", {"make": "make"})
    return Firmware(tmp_path)


def test_what_a_build_yields(firmware: Firmware) -> None:
    before = file_tree.digest_tree(firmware.edk2)
    built = firmware.build()
    assert file_tree.digest_tree(firmware.edk2) == before
    files = {path.relative_to(built.path).as_posix() for path in built.path.rglob("*") if path.is_file()}
    assert files == {
        "OVMF.fd",
        "report.txt",
        "build.log",
        "provenance.json",
        "symbols/One.debug",
        "symbols/Two.debug",
        "maps/Pkg/One.map",
        "maps/Pkg/Two.map",
    }
    assert (built.path / "OVMF.fd").read_text() == "one\ntwo\n"
    assert "Building ... " in (built.path / "build.log").read_text()
    assert built.provenance["inputs"]["tools"]["gcc"]


def test_nothing_is_built_twice(firmware: Firmware) -> None:
    firmware.build()
    assert firmware.compiled() == ["tools", "One", "Two"]
    firmware.build()
    assert firmware.compiled() == []
    recipe = firmware.recipe()
    assert "up to date" in explain_firmware(recipe, firmware.apt, NO_LOCK)


def test_a_variant_costs_its_own_modules(firmware: Firmware) -> None:
    firmware.build()
    firmware.compiled()
    assert firmware.image("y", patches=["two.patch"]) == "one\nTWO\n"
    assert firmware.compiled() == ["tools", "Two"]
    (firmware.edk2 / "Pkg/One.c").write_text("ONE\n")
    assert firmware.image() == "ONE\ntwo\n"
    assert firmware.compiled() == ["tools", "One", "Two"]
    # What was there before is there still, whatever the work tree holds by now.
    assert (firmware.build("y", patches=["two.patch"]).path / "OVMF.fd").read_text() == "ONE\nTWO\n"
    (firmware.edk2 / "Pkg/One.c").write_text("one\n")
    assert firmware.image("y", patches=["two.patch"]) == "one\nTWO\n"
    assert firmware.compiled() == ["tools", "Two"]


def test_other_options_have_a_work_tree_of_their_own(firmware: Firmware) -> None:
    firmware.build()
    firmware.build("noopt", target="NOOPT")
    assert firmware.compiled() == ["tools", "One", "Two"] * 2
    firmware.build("y", patches=["two.patch"])
    firmware.build("z", target="NOOPT", patches=["two.patch"])
    assert firmware.compiled() == ["tools", "Two"] * 2


@pytest.mark.parametrize(
    "other",
    [
        {"patches": ["two.patch"]},
        {"target": "RELEASE"},
        {"dsc": "OvmfPkg/AmdSev/AmdSevX64.dsc"},
        {"toolchain": "GCC5"},
        {"defines": (("A", "1"),)},
        {"pcds": (("g.P", "1"),)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_why_names_what_changed(other: dict[str, Any], firmware: Firmware) -> None:
    firmware.build()
    said = explain_firmware(firmware.recipe(**other), firmware.apt, NO_LOCK)
    assert "inputs changed" in said
    assert next(iter(other)) in said.partition("\n")[2]


def test_tools_are_inputs(firmware: Firmware, monkeypatch: pytest.MonkeyPatch) -> None:
    firmware.build()
    monkeypatch.setitem(edk2_build.VERSIONS, "nasm", ("echo", "nasm 99"))
    assert "tools.nasm" in explain_firmware(firmware.recipe(), firmware.apt, NO_LOCK)
    monkeypatch.setitem(edk2_build.VERSIONS, "nasm", ("no-such-nasm",))
    assert "missing" in explain_firmware(firmware.recipe(), firmware.apt, NO_LOCK)


def test_the_command_line() -> None:
    options = BuildOptions(defines=(("A", "TRUE"),), pcds=(("gX.PcdY", "0x1"),))
    assert build_command(options, "GCC5", 3) == [
        "build",
        "--platform=OvmfPkg/OvmfPkgX64.dsc",
        "--arch=X64",
        "--buildtarget=DEBUG",
        "--tagname=GCC5",
        "-n",
        "3",
        "-D",
        "A=TRUE",
        "--pcd",
        "gX.PcdY=0x1",
        "--report-file=report.txt",
    ]


def test_the_toolchain_is_what_the_tree_has(tmp_path: Path) -> None:
    shutil.copytree(FAKE, tmp_path, dirs_exist_ok=True)
    assert toolchain(tmp_path, BuildOptions()) == "GCC"
    (tmp_path / "BaseTools/Conf/tools_def.template").write_text("*_GCC5_X64_CC_PATH = gcc\n")
    assert toolchain(tmp_path, BuildOptions()) == "GCC5"
    assert toolchain(tmp_path, BuildOptions(toolchain="CLANGDWARF")) == "CLANGDWARF"
    (tmp_path / "BaseTools/Conf/tools_def.template").unlink()
    with pytest.raises(HarnessError, match="the source is not edk2"):
        toolchain(tmp_path, BuildOptions())


def test_a_compile_error_is_its_line_alone(firmware: Firmware) -> None:
    firmware.patch("bad.patch", PATCH.replace("+TWO", "+#error"))
    with pytest.raises(HarnessError) as caught:
        firmware.build("bad", patches=["bad.patch"])
    assert caught.value.what.splitlines() == [
        "firmware bad: build failed with code 1",
        "  Pkg/Two.c:7:2: error: #error told so",
    ]
    assert caught.value.hint.endswith("logs/firmware-bad.log")
    assert firmware.image() == "one\ntwo\n"  # the next one is not harmed


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["noise", "build.py...", " : error F002: Failed to build module", "\t/w/Pkg/One.inf [X64]", ""],
            ["error F002: Failed to build module Pkg/One.inf [X64]"],
        ),
        (["/w/Pkg/A.dsc(12): error 3000: Unknown", "noise"], ["Pkg/A.dsc(12): error 3000: Unknown"]),
        (
            ["/w/A.obj: in function `f': undefined reference to `g'"] * 2,
            ["A.obj: in function `f': undefined reference to `g'"],
        ),
        (["/w/Pkg/a.nasm:3: error: no such instruction"], ["Pkg/a.nasm:3: error: no such instruction"]),
        ([str(number) for number in range(20)], [str(number) for number in range(12, 20)]),
    ],
)
def test_errors_of_other_kinds(lines: list[str], said: list[str]) -> None:
    assert edk2_build._trouble_of(Path("/w"))(lines) == said


def test_a_patch_that_does_not_apply_is_told_before_anything_is_touched(firmware: Firmware) -> None:
    firmware.build()
    firmware.patch("bad.patch", PATCH.replace("-two", "-three"))
    (work,) = (firmware.root / "cache/edk2").glob("debug-*")
    with (
        held(work.with_name(f".{work.name}.lock"), "a build in the same tree", firmware.said.append),
        pytest.raises(HarnessError, match=r"bad\.patch does not apply\n  Pkg/Two\.c: hunk 1 of 1"),
    ):
        firmware.build("bad", patches=["bad.patch"])
    firmware.compiled()
    firmware.build("y", patches=["two.patch"])
    assert firmware.compiled() == ["tools", "Two"]


def test_missing_tools_are_named_by_package(firmware: Firmware, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = {"no-nasm": "nasm", "/no/uuid.h": "uuid-dev", "make": "make"}
    monkeypatch.setattr(edk2_build, "TOOLS", tools)
    with pytest.raises(HarnessError) as caught:
        firmware.build()
    assert caught.value.what.endswith("that are not installed: nasm uuid-dev")
    assert "apt-get install nasm uuid-dev" in caught.value.hint


def test_builds_of_one_tree_take_turns(firmware: Firmware) -> None:
    names = {"a": [], "b": ["two.patch"], "c": [], "d": ["two.patch"]}
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(lambda item: firmware.image(item[0], patches=item[1]), names.items()))
    assert images == ["one\ntwo\n", "one\nTWO\n"] * 2


def test_patched_flags_have_a_work_tree_of_their_own(firmware: Firmware) -> None:
    name = "BaseTools/Conf/tools_def.template"
    conf = (firmware.edk2 / name).read_text().splitlines()[0]
    firmware.patch("flags.patch", f"--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-{conf}\n+{conf} # -g3\n")
    firmware.build("a")
    firmware.build("b", patches=["flags.patch"])
    assert firmware.compiled() == ["tools", "One", "Two"] * 2
    firmware.build("c", patches=["two.patch"])
    firmware.build("d", patches=["flags.patch", "two.patch"])
    assert firmware.compiled() == ["tools", "Two"] * 2


def test_a_killed_build_is_recovered_from(firmware: Firmware) -> None:
    firmware.build()
    firmware.compiled()
    firmware.patch("hang.patch", PATCH.replace("+TWO", "+#hang"))
    builder = subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(firmware.root)],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    give_up = time.monotonic() + 60
    while not (firmware.root / "hanging").exists():
        assert time.monotonic() < give_up
        time.sleep(0.02)
    os.killpg(builder.pid, signal.SIGKILL)
    builder.wait()
    (work,) = (firmware.root / "cache/edk2").glob("debug-*")
    assert (work / "building").exists()
    assert (work / "source/Build/Fake/DEBUG_GCC/X64/Pkg/Two/Two.obj").read_text() == "half"
    firmware.compiled()
    assert leftovers._with(WorkTree(work).mark.encode()), "a child outlives the build"
    assert firmware.image("y", patches=["two.patch"]) == "one\nTWO\n"
    assert not leftovers._with(WorkTree(work).mark.encode())
    assert firmware.compiled() == ["tools", "Two"]
    assert not (work / "building").exists()


def test_an_image_that_contradicts_its_recipe(firmware: Firmware) -> None:
    recipe = replace(firmware.recipe("odd"), expect=(("debug_output", False), ("technologies", ("snp",))))
    with pytest.raises(HarnessError) as caught:
        resolve_firmware(recipe, firmware.apt, NO_LOCK)
    assert caught.value.what == (
        "firmware odd is not what its recipe expects: technologies is none (SEV metadata sections: none)"
    )
    assert "OVMF.fd" in caught.value.hint
    good = replace(recipe, expect=(("debug_output", False),))
    assert not resolve_firmware(good, firmware.apt, NO_LOCK).traits.technologies
    assert firmware.compiled() == ["tools", "One", "Two"]


def test_an_image_of_ones_own(firmware: Firmware) -> None:
    source = FirmwareSource.model_validate({"file": {"path": "own.fd"}})
    recipe = FirmwareRecipe("own", source, firmware.root)
    with pytest.raises(HarnessError, match=r"firmware own: .*own\.fd: no such file"):
        resolve_firmware(recipe, firmware.apt, NO_LOCK)
    (firmware.root / "own.fd").write_bytes(b"image _FVH")
    assert resolve_firmware(recipe, firmware.apt, NO_LOCK).path == firmware.root / "own.fd"
