# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How QEMU is built, with a source of three files and tools that are shell scripts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.artifacts import qemu
from harness.artifacts.qemu import BINARY, KIND, build_qemu, qemu_inputs
from harness.debian.lock_file import Lock
from harness.debian.source import source, unpack
from harness.errors import HarnessError
from harness.recipes.qemu import load_qemu
from tests.support.data import PROJECT
from tests.support.toy_qemu import NINJA, PATCH, RECIPE, Toy

if TYPE_CHECKING:
    from harness.artifacts.ingredients import Ingredients

TINY = RECIPE.replace("small", "tiny")
# What a process that is to be killed in mid-build runs.
BUILDER = """
import sys
from pathlib import Path
from harness.debian.archive import AptRoot
from harness.debian.lock_file import Lock
from harness.artifacts.qemu import build_qemu
from harness.paths import Project
from harness.recipes.qemu import load_qemu
project = Path(sys.argv[1])
there = Project((project,))
build_qemu(load_qemu(there), AptRoot("http://127.0.0.1:9/debian"), Lock.load(project / "lock"), there)
"""


@pytest.mark.parametrize(("code", "native"), [(0, True), (1, False)])
def test_native_reaches_configure_or_is_left_out_aloud(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, code: int, native: bool
) -> None:
    monkeypatch.setenv("HARNESS_NATIVE", "1")
    toy.tool("gcc", f"#!/bin/sh\necho '  -march=  znver4'\nexit {code}\n")
    toy.build()
    log = (toy.root / "cache/logs/qemu-build.log").read_text()
    assert ("-march=native" in log) is native
    assert (
        any(line.startswith("HARNESS_NATIVE: gcc knows no -march=native") for line in toy.said) is not native
    )


def test_source_files_patches_and_data_come_together(toy: Toy) -> None:
    path = toy.build().path
    assert (path / BINARY).read_text() == "one\nTWO\nthree\nown\n"
    assert sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()) == [
        "provenance.json",
        "qemu-bundle/usr/local/share/qemu/rom.bin",
        BINARY,
    ]
    log = (toy.root / "cache/logs/qemu-build.log").read_text()
    assert "configured with --small" in log
    assert "patching file main.c" in log
    assert toy.said == [
        "unpacking toy 1:1.0-1",
        "QEMU: 0001-shout.patch",
        "QEMU: configure",
        "QEMU: compile",
    ]
    assert toy.build().path == path
    assert len(toy.said) == 4


def test_without_our_patches_and_files_but_with_our_choice_of_devices(toy: Toy) -> None:
    toy.write("qemu-builds/files/configs/devices.mak", "devices\n")
    toy.build()
    toy.tool("ninja", "#!/bin/sh\ncat main.c ../source/configs/devices.mak >$3\n! test -e ../source/own.c\n")
    plain = build_qemu(load_qemu(toy.whole), toy.apt, toy.lock, toy.whole, patched=False)
    assert (plain.path / BINARY).read_text() == "one\ntwo\nthree\ndevices\n"
    assert "QEMU: 0001-shout.patch" not in toy.said[4:]
    assert toy.explain()[0].startswith("qemu toy: up to date")
    toy.write("qemu-builds/files/own.c", "changed\n")
    assert build_qemu(load_qemu(toy.whole), toy.apt, toy.lock, toy.whole, patched=False) == plain


def test_a_patch_that_does_not_apply(toy: Toy) -> None:
    toy.write("qemu-builds/patches/0002-late.patch", PATCH.replace("main.c", "own.c"))
    with pytest.raises(HarnessError) as caught:
        toy.build()
    first, *rest = caught.value.what.splitlines()
    assert first == "QEMU: 0002-late.patch failed with code 1"
    assert any("own.c" in line for line in rest)
    assert caught.value.hint == f"whole log: {toy.root}/cache/logs/qemu-build.log"
    toy.write("qemu-builds/patches/0002-late.patch", PATCH.replace("main.c", "absent.c"))
    with pytest.raises(HarnessError, match=r"0002-late.patch failed(.|\n)*absent\.c"):
        toy.build()
    assert [path.name for path in (toy.store.root / KIND).iterdir() if path.is_dir()] == []


def test_a_compile_error_shows_its_lines_and_the_log(toy: Toy) -> None:
    error = "../source/own.c:1:1: error: unknown type name 'own'"
    toy.tool(
        "ninja", f'#!/bin/sh\necho "[1/2] cc"; echo "FAILED: own.o"; echo "{error}"; echo stop; exit 1\n'
    )
    with pytest.raises(HarnessError) as caught:
        toy.build()
    assert caught.value.what.splitlines() == [
        "QEMU: compile failed with code 1",
        "  FAILED: own.o",
        f"  {error}",
    ]
    log = caught.value.hint.removeprefix("whole log: ")
    assert "stop" in Path(log).read_text()
    toy.tool("ninja", NINJA)
    assert toy.build().path.is_dir()


def test_missing_tools_are_named_by_their_packages_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HarnessError) as caught:
        qemu._check_tools()
    for package in ("gcc", "ninja-build", "pkg-config", "patch"):
        assert f" {package}" in caught.value.what
        assert f" {package}" in caught.value.hint
    tool = tmp_path / "pkg-config"
    tool.write_text("#!/bin/sh\n[ $2 != pixman-1 ]\n")
    tool.chmod(0o755)
    with pytest.raises(HarnessError, match="libpixman-1-dev") as caught:
        qemu._check_tools()
    assert "libglib2.0-dev" not in caught.value.what
    assert "pkg-config" not in caught.value.what


