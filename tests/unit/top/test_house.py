# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The house keeps its shape: the order of its rooms, and the size of what is in them."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

import harness
from tests.support import house
from tests.support.data import PROJECT, TESTS
from tests.support.docstrings import undocumented

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SOURCES = [PROJECT / name for name in ("harness", "tests", "bench", "examples")]


def test_imports() -> None:
    linted = house.lint_imports()
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("question", [house.long_modules, house.long_functions])
def test_sizes(question: Callable[[list[Path]], list[str]]) -> None:
    assert not question(SOURCES)


def test_no_room_is_crowded() -> None:
    """``artifacts/`` may be: it has a module for each of many kinds of file."""
    assert not [line for line in house.crowded_rooms(PROJECT / "harness") if "/artifacts:" not in line]


def test_rooms_import_nothing_themselves() -> None:
    assert not house.rooms_that_import(PROJECT / "harness")


def test_what_others_use_says_what_it_is() -> None:
    assert not undocumented(PROJECT / "harness", tuple(harness.__all__))


def test_tests_share_by_support() -> None:
    assert not house.borrowed_from_tests(TESTS)


def test_models_are_made_when_they_are_used() -> None:
    """All of them made at import would cost each command, and each worker of a run, a tenth of a second."""
    for path in (PROJECT / "harness").rglob("*.py"):
        if "pydantic" in path.read_text(encoding="utf-8"):
            import_module(".".join(path.relative_to(PROJECT).with_suffix("").parts))
    models = [model for model in _below(BaseModel) if model.__module__.startswith("harness.")]
    assert models
    assert not [model for model in models if not model.model_config.get("defer_build")]


def _below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for one in model.__subclasses__():
        yield one
        yield from _below(one)


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """Return a tree with a package ``harness`` whose rooms are empty."""
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rooms = re.findall(r"\w+", " ".join(contracts[0]["layers"]))
    for room in (".", *rooms):
        folder = tmp_path / "harness" / room
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
    return tmp_path


def test_a_house_with_a_broken_wall_each(made_up: Path) -> None:
    files = {
        "store/plain.py": "import harness.recipes",
        "debian/typed.py": "if TYPE_CHECKING:\n    from harness.machine import spec",
        "errors/late.py": "def work():\n    from harness.paths import CACHE",
        "cli/door.py": "import harness.pytest_plugin",
        "utilities.py": "",
        "boot/one.py": "from harness.boot import two",
        "boot/two.py": "import harness.boot.one",
        "run/user.py": "from harness import Cell",
    }
    for name, text in files.items():
        (made_up / "harness" / name).write_text(text + "\n")
    linted = house.lint_imports(made_up)
    assert linted.returncode == 1
    for words in (
        "harness.store.plain -> harness.recipes (l.1)",
        "harness.debian.typed -> harness.machine (l.2)",
        "harness.errors.late -> harness.paths (l.2)",
        "harness.cli.door -> harness.pytest_plugin (l.1)",
        "- harness.utilities",
        "No cycles are allowed in harness.boot.",
        "harness.run.user -> harness (l.1)",
    ):
        assert words in linted.stdout, linted.stdout


def test_what_is_too_large(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    for number in range(house.ROOM_MODULES):
        (room / f"module_{number}.py").touch()
    (room / "module_0.py").write_text("# a line\n" * house.MODULE_LINES)
    function = "@cached\ndef work():\n" + "    work()\n" * (house.FUNCTION_LINES - 1)
    (room / "module_1.py").write_text(function)
    assert not [*house.long_modules([tmp_path]), *house.long_functions([tmp_path])]
    assert not house.crowded_rooms(tmp_path)

    (room / "__init__.py").touch()
    (room / "module_0.py").write_text("# a line\n" * (house.MODULE_LINES + 1))
    (room / "module_1.py").write_text(function + "    work()\n")
    assert house.long_modules([tmp_path]) == [f"{room}/module_0.py: 401 lines"]
    assert house.long_functions([tmp_path]) == [f"{room}/module_1.py:2: work has 71 lines"]
    assert house.crowded_rooms(tmp_path) == [f"{room}: 19 modules"]


def test_what_is_imported_from_the_wrong_place(tmp_path: Path) -> None:
    room = tmp_path / "boot"
    room.mkdir()
    (tmp_path / "__init__.py").write_text("import sys\n")
    (room / "__init__.py").write_text('"""A room."""\n')
    (room / "test_a.py").write_text("from tests.support.data import DATA\n")
    assert not [*house.rooms_that_import(tmp_path), *house.borrowed_from_tests(tmp_path)]
    (room / "__init__.py").write_text('"""A room."""\nfrom harness.boot import driver\n')
    (room / "test_a.py").write_text("def late():\n    from tests.unit.test_b import helper\n")
    assert house.rooms_that_import(tmp_path) == [f"{room}/__init__.py:2: harness.boot.driver"]
    assert house.borrowed_from_tests(tmp_path) == [f"{room}/test_a.py:2: tests.unit.test_b.helper"]


def test_what_others_use_without_a_docstring(tmp_path: Path) -> None:
    package = tmp_path / "house"
    texts = {
        "errors.py": "class Error: ...\ndef unused(): ...\n",
        "store/made.py": (
            "def taken(): ...\n"
            "def from_module(): ...\n"
            "def own(): ...\n"
            "def _hidden(): ...\n"
            "class Kept:\n"
            "    'A thing.'\n"
            "    def method(self): ...\n"
            "    @property\n"
            "    def prop(self): 'A property.'\n"
            "    def never(self): ...\n"
        ),
        "store/other.py": "from house.store.made import own\nown().never()\n",
        "cli/door.py": (
            "from house.store import made\n"
            "def run(add_argument):\n"
            "    from house.store.made import taken, Kept, _hidden\n"
            "    made.from_module(Kept().method, Kept().prop)\n"
            "    add_argument.add_argument('--told', help='x')\n"
            "    add_argument.add_argument('--mute')\n"
        ),
        "plugin/fixtures.py": (
            "import pytest\n"
            "def pytest_configure(): ...\n"
            "@pytest.fixture(scope='session')\n"
            "def cell(): ...\n"
            "@pytest.fixture\n"
            "def boot(): 'Return a boot.'\n"
        ),
    }
    for name, text in texts.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    assert [line.removeprefix(f"{package}/") for line in undocumented(package, ("Error",))] == [
        "cli/door.py:6: '--mute'",
        "errors.py:1: Error",
        "plugin/fixtures.py:2: pytest_configure",
        "plugin/fixtures.py:4: cell",
        "store/made.py:1: taken",
        "store/made.py:2: from_module",
        "store/made.py:7: Kept.method",
    ]
