# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness loader``, ``guest`` and ``check``."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.artifacts.kernel.traits import KernelTraits
from harness.artifacts.loader.traits import LoaderTraits
from harness.checks.asked import checks
from harness.cli import entry, loader
from harness.errors import ExitCode, HarnessError
from harness.recipes.catalog import load_catalog

KERNEL = KernelTraits(
    version="6.12",
    protocol=0x20F,
    technologies=("snp",),
    unaccepted_memory=True,
    efi_stub=True,
    handover=True,
    sources={},
)
SOURCES = {"version": ".sbat", "with_stub": "a message", "without_stub": "another"}


class Ingredients:
    """The project's recipes, with disks that are nothing but their names."""

    catalog = load_catalog()
    initrd = Path("/initrd")

    def lock_of(self, _axis: str, _name: str) -> Any:
        return SimpleNamespace(require=lambda query: SimpleNamespace(package=query.package, version="1-1"))

    def loader(self, name: str) -> Any:
        traits = LoaderTraits("2.06", "legacy", "legacy", "none", sources=SOURCES)
        return SimpleNamespace(recipe=self.catalog.loader_recipe(name), traits=traits)

    def choose_kernel(self, text: str) -> str:
        return text

    def kernel(self, name: str) -> Any:
        return SimpleNamespace(name=name, traits=KERNEL)

    def loader_image(self, loader: str, kernel: str, _initrd: Path, cmdline: str) -> Path:
        if loader == "shell":
            raise HarnessError("loaders.yaml:9:5: the disk of loader shell is too small")
        self.catalog.loader_recipe(loader)
        return Path(f"/{loader}/{kernel}/{cmdline.partition(' ')[0]}")


@pytest.fixture(autouse=True)
def no_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "Ingredients", Ingredients)


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["loader", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(Ingredients.catalog.loaders)
    assert [line.split()[:2] for line in lines[:2]] == [["direct", "direct"], ["grub-2.06-bullseye", "grub"]]


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["loader", "show", "shim-16.1-grub-2.12", "--kernel", "debian-6.1"]) == 0
    package = "(grub-efi-amd64-signed 1-1 (trixie))"
    assert capsys.readouterr().out.splitlines() == [
        "name: shim-16.1-grub-2.12",
        "kind: grub",
        "programs:",
        f"  image: usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed {package}",
        "  shim: usr/lib/shim/shimx64.efi.signed (shim-signed 1-1 (trixie))",
        "traits:",
        "  version: 2.06 (.sbat)",
        "  with_stub: legacy (a message)",
        "  without_stub: legacy (another)",
        "enters:",
        "  kernel: debian-6.1",
        "  by: legacy",
    ]
    assert entry.main(["loader", "show", "lilo"]) == ExitCode.MISTAKE
    assert capsys.readouterr().err.startswith("harness: unknown loader 'lilo'\n  known: direct, ")


def test_guests(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["guest", "list", "--json"]) == 0
    rows = {row["name"]: row["kind"] for row in json.loads(capsys.readouterr().out)}
    assert rows == {
        "initramfs": "initramfs",
        "initramfs-large": "initramfs",
        "debian-bookworm": "bookworm",
        "debian-trixie": "trixie",
    }
    assert entry.main(["guest", "show", "debian-trixie", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["locked"] > len(told["packages"]) > 3
    assert "kexec" in told["actions"]
    assert entry.main(["guest", "show", "initramfs"]) == 0
    assert "kind: initramfs" in capsys.readouterr().out
    assert entry.main(["guest", "show", "initramf"]) == ExitCode.MISTAKE


def test_checks(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["check", "list", "--json"]) == 0
    rows = {row["name"]: row["question"] for row in json.loads(capsys.readouterr().out)}
    assert rows.keys() == checks().keys()
    assert all(question.endswith("?") for question in rows.values())
    assert entry.main(["check", "show", "no-sev"]) == 0
    shown = capsys.readouterr().out
    assert f"question: {rows['no-sev']}" in shown
    assert shown.endswith("asked of:\n  Linux, expected to be plain, where the guest has no technology\n")
    assert entry.main(["check", "show", "large-entries", "--json"]) == 0
    linux, probe = json.loads(capsys.readouterr().out)["asked of"]
    assert linux.startswith("Linux, expected to be eager or memory-lost")
    assert probe.startswith("the EFI probe, expected to be eager or lazy")
    assert entry.main(["check", "show", "no-sew"]) == ExitCode.MISTAKE
    assert capsys.readouterr().err == "harness: unknown check 'no-sew'\n  did you mean 'no-sev'?\n"
