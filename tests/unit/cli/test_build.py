# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness build``, ``why`` and ``update``: all of it, or what is named over all kinds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.ingredients import Ingredients
from harness.artifacts.named import Named, Payload, every, find, locked_by, why
from harness.cli import build, entry, update
from harness.debian.index import PackageQuery, PackageVersion
from harness.debian.lock_file import Lock
from harness.debian.lock_file import update as renew
from harness.errors import ExitCode, HarnessError, HostError, SubjectError
from harness.paths import SHIPPED
from harness.store.entries import Store
from tests.support.kernel_files import bzimage, make_tree

if TYPE_CHECKING:
    from harness.debian.archive import AptRoot

MADE: list[str] = []
TROUBLE: dict[str, BaseException] = {}


class Fake(Ingredients):
    """The project's recipes, with files that are nothing but their names."""

    def _fetch(self, name: str) -> Path:
        MADE.append(name)
        if name in TROUBLE:
            raise TROUBLE[name]
        return Path("/made", name)

    def firmware(self, name: str) -> Any:
        return SimpleNamespace(path=self._fetch(name))

    kernel = firmware

    def loader(self, name: str) -> Any:
        keys = dict(self.catalog.loaders[name].binaries)
        return SimpleNamespace(binaries={key: self._fetch(f"{name}.{key}") for key in keys})

    def loader_image(self, loader: str, kernel: str, initrd: Path | None, cmdline: str) -> Path:
        del initrd
        return self._fetch(f"{loader}-{kernel}-{cmdline.partition(' ')[0]}")

    def guest_disk(self, guest: str) -> Path:
        return self._fetch(guest)

    @property
    def initrd(self) -> Path:
        return self._fetch("initrd")

    @property
    def qemu(self) -> Path:
        return self._fetch("qemu-system")


@pytest.fixture(autouse=True)
def no_builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "Ingredients", Fake)
    MADE.clear()
    TROUBLE.clear()


