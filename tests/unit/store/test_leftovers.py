# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Processes left by a harness that was killed are found by their environment, and no others."""

from __future__ import annotations

import os
import subprocess
import uuid

from harness.store.leftovers import end_processes


def test_children_and_theirs_are_ended_and_no_others() -> None:
    mine, other = f"WORKSPACE=/{uuid.uuid4()}", f"WORKSPACE=/{uuid.uuid4()}"
    processes = {
        setting: subprocess.Popen(
            ["env", "-i", f"PATH={os.environ['PATH']}", setting, "sh", "-c", "sleep 60 & echo up; wait"],
            stdout=subprocess.PIPE,
        )
        for setting in (mine, f"{mine}/longer", other)
    }
    try:
        for process in processes.values():
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
        assert end_processes(mine) == 2
        processes[mine].wait(10)  # how it ended depends on which of the two was first
        assert processes[other].poll() is None
        assert end_processes(mine) == 0
    finally:
        for setting in processes:
            end_processes(setting)
    for process in processes.values():
        process.wait(10)
