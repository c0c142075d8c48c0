# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The EFI probe (``guest-images/efi-probe/``): our own OS loader without an OS, compiled when it is new.

gcc makes ELF objects and GNU ld links them to a PE image: a host that can build QEMU needs nothing more.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from harness.artifacts.kernel.resolve import Kernel
from harness.artifacts.kernel.traits import TECHNOLOGIES, KernelTraits
from harness.errors import HostError, SubjectError
from harness.recipes.probe_options import parse_probe_options
from harness.store.file_tree import digest_file

if TYPE_CHECKING:
    from pathlib import Path

    from harness.debian.archive import AptRoot
    from harness.paths import Project
    from harness.recipes.probe import ProbeRecipe
    from harness.store.inputs import JSONValue

KIND = "efi-probe"
MADE_WITH = ("tools",)
"""Inputs that are tools."""
SOURCES = "guest-images/efi-probe"
IMAGE = "efi-probe.efi"
COMPILE = (
    *("-std=gnu11", "-Os", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-ident"),
    *("-fpie", "-fvisibility=hidden", "-fno-stack-protector", "-fcf-protection=none"),
    *("-fno-asynchronous-unwind-tables", "-fno-tree-loop-distribute-patterns"),
    # No red zone, no vector registers: exceptions come on the probe's own stack and do not save the latter.
    *("-mno-red-zone", "-mgeneral-regs-only"),
)
LINK = (
    *("-m", "i386pep", "--subsystem", "10", "--image-base", "0", "--entry", "probe"),
    *("-s", "--no-insert-timestamp", "-T", "link.ld"),
)


def probe_traits(options: str) -> KernelTraits:
    """Return what the probe can do as a kernel: whatever its options tell it to."""
    allows = parse_probe_options(options).allow > 0
    return KernelTraits(
        version="efi-probe",
        protocol=0,
        technologies=TECHNOLOGIES,
        unaccepted_memory=allows,
        efi_stub=True,
        handover=False,
        sources={
            "technologies": "the EFI probe uses what the firmware prepared",
            "unaccepted_memory": f"the EFI probe's options: {options or 'none'}",
        },
        probe=True,
    )


def resolve_probe(recipe: ProbeRecipe, project: Project, apt: AptRoot) -> Kernel:
    """Compile the probe when its sources or the tools are new; HarnessError when that fails."""
    folder = project.one(SOURCES)
    inputs: dict[str, JSONValue] = {
        "sources": {path.name: digest_file(path) for path in sorted(folder.iterdir())},
        "compile": COMPILE,
        "link": LINK,
        "tools": {tool: _version(tool) for tool in ("gcc", "ld")},
    }

    def build(directory: Path) -> None:
        objects = []
        for source in sorted([*folder.glob("*.c"), *folder.glob("*.S")]):
            objects.append(directory / f"{source.name}.o")
            _run(folder, "gcc", *COMPILE, "-c", source.name, "-o", str(objects[-1]))
        _run(folder, "ld", *LINK, "-o", str(directory / IMAGE), *map(str, objects))
        for path in objects:
            path.unlink()

    store = apt.store
    made = store.get(KIND, "probe", inputs, build, apt.progress, tools=("gcc", "ld"), made_with=MADE_WITH)
    return Kernel(recipe.name, made.path / IMAGE, probe_traits(recipe.options), words=recipe.options)


def _version(tool: str) -> str:
    try:
        done = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return "missing"
    return done.stdout.partition("\n")[0]


def _run(folder: Path, tool: str, *arguments: str) -> None:
    try:
        done = subprocess.run([tool, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise HostError(
            f"{tool} is not installed", "./run installs it, or: apt-get install gcc binutils"
        ) from None
    if done.returncode:
        raise SubjectError(
            f"{folder}: the EFI probe does not build", "\n".join(done.stderr.splitlines()[:10]) or tool
        )
