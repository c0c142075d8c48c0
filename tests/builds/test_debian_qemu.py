# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Debian's own QEMUs, each in a root of its suite: they run here, and know the command line of hardware."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.debian_qemu import SUITES
from harness.evidence.host.page_states import event_of
from harness.machine.argv import ByHand, argv
from harness.platforms import qemu_answers
from harness.platforms.registry import platform_named
from harness.platforms.sev import snp_launch
from harness.platforms.snp import GUEST, TRACED
from tests.support.hosts import SNP_HOST

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients

pytestmark = pytest.mark.nightly  # 110 MB are fetched and unpacked when they are new


@pytest.fixture(params=SUITES)
def qemu(request: pytest.FixtureRequest, ingredients: Ingredients) -> Path:
    return ingredients.other_qemu(request.param)


def test_it_runs_here_and_has_what_hardware_needs(qemu: Path) -> None:
    answers = qemu_answers.ask(qemu, GUEST)
    assert answers.version[:3] in {"10.", "11."}
    assert answers.objects == {GUEST}
    assert answers.resets == answers.version.startswith("11.")
    assert not answers.igvm  # Debian builds it without
    known = subprocess.run([str(qemu), "-trace", "help"], capture_output=True, text=True, check=False).stdout
    assert set(TRACED) <= set(known.split())


def test_it_takes_the_command_line_of_hardware_until_it_needs_kvm(qemu: Path, tmp_path: Path) -> None:
    firmware = tmp_path / "launch.fd"
    firmware.write_bytes(snp_launch.image())
    spec = replace(platform_named("snp").configure(snp_launch.spec(qemu), SNP_HOST), firmware=firmware)
    done = subprocess.run(
        argv(spec, ByHand()), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if "warning: " not in line]
    assert lines, "QEMU started a guest: this host has the hardware"
    assert all("kvm" in line.lower() for line in lines), done.stderr


def test_it_traces_in_a_form_that_is_read_here(qemu: Path, tmp_path: Path) -> None:
    """Page states change under KVM alone; of every event, what comes before its name is the same."""
    asked = "".join(json.dumps({"execute": it}) + "\n" for it in ("qmp_capabilities", "cont", "quit"))
    words = ("-nodefaults", "-no-user-config", "-display", "none", "-machine", "none", "-qmp", "stdio", "-S")
    traced = ("-msg", "timestamp=on", "-trace", "enable=runstate_set,file=trace.log")
    began = time.time()
    subprocess.run(
        [str(qemu), *words, *traced], input=asked, cwd=tmp_path, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    lines = (tmp_path / "trace.log").read_text().splitlines()
    assert lines
    for line in lines:
        event, fields, at = event_of(line) or pytest.fail(line)
        assert event == "runstate_set", line
        assert fields.startswith("current_run_state "), line
        assert at is not None
        assert abs(at - began) < 600, line


def test_it_says_that_a_guest_asked_for_its_end_as_is_known_here(qemu: Path) -> None:
    """The marker of a launch: what KVM tells of it is an exit that no QEMU so far has words for."""
    program = qemu.parent / "root/usr/bin/qemu-system-x86_64"
    assert b"KVM: unknown exit reason %d\n" in program.read_bytes()


def test_it_answers_when_it_is_asked_what_sev_can_do(qemu: Path) -> None:
    answers = qemu_answers.ask(qemu, sev=True)
    assert answers.capabilities or answers.trouble in {"KVM not enabled", "SEV is not enabled in KVM"}
