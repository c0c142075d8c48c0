# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Tracepoints of the host's kernel: a tree as tracefs has it, and tracefs itself where root can mount it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.machine import kernel_trace as traces
from harness.machine.kernel_trace import ABSENT, ZERO, kernel_trace, trouble
from harness.machine.spec import KERNEL_TRACE, MachineSpec
from harness.platforms.snp import TRACEPOINTS

SPEC = MachineSpec(qemu=Path("/q"), firmware=Path("/f"), memory_mib=1, accel="kvm", tracepoints=TRACEPOINTS)
FILES = ("buffer_size_kb", "trace_clock", "options/event-fork", "set_event_pid", "tracing_on")


def made(place: Path, pid: int | str) -> Path:
    """Return the instance that the kernel makes below ``place`` when its folder is made."""
    instance = place / "instances" / f"ovmf-acceptance-{pid}"
    events = [f"events/{name}/{file}" for name, _ in TRACEPOINTS for file in ("enable", "filter")]
    for name in (*FILES, *events):
        (instance / name).parent.mkdir(parents=True, exist_ok=True)
        (instance / name).touch()
    (instance / "trace").write_text("# entries-in-buffer/entries-written: 0/0   #P:2\n")
    return instance


def written(instance: Path, name: str) -> str:
    return (instance / name).read_text()


def test_each_tracepoint_is_switched_on_for_qemu_alone(tmp_path: Path) -> None:
    instance = made(tmp_path, os.getpid())
    with kernel_trace(SPEC, os.getpid(), tmp_path, (tmp_path / "absent", tmp_path)):
        assert str(os.getpid()) in written(instance, "set_event_pid").split()
        assert (written(instance, "trace_clock"), written(instance, "options/event-fork")) == ("mono", "1")
        for name, only in TRACEPOINTS:
            assert written(instance, f"events/{name}/enable") == "1"
            assert written(instance, f"events/{name}/filter") == only
        assert not (tmp_path / KERNEL_TRACE).exists()
    said = (tmp_path / KERNEL_TRACE).read_text()
    assert said.startswith(ZERO)
    assert said.endswith("# entries-in-buffer/entries-written: 0/0   #P:2\n")
    assert written(instance, "tracing_on") == "0"


@pytest.mark.parametrize(
    "lost", ["instances", "instances/ovmf-acceptance-PID/events/kvm/kvm_rmp_fault/enable"]
)
def test_what_cannot_be_traced_is_said_and_harms_no_boot(tmp_path: Path, lost: str) -> None:
    place = tmp_path / "tracing"
    if lost != "instances":
        made(place, os.getpid())
        (place / lost.replace("PID", str(os.getpid()))).unlink()
    with kernel_trace(SPEC, os.getpid(), tmp_path, (place,)):
        pass
    said = (tmp_path / KERNEL_TRACE).read_text()
    assert said.startswith(f"{ABSENT}No such file or directory: {place}/")
    assert said.count("\n") == 1


def test_a_machine_without_tracepoints_has_no_file(tmp_path: Path) -> None:
    with kernel_trace(replace(SPEC, tracepoints=()), os.getpid(), tmp_path, (tmp_path,)):
        pass
    assert [*tmp_path.iterdir()] == []


def test_what_a_killed_harness_left_is_swept(tmp_path: Path) -> None:
    old = tmp_path / "instances/ovmf-acceptance-0"  # no process has this number
    old.mkdir(parents=True)
    others = made(tmp_path, os.getppid())
    made(tmp_path, os.getpid())
    with kernel_trace(SPEC, os.getpid(), tmp_path, (tmp_path,)):
        assert not old.exists()
        assert others.exists()


def test_trouble(tmp_path: Path) -> None:
    assert trouble(TRACEPOINTS, (tmp_path,)) == f"No such file or directory: {tmp_path}/instances"
    (tmp_path / "instances").mkdir()
    assert "kvm_vmgexit_enter/format" in trouble(TRACEPOINTS, (tmp_path,))
    for name, _ in TRACEPOINTS:
        (tmp_path / "events" / name).mkdir(parents=True)
        (tmp_path / "events" / name / "format").touch()
    assert trouble(TRACEPOINTS, (tmp_path,)) == ""


_REAL = """\
import os, subprocess, sys
from pathlib import Path
from dataclasses import replace
from tests.unit.machine.test_kernel_trace import SPEC, traces
place = traces.PLACES[0]
points = tuple(it for it in SPEC.tracepoints if (place / "events" / it[0]).is_dir())
spec = replace(SPEC, tracepoints=(*points, ("sched/sched_process_exec", "")))
with traces.kernel_trace(spec, os.getpid(), Path(sys.argv[1])):
    subprocess.run(["/bin/true"])
assert not [*(place / "instances").glob("ovmf-acceptance-*")]
print(len(points))
"""


def test_tracefs_itself(tmp_path: Path) -> None:
    """The kernel takes the filters, follows QEMU's threads and children, and keeps no instance."""
    mount = "mount -t tracefs tracefs /sys/kernel/tracing"
    apart = ["unshare", "--mount", "sh", "-c"]
    if os.geteuid() or subprocess.run([*apart, mount], capture_output=True, check=False).returncode:
        pytest.skip("only root can mount tracefs, where the kernel has it")
    command = [*apart, f'{mount} && exec "$0" -c "$@"', sys.executable, _REAL, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert not done.returncode, done.stderr
    said = (tmp_path / KERNEL_TRACE).read_text()
    assert said.startswith(ZERO), said
    assert "sched_process_exec: filename=/bin/true" in said
    assert traces.PLACES[0] == Path("/sys/kernel/tracing")
