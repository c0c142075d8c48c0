# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Checkers for the fenced blocks of Markdown pages: a block of each language is tried with the real thing.

A block's info string says what it is; ``docs/style.md`` lists the kinds. A block in a language without a
checker is a problem, so that no page holds what nothing tries.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import json
import re
import shlex
import tomllib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from harness.checks.rollout import Table
from harness.cli.parser import parser
from harness.cli.schema import FIXED
from harness.documents.document import load
from harness.errors import HarnessError
from tests.support.data import PROJECT

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.run.session import Session
    from tests.support.markdown import Fence

OF_OTHERS = frozenset(
    {
        ".",
        "addr2line",
        "cd",
        "eval",
        "gdb",
        "git",
        "grep",
        "less",
        "make",
        "pre-commit",
        "qemu-system-x86_64",
        "sh",
        "towncrier",
    }
)
"""Programs of others that console blocks may call: their arguments are not tried."""
SETTINGS = re.compile(r"^(HARNESS_[A-Z_]+|XDG_CACHE_HOME)=")
_PLACEHOLDER = re.compile(r"^[A-Z][A-Z_]*$|[A-Z]{3,}|…")


@dataclass(frozen=True)
class Doors:
    """What commands are tried with: pytest's options, a session, and a folder to write to."""

    pytest_parser: Any
    session: Session
    folder: Path


def problems(fence: Fence, before: list[Fence], doors: Doors) -> Iterator[str]:
    """Yield what is wrong with a block; ``before`` are those that it continues, the first one first."""
    checker = _CHECKERS.get(fence.language)
    if checker is None:
        what = f"language {fence.language!r}" if fence.info else "a block without a language"
        yield f"{fence.where}: {what} has no checker in tests/support/snippets.py"
        return
    for problem in checker(fence, before, doors):
        yield f"{fence.where}: {problem}"


def continued(fence: Fence, earlier: list[Fence]) -> list[Fence]:
    """Return the blocks that ``fence`` continues: it ends in ``+``, and so may those before it."""
    found: list[Fence] = []
    kind = fence.info
    while kind.endswith(" +"):
        same = [one for one in earlier if one.info.removesuffix(" +") == fence.info.removesuffix(" +")]
        last = next((one for one in reversed(same) if one not in found), None)
        if last is None:
            break
        found.append(last)
        kind = last.info
    return found[::-1]