def test_only_what_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "OVMF.fd").write_bytes(b"image")
    (tmp_path / "bzImage").write_bytes(bzimage())
    tree = make_tree(tmp_path / "linux")
    names = [
        "qemu",
        "initramfs",
        "debian-trixie",
        "safe-2022.11",
        "debian-6.12",
        "kernel=debian-6.1",
        "uki-262",
    ]
    own = [f"file:{tmp_path}/OVMF.fd", f"file:{tmp_path}/bzImage", f"tree:{tree}"]
    assert entry.main(["build", *names, *own, "--cmdline", "quiet"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[:7] == [
        "qemu: /made/qemu-system",
        "initramfs: /made/initrd",
        "debian-trixie: /made/debian-trixie",
        "safe-2022.11: /made/safe-2022.11",
        "debian-6.12: /made/debian-6.12",
        "debian-6.1: /made/debian-6.1",
        "uki-262: /made/uki-262-debian-6.12-quiet",
    ]
    kinds = [line.partition(":")[0].rpartition("-")[0] for line in lines[7:]]
    assert kinds == ["file-ovmf", "file-bzimage", "tree-linux"]


def test_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["build", "--json"]) == ExitCode.OK
    rows = json.loads(capsys.readouterr().out)
    there = {(row["kind"], row["name"]) for row in rows}
    wanted = {
        ("firmware", "safe-2022.11"),
        ("kernel", "debian-7.3"),
        ("guest", "initramfs"),
        ("qemu", "qemu"),
    }
    assert wanted | {("guest", "debian-trixie"), ("loader", "grub-2.12 image")} <= there
    assert ("loader", "grub-2.12") not in there  # no disk without a kernel that somebody asks for
    assert all(row["path"].startswith("/made/") for row in rows)


def test_a_wrong_name_is_told_before_anything_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    for name, said in (
        ("safe-2022.12", "unknown name 'safe-2022.12'\n  did you mean 'safe-2022.11"),
        ("xyzzy", "unknown name 'xyzzy'\n  `harness firmware|kernel|loader|guest list` shows the names"),
        ("kernel=grub-2.12", "unknown kernel 'grub-2.12'"),
        ("file:/nowhere", "file:/nowhere: no such file"),
    ):
        assert entry.main(["build", "qemu", name]) == ExitCode.MISTAKE
        assert capsys.readouterr().err.startswith(f"harness: {said}")
    assert MADE == []


def test_what_cannot_be_made_hides_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    TROUBLE["safe-2022.11"] = SubjectError("it does not compile")
    TROUBLE["debian-6.12"] = HostError("no space left")
    assert entry.main(["build", "safe-2022.11", "qemu"]) == ExitCode.WRONG
    out, err = capsys.readouterr()
    assert out == "qemu: /made/qemu-system\n"
    assert err == "harness: it does not compile\n"
    assert entry.main(["build", "safe-2022.11", "debian-6.12"]) == ExitCode.HOST
    assert capsys.readouterr().err == "harness: it does not compile\nharness: no space left\n"
    TROUBLE["qemu-system"] = KeyboardInterrupt()
    assert entry.main(["build", "qemu"]) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "harness: interrupted\n"


def test_a_cache_that_cannot_be_written_is_the_hosts_fault(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "Ingredients", Ingredients)
    monkeypatch.setenv("HARNESS_CACHE", "/proc/nowhere")
    assert entry.main(["build", "efi-probe-lazy"]) == ExitCode.HOST
    assert "harness: cannot write below /proc/nowhere" in capsys.readouterr().err


def test_a_name_of_two_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    ingredients = Ingredients()
    kernels = {**ingredients.catalog.kernels, "grub-2.12": ingredients.catalog.kernels["debian-6.1"]}
    monkeypatch.setattr(ingredients, "catalog", replace(ingredients.catalog, kernels=kernels))
    with pytest.raises(
        HarnessError, match=r"grub-2.12 is the name of a kernel and of a loader\n  write kernel="
    ):
        find("grub-2.12", ingredients)
    assert find("loader=grub-2.12", ingredients) == Named("loader", "grub-2.12")
    assert Named("guest", "initramfs-large") not in every(ingredients)


def test_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["why"]) == ExitCode.OK
    assert capsys.readouterr().out == "qemu qemu: never made before\n"
    ingredients = Ingredients()
    probe = Named("kernel", "efi-probe-lazy")
    said = why(probe, ingredients, Payload())
    assert said.text == "kernel efi-probe-lazy: would be made anew\n  efi-probe probe: never made before"
    assert not (tmp_path / "cache/store").exists()  # asking makes nothing
    store = Store(ingredients.apt.store.root)
    store.get("efi-probe", "probe", {"compile": ["-O9"]}, lambda folder: (folder / "x").touch(), print)
    assert "inputs changed since" in why(probe, ingredients, Payload()).text
    tree = make_tree(tmp_path / "linux")
    assert entry.main(["why", f"tree:{tree}"]) == ExitCode.OK
    assert ": up to date (" in capsys.readouterr().out
    assert entry.main(["why", f"tree:{tree}", "qemu", "--json"]) == ExitCode.OK
    there, absent = json.loads(capsys.readouterr().out)
    assert there["path"] == str(tree / "arch/x86/boot/bzImage")
    assert there["kind"] == "kernel"
    assert absent == {"kind": "qemu", "name": "qemu", "path": None, "why": ["qemu qemu: never made before"]}


OVMF = PackageVersion("ovmf", "2", "all", "trixie", "00", 1, "pool/ovmf.deb")


class Mirror:
    """Has one version of everything."""

    def update(self, suites: list[str], *, force: bool) -> None:
        assert suites
        assert force

    def resolve(self, query: PackageQuery) -> PackageVersion:
        return replace(OVMF, package=query.package)


