# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Guests at work: a test types into them, asks QEMU, or runs commands in them. No record, no judgement."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from harness.boot.running_machine import RunningMachine, running_machine
from harness.errors import HarnessError
from harness.pytest_plugin.cell_items import SESSION
from harness.run.own_tests import folder_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.boot.running_guest import RunningGuest
    from harness.machine.spec import MachineSpec
    from harness.matrix.cell import Cell

RUNNING = {"machine", "guest"}
"""Fixtures that run a guest for one test alone."""


@pytest.fixture
def machine(request: pytest.FixtureRequest, cell: Cell, spec: MachineSpec) -> Iterator[RunningMachine]:
    """Give the test's cell at work: ``.serial`` is a pexpect spawn of its console, ``.qmp`` QEMU's monitor.

    ``machine.serial.expect(…)``, ``.sendline(…)``; ``machine.qmp.execute("query-status")``;
    ``wait_for_console_text(pattern)`` and ``wait_for_qmp_event(name)``. Every wait has a deadline and ends
    with the guest. The guest has just begun to run and ends with the test. Choose its cell with
    ``@pytest.mark.cell(…)``, or define a fixture ``spec`` for another machine. Skips in a replay.
    """
    with _folder(request, cell) as folder, running_machine(spec, folder, RunningMachine) as running:
        yield running


@pytest.fixture
def guest(request: pytest.FixtureRequest, cell: Cell, spec: MachineSpec) -> Iterator[RunningGuest]:
    """Give the test's cell at work as a Debian that is up and reached over SSH.

    All of ``machine``, and ``guest.succeed("free -m")``, ``guest.fails(…)``, ``guest.execute(…)``,
    ``guest.wait_until_succeeds(…)``. Choose its cell with ``@pytest.mark.cell(guest="debian-bookworm", …)``,
    or define a fixture ``guest_image``. Skips in a replay.
    """
    if not cell.whole_system:
        raise HarnessError(
            f"{cell.id}: no SSH server runs in {cell.guest}", 'write cell(guest="debian-trixie")'
        )
    from harness.boot.running_guest import running_guest  # noqa: PLC0415  # paramiko is slow to load

    with _folder(request, cell) as folder, running_guest(spec, folder) as running:
        yield running


@contextmanager
def _folder(request: pytest.FixtureRequest, cell: Cell) -> Iterator[Path]:
    """Yield the folder of a test's consoles, once the host has room for its guest; tell the report of it."""
    session = request.config.stash[SESSION]
    folder = session.records / folder_name(request.node.nodeid)
    request.node.user_properties += [("platform", cell.platform), ("console", str(folder / "serial.log"))]
    with session.boots.place(cell):
        yield folder


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--hold-on-fail``: the machine of a boot that went wrong stays."""
    parser.getgroup("harness", "confidential guests").addoption(
        "--hold-on-fail",
        action="store_true",
        help="keep the machine of a boot that goes wrong, with sockets for gdb and console, until it ends",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse workers, whose machines nobody sees.

    ``UsageError`` when the user wants some of xdist.
    """
    if session.config.getoption("hold_on_fail") and session.config.getoption("numprocesses", None):
        raise pytest.UsageError("--hold-on-fail and -n do not go together; boots run at once without -n, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let no test time out while somebody looks at its machine."""
    if config.getoption("hold_on_fail"):
        for item in items:
            item.add_marker(pytest.mark.timeout(0))
