# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What SNP emulation costs: emulated over plain TCG, on one QEMU binary, the sides taken in turn.

    python -m bench.emulation [FIGURE...] [--runs 5] [--memory 8G] [--firmware NAME] [--emulation NAME]

Figures (all when none is named):

``boot-6.12``, ``boot-6.1``
    Start of QEMU to the first line of userspace; RMP entries of 4 KiB.
``boot-6.12-2m``, ``boot-6.1-2m``
    The same with entries of 2 MiB, as ``boot-smp`` and ``touch`` have them.
``boot-6.12-same``, ``boot-6.1-same``
    The same with ``swiotlb=262144`` on both sides. An SNP guest makes its bounce buffer 6 % of memory and
    writes all of it (Linux, sev_setup_arch()), a plain one has 64 MiB; here both have 512 MiB, so that what
    is left is acceptance, conversion and the emulation.
``debian``, ``debian-2m``
    6.12, emulated by this QEMU, over the same boot plain on Debian's own QEMU of trixie: what a user of a
    distribution's QEMU pays for the emulation. Neither CPU says here that it does not speculate.
``boot-smp``, ``boot-smp-same``
    6.12 with 4 vCPUs on a host thread each.
``touch``
    One process writes to every page of 4 GiB, of which nearly all is unaccepted under SNP.
``steady``
    An interpreter and digests, after ``accept_memory=eager``: nothing is left to accept.
``disk``, ``disk-2m``
    The guest reads a virtio disk of 1 GiB: it accepts pages for its cache, and copies by its bounce buffer.
``absent``
    A plain boot: this QEMU over one built from the same source without our patches (built once, kept in the
    store).
``ledger``
    An emulated boot with a ledger over one without.
``events``
    An emulated boot with trace events of page state changes over one without; RMP entries of 4 KiB.
``reflect``
    An emulated boot on a host that reflects intercepts over one on a host that does not.
``entries``
    An emulated boot with RMP entries of 4 KiB over one with 2 MiB; the firmware accepts all memory.
``pvalidate``
    Acceptance with 64 vCPUs over that with one: what a boot with 16 times the memory takes more, where the
    firmware accepts all of it. So the vCPUs' own start is not in it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.disk import READING, with_disk
from bench.figures import Figure as Measured
from bench.figures import tell
from bench.measure import ACTION, BOOT, Interval, Ratio, alternate, cost, loaded, report, spec_of
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.qemu import BINARY, build_qemu
from harness.evidence.record import DOCUMENT_END
from harness.machine.memory_layout import cpu_with_addresses
from harness.machine.spec import CPU
from harness.matrix.cell import Cell, format_memory, parse_memory
from harness.matrix.choices import EMULATIONS
from harness.recipes.qemu import load_qemu

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.measure import Cost
    from harness.machine.spec import MachineSpec

MANY_VCPUS = 64
MORE_MEMORY = 16
"""Gibibytes of acceptance are hundredths of a second: less than what two boots differ by."""
SAME_BUFFER = "swiotlb=262144"
"""Slabs of 2 KiB (Linux, swiotlb.h): 512 MiB, what 8 GiB of SNP guest rounds to."""


@dataclass(frozen=True)
class Figure:
    """One comparison: usually a cell as ``snp-emulated`` over the same as ``plain``."""

    name: str
    goal: float
    kernel: str = "debian-6.12"
    vcpus: int = 1
    accel: str = "tcg"
    cmdline: str = ""
    action: str = ""
    interval: Interval = BOOT
    emulation: str = EMULATIONS[0]


LARGE = "kvm-2m"
"""A host with RMP entries of 2 MiB: what acceptance by them costs, without the fall-back to 4 KiB."""
FIGURES = {
    figure.name: figure
    for figure in (
        Figure("boot-6.12", 1.20),
        Figure("boot-6.12-2m", 1.10, emulation=LARGE),
        Figure("boot-6.12-same", 1.20, cmdline=SAME_BUFFER),
        Figure("boot-6.1", 1.30, kernel="debian-6.1"),
        Figure("boot-6.1-2m", 1.15, kernel="debian-6.1", emulation=LARGE),
        Figure("boot-6.1-same", 1.30, kernel="debian-6.1", cmdline=SAME_BUFFER),
        Figure("debian", 1.15),
        Figure("debian-2m", 1.05, emulation=LARGE),
        Figure("boot-smp", 1.10, vcpus=4, accel="tcg,thread=multi", emulation=LARGE),
        Figure(
            "boot-smp-same", 1.10, vcpus=4, accel="tcg,thread=multi", cmdline=SAME_BUFFER, emulation=LARGE
        ),
        Figure("touch", 1.05, action="touch:4096", interval=ACTION, emulation=LARGE),
        Figure("steady", 1.02, cmdline="accept_memory=eager", action="compute:2", interval=ACTION),
        Figure("disk", 1.25, interval=READING),
        Figure("disk-2m", 1.25, interval=READING, emulation=LARGE),
        Figure("absent", 1.01),
        Figure("ledger", 1.02),
        Figure("events", 1.02),
        Figure("reflect", 1.15),
        Figure("entries", 1.15, kernel="debian-6.1"),
        Figure("pvalidate", 1.2, kernel="efi-probe-eager", interval=Interval(DOCUMENT_END)),
    )
}


