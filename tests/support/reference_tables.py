# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Tables of reference pages that are made from the code: keys of files, commands, options, checks, fixtures.

A page holds a table between ``<!-- from the code: NAME -->`` and ``<!-- end -->``. A test compares;
``python -m tests.support.reference_tables`` writes them anew.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
import re
import typing
from typing import TYPE_CHECKING, Any

from _pytest.config.argparsing import Parser
from _pytest.fixtures import FixtureFunctionDefinition
from pydantic import BaseModel
from pydantic.json_schema import SkipJsonSchema

from harness import pytest_plugin
from harness.checks import asked
from harness.checks.rollout import table
from harness.cli.parser import parser
from harness.cli.schema import FIXED
from harness.documents.strict import OneKey
from harness.matrix.cell import TABLE
from harness.matrix.schema import Scenario
from harness.recipes.qemu import QemuFile
from harness.results.folder import StoredRun
from harness.results.table import show_tables, tables
from tests.support.data import PROJECT
from tests.support.mutants import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from types import ModuleType

    from pydantic.fields import FieldInfo

_SECTION = re.compile(r"(<!-- from the code: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_AXES = {axis.name for axis in TABLE}


def rewritten(text: str) -> str:
    """Return a page's text with its tables as the code has them now."""
    return _SECTION.sub(lambda found: f"{found[1]}\n{_rows(found[2])}\n{found[3]}", text)


def _rows(name: str) -> str:
    return "".join(f"{row}\n" for row in TABLES[name]())


def pages_with_tables() -> list[Path]:
    """Return the pages that hold such a table."""
    pages = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
    return [path for path in pages if _SECTION.search(path.read_text())]


def _stored_run() -> Iterator[str]:
    """Yield the published table of the run that is stored in the project."""
    run = StoredRun.load(PROJECT / "docs/rollout-run")
    yield from show_tables(tables(run, lambda _: ""), "markdown").splitlines()


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in cells)} |"


def _head(*cells: str) -> Iterator[str]:
    yield _row(*cells)
    yield "|" + "---|" * len(cells)


def keys_of(model: type[BaseModel]) -> Iterator[str]:
    """Yield the rows for every key of a file, nested ones with the path that leads to them."""
    yield from _head("key", "meaning", "default")
    yield from _keys(model, "")


def _keys(model: type[BaseModel], above: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if any(type(mark) is SkipJsonSchema for mark in field.metadata):
            continue  # a key that has moved, and says so
        inner = _models(field.annotation)
        path = f"{above}{field.alias or name}"
        meaning = field.description or next((_summary(one) for one in inner), "")
        yield _row(f"`{path}`", meaning, "" if issubclass(model, OneKey) else _default(field))
        container = typing.get_origin(field.annotation)
        below = f"{path}[]." if container is tuple else f"{path}.NAME." if container is dict else f"{path}."
        for one in inner:
            if one is not model and not _AXES & set(one.model_fields):
                yield from _keys(one, below)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models(part)]


def _summary(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0].rstrip(".")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    shown = "" if not isinstance(value, str | int | bool) or value == "" else str(value)
    return f"`{shown.lower() if isinstance(value, bool) else shown}`" if shown else ""


def _mutants() -> Iterator[str]:
    yield from _head(
        "mutant of the firmware", "what is wrong", "checks that must all say so", "on hardware", "CI"
    )
    for it in REGISTRY.mutants:
        yield _row(it.name, it.claim, _code(it.caught_by), _code(it.hardware), "yes" if it.ci else "")


def _equivalent() -> Iterator[str]:
    yield from _head("mutant of the firmware", "what is wrong", "why no boot shows it")
    for it in REGISTRY.equivalent:
        yield _row(it.name, it.claim, it.because)


def _guest_mutants() -> Iterator[str]:
    yield from _head("guest", "what it does", "checks that speak, and name the loader")
    for it in REGISTRY.guests:
        yield _row(it.name, it.claim, _code(it.caught_by))


def _host_mutants() -> Iterator[str]:
    yield from _head("host", "what it does", "checks that must speak, and name the host")
    for it in REGISTRY.hosts:
        yield _row(it.name, it.claim, _code(it.caught_by))


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _axes() -> Iterator[str]:
    yield from _head("axis", "meaning", "default")
    for axis in TABLE:
        default = "required" if axis.default is None else f"`{axis.default}`" if axis.default else "none"
        yield _row(f"`{axis.name}`", axis.meaning, default)


