# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness host``: which platforms run here, by which QEMUs, and where the cache is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.output import add_json, print_facts
from harness.paths import SHIPPED, cache_dir
from harness.platforms.registry import platforms
from harness.progress import say
from harness.recipes.project import find_project
from harness.run.host.qemus import qemus
from harness.run.options import Options
from harness.run.session import Session

if TYPE_CHECKING:
    import argparse

    from harness.platforms.qemu_answers import QemuAnswers


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness host``."""
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    session = Session(Options(make=False), find_project(Path.cwd()), say)
    lacking = {name: list(platform.lacking(session.host)) for name, platform in platforms().items()}
    there = qemus(session.ingredients, session.host)
    if options.json:
        shown = {name: {"runs": not reasons, "lacking": reasons} for name, reasons in lacking.items()}
        facts = {"platforms": shown, "qemus": {name: _facts(it) for name, it in there.items()}}
        print_facts({**facts, "cache": str(cache_dir()), "shipped": str(SHIPPED)}, options)
        return
    for name, reasons in lacking.items():
        print(f"platform {name}: {'; '.join(reasons) or 'runs here'}")
    for name, answers in there.items():
        print(f"qemu {name}: {answers}")
    print(f"cache: {cache_dir()}")
    print(f"shipped recipes and scenarios: {SHIPPED}")


def _facts(answers: QemuAnswers | str) -> dict[str, object]:
    """Return the traits of a QEMU for programs; ``lacking`` says why there are none."""
    if isinstance(answers, str):
        return {"lacking": answers}
    traits = {"version": answers.version, "objects": sorted(answers.objects)}
    return {**traits, "igvm": answers.igvm, "resets": answers.resets}
