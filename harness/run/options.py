# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a user chose to run, and what this host lacks to run it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.errors import HostError
from harness.matrix.cell import format_memory
from harness.matrix.expand import Substitution
from harness.matrix.show import count
from harness.platforms.registry import platform_named
from harness.recipes.probe import ProbeRecipe
from harness.run.axis_values import read_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients
    from harness.matrix.choices import Known
    from harness.matrix.plan import Planned
    from harness.platforms.host import Host
    from harness.run.pool import Demand


@dataclass(frozen=True)
class Options:
    """What the user chose. ``replay`` is a folder of stored records to judge instead of booting.

    ``axes``: by axis, what takes the place of what scenarios name (``AXIS_OPTIONS``). ``full``: all cells,
    also of scenarios that have many. ``budget``: the file by which processes share the host. ``cells``: ids
    of the only cells to take, or ``AXIS=VALUE,…``, which they must have. ``make``: whether this
    run may fetch and build ingredients. ``attempts``: how often each cell of a scenario boots, None for what
    the scenario says. ``earlier`` is the folder of a run whose records are taken over where a boot would be
    the same; with ``resume`` this run is that one, and goes on. ``elsewhere``: nothing boots here, so a
    platform that this host lacks something for is no mistake. ``against``: a firmware as on the command line,
    whose own failures are none of the others. ``hold_on_fail``: the machine of a boot that went wrong stays.
    ``wait``: whether boots wait for what others have of the host.
    """

    platform: str = "auto"
    records: Path | None = None
    replay: Path | None = None
    boots: int | None = None
    axes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    full: bool = False
    budget: Path | None = None
    cells: tuple[str, ...] = ()
    make: bool = True
    attempts: int | None = None
    earlier: Path | None = None
    resume: bool = False
    hold_on_fail: bool = False
    elsewhere: bool = False
    wait: bool = True
    against: str = ""


def substitutions(options: Options, ingredients: Ingredients, known: Known) -> tuple[Substitution, ...]:
    """Resolve the user's values; HarnessError for one that is not there.

    The EFI probe has the place of a kernel in some scenarios: a user's kernel does not replace it, and a
    scenario's cells with the probe are left out then.
    """
    catalog = ingredients.catalog
    probes = frozenset(name for name, recipe in catalog.kernels.items() if isinstance(recipe, ProbeRecipe))
    found = []
    for axis, texts in options.axes.items():
        values = tuple(dict.fromkeys(read_value(axis, text, ingredients, known) for text in texts))
        keeps = probes if axis == "kernel" and not probes.intersection(values) else frozenset()
        found.append(Substitution(axis, values, not_for=keeps))
    return tuple(found)


def lacks(planned: Planned, host: Host, has: Demand) -> str:
    """Return what this host lacks for a cell or its platform; "" when nothing. ``has``: all of the host."""
    if lacking := platform_named(planned.cell.platform).lacking(host):
        return f"platform {planned.cell.platform} cannot run here ({'; '.join(lacking)})"
    for rule in planned.said.requires:
        if rule.platform is not None and (lacking := platform_named(rule.platform).lacking(host)):
            return f"needs platform {rule.platform} ({'; '.join(lacking)}), by {rule.where}"
        if rule.memory_mib is not None and has.memory_mib < rule.memory_mib:
            wanted, there = format_memory(rule.memory_mib), format_memory(has.memory_mib)
            return f"needs {wanted} of memory, the host has {there}, by {rule.where}"
        if rule.cpus is not None and has.cpus < rule.cpus:
            return f"needs {rule.cpus} processors, the host has {has.cpus}, by {rule.where}"
    return ""


def nothing_judged(lacking: Iterable[str]) -> HostError:
    """Return the error of a run for whose every cell the host lacks something: what, for each of them."""
    reasons = Counter(lacking)
    cells = "its cell" if reasons.total() == 1 else f"each of its {reasons.total()} cells"
    first, number = reasons.most_common(1)[0]
    more = f"; something else for {count(left, 'cell')}" if (left := reasons.total() - number) else ""
    return HostError(
        f"this run judged nothing: the host lacks something for {cells} ({first}{more})",
        "`harness plan` lists what; `harness doctor` says what this host can do",
    )