def _commands() -> Iterator[str]:
    yield from _head("command", "what it does")
    yield from _command(parser(), "harness")


def _command(parser: argparse.ArgumentParser, name: str) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        if isinstance(action, argparse._SubParsersAction):
            texts = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for word, inner in action.choices.items():
                said = "; ".join([texts.get(word, ""), *_positionals(inner)])
                yield _row(f"`{name} {word}{_arguments(inner)}`", said)
                yield from _command(inner, f"{name} {word}")
        elif action.option_strings:
            yield _row(f"`{name} {_written(action)}`", _help(action, parser))


def _positionals(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield what each argument of a command that is no option means, where its help says so."""
    for one in parser._actions:
        if not one.option_strings and one.help and not isinstance(one, argparse._SubParsersAction):
            yield f"{_written(one).strip('[] …')}: {_help(one, parser)}"


def _arguments(parser: argparse.ArgumentParser) -> str:
    """Return what follows a command's name, options left out, with a blank in front."""
    actions = [one for one in parser._actions if not one.option_strings]
    return "".join(f" {_written(one)}" for one in actions if not isinstance(one, argparse._SubParsersAction))


def _written(action: argparse.Action) -> str:
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    if isinstance(value, tuple):
        value = " ".join(value)
    if not action.option_strings:
        return {"*": f"[{value} …]", "?": f"[{value}]", "+": f"{value} …"}.get(str(action.nargs), value)
    option = ", ".join(action.option_strings)
    return option if action.nargs == 0 else f"{option} {value}"


def _help(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    return (action.help or "") % {**vars(action), "prog": parser.prog}


def _options() -> Iterator[str]:
    parser = Parser(_ispytest=True)
    for module in modules(pytest_plugin):
        if add := getattr(module, "pytest_addoption", None):
            add(parser)
    yield from _head("option", "what it does")
    made = parser.optparser
    for group in made._action_groups:
        for action in group._group_actions:
            if action.option_strings and not isinstance(action, argparse._HelpAction):
                yield _row(f"`{_written(action)}`", _help(action, made))


def modules(package: ModuleType) -> list[ModuleType]:
    """Return the modules of a package and of those in it, imported."""
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [importlib.import_module(module.name) for module in found]


def _fixtures() -> Iterator[str]:
    yield from _head("fixture", "what it gives", "how to choose it")
    for module in modules(pytest_plugin):
        for value in vars(module).values():
            if isinstance(value, FixtureFunctionDefinition) and not value.name.startswith("_"):
                text = inspect.getdoc(value._get_wrapped_function()) or ""
                first, _, rest = text.partition("\n\n")
                yield _row(f"`{value.name}`", _one_line(first), _one_line(rest))


def _one_line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _checks() -> Iterator[str]:
    yield from _head("check", "question", "reads")
    for check in asked.checks().values():
        yield _row(f"`{check.name}`", check.question, str(check.needs))


def condition(value: object) -> str:
    """Return a value that a row of the rollout names, as the page has it."""
    if isinstance(value, tuple):
        return " or ".join(map(condition, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _rollout() -> Iterator[str]:
    yield from _head("when", "outcome", "because", "source")
    for row in table().rows:
        said = [f"{name.replace('_', '-')} {condition(value)}" for name, value in row.when.named().items()]
        yield _row(", ".join(said) or "otherwise", f"**{row.outcome}**", row.because, row.source)


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "mutants": _mutants,
    "equivalent-mutants": _equivalent,
    "guest-mutants": _guest_mutants,
    "host-mutants": _host_mutants,
    "axes": _axes,
    "checks": _checks,
    "commands": _commands,
    "fixtures": _fixtures,
    "options": _options,
    "rollout": _rollout,
    "rollout-run": _stored_run,
    "scenario": lambda: keys_of(Scenario),
    "qemu": lambda: keys_of(QemuFile),
    **{kind: lambda model=model: keys_of(model) for kind, model in FIXED.items()},  # type: ignore[misc]
}


def main() -> None:
    """Write the tables of all pages as the code has them now."""
    for path in pages_with_tables():
        text = path.read_text()
        if text != (now := rewritten(text)):
            path.write_text(now)
            print(path.relative_to(PROJECT))


if __name__ == "__main__":
    main()
