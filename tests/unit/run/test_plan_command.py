# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness plan --command`` where nothing is there: no artifact, no network, no hardware."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.foretold import Foretold
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.qemu import BINARY
from harness.boot.cell_machine import NO_SPECULATION
from harness.cli import entry
from harness.errors import ExitCode
from harness.platforms import kvm
from harness.recipes.catalog import load_catalog
from harness.recipes.project import find_project
from harness.run.options import Options
from harness.run.session import Session
from harness.store.asking import Asking

if TYPE_CHECKING:
    from collections.abc import Mapping

USUAL = "firmware=debian-2025.02,kernel=debian-6.12,memory=8G"
DEEP = r'"\$cache"/store/{}-[0-9a-f]{{16}}/{}'


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Mapping[str, str], str]:
    """Return the options of the command that is printed, with QEMU as "", and what the command says."""
    assert entry.main(["plan", *arguments]) == ExitCode.OK
    out, err = capsys.readouterr()
    words = [line.strip().removesuffix(" \\") for line in out.partition("\nexec ")[2].splitlines()]
    return {"": words[0]} | dict(word.partition(" ")[::2] for word in words[1:]), err


def test_hardware_s_command_is_known_before_anything_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    found, said = printed(capsys, "--platform", "snp", "--command", f"{USUAL},loader=direct")
    assert re.fullmatch(DEEP.format("qemu/qemu", BINARY), found[""])
    assert re.fullmatch(DEEP.format("deb-tree/ovmf", "usr/share/ovmf/OVMF.fd"), found["-bios"])
    assert found["-kernel"] == """"$cache"/'store/<kernel>\'"""
    assert found["-initrd"] == """"$cache"/'store/<initrd>\'"""
    assert (found["-accel"], found["-cpu"], found["-sandbox"].partition(",")[0]) == ("kvm", "EPYC-v4", "on")
    assert said == (
        "harness: not there yet, and made by `harness build debian-6.12 debian-2025.02 initramfs qemu` "
        "or a boot\n"
        "harness: <kernel> and <initrd> stand for what has no path before that\n"
    )
    made = [name for _, _, names in os.walk(os.environ["HARNESS_CACHE"]) for name in names]
    assert made == []


def test_an_emulated_guest_s_command(capsys: pytest.CaptureFixture[str]) -> None:
    cell = "firmware=stock-2022.11,kernel=debian-6.1,memory=8G,loader=grub-2.12,action=kexec"
    found, said = printed(capsys, "--platform", "snp-emulated", "--command", cell)
    assert re.fullmatch(DEEP.format("firmware/stock-2022.11", "OVMF.fd"), found["-bios"])
    assert found["-cpu"] == ",".join(["EPYC-v4", *(f"{feature}=on" for feature in NO_SPECULATION)])
    assert "<disk>" in found["-drive"]
    assert "grub-2.12" in said


def test_the_kernel_is_measured_where_its_recipe_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    cell = "firmware=debian-2026.08-amdsev,kernel=efi-probe-lazy,memory=8G,loader=direct"
    found, said = printed(capsys, "--platform", "snp", "--command", cell)
    assert "kernel-hashes=on" in found["-object"]
    assert re.fullmatch(DEEP.format("efi-probe/probe", "efi-probe.efi"), found["-kernel"])
    assert "<" not in said


def test_each_shipped_recipe_says_whether_the_kernel_is_measured() -> None:
    assert all("kernel_hashes" in dict(recipe.expect) for recipe in load_catalog().firmware.values())


def test_what_only_an_image_tells_has_a_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "harness.toml").write_text('name = "own"\n')
    (tmp_path / "ovmf-builds").mkdir()
    (tmp_path / "ovmf-builds/own.yaml").write_text(
        "firmware:\n  - {name: own, source: {debian-source: {suite: trixie, version: 2025.02-*}}}\n"
    )
    monkeypatch.chdir(tmp_path)
    _, said = printed(capsys, "--command", "firmware=own,kernel=debian-6.12,memory=8G,loader=direct")
    assert "harness: kernel-hashes is left out: only the image of own tells whether it wants it\n" in said


def test_qemus_that_are_not_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ("--platform", "plain", "--command")
    found, _ = printed(capsys, *plain, f"{USUAL},loader=direct,qemu=debian-sid")
    assert re.fullmatch(DEEP.format("debian-qemu/qemu-debian-sid", BINARY), found[""])
    assert found["-cpu"] == "EPYC-v4"
    monkeypatch.setenv("PATH", str(tmp_path))
    found, _ = printed(capsys, *plain, f"{USUAL},loader=direct,qemu=host")
    assert found[""] == f"/usr/bin/{BINARY}"


def test_a_debian_guest_s_disk(capsys: pytest.CaptureFixture[str]) -> None:
    found, said = printed(capsys, "--command", f"{USUAL},loader=direct,guest=debian-trixie")
    assert re.search(DEEP.format("guest-disk/debian-trixie", "disk.img"), found["-drive"])
    assert "debian-trixie" in said


def test_nothing_is_built_to_ask_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "trouble", lambda qemu: f"asked {qemu}")
    session = Session(Options(elsewhere=True), find_project(Path.cwd()), lambda _line: None)
    assert session.host.kvm_trouble() == ""


def test_files_that_vanish_are_no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def vanished(_self: Ingredients, _guest: str) -> Path:
        raise FileNotFoundError(2, "gone", "/x/busybox")

    monkeypatch.setattr(Ingredients, "initrd_of", vanished)
    with pytest.raises(FileNotFoundError):
        Foretold(Ingredients(store=Asking())).initrd_of("initramfs")
