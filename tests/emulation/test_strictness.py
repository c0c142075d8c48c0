# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where the emulation is as strict as hardware: DMA, contents of pages, #VC for intercepted instructions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from harness.evidence.ledger import read_ledger
from tests.support import bare_metal_guest as guest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

FOLDER = guest.SOURCE / "strictness"
STRICT = (FOLDER / "strict.c", FOLDER / "bus_masters.c")
REFLECT = (FOLDER / "reflect.c",)
XSAVEC = (FOLDER / "xsavec.c",)
REP_STOS = (FOLDER / "rep_stos.c",)
LEGACY = "disable-legacy=off,disable-modern=on,iommu_platform=off"
LOG = "debug.log"
DEVICES = ("vmcoreinfo", "edu,addr=4", f"virtio-rng-pci,addr=5,{LEGACY}")
ANSWER = re.compile(r"^(?:(ok)|FAIL) (.+?)(?:: [^:]* is 0x.*)?$", re.MULTILINE)


def machine(qemu: Path, program: tuple[Path, ...], folder: Path, properties: str = "") -> list[str]:
    """Build a program; give the command line of a machine that runs it and logs to ``LOG``."""
    image = guest.build(folder, [guest.SOURCE / "guest.c", *program])
    line = guest.command(qemu, image, folder / LOG, properties)
    for device in DEVICES:
        line += ["-device", device]
    return line


def answers(
    qemu: Path, program: tuple[Path, ...], folder: Path, properties: str = "", more: tuple[str, ...] = ()
) -> dict[str, str]:
    """Run a program; give its answers, "ok" or the whole line, by rule."""
    done = guest.run([*machine(qemu, program, folder, properties), *more])
    said = (folder / LOG).read_text()
    assert said.endswith("end of tests\n"), said + done.stderr
    return {match[2]: match[1] or match[0] for match in ANSWER.finditer(said)}


def names(program: tuple[Path, ...]) -> list[str]:
    """Return a program's rules; reflect.c's macros complete theirs."""
    text = "".join(path.read_text() for path in program)
    found = guest.rules(program)
    found += [
        f"reflect: {name} raises #VC with its exit code" for name in re.findall(r' RAISES\("([^"]+)"', text)
    ]
    found += [f"reflect: {name} runs" for name in re.findall(r' RUNS\("([^"]+)"', text)]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("strictness")


@pytest.fixture(scope="module")
def strict(qemu_binary: Path, folder: Path) -> dict[str, str]:
    return answers(qemu_binary, STRICT, folder, f",ledger={folder / 'ledger.jsonl'}")


@pytest.fixture(scope="module")
def reflected(qemu_binary: Path, folder: Path) -> dict[str, str]:
    return answers(qemu_binary, REFLECT, folder, ",reflect=on")


@pytest.mark.parametrize("name", names(STRICT))
def test_rule(name: str, strict: dict[str, str]) -> None:
    assert strict.get(name, "the guest said nothing of it") == "ok"


@pytest.fixture(scope="module")
def saved(qemu_binary: Path, folder: Path) -> dict[str, str]:
    """Run on a CPU model that has components to leave out."""
    return answers(qemu_binary, XSAVEC, folder, more=("-cpu", "max"))


@pytest.mark.parametrize("name", names(XSAVEC))
def test_xsavec(name: str, saved: dict[str, str]) -> None:
    assert saved.get(name, "the guest said nothing of it") == "ok"


@pytest.fixture(scope="module")
def stored(qemu_binary: Path, folder: Path) -> dict[str, str]:
    return answers(qemu_binary, REP_STOS, folder)


@pytest.mark.parametrize("name", names(REP_STOS))
def test_rep_stos(name: str, stored: dict[str, str]) -> None:
    assert stored.get(name, "the guest said nothing of it") == "ok"


@pytest.mark.parametrize("name", names(REFLECT))
def test_intercept(name: str, reflected: dict[str, str]) -> None:
    assert reflected.get(name, "the guest said nothing of it") == "ok"


def test_dma_into_private_memory_is_in_the_ledger(strict: dict[str, str], folder: Path) -> None:
    """One line a page and transfer, and one for accesses of a page in a row.

    Reads: data, the request, edu's, the queue. Writes: data, the answer and data, edu's, random bytes.
    """
    assert strict
    told = read_ledger(folder / "ledger.jsonl").faults
    pages = {op: [fault.gpa for fault in told if fault.op == op] for op in {fault.op for fault in told}}
    assert pages.keys() == {"dma-private-read", "dma-private-write"}
    assert len(set(pages["dma-private-read"])) == 3
    assert len(pages["dma-private-write"]) == 4
    assert all((fault.vcpu, fault.rip, fault.gpa % 4096) == (-1, 0, 0) for fault in told)


def test_dma_into_private_memory_is_an_event(qemu_binary: Path, tmp_path: Path) -> None:
    events = guest.run_with_qmp(machine(qemu_binary, STRICT, tmp_path))
    told = [event["data"] for event in events if event.get("event") == "SEV_SNP_EMULATED_FAULT"]
    assert {event["operation"] for event in told} == {"dma-private-read", "dma-private-write"}


@pytest.mark.parametrize(
    ("properties", "broken"),
    [
        (",scramble=off", "contents: a page that becomes shared reads as zero"),
        (",dma=open", "dma: a device reads zeros from private memory"),
        (",dma=open", "dma: a device's write to private memory is lost"),
    ],
)
def test_the_switches_switch(properties: str, broken: str, qemu_binary: Path, tmp_path: Path) -> None:
    assert answers(qemu_binary, STRICT, tmp_path, properties)[broken].startswith("FAIL")


def test_without_reflect_nothing_raises_vc(qemu_binary: Path, tmp_path: Path) -> None:
    seen = answers(qemu_binary, REFLECT, tmp_path)
    raising = {name: answer for name, answer in seen.items() if "raises #VC" in name}
    assert len(raising) > 20
    assert all(answer.startswith("FAIL") for answer in raising.values()), raising
