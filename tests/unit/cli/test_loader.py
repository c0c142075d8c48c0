# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness image`` and ``harness build image``."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.artifacts.kernel.traits import KernelTraits
from harness.artifacts.loader.traits import LoaderTraits
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
    assert entry.main(["image", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(Ingredients.catalog.loaders)
    assert [line.split()[:2] for line in lines[:2]] == [["direct", "direct"], ["grub-2.06-bullseye", "grub"]]


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["image", "show", "shim-16.1-grub-2.12", "--kernel", "debian-6.1"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "name: shim-16.1-grub-2.12",
        "image: usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed of grub-efi-amd64-signed 1-1 (trixie)",
        "shim: usr/lib/shim/shimx64.efi.signed of shim-signed 1-1 (trixie)",
        "version: 2.06 (.sbat)",
        "with_stub: legacy (a message)",
        "without_stub: legacy (another)",
        "enters debian-6.1 by: legacy",
        "disk: /shim-16.1-grub-2.12/debian-6.1/console=ttyS0",
    ]
    assert entry.main(["image", "show", "direct"]) == 0
    assert "disk:" not in capsys.readouterr().out


def test_build(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["build", "image", "uki-262", "grub-2.12", "--cmdline", "quiet"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "image uki-262: /uki-262/debian-6.12/quiet",
        "image grub-2.12: /grub-2.12/debian-6.12/quiet",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "image"], "harness: harness build image: name loaders, or say --all\n"),
        (["build", "image", "--all"], "harness: loaders.yaml:9:5: the disk of loader shell is too small\n"),
        (["build", "image", "grub-2.13"], "harness: unknown loader 'grub-2.13'\n  did you mean 'grub-2.1"),
        (["image", "show", "lilo"], "harness: unknown loader 'lilo'\n  known: direct, "),
    ],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert entry.main(arguments) == ExitCode.MISTAKE
    assert capsys.readouterr().err.startswith(message)
