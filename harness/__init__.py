# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Show whether a confidential guest gets all of its memory, safely.

These names are what tests and checks of one's own are written with; the rooms behind them may change. Each
is imported when it is first used, so that ``import harness`` costs nothing and imports no room.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

__all__ = [
    "BootRecord",
    "Cell",
    "Check",
    "Evidence",
    "Finding",
    "HarnessError",
    "MachineSpec",
    "__version__",
]

if TYPE_CHECKING:
    from harness.checks.finding import Check, Finding
    from harness.errors import HarnessError
    from harness.evidence.evidence import Evidence
    from harness.evidence.record import BootRecord
    from harness.machine.spec import MachineSpec
    from harness.matrix.cell import Cell

    __version__: str
else:
    _HOMES = {
        "BootRecord": "harness.evidence.record",
        "Cell": "harness.matrix.cell",
        "Check": "harness.checks.finding",
        "Evidence": "harness.evidence.evidence",
        "Finding": "harness.checks.finding",
        "HarnessError": "harness.errors",
        "MachineSpec": "harness.machine.spec",
    }

    def __getattr__(name: str) -> object:
        """Import a public name from its home (PEP 562); AttributeError for any other."""
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415

            value: object = version("ovmf-acceptance")
        elif name in _HOMES:
            from importlib import import_module  # noqa: PLC0415

            value = getattr(import_module(_HOMES[name]), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value

    class _Moved:
        """What Python asks last for a module: one that has another name now says so (PEP 451)."""

        @staticmethod
        def find_spec(name: str, _path: object = None, _target: object = None) -> None:
            if name.startswith("harness.") and name != "harness.moved":
                from harness.moved import moved  # noqa: PLC0415

                if now := moved(name):
                    raise ModuleNotFoundError(f"{name} is {now} now", name=name)

    sys.meta_path.append(_Moved)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
