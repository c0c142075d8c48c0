# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A line for the user while long work goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable

Progress = Callable[[str], None]
"""Takes one line (without its newline) meant for the user."""


def say(line: str) -> None:
    """Print a progress line to standard error: the default for every ``progress`` parameter."""
    # In one piece: print writes the newline apart, and other processes may write between the two.
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def say_over(line: str) -> None:
    """Print a progress line as ``say`` does; on a terminal over what another program has begun there."""
    say(f"\r\x1b[K{line}" if sys.stderr.isatty() else line)
