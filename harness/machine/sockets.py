# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How others reach the sockets in a record's folder."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LONGEST = 107
"""Bytes of a Unix socket's path (unix(7): 108, with the zero behind it)."""


def reach(folder: Path, name: str) -> tuple[str, str]:
    """Return how a shell reaches the socket ``name`` in a folder: what comes before a command, and its path.

    Where the path is longer than any program takes it, the folder is entered first.
    """
    path = folder / name
    if len(os.fsencode(path)) <= LONGEST:
        return "", str(path)
    return f"cd {shlex.quote(str(folder))} && ", name
