# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a host must have for hardware guests: every answer in every state, from trees and recorded answers."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.machine import kernel_trace
from harness.platforms import examination, qemu_answers
from harness.platforms.examination import Means, launched
from harness.platforms.host import survey
from harness.platforms.leaf import Leaf, branch, failed, passed, skipped
from harness.platforms.registry import platform_named
from harness.platforms.sev import answers as answers_of
from harness.platforms.sev import cpuid, snp_launch
from harness.platforms.sev.answers import NOTHING, Answers, Asids
from harness.platforms.sev.firmware import SevFirmware, ask, tcb_parts
from harness.platforms.sev.snp_launch import Output
from harness.platforms.snp_leaves import host_leaves
from tests.support.hosts import BAD_HOSTS, GENOA, GENOA_HOST, with_answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.platforms.host import Host


def states(host: Host) -> dict[str, str]:
    return {leaf.name: leaf.state for leaf in host_leaves(host)}


def found(host: Host, name: str) -> Leaf:
    return next(leaf for leaf in host_leaves(host) if leaf.name == name)


def test_a_host_that_has_all() -> None:
    assert set(states(GENOA_HOST).values()) == {"pass"}
    assert platform_named("snp").lacking(GENOA_HOST) == ()
    assert found(GENOA_HOST, "processor").said == "SEV-SNP, C-bit 51, 6 address bits fewer"
    assert found(GENOA_HOST, "asids").said == "99 for SEV-ES and SNP guests, 3 taken"
    assert found(GENOA_HOST, "sev-firmware").said == "version 1.55 build 21, 3 guests"
    assert found(GENOA_HOST, "tcb").said == "boot-loader 10, tee 0, snp 25, microcode 90"


@pytest.mark.parametrize(("host", "name", "words"), BAD_HOSTS.values(), ids=BAD_HOSTS)
def test_a_bad_answer_fails_its_leaf_alone_and_says_what_mends_it(host: Host, name: str, words: str) -> None:
    bad = [leaf for leaf in host_leaves(host) if leaf.state == "fail"]
    assert [leaf.name for leaf in bad] == [name]
    assert words in bad[0].said
    assert bad[0].mend
    assert "\n" not in bad[0].said + bad[0].mend
    assert platform_named("snp").lacking(host) == (bad[0].said,)


UNKNOWN = {
    "processor": with_answers(encryption=None),
    "rmp-table": replace(with_answers(log=(), firmware=None), parameters={}),
    "asids": replace(with_answers(encryption=None), asids=None),
    "sev-firmware": with_answers(firmware=None),
    "tcb": with_answers(firmware=replace(GENOA.firmware, rmp=None)),  # type: ignore[type-var]
    "guest-memory": with_answers(kvm={}),
}


@pytest.mark.parametrize(("name", "host"), UNKNOWN.items(), ids=UNKNOWN)
def test_what_nobody_answers_is_skipped(name: str, host: Host) -> None:
    leaf = found(host, name)
    assert leaf.state == "skip"
    assert leaf.said
    assert leaf.mend


def test_a_table_is_known_by_who_says_so() -> None:
    assert found(GENOA_HOST, "rmp-table").said == "at 0x000000bf8d100000 - 0x000000c04d6fffff"
    assert "secure processor" in found(with_answers(log=()), "rmp-table").said
    assert "kvm_amd" in found(with_answers(log=(), firmware=None), "rmp-table").said
    assert found(replace(GENOA_HOST, asids=None), "asids").said == "99 for SEV-ES and SNP guests"