def test_a_build_that_was_killed_is_made_anew(toy: Toy) -> None:
    toy.tool("ninja", "#!/bin/sh\necho '[1/2] cc'; echo half >$3; echo $$ >../../pid; exec sleep 60\n")
    with subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(toy.project)], stderr=subprocess.PIPE
    ) as builder:
        end = time.monotonic() + 30
        while not (pids := list((toy.store.root / KIND).glob(".tmp-*/pid"))) or not pids[0].read_text():
            assert time.monotonic() < end, "no build began"
            assert builder.poll() is None
            time.sleep(0.02)
        ninja = int(pids[0].read_text())
        builder.send_signal(signal.SIGKILL)
    with suppress(ProcessLookupError):  # it may have heard already that nobody listens
        os.kill(ninja, signal.SIGKILL)
    assert list((toy.store.root / KIND).glob(".tmp-*"))
    toy.tool("ninja", NINJA)
    artifact = toy.build()
    assert (artifact.path / BINARY).read_text().startswith("one")
    assert not list((toy.store.root / KIND).glob(".tmp-*"))


Edit = Callable[[Toy], None]


@pytest.mark.parametrize(
    ("named", "edit"),
    [
        ("files.own.c: '", lambda toy: toy.write("qemu-builds/files/own.c", "changed\n")),
        ("files.sub/new.c: '", lambda toy: toy.write("qemu-builds/files/sub/new.c", "x")),
        ("patches.0001-shout.patch: '", lambda toy: toy.write("qemu-builds/patches/0001-shout.patch", "x")),
        ("patches.0002-more.patch: '", lambda toy: toy.write("qemu-builds/patches/0002-more.patch", "x")),
        ("configure.0: '--small' -> '--tiny'", lambda toy: toy.write("qemu-builds/qemu.yaml", TINY)),
        ("source: 'toy 1:1.0-1 11' -> 'toy 1:1.0-1 33'", lambda toy: toy.relock("'11'", "'33'")),
        ("data: 'toy-data 1:1.0-1 22' -> 'toy-data 1:1.0-1 44'", lambda toy: toy.relock("'22'", "'44'")),
    ],
)
def test_every_change_of_an_input_is_named(toy: Toy, named: str, edit: Edit) -> None:
    assert toy.explain() == ["qemu toy: never made before"]
    toy.build()
    assert toy.explain()[0].startswith("qemu toy: up to date")
    edit(toy)
    first, *rest = toy.explain()
    assert first.startswith("qemu toy: inputs changed since")
    assert len(rest) == 1
    assert rest[0].strip().startswith(named)


def test_mistakes_in_the_recipe(toy: Toy) -> None:
    toy.write("qemu-builds/qemu.yaml", RECIPE.replace("configure", "confgure").replace("suite", "siute"))
    with pytest.raises(HarnessError) as caught:
        load_qemu(toy.whole)
    assert "qemu.yaml:3:3: qemu: unknown key 'siute'; did you mean 'suite'?" in str(caught.value)
    assert "unknown key 'confgure'; did you mean 'configure'?" in str(caught.value)


def test_a_package_that_is_not_locked(toy: Toy) -> None:
    toy.write("lock", "{}\n")
    with pytest.raises(HarnessError, match=r"no version for .*toy.*\n.*harness update"):
        toy.build()


@pytest.mark.qemu
def test_the_patches_apply_to_the_locked_source_and_have_qemu_s_style(
    ingredients: Ingredients, tmp_path: Path
) -> None:
    """QEMU's own checkpatch, but for Signed-off-by: nobody has sent them anywhere."""
    lock, (query, _data) = Lock.load(PROJECT / "debian.lock.yaml"), load_qemu().queries()
    locked = lock.require(query)
    tarballs = source(
        ingredients.apt, locked.package, locked.version, suite=locked.suite, sha256=locked.sha256
    )
    tree = tmp_path / "source"
    unpack(tarballs, tree)
    qemu._add_ours(tree, PROJECT / "qemu-builds", True, tmp_path / "log", ingredients.apt.progress)
    checkpatch = ["perl", str(tree / "scripts/checkpatch.pl"), "--no-tree", "--no-signoff", "--terse"]
    folder = PROJECT / "qemu-builds"
    patches = [str(path) for path in sorted((folder / "patches").glob("*.patch"))]
    files = [str(path) for path in sorted((folder / "files").rglob("*.[ch]"))]
    for words in (patches, ["--file", *files]):
        done = subprocess.run([*checkpatch, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.qemu
def test_the_folder_that_qemu_was_built_in_leaves_no_trace(qemu_binary: Path) -> None:
    """The same compiler makes the same bytes in any cache, so records of two machines name one QEMU."""
    binary = qemu_binary.read_bytes()
    assert b"include/hw/" in binary, "assertions name their files"
    for line in (b"work/source", KIND.encode() + b"/.tmp-"):
        assert line not in binary


def test_the_shipped_recipe_is_locked_and_has_its_patches() -> None:
    recipe = load_qemu()
    inputs = qemu_inputs(recipe, Lock.load(PROJECT / "debian.lock.yaml"))
    assert inputs["patches"]
    assert inputs["files"]
    assert "--target-list=x86_64-softmmu" in recipe.configure
