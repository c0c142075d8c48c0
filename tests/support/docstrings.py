# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which names of a package others use, and which of those say nothing of themselves."""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.house import imports, modules, parsed, walked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef
OPTION_CALLS = {"addoption", "add_argument", "addini", "add_parser"}
"""Of pytest and argparse: what they make shows its ``help`` to users."""


@dataclass(frozen=True)
class Module:
    path: Path
    room: str
    name: str
    """As in an import: ``harness.boot.driver``."""
    tree: ast.Module
    nodes: tuple[ast.AST, ...]

    @classmethod
    def read(cls, path: Path, package: Path) -> Module:
        parts = path.relative_to(package).with_suffix("").parts
        name = ".".join((package.name, *parts)).removesuffix(".__init__")
        text = path.read_text()
        return cls(path, parts[0], name, parsed(text), walked(text))


@dataclass(frozen=True)
class Uses:
    """The rooms that use a name: an import has a full name, an attribute its own only, whosever it is."""

    imports: Mapping[str, set[str]]
    attributes: Mapping[str, set[str]]

    @classmethod
    def of(cls, read: list[Module]) -> Uses:
        imported, attributes = defaultdict(set), defaultdict(set)
        for module in read:
            for _, name in imports(module.path):
                imported[name].add(module.room)
            for node in module.nodes:
                if isinstance(node, ast.Attribute):
                    attributes[node.attr].add(module.room)
        return cls(imported, attributes)

    def from_outside(self, module: Module, name: str) -> bool:
        """Return whether another room imports a module's name, or the module and takes it from there."""
        own = {module.room}
        whole = self.imports.get(module.name, set()) - own
        return bool(self.imports.get(f"{module.name}.{name}", set()) - own or whole & self.attribute(name))

    def attribute(self, name: str) -> set[str]:
        return self.attributes.get(name, set())


def undocumented(package: Path, exported: tuple[str, ...] = ()) -> list[str]:
    """Return what others use and what has no docstring, or no help if it is an option.

    Others use what is ``exported``, each function and class that another room imports, their methods and
    properties whose names another room takes from some object, fixtures, and hooks of pytest.
    """
    read = [Module.read(path, package) for path in modules([package])]
    uses = Uses.of(read)
    return [
        f"{module.path}:{node.lineno}: {name}"
        for module in read
        for name, node in (*_definitions(module, uses, exported), *_options(module))
        if isinstance(node, ast.Call) or not ast.get_docstring(node)
    ]


def _definitions(module: Module, uses: Uses, exported: tuple[str, ...]) -> Iterator[tuple[str, Definition]]:
    for node in module.tree.body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        public = node.name in exported
        if public or uses.from_outside(module, node.name) or _is_for_pytest(node):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            yield from (
                (f"{node.name}.{method.name}", method)
                for method in node.body
                if isinstance(method, Function) and not method.name.startswith("_")
                if public or uses.attribute(method.name) - {module.room}
            )


def _is_for_pytest(node: Definition) -> bool:
    decorators = {ast.unparse(decorator).partition("(")[0] for decorator in node.decorator_list}
    return node.name.startswith("pytest_") or "pytest.fixture" in decorators


def _options(module: Module) -> Iterator[tuple[str, ast.Call]]:
    """Return the options without help."""
    for node in module.nodes:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in OPTION_CALLS
            and not any(keyword.arg in {"help", None} for keyword in node.keywords)
        ):
            yield ast.unparse(node.args[0]) if node.args else node.func.attr, node
