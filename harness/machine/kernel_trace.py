# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Tracepoints of the host's kernel for one QEMU and its threads: an instance of tracefs of their own.

What the kernel saw is read once, when the boot is over; a filter keeps all other exits of the guest out of
the instance's buffers. Nothing of the host's own tracing is touched, and the instance goes with the boot. Not
yet seen with a confidential guest.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness.machine.spec import KERNEL_TRACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.machine.spec import MachineSpec

PLACES = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
ABSENT = "# tracefs: "
"""How the file begins that has no events; why is behind it."""
ZERO = "# clock began at "
"""How the file begins that has some: when the clock of its events was zero, in seconds since 1970."""
MEND = "as root: mount -t tracefs tracefs /sys/kernel/tracing; who boots must be able to write there"
_NAME = "ovmf-acceptance-"
_BUFFER_KIB = 512
"""Of each processor of the host: some 8,000 events."""


def trouble(points: tuple[tuple[str, str], ...], places: tuple[Path, ...] = PLACES) -> str:
    """Return why tracepoints cannot be used by whoever runs this; "" when they can."""
    try:
        place = _place(places)
        for name, _ in points:
            (place / "events" / name / "format").read_bytes()
        if not os.access(place / "instances", os.W_OK):
            return f"{os.strerror(errno.EACCES)}: {place}/instances"
    except OSError as error:
        return _said(error)
    return ""


@contextlib.contextmanager
def kernel_trace(
    spec: MachineSpec, pid: int, folder: Path, places: tuple[Path, ...] = PLACES
) -> Iterator[None]:
    """Trace what ``spec`` asks for of a process that has made its threads, to ``KERNEL_TRACE`` in ``folder``.

    Where tracefs cannot be used, the file says why. Without tracepoints there is no file.
    """
    if not spec.tracepoints:
        yield
        return
    file = folder / KERNEL_TRACE
    try:
        instance = _begin(spec.tracepoints, pid, _place(places))
    except OSError as error:
        file.write_text(f"{ABSENT}{_said(error)}\n")
        yield
        return
    try:
        yield
    finally:
        try:
            _write(instance / "tracing_on", "0")
            began = time.time() - time.monotonic()
            text = (instance / "trace").read_text(errors="replace")
            file.write_text(f"{ZERO}{began:.6f}\n{text}")
        except OSError as error:
            file.write_text(f"{ABSENT}{_said(error)}\n")
        with contextlib.suppress(OSError):
            instance.rmdir()


def _place(places: tuple[Path, ...]) -> Path:
    """Return where tracefs is mounted; the error of the last place where it is not."""
    for place in places[:-1]:
        with contextlib.suppress(OSError):
            (place / "instances").stat()
            return place
    (places[-1] / "instances").stat()
    return places[-1]


def _begin(points: tuple[tuple[str, str], ...], pid: int, place: Path) -> Path:
    _sweep(place)
    instance = place / "instances" / f"{_NAME}{pid}"
    instance.mkdir(exist_ok=True)
    try:
        _write(instance / "buffer_size_kb", str(_BUFFER_KIB))
        _write(instance / "trace_clock", "mono")
        _write(instance / "options/event-fork", "1")
        threads = sorted(int(path.name) for path in Path(f"/proc/{pid}/task").iterdir())
        _write(instance / "set_event_pid", " ".join(map(str, threads)))
        for name, only in points:
            event = instance / "events" / name
            if only:
                _write(event / "filter", only)
            _write(event / "enable", "1")
    except OSError:
        with contextlib.suppress(OSError):
            instance.rmdir()
        raise
    return instance


def _sweep(place: Path) -> None:
    """Remove the instances of processes that are gone: a harness that was killed left them."""
    for old in (place / "instances").glob(f"{_NAME}*"):
        if not Path("/proc", old.name.removeprefix(_NAME)).exists():
            with contextlib.suppress(OSError):
                old.rmdir()


def _write(path: Path, text: str) -> None:
    """Write to a file that is there: tracefs makes its own."""
    with path.open("r+") as file:
        file.write(text)


def _said(error: OSError) -> str:
    return f"{error.strerror}: {error.filename}"
