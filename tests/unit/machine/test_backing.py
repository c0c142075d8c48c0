# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What guests' memory is made of: words of a setting, and what QEMU makes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.machine.argv import ByHand, argv
from harness.machine.backing import backing, chosen, sides
from harness.machine.spec import MachineSpec

SPEC = MachineSpec(qemu=Path("/q"), firmware=Path("/f"), memory_mib=2048, accel="kvm")


def object_of(text: str) -> str:
    words = argv(replace(SPEC, backing=backing(text)), ByHand())
    return words[words.index("-object") + 1]


def test_words_become_options() -> None:
    usual = "memory-backend-memfd,id=ram1,size=2048M,share=on"
    assert object_of("") == f"{usual},prealloc=off"
    assert object_of("prealloc") == f"{usual},prealloc=on"
    assert object_of("hugetlb, node=1") == (
        f"{usual},prealloc=off,hugetlb=on,hugetlbsize=2M,host-nodes=1,policy=bind"
    )
    assert "hugetlbsize=1G" in object_of("hugetlb=1G")


@pytest.mark.parametrize("word", ["huge", "hugetlb=4M", "node=x", "prealloc=on"])
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(HarnessError, match=f"HARNESS_GUEST_MEMORY: unknown word '{word}'\n.*prealloc"):
        backing(word)


def test_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_GUEST_MEMORY", raising=False)
    assert chosen() == ()
    monkeypatch.setenv("HARNESS_GUEST_MEMORY", "prealloc")
    assert chosen() == (("prealloc", "on"),)


@pytest.mark.parametrize(("text", "times"), [("", 1), ("node=0", 1), ("prealloc", 2), ("hugetlb=2M", 2)])
def test_a_shared_side_that_stays_costs_the_memory_twice(text: str, times: int) -> None:
    assert sides(backing(text)) == times
