# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Cells as text: ids, which are read back, and the form that a user writes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.matrix.cell import ACTION_NAME, Cell, ShortenedError
from harness.matrix.cell_form import read_form, write_form
from harness.matrix.choices import EMULATIONS, GUESTS, QEMUS

ACTIONS = ("touch", "cpu-cycle", "kexec", "kexec-done", "stress-ng")
GUEST_NAMES = (*GUESTS, "debian-trixie", "touch-2")
EMULATION_NAMES = (*EMULATIONS, "kvm-reflect", "spec")
NAMES = st.sampled_from(["a", "debian-2025.02", "2cpu", "x_1.-"])
ARGUMENTS = st.lists(st.text("aZ09_.-", min_size=1, max_size=4), max_size=2)
WORDS = st.builds(lambda name, rest: ":".join([name, *rest]), st.sampled_from(ACTIONS), ARGUMENTS)
CELLS = st.builds(
    Cell,
    firmware=NAMES,
    kernel=NAMES,
    loader=NAMES,
    memory_mib=st.integers(1, 1 << 22),
    platform=st.sampled_from(["snp", "snp-emulated", "plain"]),
    vcpus=st.integers(1, 4096),
    action=st.lists(WORDS, max_size=3).map(" ".join),
    guest=st.sampled_from([guest for guest in GUEST_NAMES if guest != "touch-2"]),
    emulation=st.sampled_from(EMULATION_NAMES),
    qemu=st.sampled_from([*QEMUS, "path:/opt/qemu-11/bin/qemu-system-x86_64"]),
)
ANY_LINE = st.text().filter(str.isprintable)
CELL = Cell("debian-2025.02", "debian-6.12", "direct", 8192, "snp-emulated")


def parsed(text: str) -> Cell:
    return Cell.parse(text, actions=ACTIONS, guests=GUEST_NAMES, emulations=EMULATION_NAMES)


def read(text: str) -> Cell | ShortenedError:
    try:
        return parsed(text)
    except ShortenedError as error:
        return error


@given(CELLS)
def test_an_id_is_read_back_or_says_that_it_shows_less(cell: Cell) -> None:
    found = read(cell.id)
    if isinstance(found, ShortenedError):
        odd = re.search(r":([^0-9A-Z_]|[^: ]*(-|\.[^0-9A-Z_]|\.$))", cell.action)
        assert odd or cell.qemu not in QEMUS
        found = replace(found.shown, action=cell.action, qemu=cell.qemu)
    assert found == cell


@given(CELLS, ANY_LINE)
def test_an_id_never_reads_as_another_cell(cell: Cell, cmdline: str) -> None:
    with_words = replace(cell, cmdline=cmdline)
    found = read(with_words.id)
    if isinstance(found, ShortenedError):
        found = replace(found.shown, cmdline=cmdline, action=cell.action, qemu=cell.qemu)
    assert found == with_words


@given(CELLS, CELLS)
def test_two_cells_have_two_ids(one: Cell, other: Cell) -> None:
    assert (one.id == other.id) == (one == other)


def test_ids_of_stored_records_are_as_ever() -> None:
    action = "snp stress-ng:2048:4:40 drain"
    assert replace(CELL, action=action, guest="debian-trixie").id.endswith(
        "+snp.stress-ng-2048-4-40.drain+debian-trixie"
    )
    assert replace(CELL, cmdline="accept_memory=eager").id.endswith("+accept_memory-eager-85a2a3")
    assert parsed(replace(CELL, action="touch:0.5").id).action == "touch:0.5"
    assert replace(CELL, action="touch:fast").id.endswith("+touch-fast--8ca162")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no cell's id: these begin with FIRMWARE+KERNEL+LOADER+MEMORY+PLATFORM"),
        ("a+b+c+8G", "is no cell's id: these begin"),
        ("a++c+8G+plain", "is no cell's id: these begin"),
        ("a+b+c+8+plain", "the memory size 8 has no unit; write 8M or 8G"),
        ("a+b+c+8192M+plain", "did you mean 'a+b+c+8G+plain'?"),
        ("a+b+c+8G+plain+1cpu", "did you mean 'a+b+c+8G+plain'?"),
        ("a+b+c+8G+plain+tuch-4", "unknown action, guest or emulation 'tuch-4'; did you mean 'touch"),
        ("a+b+c+8G+plain+debian-trixi", "guest or emulation 'debian-trixi'; did you mean 'debian-trixie'"),
        ("a+b+c+8G+plain+debian-trixie+touch-4", "unknown action, guest or emulation"),
        ("a+b+c+8G+plain+initramfs", "did you mean 'a+b+c+8G+plain'?"),
        ("a+b+c+8G+snp-emulated+kvm", "did you mean 'a+b+c+8G+snp-emulated'?"),
        ("a+b+c+8G+snp-emulated+kvm-reflects", "did you mean 'kvm-reflect'"),
        ("a+b+c+8G+snp-emulated+spec+touch-4", "unknown action, guest or emulation"),
    ],
)
def test_what_is_no_id(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parsed(text)


def test_names_of_actions_are_told_from_their_arguments() -> None:
    assert re.fullmatch(ACTION_NAME, "cpu-cycle")
    assert not re.fullmatch(ACTION_NAME, "cpu-2")


@given(CELLS, ANY_LINE)
def test_the_form_is_read_back(cell: Cell, cmdline: str) -> None:
    found = read_form(write_form(replace(cell, cmdline=cmdline)))
    assert found.get("cmdline", "") == cmdline
    assert found["firmware"] == cell.firmware
    assert found.get("action", "") == cell.action
    assert found.get("vcpus", "1") == str(cell.vcpus)


def test_the_form_as_a_user_writes_it() -> None:
    text = "kernel=debian-6.1,cmdline=\"console=ttyS0,115200 x\",action='touch:4 drain'"
    assert read_form(text) == {
        "kernel": "debian-6.1",
        "cmdline": "console=ttyS0,115200 x",
        "action": "touch:4 drain",
    }
    assert write_form(replace(CELL, cmdline="a=1,2")) == (
        'firmware=debian-2025.02,kernel=debian-6.12,memory=8G,platform=snp-emulated,cmdline="a=1,2"'
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kernel=a,cmdline=b=1,2", "'2' is no AXIS=VALUE\n  put a value that holds a comma in double quotes"),
        ("kernal=a", "unknown axis 'kernal'\n  did you mean 'kernel'"),
        ("kernel=a,kernel=b", "kernel is written twice"),
        ('cmdline="a', "no closing quotation\n  close the quote"),
        ("cmdline=a\\", "no escaped character\n  close the quote"),
    ],
)
def test_what_is_no_form(text: str, said: str) -> None:
    with pytest.raises(HarnessError, match=re.escape(said)):
        read_form(text)