def test_update_renews_only_what_is_named(tmp_path: Path) -> None:
    path, apt = tmp_path / "lock.yaml", Mirror()
    one, two, three = (PackageQuery(name, "trixie") for name in ("one", "two", "three"))
    renew([one, two], apt, path)  # type: ignore[arg-type]
    text = path.read_text().replace("version: '2'", "version: '1'")
    path.write_text(text)
    assert renew([one, three], apt, path, keep_others=True, write=False)  # type: ignore[arg-type]
    assert path.read_text() == text
    changes = renew([one, three], apt, path, keep_others=True)  # type: ignore[arg-type]
    assert [(query.package, old.version if old else "") for query, old, _ in changes] == [
        ("one", "1"),
        ("three", ""),
    ]
    found = {version.package: version.version for version in Lock.load(path).versions.values()}
    assert found == {"one": "2", "two": "1", "three": "2"}
    path.write_text("- damaged")
    with pytest.raises(HarnessError, match="not a mapping"):
        renew([one], apt, path, keep_others=True)  # type: ignore[arg-type]
    assert len(renew([one], apt, path)) == 1  # type: ignore[arg-type]


def test_update(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[set[str], dict[str, bool]]] = []
    guests: list[str] = []

    def stand_in(queries: set[PackageQuery], _apt: AptRoot, _path: Path, **how: bool) -> list[object]:
        asked.append(({query.package for query in queries}, how))
        return [(PackageQuery("ovmf", "trixie"), replace(OVMF, version="1"), OVMF)]

    def guest_set(recipe: Any, _apt: AptRoot, **_: bool) -> int:
        guests.append(recipe.name)
        return 3

    monkeypatch.setattr(update, "update", stand_in)
    monkeypatch.setattr(update, "update_set", guest_set)
    assert entry.main(["update", "debian-6.12", "uki-262", "debian-trixie"]) == ExitCode.OK
    packages, how = asked[-1]
    assert packages == {"linux-image-6.12.*[0-9]-amd64", "systemd-boot-efi"}
    assert how == {"keep_others": True, "write": True}
    assert guests == ["debian-trixie"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "trixie:ovmf: 1 -> ovmf 2"
    assert lines[1].endswith("debian.lock.yaml: 1 changed")
    assert lines[2].endswith("debian-trixie.packages: 3 changed")
    assert entry.main(["update", "debian-bookworm", "--dry-run"]) == ExitCode.OK
    assert len(asked) == 1  # a guest alone leaves the other lock file alone
    assert capsys.readouterr().out.endswith("debian-bookworm.packages: 3 would change\n")
    assert entry.main(["update", "debian-6.12", "debian-trixie", "--dry-run", "--json"]) == ExitCode.OK
    told = json.loads(capsys.readouterr().out)
    assert told["written"] is False
    assert [(Path(file["file"]).name, file["changed"], file["packages"]) for file in told["files"]] == [
        ("debian.lock.yaml", 1, [{"key": "trixie:ovmf", "old": "1", "package": "ovmf", "new": "2"}]),
        ("debian-trixie.packages", 3, []),
    ]
    assert entry.main(["update"]) == ExitCode.OK
    packages, how = asked[-1]
    assert {"ovmf", "qemu", "busybox-static"} <= packages
    assert how == {"keep_others": False, "write": True}
    assert entry.main(["update", "debian-6.33"]) == ExitCode.MISTAKE


def test_update_of_what_another_project_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "harness.toml").write_text('name = "own"\n')
    monkeypatch.chdir(tmp_path)
    ingredients = Ingredients()
    for name in ("debian-6.12", "qemu", "initramfs"):
        with pytest.raises(
            HarnessError, match=f"{name}: it is locked by .*, not by this project\n  renew it in"
        ):
            locked_by([find(name, ingredients)], ingredients)
    monkeypatch.setattr("harness.artifacts.named.PACKAGE", SHIPPED)
    with pytest.raises(HarnessError, match="what is shipped stays as it was installed"):
        locked_by([find("qemu", ingredients)], ingredients)
    with pytest.raises(HarnessError, match="direct: no lock file has it"):
        locked_by([find("direct", ingredients)], ingredients)