def sides(figure: Figure, options: argparse.Namespace, ingredients: Ingredients) -> dict[str, MachineSpec]:
    """Return the two machines that a figure compares, the one that may cost more first.

    Without ``nokaslr`` a kernel lies elsewhere each time, and how that suits QEMU's TLB differs by percents.
    """
    chosen = options.emulation or figure.emulation

    def machine(platform: str, emulation: str = EMULATIONS[0]) -> MachineSpec:
        cell = Cell(
            firmware=options.firmware,
            kernel=figure.kernel,
            loader="direct",
            memory_mib=options.memory,
            platform=platform,
            vcpus=figure.vcpus,
            cmdline=f"nokaslr {figure.cmdline}".strip(),
            action=figure.action,
            emulation=emulation,
        )
        return spec_of(cell, ingredients, accel=figure.accel)

    match figure.name:
        case "absent":
            plain = _speculating(machine("plain"))
            return {"patched": plain, "unpatched": replace(plain, qemu=unpatched(ingredients) / BINARY)}
        case "ledger":
            emulated = machine("snp-emulated", chosen)
            own = emulated.confidential
            assert own is not None
            without = tuple(each for each in own.properties if each[0] != "ledger")
            return {
                "on": emulated,
                "off": replace(emulated, confidential=replace(own, properties=without)),
            }
        case "events":
            traced = machine("snp-emulated", chosen)
            assert traced.trace
            return {"on": traced, "off": replace(traced, trace=())}
        case "reflect":
            return {
                "on": machine("snp-emulated", "kvm-reflect"),
                "off": machine("snp-emulated"),
            }
        case "entries":
            return {
                "4 KiB": machine("snp-emulated"),
                "2 MiB": machine("snp-emulated", "kvm-2m"),
            }
        case _:
            emulated, plain = machine("snp-emulated", chosen), machine("plain")
            if figure.name.startswith("debian"):
                theirs = ingredients.other_qemu("debian-trixie")
                emulated, plain = _speculating(emulated), replace(_speculating(plain), qemu=theirs)
            return {"emulated": emulated, "plain": plain}


def _speculating(spec: MachineSpec) -> MachineSpec:
    """Return the machine whose CPU does not say that it cannot speculate: others' QEMU can say no such thing.

    So both sides boot the same guest.
    """
    return replace(spec, cpu=cpu_with_addresses(CPU, spec.memory_mib))


def unpatched(ingredients: Ingredients) -> Path:
    """Return the folder of a QEMU without our patches."""
    return build_qemu(load_qemu(), ingredients.apt, ingredients.lock, patched=False).path


def measure(figure: Figure, options: argparse.Namespace, ingredients: Ingredients) -> bool:
    """Measure and print one figure; True when its goal is met."""
    if figure.name == "pvalidate":
        return measure_pvalidate(figure, options, ingredients)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        machines = sides(figure, options, ingredients)
        if figure.interval is READING:
            machines = {
                name: with_disk(spec, ingredients, figure.kernel, Path(folder))
                for name, spec in machines.items()
            }
        runs: dict[str, Callable[[], Cost]] = {
            name: partial(cost, spec, figure.interval) for name, spec in machines.items()
        }
        costs = alternate(runs, options.runs)
    over, under = machines
    print(f"{figure.name}: {figure.kernel}, {format_memory(options.memory)} ({loaded()})")
    return report(costs, [Ratio(f"{figure.name}, {over} / {under}", over, under, figure.goal)])


def measure_pvalidate(figure: Figure, options: argparse.Namespace, ingredients: Ingredients) -> bool:
    """Measure and print what much more memory costs with many vCPUs and with one."""
    few, many = options.memory, MORE_MEMORY * options.memory
    runs: dict[str, Callable[[], Cost]] = {}
    for vcpus in (1, MANY_VCPUS):
        for memory in (few, many):
            chosen = argparse.Namespace(**{**vars(options), "memory": memory})
            machine = sides(replace(figure, name="", vcpus=vcpus), chosen, ingredients)["emulated"]
            runs[f"{vcpus} vCPUs, {format_memory(memory)}"] = partial(cost, machine, figure.interval)
    costs = alternate(runs, options.runs)
    report(costs, [])
    middle = [statistics.median(one.cpu for one in values) for values in costs.values()]
    alone, among = middle[1] - middle[0], middle[3] - middle[2]
    name = f"pvalidate, {MANY_VCPUS} vCPUs / 1"
    return tell(Measured(name, among / alone, "", figure.goal), f"{among:.2f} s / {alone:.2f} s")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=", ".join(FIGURES))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--firmware", default="debian-2025.02")
    parser.add_argument("--emulation", help="the emulated host, in place of the figure's own")
    parser.add_argument("--memory", type=parse_memory, default="8G")
    options = parser.parse_args()
    if unknown := set(options.figures) - set(FIGURES):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    ingredients = Ingredients()
    good = [measure(FIGURES[name], options, ingredients) for name in options.figures or FIGURES]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