def test_the_secure_processor_answers_in_its_own_layout() -> None:
    tcb = 0x5A19_0000_0000_000A
    snp = struct.pack("<BBBBIIIQQ", 1, 55, 1, 1, 21, 0, 3, 0, tcb)
    asked: list[tuple[int, int]] = []

    def ioctl(device: int, request: int, argument: bytearray) -> None:
        command, address, _ = struct.unpack("=IQI", argument)
        asked.append((request, command))
        assert device == 7
        ctypes.memmove(address, snp if command == 9 else struct.pack("<BBBIBI", 1, 49, 0, 1, 6, 2), 12)
        if command == 9:
            ctypes.memmove(address, snp, len(snp))

    assert ask(7, snp=True, ioctl=ioctl) == SevFirmware(1, 55, 21, 3, rmp=True, tcb=tcb)
    assert ask(7, snp=False, ioctl=ioctl) == SevFirmware(1, 49, 6, 2)
    assert asked == [(0xC0105300, 9), (0xC0105300, 1)]
    assert tcb_parts(tcb, 0x19) == {"boot-loader": 10, "tee": 0, "snp": 25, "microcode": 90}
    assert tcb_parts(0x4A00_0000_0402_0103, 0x1A) == {
        "fmc": 3, "boot-loader": 1, "tee": 2, "snp": 4, "microcode": 74
    }  # fmt: skip


def test_this_processor_answers() -> None:
    found = cpuid.encryption()
    assert found is None or 0 <= found.c_bit < 64


