# SPDX-License-Identifier: BSD-2-Clause-Patent
"""SEV and SEV-ES guests: two views of memory, no RMP, and of the GHCB what KVM has without SEV-SNP."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from harness.evidence.ledger import read_ledger
from tests.support.bare_metal_guest import ENCRYPTED, ENCRYPTED_SOURCES, SOURCE, build, command_of, rules, run

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = ENCRYPTED_SOURCES
NAMES = rules([SOURCE / "encrypted/encrypted.c"])
OF_ES = ("ghcb", "vcpus")
"""Topics of rules that SEV guests have nothing of."""
GUESTS = {"sev": "policy=0x1", "sev-es": "policy=0x5", "sev-es-reflect": "policy=0x5,reflect=on"}

pytestmark = pytest.mark.qemu


def rules_of(guest: str) -> list[str]:
    """Return the rules that a guest tries."""
    topics = {name: name.partition(":")[0] for name in NAMES}
    if guest == "sev-es-reflect":
        return [name for name in NAMES if topics[name] == "reflect"]
    others = {"sev": (*OF_ES, "ghcb msr", "reflect"), "sev-es": ("sev", "reflect")}[guest]
    return [name for name in NAMES if topics[name] not in others]


def line(qemu: Path, image: Path, folder: Path, properties: str) -> list[str]:
    """Return the command line of a guest, which writes to ``debug.log`` and ``ledger.jsonl``."""
    guest = f"{ENCRYPTED},{properties},ledger={folder / 'ledger.jsonl'}"
    usual = command_of(guest, qemu, image, folder / "debug.log")
    return [*usual, "-device", "isa-debug-exit"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("encrypted"), SOURCES)


@pytest.fixture(scope="module")
def folders(qemu_binary: Path, image: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run each guest to its end, and give the folder of what it left."""
    found = {}
    for guest, properties in GUESTS.items():
        found[guest] = folder = tmp_path_factory.mktemp(guest)
        done = run(line(qemu_binary, image, folder, properties))
        (folder / "stderr.log").write_text(done.stderr)
    return found


@pytest.mark.parametrize(
    ("guest", "name"), [(guest, name) for guest in GUESTS for name in rules_of(guest)], ids=str
)
def test_rule(guest: str, name: str, folders: dict[str, Path]) -> None:
    said = (folders[guest] / "debug.log").read_text()
    found = [line for line in said.splitlines() if name in line]
    assert found == [f"ok {name}"], said + (folders[guest] / "stderr.log").read_text()


@pytest.mark.parametrize("guest", GUESTS)
def test_every_rule_is_asked(guest: str, folders: dict[str, Path]) -> None:
    said = (folders[guest] / "debug.log").read_text()
    asked = re.findall(r"^(?:ok|FAIL) (.*?)(?:: [^:]* is 0x.*)?$", said, re.MULTILINE)
    assert (sorted(asked), said.splitlines()[-1]) == (sorted(rules_of(guest)), "end of tests")


@pytest.mark.parametrize("guest", GUESTS)
def test_nothing_is_ever_validated(guest: str, folders: dict[str, Path]) -> None:
    ledger = read_ledger(folders[guest] / "ledger.jsonl")
    assert not ledger.truncated
    assert {event.op for event in ledger.events} <= {"shared-read"}


@pytest.mark.parametrize("guest", ["sev-es", "sev-es-reflect"])
def test_a_page_state_change_ends_the_guest(guest: str, folders: dict[str, Path]) -> None:
    text = "GHCB MSR request 0x14, which only SNP guests have"
    assert text in (folders[guest] / "stderr.log").read_text()
    (end,) = read_ledger(folders[guest] / "ledger.jsonl").terminations
    assert (end.asked, end.text) == (False, text)


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ("policy=0x1,reflect=on", "sev-emulated: reflect=on needs a SEV-ES guest (policy bit 2)"),
        ("policy=0x1,cbitpos=20", "sev-emulated: cbitpos=20 is no free address bit of page tables"),
        ("policy=0x1,rmp-entries=4k", "rmp-entries"),
    ],
)
def test_qemu_refuses(properties: str, message: str, qemu_binary: Path, image: Path, tmp_path: Path) -> None:
    words = line(qemu_binary, image, tmp_path, properties)
    done = run([word.replace("cbitpos=51,", "", "cbitpos=20" in properties) for word in words])
    assert done.returncode == 1
    assert message in done.stderr


def test_a_sev_es_guest_needs_a_reset_block(qemu_binary: Path, image: Path, tmp_path: Path) -> None:
    block = bytes.fromhex("de71f7007e1acb4f890e68c77e2fb44e")
    other = tmp_path / "other.fd"
    whole = image.read_bytes()
    assert block in whole
    other.write_bytes(whole.replace(block, bytes(16)))
    done = run(line(qemu_binary, other, tmp_path, "policy=0x5"))
    assert "failed to locate and/or save reset vector" in done.stderr
