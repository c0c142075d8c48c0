# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Run edk2's own tools in a work tree: BaseTools are compiled, ``build`` makes the image."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.firmware.part_build import keep, makefiles_of, mend
from harness.errors import HarnessError, HostError
from harness.store import file_tree
from harness.store.build_steps import Trouble, run_step
from harness.store.compilers import compilers

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from harness.progress import Progress
    from harness.recipes.firmware import BuildOptions
    from harness.store.build_tree import WorkTree

IMAGE = "OVMF.fd"
TOOLS = {
    "gcc": "gcc",
    "g++": "g++",
    "make": "make",
    "nasm": "nasm",
    "iasl": "acpica-tools",
    "/usr/include/uuid/uuid.h": "uuid-dev",
}
"""What edk2's build calls, with the Debian packages that bring it."""
VERSIONS = {
    "gcc": ("gcc", "--version"),
    "binutils": ("ld", "--version"),
    "nasm": ("nasm", "-v"),
    "iasl": ("iasl", "-v"),
}
"""Whose versions decide what comes out; Python's is added to them."""
REPORT = "report.txt"
_CONF = ("build_rule", "target", "tools_def")
_BUILDING = re.compile(r"Building \.\.\. (\S+)")
_COMPILER = re.compile(r"^[^\s:]+:\d+(:\d+)?: (fatal )?error: |undefined reference to ")
_TAIL = 8  # lines shown of a failure of another kind
_EDK2 = re.compile(r": error [0-9A-F]{4}: ")


def check_tools() -> None:
    """Say all that is missing at once, by the names of Debian's packages."""
    missing = [
        package
        for tool, package in TOOLS.items()
        if not (Path(tool).exists() if tool.startswith("/") else shutil.which(tool))
    ]
    if missing:
        raise HostError(
            f"building firmware needs Debian packages that are not installed: {' '.join(missing)}",
            "./run installs them, or: apt-get install " + " ".join(missing),
        )


def toolchain(source: Path, options: BuildOptions) -> str:
    """Return the toolchain's name in this tree: GCC since edk2-stable202308, GCC5 before."""
    if options.toolchain is not None:
        return options.toolchain
    template = source / "BaseTools/Conf/tools_def.template"
    try:
        text = template.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise HarnessError(f"{template.name}: {error.strerror}", "the source is not edk2") from error
    return "GCC" if re.search(r"^\*_GCC_X64_", text, re.MULTILINE) else "GCC5"


def build_command(options: BuildOptions, chain: str, jobs: int) -> list[str]:
    """Return the command line of edk2's ``build``."""
    command = ["build", f"--platform={options.dsc}", f"--arch={options.arch}"]
    command += [f"--buildtarget={options.target}", f"--tagname={chain}", "-n", str(jobs)]
    for name, value in options.defines:
        command += ["-D", f"{name}={value}"]
    for name, value in options.pcds:
        command += ["--pcd", f"{name}={value}"]
    return [*command, f"--report-file={REPORT}"]


def build(
    work: WorkTree,
    options: BuildOptions,
    log: Path,
    what: str,
    progress: Progress,
    changed: Collection[str] = (),
) -> Path:
    """Build in a work tree; returns the folder of outputs, which ends in ``TARGET_TOOLCHAIN``.

    ``changed`` are the files below the source that differ since the outputs were whole: when these are C
    files alone, what depends on them is compiled and the image packed again. Raises HarnessError with the
    lines that say what is wrong, and the log's path.
    """
    source = work.source
    jobs = compilers(what, progress)
    chain = toolchain(source, options)
    environment = _environment(work)
    command = [*environment, *build_command(options, chain, jobs)]
    if work.whole.exists():
        output = file_tree.only(source / "Build", f"*/{options.target}_{chain}")
        makefiles = makefiles_of(changed, source, output / options.arch)
        if makefiles is not None:
            for number, makefile in enumerate(makefiles, start=1):
                told = f"{what}: {number} of {len(makefiles)} modules"
                compile_ = [*environment, "make", "-f", str(makefile), "tbuild"]
                run_step(told, compile_, source, log, progress, trouble=_trouble_of(source))
            keep(makefiles)
            # The report is of all modules: the one of the whole build stays.
            pack = [*(word for word in command if not word.startswith("--report-file")), "fds"]
            run_step(f"{what}: image", pack, source, log, progress, trouble=_trouble_of(source))
            return output
    mend(source / "Build")
    for name in _CONF:
        _copy_if_other(source / f"BaseTools/Conf/{name}.template", source / f"Conf/{name}.txt")
    tools = [*environment, "make", "-C", "BaseTools/Source/C", f"-j{jobs}"]
    run_step(f"{what}: BaseTools", tools, source, log, progress, trouble=_trouble_of(source))
    counter = _Modules(source)
    run_step(
        f"{what}: build", command, source, log, progress, steps=counter.step, trouble=_trouble_of(source)
    )
    return file_tree.only(source / "Build", f"*/{options.target}_{chain}")