def test_devices_that_are_files_answer_nothing(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    assert answers_of.ask(tmp_path).refused == {}
    for name in ("kvm", "sev"):
        (tmp_path / "dev" / name).touch()
    (tmp_path / "dev/kmsg").write_text(
        "6,3,51,-;SEV-SNP: RMP table physical range [0x1 - 0x2]\n6,4,52,-;eth0: up\n"
    )
    answers = answers_of.ask(tmp_path)
    assert answers.kvm == {}
    assert answers.firmware is None
    assert answers.firmware_trouble == os.strerror(errno.ENOTTY)
    assert answers.log == ("SEV-SNP: RMP table physical range [0x1 - 0x2]",)


def test_a_device_that_does_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/sev").touch()
    monkeypatch.setattr(os, "open", refuse)
    assert answers_of.ask(tmp_path).refused["sev"] == "Permission denied"


@pytest.mark.parametrize(
    ("files", "counted"),
    [
        ({}, None),
        ({"misc.capacity": "sev 410\nsev_es 99\n"}, Asids(99)),
        ({"misc.capacity": "sev 410\nsev_es 99\n", "misc.current": "sev 0\nsev_es 3\n"}, Asids(99, 3)),
        (
            {"misc.capacity": "sev_es 99\n", "a/misc.current": "sev_es 1\n", "b/misc.current": "sev 1\n"},
            Asids(99, 1),
        ),
        ({"misc.capacity": "res_a 5\n"}, None),
    ],
)
def test_asids_are_counted_by_the_cgroups(
    tmp_path: Path, files: dict[str, str], counted: Asids | None
) -> None:
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert answers_of.asids(tmp_path) == counted


def test_a_survey_takes_a_tree_and_answers(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\n")
    host = survey(tmp_path, kvm_trouble=str, ask=lambda root: Answers(log=(str(root),)))
    assert (host.family, host.answers.log) == (25, (str(tmp_path),))
    assert survey(tmp_path, kvm_trouble=str).answers == NOTHING


def test_branches_are_as_bad_as_their_worst_leaf() -> None:
    good, bad, unknown = passed("a", "x"), failed("b", "x", "y"), skipped("c", "x")
    assert branch("t", (good, unknown)).state == "pass"
    assert branch("t", (good, unknown, bad)).state == "fail"
    assert branch("t", (unknown,)).state == "skip"
    assert [leaf.name for leaf in branch("t", (good, branch("u", (bad,)))).every()] == ["a", "b"]


LAUNCHED = {
    "emulated": (("SNP guest requested termination: 0xa:0xcc unknown reason (vCPU 0)",), None, "pass", ""),
    "kvm": (("qemu: warning: x", "KVM: unknown exit reason 24", "EAX=00000000"), None, "pass", ""),
    "another-end": (("SNP guest requested termination: 0x0:0x1",), 0, "fail", "termination: 0x0:0x1"),
    "refused": (
        ("q: warning: x", "q: SNP_LAUNCH_START ret=-5 fw_error=7", "q: later"), 1, "fail", "fw_error=7"
    ),
    "said-nothing": ((), 1, "fail", "ended with code 1"),
    "did-nothing": ((), -9, "fail", "did nothing in 30 s"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "code", "state", "words"), LAUNCHED.values(), ids=LAUNCHED)
def test_what_a_launch_says(lines: tuple[str, ...], code: int | None, state: str, words: str) -> None:
    leaf = snp_launch.leaf(Output(lines, code), "launch", lambda line: "mend" if "fw_error" in line else "")
    assert leaf.state == state
    assert words in leaf.said
    assert (leaf.mend == "mend") == ("fw_error" in words)


def test_the_firmware_has_what_qemu_looks_for() -> None:
    image = snp_launch.image()
    assert len(image) == 64 * 1024
    jump, start = struct.unpack("<BH", image[-16:-13])
    assert jump == 0xE9
    code = (len(image) - 13 + start) & 0xFFFF
    assert image[code : code + 6] == bytes.fromhex("66b9300101c0")
    assert b"ASEV" in image


@pytest.fixture
def no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> Output:
        raise AssertionError("a guest was launched")

    monkeypatch.setattr(snp_launch, "launch", never)


@pytest.mark.usefixtures("no_launch")
def test_what_cannot_be_launched_is_skipped(tmp_path: Path) -> None:
    guest = examination.spec(Means(tmp_path))
    absent = launched(Means(None, "there is none"), guest)
    assert (absent.state, absent.said) == ("skip", "there is none")
    assert "harness build qemu" in absent.mend
    assert launched(Means(tmp_path, launches=False), guest).state == "skip"
    after = launched(Means(tmp_path), guest, (failed("asids", "x", "y"),))
    assert (after.state, after.said) == ("skip", "a question before it failed: asids")


@pytest.fixture
def made_up_qemu(tmp_path: Path) -> Callable[[str], Path]:
    def make(script: str) -> Path:
        path = tmp_path / "qemu"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return make


def test_a_qemu_says_what_it_has(made_up_qemu: Callable[[str], Path], tmp_path: Path) -> None:
    answers = qemu_answers.ask(
        made_up_qemu(
            'case "$*" in *--version*) echo QEMU emulator version 9.2.4 "(Debian 1:9.2)";;'
            ' "-object help") echo List of user creatable objects:; echo "  a"; echo "  ab";;'
            " *) exit 1;; esac"
        ),
        "a",
        "b",
    )
    assert (answers.version, answers.objects) == ("9.2.4", frozenset("a"))
    assert (answers.igvm, answers.resets) == (False, False)
    good = qemu_answers.leaf(answers, "a", "m")
    assert good.state == "pass"
    assert good.said == "QEMU 9.2.4 has a, takes no IGVM files, ends guests on reset"
    bad = qemu_answers.leaf(answers, "b", "take another")
    assert (bad.state, bad.said, bad.mend) == ("fail", "QEMU 9.2.4 has no b", "take another")
    assert qemu_answers.ask(tmp_path / "absent", "a").version == ""


def test_a_newer_qemu_says_more(made_up_qemu: Callable[[str], Path]) -> None:
    answers = qemu_answers.ask(
        made_up_qemu(
            'case "$*" in *--version*) echo QEMU emulator version 11.1.3;;'
            ' "-object help") echo "  igvm-cfg"; echo "  sev-snp-guest";;'
            ' "-machine q35,help") echo "  x-change-vmfd-on-reset=<bool> - Set on/off";; esac'
        ),
        "sev-snp-guest",
    )
    assert (answers.igvm, answers.resets) == (True, True)
    assert str(answers) == ("QEMU 11.1.3 has sev-snp-guest, takes IGVM files, launches guests anew on reset")


def test_capabilities_are_numbers_or_a_reason() -> None:
    greeting = '{"QMP": {}}\n{"return": {}}\n'
    good = '{"return": {"pdh": "x", "cbitpos": 51, "reduced-phys-bits": 6}}\n'
    assert qemu_answers.read_capabilities(greeting + good) == (
        (("cbitpos", 51), ("reduced-phys-bits", 6)),
        "",
    )
    bad = '{"error": {"class": "GenericError", "desc": "SEV is not enabled in KVM"}}\n'
    assert qemu_answers.read_capabilities(greeting + bad) == ((), "SEV is not enabled in KVM")
    assert qemu_answers.read_capabilities("qemu: no kvm\n") == ((), "qemu: no kvm")
    assert qemu_answers.read_capabilities("") == ((), "it gave no answer")


def test_a_qemu_says_which_cpu_features_tcg_has(made_up_qemu: Callable[[str], Path], tmp_path: Path) -> None:
    said = (
        '{"QMP": {}}\n{"return": {}}\nqemu: a warning\n'
        '{"return": {"model": {"name": "max", "props": {"btc-no": true, "srso-no": false}}}}\n'
    )
    asked = ("srso-no", "auto-ibrs", "btc-no")
    assert qemu_answers.read_features(said, asked) == ("btc-no",)
    assert qemu_answers.read_features('{"error": {"desc": "no such command"}}\n', asked) == ()
    program = made_up_qemu(f"cat >/dev/null\ncase \"$*\" in *'-accel tcg') echo '{said}';; esac")
    assert qemu_answers.announced_by_tcg(program, asked) == ("btc-no",)
    assert qemu_answers.announced_by_tcg(tmp_path / "absent", asked) == ()


def test_a_hardware_host_is_examined_to_the_launch(
    made_up_qemu: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in takes QEMU's place: what it prints is what QEMU with KVM prints."""
    seen: list[tuple[str, ...]] = []

    def launch(command: Callable[[Path], tuple[str, ...]]) -> Output:
        seen.append(command(tmp := Path("/x/launch.fd")))
        assert str(tmp) in seen[-1]
        return Output(("KVM: unknown exit reason 24",), None)

    monkeypatch.setattr(snp_launch, "launch", launch)
    monkeypatch.setattr(kernel_trace, "trouble", lambda _: "")
    qemu = made_up_qemu(
        'case "$*" in *--version*) echo QEMU emulator version 10.0.13;;'
        ' "-object help") echo "  sev-snp-guest";;'
        """ *) echo '{"return": {"cbitpos": 51, "reduced-phys-bits": 6}}';; esac"""
    )
    platform = platform_named("snp")
    assert isinstance(platform, examination.Examined)
    leaves = [*platform.examine(GENOA_HOST, Means(qemu))]
    assert {leaf.state for leaf in leaves} == {"pass"}
    assert [leaf.name for leaf in leaves][-4:] == ["tracepoints", "qemu", "qemu-capabilities", "launch"]
    monkeypatch.setattr(kernel_trace, "trouble", lambda _: "Permission denied: /t/instances")
    leaves = [*platform.examine(GENOA_HOST, Means(qemu))]
    assert [leaf.state for leaf in leaves[-4:]] == ["skip", "pass", "pass", "pass"]
    assert "mount -t tracefs" in leaves[-4].mend
    assert "sev-snp-guest,id=cgs0,cbitpos=51,reduced-phys-bits=1,policy=0x30000" in seen[0]
    plain_sev = made_up_qemu(
        'case "$*" in *--version*) echo QEMU emulator version 11.1.3;;'
        ' "-object help") echo "  sev-snp-guest";;'
        """ *) echo '{"error": {"desc": "failed to export PDH cert ret=-1 fw_err=1 (…)"}}';; esac"""
    )
    leaves = [*platform.examine(GENOA_HOST, Means(plain_sev))]
    assert [leaf.state for leaf in leaves[-2:]] == ["skip", "pass"], "no question of SNP guests"
    broken = [*platform.examine(BAD_HOSTS["asids-taken"][0], Means(qemu))]
    assert [leaf.state for leaf in broken[-3:]] == ["pass", "skip", "skip"]
    mute = made_up_qemu("exit 1")
    assert [leaf.state for leaf in platform.examine(GENOA_HOST, Means(mute))][-3:] == ["fail", "fail", "skip"]
