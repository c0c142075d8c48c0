# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where commands find stored runs, and how a RUN on a command line becomes one."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.progress import say
from harness.recipes.project import find_project
from harness.results.compare import compare
from harness.results.folder import StoredRun, find_run
from harness.results.history import History

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from harness.results.compare import Comparison

RUN_HELP = "a run's folder, its id, last, last-green, last~1 (the one before the last)"
BASE_HELP = f"{RUN_HELP}; these words count the runs before the one that is compared"


def add_records(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the folder of runs."""
    parser.add_argument(
        "--records", type=Path, metavar="DIR", help="folder of runs (default: the project's out/records)"
    )


def records_of(options: argparse.Namespace) -> Path:
    """Return the folder of runs that the options name, else the project's."""
    if options.records is not None:
        return Path(options.records).absolute()
    return find_project(Path.cwd()).out / "records"


@contextmanager
def history_of(options: argparse.Namespace) -> Iterator[History]:
    """Yield the history of the runs that the options name, and say on standard error which ones it lacks."""
    with History.open(records_of(options)) as history:
        for why in history.left_out:
            say(f"harness: left out: {why}")
        yield history


def stored_run(text: str, options: argparse.Namespace, before: StoredRun | None = None) -> StoredRun:
    """Return the run that a RUN names; HarnessError when there is none.

    Words such as ``last`` count the runs ``before`` another where one is given.
    """
    return StoredRun.load(find_run(text, records_of(options), before.path if before is not None else None))


def add_base(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a run to compare with."""
    parser.add_argument("--base", metavar="RUN", help=f"also say what changed since this run: {BASE_HELP}")


def comparison_with(run: StoredRun, options: argparse.Namespace) -> Comparison | None:
    """Return what changed since ``--base``; None without it, or when there is no such run yet."""
    if options.base is None:
        return None
    try:
        base = stored_run(options.base, options, before=run)
    except HarnessError as error:
        if not options.base.startswith("last"):
            raise
        say(f"harness: nothing to compare with: {error.what}")  # the first night has no night before
        return None
    return compare(base, run)
