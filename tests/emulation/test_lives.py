# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A reset: it ends the machine, as before QEMU 11, or launches the guest anew without a trace of before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.evidence.ledger import read_ledger
from harness.intervals import IntervalSet
from tests.support.bare_metal_guest import SOURCE, build, command, rules, run

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = (SOURCE / "guest.c", SOURCE / "vmsa.c", SOURCE / "lives/lives.c")
NAMES = rules([SOURCE / "lives/lives.c"])


@pytest.fixture(scope="module", params=["kvm", "spec"])
def hypervisor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(hypervisor: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(f"lives-{hypervisor}")


def lived(qemu: Path, folder: Path, properties: str) -> str:
    """Run a guest that resets itself once; return what it said."""
    debug = folder / "debug.log"
    line = command(qemu, build(folder, PROGRAM), debug, f",ledger={folder / 'ledger.jsonl'}{properties}")
    done = run([word for word in line if word != "-no-reboot"])
    (folder / "stderr.log").write_text(done.stderr)
    return debug.read_text()


@pytest.fixture(scope="module")
def said(qemu_binary: Path, hypervisor: str, folder: Path) -> str:
    return lived(qemu_binary, folder, f",hypervisor={hypervisor},reset=rebuild")


@pytest.mark.qemu
@pytest.mark.parametrize("name", NAMES)
def test_rule(name: str, said: str, folder: Path) -> None:
    found = [line for line in said.splitlines() if name in line]
    assert found == [f"ok {name}"], said + (folder / "stderr.log").read_text()


@pytest.mark.qemu
def test_the_ledger_has_both_lives(said: str, folder: Path) -> None:
    assert said.endswith("end of tests\n")
    ledger = read_ledger(folder / "ledger.jsonl")
    assert len(ledger.resets) == 1
    first, second = ledger.lives
    assert not first.truncated
    assert not second.truncated
    launched = [
        {(event.gpa, event.size) for event in life.select("launch-private")} for life in (first, second)
    ]
    assert launched[0] == launched[1] != set()
    assert [life.first("ghcb-register") is not None for life in (first, second)] == [True, True]
    assert not first.terminations
    assert [end.asked for end in second.terminations] == [True]
    # the first life's memory is nobody's in the second
    block = first.first("validate", "size-mismatch")
    assert block is not None
    assert first.final().validated & IntervalSet.span(block.gpa, block.gpa + 4096)
    assert second.validated_twice() == ()


@pytest.mark.qemu
def test_without_it_a_reset_ends_the_machine(qemu_binary: Path, tmp_path: Path) -> None:
    said = lived(qemu_binary, tmp_path, "")
    assert said.startswith("ok first life")
    assert "second life" not in said
    assert "cpus are not resettable, terminating" in (tmp_path / "stderr.log").read_text()
    assert read_ledger(tmp_path / "ledger.jsonl").resets == ()
