# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The registers, code and stacks of the vCPUs, as QEMU's monitor told them when a boot had gone wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_RIP = re.compile(r"\b[RE]IP=([0-9a-f]+)")
_RBP = re.compile(r"\b[RE]BP=([0-9a-f]+)")
_CODE = re.compile(r"^Code of vCPU \d+\n((?:[0-9a-f]+:(?: 0x[0-9a-f]{2})+\n?)*)", re.MULTILINE)
_STACK = re.compile(r"^Stack of vCPU \d+\n((?:[0-9a-f]+:(?: 0x[0-9a-f]+)+\n?)*)", re.MULTILINE)
_WORD = 8


@dataclass(frozen=True)
class Registers:
    """By vCPU: where it was, its frame pointer, the bytes that it was about to run, words of its stack.

    ``stacks`` have the words by their addresses. Of vCPUs behind the first ones, code and stacks are unknown.
    """

    rips: tuple[int, ...] = ()
    frames: tuple[int, ...] = ()
    codes: tuple[bytes, ...] = ()
    stacks: tuple[Mapping[int, int], ...] = ()


def read_registers(text: str) -> Registers:
    """Return what ``registers.txt`` holds, as far as it goes."""
    return Registers(
        rips=tuple(int(digits, 16) for digits in _RIP.findall(text)),
        frames=tuple(int(digits, 16) for digits in _RBP.findall(text)),
        codes=tuple(_bytes(dump) for dump in _CODE.findall(text)),
        stacks=tuple(_words(dump) for dump in _STACK.findall(text)),
    )


def _bytes(dump: str) -> bytes:
    return bytes(int(byte, 16) for line in dump.splitlines() for byte in line.partition(":")[2].split())


def _words(dump: str) -> dict[int, int]:
    found = {}
    for line in dump.splitlines():
        start, _, words = line.partition(":")
        for number, word in enumerate(words.split()):
            found[int(start, 16) + _WORD * number] = int(word, 16)
    return found
