# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Compilers at once: as many as processors, and no more than memory holds."""

from __future__ import annotations

import os

import pytest

from harness.store import compilers as module
from harness.store.compilers import COMPILER_MIB, compilers, fitting, host_mib


@pytest.mark.parametrize(
    ("cpus", "mib", "jobs"),
    [(1, 4096, 1), (2, 4096, 2), (16, 4096, 13), (16, 64000, 16), (2, COMPILER_MIB, 1), (4, 0, 1)],
)
def test_as_many_as_fit(cpus: int, mib: int, jobs: int) -> None:
    assert fitting(cpus, mib) == jobs
    assert jobs == 1 or jobs * COMPILER_MIB <= mib


@pytest.mark.parametrize(
    ("cpus", "mib", "said"),
    [
        (1, 4096, []),
        (16, 16384, []),
        (16, 1000, ["QEMU: 3 at once in the place of 16; 1000 MiB of memory are available"]),
    ],
)
def test_a_small_host_says_what_it_leaves_out(
    monkeypatch: pytest.MonkeyPatch, cpus: int, mib: int, said: list[str]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)))
    monkeypatch.setattr(module, "host_mib", lambda _: mib)
    told: list[str] = []
    compilers("QEMU", told.append)
    assert told == said


def test_memory_of_this_host() -> None:
    assert 0 < host_mib("MemAvailable") <= host_mib("MemTotal")
