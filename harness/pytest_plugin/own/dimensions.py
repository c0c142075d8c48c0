# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The dimensions of a test's cell: a fixture for each axis of the matrix, and what chooses their values.

::

    @pytest.mark.cell(kernel=["debian-6.1", ">=6.12"], memory="8G")
    def test_it(record):
        assert record.guest

Values are written as a scenario writes them, and lists multiply by the same rules. Of several marks the
nearest counts, axis by axis. The command line (``--firmware``, ``--kernel``, …) takes the place of marks, as
it does of scenarios. A module that defines a fixture ``memory`` of its own decides itself, unless a test's
mark names that axis.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError
from harness.matrix.cell import AXES, TABLE
from harness.matrix.show import cell_values
from harness.pytest_plugin.cell_items import SESSION, Lack
from harness.run.own_tests import USUAL, one_value, plan_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.matrix.cell import Axis, Cell
    from harness.matrix.plan import Plan

OWN = pytest.StashKey[set[tuple[str, str]]]()
"""The platforms that tests outside scenarios ask for, each with the one that it is here."""
MARK = "cell"
MOVED = "firmware"
_DEBIAN = "debian-trixie"
"""What runs in the cell of a test that asks for the fixture ``guest``, unless it says otherwise."""
NAMES = {axis: axis for axis in AXES} | {"guest": "guest_image"}
"""The fixture of each axis; ``guest`` is the guest that runs."""
_FIRST = AXES[:5]
"""Axes that a cell's id always shows."""


class CellError(HarnessError, pytest.Collector.CollectError):
    """A test's cells cannot be had; pytest shows the text alone."""

    def __init__(self, error: HarnessError) -> None:
        super().__init__(error.what, error.hint)
        self.exit_code = error.exit_code  # type: ignore[misc]  # the error's own, whatever its class


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known."""
    config.stash[OWN] = set()
    config.addinivalue_line(
        "markers", f"{MARK}(AXIS=VALUE, …): the cell of a test; each value of a list is one"
    )
    config.addinivalue_line("markers", f"{MOVED}(…): has moved: write {MARK}(firmware=NAME)")


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test each of its cells. First of all, so that a test's id begins with the cell's."""
    test, names = metafunc.definition, {MARK, *NAMES.values()}.intersection(metafunc.fixturenames)
    if not any(is_ours(test, name) for name in names):
        _refuse_idle_mark(test)
        return
    marked, parametrized = _marked(test), _parametrized(test)
    free = [
        axis
        for axis, name in NAMES.items()
        if name in names and name not in parametrized and (axis in marked or is_ours(test, name))
    ]
    debian = "guest" in metafunc.fixturenames and is_ours(test, "guest")
    plan = _plan(metafunc, {"guest": _DEBIAN} | marked if debian else marked)
    metafunc.config.stash[OWN] |= {(it.platform_asked, it.cell.platform) for it in plan.planned}
    rows: dict[tuple[Any, ...], tuple[Cell, str]] = {}
    cells: list[tuple[Cell, str]] = [(it.cell, Lack(it.lacks)) for it in plan.planned]
    for cell, reason in cells or [(it.cell, it.reason) for it in plan.removed]:
        values = cell_values(cell)
        rows.setdefault(tuple(values[axis] for axis in free), (cell, reason))
    if free:
        metafunc.parametrize(
            [NAMES[axis] for axis in free],
            [
                pytest.param(*row, id=_id(cell, free), marks=[pytest.mark.skip(reason=reason)] * bool(reason))
                for row, (cell, reason) in rows.items()
            ],
        )


def is_ours(test: pytest.Item, name: str) -> bool:
    """Return whether a fixture is this plugin's for a test: whether nobody has put another in its place."""
    # pytest has no public way to ask which fixture a name stands for.
    found = test.session._fixturemanager.getfixturedefs(name, test) or ()  # noqa: SLF001
    return bool(found) and found[-1].func.__module__.startswith(f"{__package__}.")


def _parametrized(test: pytest.Item) -> set[str]:
    """Return the names that a test's own ``parametrize`` marks decide on."""
    found: set[str] = set()
    for mark in test.iter_markers("parametrize"):
        names = mark.kwargs.get("argnames", mark.args[0] if mark.args else ())
        found.update(re.findall(r"\w+", names) if isinstance(names, str) else names)
    return found


def _marked(node: pytest.Item | pytest.Collector, *, farther: bool = True) -> dict[str, Any]:
    """Return what a test's marks say, axis by axis."""
    marks = list(node.iter_markers(MARK)) if farther else node.own_markers
    return {axis: value for mark in reversed(marks) for axis, value in mark.kwargs.items()}


def _plan(metafunc: pytest.Metafunc, marked: Mapping[str, Any]) -> Plan:
    """Plan a test's cells; the first test whose cells cannot be had fails its module's collection."""
    place = where(metafunc.definition)
    try:
        _refuse_wrong_marks(metafunc.definition, place)
        return plan_of(metafunc.config.stash[SESSION], marked, f"{place}: {MARK}")
    except HarnessError as error:
        raise CellError(error) from None


def _refuse_wrong_marks(item: pytest.Item, place: str) -> None:
    if any(mark.args for mark in item.iter_markers(MARK)):
        raise HarnessError(f"{place}: {MARK} takes axes by name", f'write {MARK}(kernel="debian-6.12")')
    if item.get_closest_marker(MOVED) is not None:
        raise HarnessError(f"{place}: the mark {MOVED} has moved", f"write {MARK}(firmware=NAME)")


def _refuse_idle_mark(test: pytest.Item) -> None:
    if any(mark.name == MARK for mark in test.own_markers):
        hint = "ask for a fixture that the cell is for: cell, record, evidence, machine, guest"
        raise CellError(HarnessError(f"{where(test)}: the mark {MARK} changes nothing", hint))


def where(item: pytest.Item) -> str:
    """Return ``file:line`` of a test."""
    path, line, _ = item.location
    return f"{path}:{line + 1}" if line is not None else path


def _id(cell: Cell, free: list[str]) -> str:
    """Return the cell's id, or what is known of it where a module's own fixtures decide on some axes."""
    if len(free) == len(AXES):
        return cell.id
    values = cell_values(cell)
    shown = [str(values[axis]) for axis in free if axis in _FIRST or values[axis] != USUAL[axis]]
    return "+".join(shown) or "usual"


def _dimension(axis: Axis) -> Callable[..., Any]:
    def give(request: pytest.FixtureRequest) -> Any:
        node = request.node
        return one_value(request.config.stash[SESSION], axis.name, _marked(node), f"{where(node)}: {MARK}")

    name = NAMES[axis.name]
    usual = USUAL[axis.name]
    give.__doc__ = f"""Give the test's {name}: {axis.meaning}; usually {usual!r}.

    Say it with ``@pytest.mark.cell({axis.name}=…)``, or define a fixture ``{name}`` that returns it.
    """
    return pytest.fixture(name=name)(give)


globals().update({NAMES[axis.name]: _dimension(axis) for axis in TABLE})
