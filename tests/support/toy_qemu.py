# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A QEMU whose source is three files and whose tools are shell scripts."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from typing import TYPE_CHECKING

import yaml

from harness.artifacts.qemu import KIND, build_qemu, qemu_inputs
from harness.debian.archive import AptRoot
from harness.debian.index import PackageVersion
from harness.debian.lock_file import Lock
from harness.paths import Project
from harness.recipes.qemu import load_qemu
from harness.store.entries import Store

if TYPE_CHECKING:
    from pathlib import Path

    from harness.store.entries import Artifact

SOURCE = PackageVersion("toy", "1:1.0-1", "source", "trixie", "11", 1, "pool/toy.dsc")
DATA = PackageVersion("toy-data", "1:1.0-1", "all", "trixie", "22", 1, "pool/toy-data.deb")
RECIPE = """\
qemu:
  package: toy
  suite: trixie
  version: "1:1.0*"
  data: {package: toy-data, paths: [usr/share/toy/rom.bin]}
  configure: [--small]
"""
CONFIGURE = "#!/bin/sh\necho configured with $2\ncp ../source/main.c .\n"
PATCH = """\
--- a/main.c
+++ b/main.c
@@ -1,3 +1,3 @@
 one
-two
+TWO
 three
"""
NINJA = "#!/bin/sh\necho '[1/2] compile'; echo '[2/2] link'\ncat main.c ../source/own.c >$3\n"


class Toy:
    """A project with a QEMU recipe, whose packages are in the store already; there is no network."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.project = root / "project"
        self.whole = Project((self.project,))
        self.bin = root / "bin"
        self.said: list[str] = []
        self.store = Store(root / "cache/store")
        self.apt = AptRoot("http://127.0.0.1:9/debian", store=self.store, progress=self.said.append)
        for path, text in {
            "qemu-builds/qemu.yaml": RECIPE,
            "qemu-builds/files/own.c": "own\n",
            "qemu-builds/patches/0001-shout.patch": PATCH,
            "lock": yaml.safe_dump(
                {
                    "trixie:src:toy=1:1.0*": dataclasses.asdict(SOURCE),
                    "trixie:toy-data=1:1.0*": dataclasses.asdict(DATA),
                }
            ),
        }.items():
            self.write(path, text)
        self.bin.mkdir()
        for name, script in {"ninja": NINJA, "strip": "#!/bin/sh\n"}.items():
            self.tool(name, script)
        self.stock({"main.c": "one\ntwo\nthree\n", "configure": CONFIGURE})

    def stock(self, files: dict[str, str]) -> None:
        """Put source and data packages into the store, as downloads would."""

        def tarballs(directory: Path) -> None:
            tree, debian = directory / "toy-1.0", directory / "debian"
            tree.mkdir()
            debian.mkdir()
            for name, text in files.items():
                (tree / name).write_text(text)
                (tree / name).chmod(0o755)
            (debian / "rules").touch()
            for archive, member in (("toy_1.0.orig.tar.gz", tree), ("toy_1.0-1.debian.tar.gz", debian)):
                command = ["tar", "-czf", str(directory / archive), "-C", str(directory), member.name]
                subprocess.run(command, check=True)
                shutil.rmtree(member)

        def rom(directory: Path) -> None:
            (directory / "usr/share/toy").mkdir(parents=True)
            (directory / "usr/share/toy/rom.bin").write_text("rom")

        wanted = {"package": "toy", "version": SOURCE.version, "sha256": SOURCE.sha256}
        self.store.get("deb-source", "toy", wanted, tarballs)
        names = ("package", "version", "architecture", "sha256")
        identity = {name: getattr(DATA, name) for name in names}
        self.store.get("deb-tree", "toy-data", {**identity, "paths": ["usr/share/toy/rom.bin"]}, rom)

    def write(self, path: str, text: str) -> None:
        (self.project / path).parent.mkdir(parents=True, exist_ok=True)
        (self.project / path).write_text(text)

    def relock(self, old: str, new: str) -> None:
        self.write("lock", (self.project / "lock").read_text().replace(old, new))

    def tool(self, name: str, script: str) -> None:
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    @property
    def lock(self) -> Lock:
        return Lock.load(self.project / "lock")

    def build(self) -> Artifact:
        return build_qemu(load_qemu(self.whole), self.apt, self.lock, self.whole)

    def explain(self) -> list[str]:
        recipe = load_qemu(self.whole)
        inputs = qemu_inputs(recipe, self.lock, self.whole)
        return self.store.explain(KIND, recipe.package, inputs).splitlines()
