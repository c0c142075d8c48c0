# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What lies where on a loader's EFI system partition, and what its configuration says."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.formats.uki import add_sections

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.formats.fat32 import Content
    from harness.recipes.loader import Grub, LoaderRecipe

FALLBACK = "EFI/BOOT/BOOTX64.EFI"
"""What firmware starts when no boot option says otherwise (UEFI specification, 3.5.1.1)."""
KERNEL, INITRD = "vmlinuz", "initrd"
_TITLE = "guest"
SECOND, SECOND_WORD = "second", "menu.entry=second"
"""Title of the other entry of a menu that is shown, and what its command line has in addition."""
_OS_RELEASE = f'ID=ovmf-acceptance\nNAME="{_TITLE}"\nPRETTY_NAME="{_TITLE}"\nVERSION_ID=1\n'
# Quotes, escapes, comments, variables, redirections: UEFI Shell specification, chapter 3.
_SHELL_SPECIAL = re.compile(r'["^#%<>|]')
_GRUB_PLAIN = re.compile(r"[A-Za-z0-9_./:,=@%+-]+")


@dataclass(frozen=True)
class Payload:
    """What a loader has to start."""

    kernel: Path
    initrd: Path | None
    cmdline: str
    release: str


def esp_files(recipe: LoaderRecipe, binaries: Mapping[str, Path], payload: Payload) -> dict[str, Content]:
    """Return the partition's files by path; HarnessError with the recipe's place for what cannot be made."""
    kind = recipe.kind
    own: dict[str, Content] = {KERNEL: payload.kernel}
    if payload.initrd is not None:
        own[INITRD] = payload.initrd
    if kind.grub is not None:
        first = {FALLBACK: binaries["image"]}
        if "shim" in binaries:
            first = {FALLBACK: binaries["shim"], "EFI/BOOT/grubx64.efi": binaries["image"]}
        ours = grub_config(kind.grub, payload).encode()
        configs: dict[str, Content] = dict.fromkeys(recipe.configs, recipe.config or ours)
        return {**first, **configs, **own}
    if kind.systemd_boot is not None:
        entry = {"loader/entries/guest.conf": boot_entry(payload).encode(), **own}
        chosen = "guest.conf"
        if "stub" in binaries:
            entry, chosen = {"EFI/Linux/guest.efi": _uki(recipe, binaries["stub"], payload)}, "guest.efi"
        if kind.systemd_boot.timeout and "stub" not in binaries:
            entry["loader/entries/second.conf"] = boot_entry(_second(payload), SECOND).encode()
        config = f"timeout {kind.systemd_boot.timeout}\ndefault {chosen}\neditor yes\n"
        return {FALLBACK: binaries["image"], "loader/loader.conf": config.encode(), **entry}
    if kind.uki is not None:
        return {FALLBACK: _uki(recipe, binaries["stub"], payload)}
    if kind.boot_file is not None:
        return {FALLBACK: payload.kernel}
    return {"startup.nsh": _shell_script(recipe, payload).encode(), **own}


def _shell_script(recipe: LoaderRecipe, payload: Payload) -> str:
    """Write the shell's script, which is read as ASCII or UCS-2; HarnessError for what would not arrive."""
    options = _stub_options(payload)
    if special := sorted(set(_SHELL_SPECIAL.findall(options))):
        raise HarnessError(
            f"{recipe.where}: the UEFI shell of loader {recipe.name} would not hand on {' '.join(special)} "
            f"of the command line: {payload.cmdline}",
            "choose another loader for it",
        )
    return f"fs0:\r\n{KERNEL} {options}\r\n"


def grub_config(grub: Grub, payload: Payload) -> str:
    """Write GRUB's configuration: a menu on the serial console, of one entry, or of two when it is shown.

    Keys come by the firmware's console. Its driver reads the UART at all times (edk2 TerminalDxe), so that
    GRUB's own would get only what that leaves.
    """
    entries = _grub_entry(grub, payload, _TITLE)
    if grub.timeout:
        entries += _grub_entry(grub, _second(payload), SECOND)
    return "\n".join(
        [
            "serial --unit=0 --speed=115200",
            "terminal_input console",
            "terminal_output serial",
            f"set timeout={grub.timeout}",
            "set default=0",
            *entries,
            "",
        ]
    )


def _second(payload: Payload) -> Payload:
    """Return what a menu's second entry starts: the same, with a word that the kernel ignores."""
    return replace(payload, cmdline=f"{payload.cmdline} {SECOND_WORD}".strip())


def _grub_entry(grub: Grub, payload: Payload, title: str) -> list[str]:
    words = " ".join(_grub_word(word) for word in payload.cmdline.split())
    if grub.command == "chainloader":
        options = " ".join(_grub_word(word) for word in _stub_options(payload).split())
        lines = [f"chainloader /{KERNEL} {options}"]
    else:
        lines = [f"{grub.command} /{KERNEL} {words}".rstrip()]
        if payload.initrd is not None:
            lines.append(f"{grub.command.replace('linux', 'initrd')} /{INITRD}")
    return [f"menuentry '{title}' {{", *(f"    {line}" for line in lines), "}"]


def boot_entry(payload: Payload, title: str = _TITLE) -> str:
    """Write systemd-boot's entry (UAPI group, Boot Loader Specification, type #1)."""
    lines = [f"title {title}", f"linux /{KERNEL}"]
    if payload.initrd is not None:
        lines.append(f"initrd /{INITRD}")
    return "\n".join([*lines, f"options {payload.cmdline}", ""])


def _grub_word(word: str) -> str:
    """Quote for GRUB's script language, whose single quotes are those of the Bourne shell."""
    return word if _GRUB_PLAIN.fullmatch(word) else shlex.quote(word)


def _stub_options(payload: Payload) -> str:
    """Return the load options for a kernel that firmware starts: its stub reads initrd= from its own disk."""
    initrd = f" initrd=\\{INITRD}" if payload.initrd is not None else ""
    return f"{payload.cmdline}{initrd}".strip()


def _uki(recipe: LoaderRecipe, stub: Path, payload: Payload) -> bytes:
    sections = [
        (".osrel", _OS_RELEASE.encode()),
        (".cmdline", payload.cmdline.encode()),
        (".uname", payload.release.encode()),
    ]
    if payload.initrd is not None:
        sections.append((".initrd", payload.initrd.read_bytes()))
    sections.append((".linux", payload.kernel.read_bytes()))
    try:
        return add_sections(stub.read_bytes(), sections)
    except ValueError as error:
        raise HarnessError(
            f"{recipe.where}: {stub.name} of loader {recipe.name} makes no unified kernel image: {error}",
            "name systemd's unsigned stub, linuxx64.efi.stub",
        ) from None
