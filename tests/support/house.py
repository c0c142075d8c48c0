# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Questions about source code: how it imports, and how large its parts are."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.data import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MODULE_LINES = 400
FUNCTION_LINES = 70
ROOM_MODULES = 18


def lint_imports(tree: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    """Return how ``lint-imports`` ended that applied this project's contracts to the package in ``tree``."""
    command = Path(sys.executable).parent / "lint-imports"
    assert command.is_file(), f"{command} is missing: pip install import-linter"
    return subprocess.run(
        [command, "--no-cache", "--no-logo", str(PROJECT / "pyproject.toml")],
        cwd=tree,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@lru_cache(maxsize=1024)
def parsed(text: str) -> ast.Module:
    """Return the tree of a module; several questions are about the same ones."""
    return ast.parse(text)


@lru_cache(maxsize=1024)
def walked(text: str) -> tuple[ast.AST, ...]:
    """Return every node of a module; to find them takes longer than to look at them."""
    return tuple(ast.walk(parsed(text)))


@lru_cache(maxsize=1024)
def statements(text: str) -> tuple[ast.AST, ...]:
    """Return every statement of a module, in the order of its lines; there are far fewer than nodes."""
    return tuple(_below(parsed(text)))


def _below(node: ast.AST) -> Iterator[ast.AST]:
    for field in ("body", "handlers", "orelse", "finalbody", "cases"):
        for inner in getattr(node, field, ()):
            yield inner
            yield from _below(inner)


def modules(folders: Iterable[Path]) -> Iterator[Path]:
    """Return every Python module in ``folders``."""
    return (path for folder in folders for path in sorted(folder.rglob("*.py")))


def long_modules(folders: Iterable[Path]) -> list[str]:
    """Return the modules that have more than ``MODULE_LINES`` lines, with their number of lines."""
    lengths = ((path, path.read_text().count("\n")) for path in modules(folders))
    return [f"{path}: {lines} lines" for path, lines in lengths if lines > MODULE_LINES]


def long_functions(folders: Iterable[Path]) -> list[str]:
    """Return the functions that have more than ``FUNCTION_LINES`` lines without their decorators."""
    return [
        f"{path}:{node.lineno}: {node.name} has {lines} lines"
        for path in modules(folders)
        for node in statements(path.read_text())
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    ]


def crowded_rooms(package: Path) -> list[str]:
    """Return the packages in ``package`` with more than ``ROOM_MODULES`` modules of their own."""
    rooms = sorted(path.parent for path in package.rglob("__init__.py"))
    counts = ((room, len(list(room.glob("*.py")))) for room in rooms)
    return [f"{room}: {count} modules" for room, count in counts if count > ROOM_MODULES]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Return every import of a module, wherever it is, as its line and the full name of what it imports."""
    for node in statements(path.read_text()):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def rooms_that_import(package: Path) -> list[str]:
    """Return what the rooms themselves import; a circle through a room would hide from ``lint-imports``."""
    return [
        f"{room}:{line}: {name}"
        for room in sorted(package.glob("*/**/__init__.py"))
        for line, name in imports(room)
    ]


def borrowed_from_tests(tests: Path) -> list[str]:
    """Return the imports that take from a test module what ``tests/support`` should hold."""
    return [
        f"{path}:{line}: {name}"
        for path in modules([tests])
        for line, name in imports(path)
        if name.startswith("tests.") and not name.startswith("tests.support.")
    ]