def collect(output: Path, source: Path, arch: str, directory: Path) -> None:
    """Copy what a build yields: image, symbols of every module, linker maps, report."""
    shutil.copy2(file_tree.only(output / "FV", IMAGE), directory / IMAGE)
    shutil.copy2(source / REPORT, directory / REPORT)
    symbols = directory / "symbols"
    symbols.mkdir()
    for path in sorted((output / arch).glob("*.debug")):
        shutil.copy2(path, symbols)
    for path in sorted((output / arch).rglob("DEBUG/*.map")):
        # …/X64/MdeModulePkg/Core/Dxe/DxeMain/DEBUG/DxeCore.map
        module = path.parent.parent.relative_to(output / arch)
        target = directory / "maps" / module.with_suffix(".map")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def _environment(work: WorkTree) -> list[str]:
    """Return a command prefix that sets what edksetup.sh would, and nothing of the caller's own settings."""
    source = work.source
    settings = {
        "PATH": f"{source}/BaseTools/BinWrappers/PosixLike:{os.environ.get('PATH', os.defpath)}",
        "HOME": os.environ.get("HOME", "/"),
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),  # noqa: S108  # as everywhere
        "LC_ALL": "C.UTF-8",
        "WORKSPACE": str(source),
        "EDK_TOOLS_PATH": f"{source}/BaseTools",
        "CONF_PATH": f"{source}/Conf",
        "PYTHON_COMMAND": sys.executable,
        # Makefiles list sets; in another order they would be other makefiles, and all be compiled again.
        "PYTHONHASHSEED": "0",
    }
    return ["env", "-i", work.mark, *(f"{name}={value}" for name, value in settings.items())]


def _copy_if_other(template: Path, target: Path) -> None:
    """Keep a file's time when its content stays: ``build`` looks at it."""
    content = template.read_bytes()
    if not target.exists() or target.read_bytes() != content:
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)


class _Modules:
    """Counts the modules that ``build`` announces; it has made all their makefiles before the first one."""

    def __init__(self, source: Path) -> None:
        self._build = source / "Build"
        self._done = 0
        self._all = 0

    def step(self, line: str) -> tuple[int, int] | None:
        if not _BUILDING.match(line):
            return None
        self._all = self._all or sum("GNUmakefile" in names for _, _, names in os.walk(self._build))
        self._done += 1
        return self._done, max(self._done, self._all)


def _trouble_of(source: Path) -> Trouble:
    """Make what picks the lines that say what is wrong: a compiler's errors, else those of ``build``."""

    def pick(lines: Sequence[str]) -> list[str]:
        ours = [line.replace(f"{source}/", "") for line in lines]
        compiler = [line for line in ours if _COMPILER.search(line)]
        if compiler:
            return list(dict.fromkeys(compiler))
        said = [
            f"{line.strip(' :')} {detail.strip() if detail[:1].isspace() else ''}".strip()
            for line, detail in zip(ours, [*ours[1:], ""], strict=True)
            if _EDK2.search(line)
        ]
        return said or ours[-_TAIL:]

    return pick
