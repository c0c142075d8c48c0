# SPDX-License-Identifier: BSD-2-Clause-Patent
"""JSON that anybody may have written, and JSON files that are whole or not there."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def parsed(text: str | bytes) -> Any:
    """Return what a JSON text says; ValueError for what is none, and for one that nests too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it nests too deeply") from None


def write_json(path: Path, data: object) -> None:
    """Write a JSON file that is either whole or not there."""
    temporary = path.with_name(f".{path.name}.part")
    # Half of a surrogate pair, which a guest's JSON may hold, is written as it came: \udXXX.
    with temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(data, file, indent=1, ensure_ascii=False, default=str)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
