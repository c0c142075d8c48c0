# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command line of a machine."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.machine.argv import ByHand, Channels, argv, shell_script
from harness.machine.spec import ConfidentialObject, Drive, MachineSpec

CHANNELS = Channels(qmp=10, serial_out=11, serial_in=12, debugcon=13)
SPEC = MachineSpec(
    qemu=Path("/q/qemu-system-x86_64"),
    firmware=Path("/f/OVMF.fd"),
    memory_mib=8192,
    accel="tcg",
    kernel=Path("/k/bzImage"),
    initrd=Path("/k/initrd"),
    cmdline="console=ttyS0 a,b",
)
MADE = ConfidentialObject(type="made-up", properties=(("policy", "0x30000"), ("ledger", "a,b.jsonl")))
CONFIDENTIAL = replace(SPEC, confidential=MADE)


def values(command: tuple[str, ...], option: str) -> list[str]:
    return [command[i + 1] for i, word in enumerate(command) if word == option]


def test_confidential_guest() -> None:
    command = argv(CONFIDENTIAL, CHANNELS)
    assert command[0] == "/q/qemu-system-x86_64"
    assert values(command, "-machine") == [
        "q35,vmport=off,i8042=off,memory-backend=ram1,confidential-guest-support=cgs0"
    ]
    assert values(command, "-object") == [
        "memory-backend-memfd,id=ram1,size=8192M,share=on,prealloc=off",
        "made-up,id=cgs0,policy=0x30000,ledger=a,,b.jsonl",
    ]
    assert values(command, "-bios") == ["/f/OVMF.fd"]
    assert values(command, "-append") == ["console=ttyS0 a,b"]  # -append takes the text as it is
    assert values(command, "-nic") == ["none"]
    assert "-S" in command
    assert "-no-reboot" in command
    assert values(command, "-action") == ["shutdown=pause"]


def test_plain_machine_lacks_only_the_guest() -> None:
    plain, confidential = argv(SPEC, CHANNELS), argv(CONFIDENTIAL, CHANNELS)
    without = [word for word in confidential if not word.startswith("made-up")]
    del without[without.index("-bios") - 1]  # the -object
    expected = [word.replace(",confidential-guest-support=cgs0", "") for word in without]
    assert list(plain) == expected


def test_drives_devices_and_extra() -> None:
    drives = (
        Drive(path=Path("/d/a,b.qcow2"), format="qcow2", boot_index=1),
        Drive(path=Path("/d/r"), format="raw", read_only=True),
    )
    command = argv(replace(SPEC, drives=drives, devices=("virtio-rng-pci",), extra=("-trace", "x")), CHANNELS)
    assert values(command, "-blockdev") == [
        "driver=qcow2,node-name=disk0,read-only=off,file.driver=file,file.filename=/d/a,,b.qcow2",
        "driver=raw,node-name=disk1,read-only=on,file.driver=file,file.filename=/d/r",
    ]
    devices = values(command, "-device")
    assert devices[0] == "virtio-blk-pci,drive=disk0,disable-legacy=on,iommu_platform=on,bootindex=1"
    assert "virtio-rng-pci" in devices
    assert command[-2:] == ("-trace", "x")
    by_hand = argv(replace(SPEC, drives=drives), ByHand())
    assert values(by_hand, "-drive") == [
        "if=none,id=disk0,format=qcow2,file=/d/a,,b.qcow2,snapshot=on",
        "if=none,id=disk1,format=raw,file=/d/r,snapshot=on",
    ]


def test_by_hand_runs_at_once_and_keeps_nothing_open() -> None:
    command = argv(CONFIDENTIAL, ByHand())
    assert "-S" not in command
    assert "-action" not in command
    assert not [word for word in command if "fd" in word and "memfd" not in word and ".fd" not in word]
    assert values(command, "-serial") == ["mon:stdio"]


def test_no_kernel_no_append() -> None:
    command = argv(replace(SPEC, kernel=None, initrd=None, cmdline=""), CHANNELS)
    assert not {"-kernel", "-initrd", "-append"} & set(command)


def test_script_passes_every_word_unchanged() -> None:
    words = ("-append", "a 'b' \"$HOME\" `id` \\", "-m", "8192M", "-S")
    script = shell_script(("/usr/bin/printf", "%s\\n", *words), Path("/cache"), ("a note",))
    assert "\n# a note\n" in script
    assert "    -m 8192M \\\n" in script
    shown = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == list(words)


def test_script_finds_the_files_in_the_cache_of_who_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No path of the machine that wrote it: the names in the store are the same in every cache."""
    monkeypatch.setenv("HOME", str(tmp_path / "a home"))
    cache, other = tmp_path / "a home/my cache", tmp_path / "an other's"
    for folder in (cache, other):
        (folder / "store").mkdir(parents=True)
        (folder / "store/show").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        (folder / "store/show").chmod(0o755)
    words = ("-bios", f"{cache}/store/it's", "-drive", f"file={cache}/a,x=b", "-k", f"/mnt{cache}/c", "")
    script = shell_script((f"{cache}/store/show", *words), cache)
    assert str(tmp_path) not in script.replace(f"/mnt{cache}", "")

    def said(**environment: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": os.environ["PATH"], **environment}
        return subprocess.run(
            ["/bin/sh", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )

    home = {"HOME": str(tmp_path / "a home")}
    assert said(**home).stdout.splitlines() == list(words)
    moved = [word if word.startswith("/mnt") else word.replace(str(cache), str(other)) for word in words]
    for name in (str(other), other.name):
        assert said(**home, HARNESS_CACHE=name).stdout.splitlines() == moved
    lost = said(HOME="/nowhere")
    assert lost.returncode == 1
    assert (
        lost.stderr == "/nowhere/my cache/store/show: not found: HARNESS_CACHE names the cache that has it\n"
    )


def test_relative_paths_are_refused() -> None:
    with pytest.raises(HarnessError, match="absolute"):
        replace(SPEC, kernel=Path("bzImage"))
