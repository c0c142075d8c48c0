# SPDX-License-Identifier: BSD-2-Clause-Patent
"""``import harness``: a few names, which cost nothing until they are used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

import harness
from harness.moved import _MOVED
from tests.support.data import PROJECT
from tests.support.house import statements

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = PROJECT / "harness"
NAMES = {"BootRecord", "Cell", "Check", "Evidence", "Finding", "HarnessError", "MachineSpec", "__version__"}


def modules_after(code: str) -> set[str]:
    """Return the modules of the harness that a fresh Python has imported after ``code``."""
    script = f"{code}\nimport sys\nprint(*(name for name in sys.modules if name.startswith('harness')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_harness_imports_no_room() -> None:
    assert modules_after("import harness; dir(harness)") == {"harness"}
    assert "harness.matrix.cell" in modules_after("from harness import Cell")


def test_what_it_exports() -> None:
    assert set(harness.__all__) == NAMES
    assert set(dir(harness)) >= NAMES
    for name in NAMES:
        value: Any = getattr(harness, name)
        assert value is getattr(harness, name)
        assert name in {"__version__", getattr(value, "__name__", "")}
    assert harness.__version__ == metadata.version("ovmf-acceptance")
    with pytest.raises(AttributeError, match="'harness' has no attribute 'Room'"):
        _ = harness.Room  # type: ignore[attr-defined]


def test_a_module_that_has_moved_says_its_new_name() -> None:
    names = [line.split() for line in _MOVED.strip().splitlines()]
    assert len(names) > 70
    for old, new in names:
        assert find_spec(f"harness.{new}"), new
        with pytest.raises(
            ModuleNotFoundError, match=f"^harness.{re.escape(old)} is harness.{re.escape(new)} now$"
        ):
            find_spec(f"harness.{old}")
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'harness\.nowhere'$"):
        import_module("harness.nowhere")


def imported_from_the_face(path: Path) -> set[str]:
    """Return what a module imports from ``harness`` itself that is no room and no module of the top level."""
    found: set[str] = set()
    for node in statements(path.read_text()):
        if isinstance(node, ast.ImportFrom) and node.module == "harness" and not node.level:
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Import) and any(alias.name == "harness" for alias in node.names):
            found.add("harness")
    return {name for name in found if not {f"{name}.py", name} & {path.name for path in PACKAGE.iterdir()}}


@pytest.mark.parametrize("line", ["from harness import Cell", "import harness"])
def test_an_import_from_the_face_is_seen(tmp_path: Path, line: str) -> None:
    (tmp_path / "room.py").write_text(f"from harness import checks, errors\ndef late():\n    {line}\n")
    assert imported_from_the_face(tmp_path / "room.py")


def test_no_room_imports_from_the_face() -> None:
    found = {str(path): names for path in PACKAGE.rglob("*.py") if (names := imported_from_the_face(path))}
    assert found == {}