def _yaml(fence: Fence, before: list[Fence], doors: Doors) -> Iterator[str]:
    kind = fence.kind.partition(" ")[0]
    path = doors.folder / (fence.file or f"{kind or 'none'}.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(one.text for one in (*before, fence)))
    try:
        if kind == "scenario":
            doors.session.plan(path)
        elif kind == "rollout":
            load(path, Table)
        elif kind in FIXED:
            load(path, FIXED[kind])
        else:
            yield f"yaml {kind!r}: not a kind of file; those are scenario, rollout, {', '.join(FIXED)}"
    except HarnessError as error:
        yield str(error)


def _toml(fence: Fence, _before: list[Fence], doors: Doors) -> Iterator[str]:
    if fence.kind == "harness":
        path = doors.folder / "harness.toml"
        path.write_text(fence.text)
        try:
            load(path, FIXED["project"])
        except HarnessError as error:
            yield str(error)
        return
    try:
        tomllib.loads(fence.text)
    except tomllib.TOMLDecodeError as error:
        yield str(error)


def _json(fence: Fence, _before: list[Fence], _doors: Doors) -> Iterator[str]:
    try:
        for text in fence.text.splitlines() if fence.kind == "lines" else [fence.text]:
            json.loads(text)
    except ValueError as error:
        yield f"not JSON: {error}"


def _python(fence: Fence, _before: list[Fence], _doors: Doors) -> Iterator[str]:
    """Look for the text in the file that the block names, which is tested; others must compile and import."""
    if fence.kind:
        file = PROJECT / fence.kind
        if not file.is_file():
            yield f"there is no {fence.kind}"
        elif fence.text not in file.read_text():
            yield f"not, word for word, part of {fence.kind}"
        return
    try:
        tree = ast.parse(fence.text)
    except SyntaxError as error:
        yield f"line {error.lineno}: {error.msg}"
        return
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        for name in names:
            try:
                if isinstance(node, ast.ImportFrom):
                    getattr(importlib.import_module(node.module or ""), name)
                else:
                    importlib.import_module(name)
            except (ImportError, AttributeError) as error:
                yield str(error)


def _console(fence: Fence, _before: list[Fence], doors: Doors) -> Iterator[str]:
    commands = list(_commands(fence.text))
    if not commands:
        yield "no line begins with '$ '"
    for command in commands:
        yield from command_problems(command, doors)


def _commands(text: str) -> Iterator[str]:
    """Yield the lines after ``$``, with those that a backslash continues."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("$ "):
            command = line[2:]
            while command.endswith("\\"):
                command = command[:-1] + next(lines, "")
            yield command


def command_problems(command: str, doors: Doors) -> Iterator[str]:
    """Yield what is wrong with a line of shell, by the own parser of each of its programs."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    part: list[str] = []
    for word in (*lexer, ";"):
        if word in {";", "|", "&&", "||"}:
            while part and "=" in part[0]:
                setting = part.pop(0)
                if not SETTINGS.match(setting):
                    yield f"{command}: {setting}: no setting of ours"
            if part:
                yield from (f"$ {command}: {problem}" for problem in _one_command(part, doors))
            part = []
        else:
            part.append(word)


def _one_command(words: list[str], doors: Doors) -> Iterator[str]:
    program, *arguments = words
    if ">" in arguments:
        arguments = arguments[: arguments.index(">")]
    name = program.rpartition("/")[2]
    checker = _PROGRAMS.get(name)
    if checker is not None:
        yield from checker(arguments, doors)
    elif name not in OF_OTHERS:
        yield f"{program} has no checker in tests/support/snippets.py"


def _quietly(parse: Callable[[], argparse.Namespace]) -> tuple[argparse.Namespace | None, str]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            return parse(), ""
    except SystemExit as end:
        return None, said.getvalue().strip().rpartition("\n")[2] if end.code else ""
    except pytest.UsageError as error:
        return None, str(error)


@cache
def _whole_parser() -> argparse.ArgumentParser:
    return parser()


def _harness(arguments: list[str], doors: Doors) -> Iterator[str]:
    options, mistake = _quietly(lambda: _whole_parser().parse_args(arguments))
    yield from [mistake] if mistake else []
    yield from _unknown_names(options, doors)


def _pytest(arguments: list[str], doors: Doors) -> Iterator[str]:
    options, mistake = _quietly(lambda: doors.pytest_parser.parse(arguments))
    yield from [mistake] if mistake else []
    for argument in getattr(options, "file_or_dir", ()):
        path = argument.partition("::")[0]
        if not _PLACEHOLDER.search(path) and not any(
            (root / path).exists() for root in (PROJECT, doors.folder)
        ):
            yield f"there is no {path}"
    yield from _unknown_names(options, doors)


def _unknown_names(options: argparse.Namespace | None, doors: Doors) -> Iterator[str]:
    """Yield the recipes that an option names and the catalog does not have."""
    catalog = doors.session.ingredients.catalog
    recipes = {"firmware": catalog.firmware, "kernel": catalog.kernels, "loader": catalog.loaders}
    for axis, known in recipes.items():
        given = getattr(options, axis, None) or ()
        for name in [given] if isinstance(given, str) else given:
            if ":" not in name and not _PLACEHOLDER.search(name) and name not in known:
                yield f"there is no {axis} {name}"


def _run(arguments: list[str], doors: Doors) -> Iterator[str]:
    usage = (PROJECT / "run").read_text().partition("usage: ./run ")[2].partition("\n")[0]
    words = arguments[1:] if arguments[:1] == ["--no-install"] else arguments
    if words[:1] == ["--help"] or (not words and arguments):
        return
    if not words or words[0] not in re.split(r"[][ |]+", usage):
        yield f"./run {' '.join(arguments)}: its usage is {usage}"
    else:
        yield from _pytest(words[1:], doors)


def _tox(arguments: list[str], _doors: Doors) -> Iterator[str]:
    text = (PROJECT / "tox.ini").read_text()
    for name in arguments[arguments.index("-e") + 1].split(",") if "-e" in arguments else ():
        if not re.search(rf"^\[testenv:{name}\]|^env_list = .*\b{name}\b", text, re.MULTILINE):
            yield f"tox.ini has no environment {name}"


def _interpreter(arguments: list[str], _doors: Doors) -> Iterator[str]:
    if arguments[:1] != ["-m"] or len(arguments) < 2:
        yield "only python -m MODULE is tried"
    elif arguments[1] not in {"venv", "pip"}:
        try:
            importlib.import_module(arguments[1])
        except ImportError as error:
            yield str(error)


def _pip(arguments: list[str], _doors: Doors) -> Iterator[str]:
    if arguments[:1] != ["install"]:
        yield f"pip {' '.join(arguments)}: only pip install is known here"


def _installed(arguments: list[str], _doors: Doors) -> Iterator[str]:
    """Try nothing: these tools are the same for every project."""
    del arguments
    yield from ()


_PROGRAMS: dict[str, Callable[[list[str], Doors], Iterator[str]]] = {
    "harness": _harness,
    "ovmf-acceptance": _harness,
    "pytest": _pytest,
    "run": _run,
    "tox": _tox,
    **dict.fromkeys(("mypy", "pre-commit", "ruff"), _installed),
    "python": _interpreter,
    "python3": _interpreter,
    "pip": _pip,
}

_CHECKERS: dict[str, Callable[[Fence, list[Fence], Doors], Iterator[str]]] = {
    "yaml": _yaml,
    "toml": _toml,
    "json": _json,
    "python": _python,
    "console": _console,
    "text": lambda *_: iter(()),  # what a program prints, or a drawing: nothing to try
}
