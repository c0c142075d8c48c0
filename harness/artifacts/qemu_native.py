# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Whether QEMU is compiled for this machine's processor alone: the setting ``HARNESS_NATIVE``."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from hashlib import sha256

from harness.errors import HarnessError

SETTING = "HARNESS_NATIVE"
_OFF, _ON = ("", "0"), "1"
_DIGITS = 12
_MARCH = re.compile(r"-march=\s+(\S+)")


@dataclass(frozen=True)
class Native:
    """What the setting adds to QEMU's recipe."""

    configure: tuple[str, ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()
    left_out: str | None = None
    """What to say where the compiler cannot do it."""


def native() -> Native:
    """Return what ``HARNESS_NATIVE`` asks for on this machine; HarnessError for another value than 0 and 1.

    What gcc makes of this processor is an input of the build, so that a cache which two machines share holds
    a QEMU for each.
    """
    value = os.environ.get(SETTING, "")
    if value in _OFF:
        return Native()
    if value != _ON:
        raise HarnessError(f"{SETTING}: unknown value {value!r}", f"{_ON}, or leave it out")
    means = _processor()
    if means is None:
        return Native(left_out=f"{SETTING}: gcc knows no -march=native here; QEMU is for every processor")
    return Native(("--extra-cflags=-march=native",), (("processor", means),))


def _processor() -> str | None:
    """Return gcc's name of this processor, and a digest of all that it may use of it; None without."""
    command = ("gcc", "-march=native", "-Q", "--help=target")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    name = _MARCH.search(done.stdout)
    if done.returncode or name is None:
        return None
    return f"{name[1]} {sha256(done.stdout.encode()).hexdigest()[:_DIGITS]}"
