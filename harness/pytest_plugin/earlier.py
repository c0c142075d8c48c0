# SPDX-License-Identifier: BSD-2-Clause-Patent
"""``--since RUN`` and ``--resume RUN``: boots that an earlier run has made are not made again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError
from harness.paths import SHIPPED
from harness.pytest_plugin.cell_items import SESSION
from harness.results.folder import RUN, StoredRun, find_run
from harness.results.identity import checkout

if TYPE_CHECKING:
    from harness.paths import Project
    from harness.run.recorder import Invocation

_EARLIER = "harness_earlier"
_STORED = pytest.StashKey[StoredRun]()
_RUN = "a run's folder, its id, last, last-green, last~1"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("harness", "confidential guests")
    group.addoption(
        "--since",
        metavar="RUN",
        help=f"boot only cells whose inputs changed since RUN, and take the others' records over ({_RUN})",
    )
    group.addoption(
        "--resume",
        metavar="RUN",
        help="go on with RUN, which was interrupted: boot what it has not booted; the other options as then",
    )


def earlier_run(config: pytest.Config, project: Project) -> tuple[Path | None, bool]:
    """Return the folder of the run whose records are taken over, and whether this run is that one.

    ``UsageError`` for a run that is not there, and for options that do not go together.
    """
    since, resume = config.getoption("since"), config.getoption("resume")
    worker: dict[str, Any] = getattr(config, "workerinput", {})
    if worker:
        return (Path(worker[_EARLIER]) if _EARLIER in worker else None), resume is not None
    if since is None and resume is None:
        return None, False
    options = {"--since": since, "--resume": resume, "--replay": config.getoption("replay")}
    options |= {"--records": config.getoption("records")} if resume is not None else {}
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise pytest.UsageError(f"{' and '.join(given)} do not go together; give one")
    try:
        stored = StoredRun.load(find_run(resume or since, project.out / "records"))
    except HarnessError as error:
        raise pytest.UsageError(f"{given[0]} {error}") from error
    config.stash[_STORED] = stored
    return stored.path, resume is not None


def refuse_another_run(config: pytest.Config, invocation: Invocation) -> None:
    """Raise ``UsageError`` when the run to go on with is over, or had another selection."""
    stored = config.stash.get(_STORED, None)
    if stored is None or config.getoption("resume") is None:
        return
    then, name = stored.run, f"--resume {stored.id}"
    if stored.is_green:
        raise pytest.UsageError(f"{name}: it is over, and green; --since {stored.id} carries its boots over")
    for what, was, now in (
        ("files", " ".join(then.files), " ".join(invocation.files)),
        ("selection", then.selection, invocation.selection),
        ("harness", then.commit, checkout(SHIPPED).commit),
        ("scenarios", then.scenarios_commit, checkout(invocation.scenarios).commit),
    ):
        if was != now:
            raise pytest.UsageError(
                f"{name}: its {what} were {was or 'nothing'}, and are {now or 'nothing'} now; "
                f"a run goes on as it began, and --since {stored.id} begins another"
            )


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which run goes on, and how much of it there is."""
    stored = config.stash.get(_STORED, None)
    if stored is None:
        return []
    word = "goes on with" if config.getoption("resume") is not None else "takes boots over from"
    return [f"harness: {word} {stored.id}, which has {len(stored.boots)} boots"]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: workers take records over from the same run; ``last`` would be this one for them."""
    if stored := node.config.stash.get(_STORED, None):
        node.workerinput[_EARLIER] = str(stored.path)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Say how a run that was interrupted goes on."""
    session = config.stash[SESSION]
    if (
        exitstatus == pytest.ExitCode.INTERRUPTED
        and session.options.replay is None
        and (session.records / RUN).is_file()
    ):
        terminalreporter.write_line(f"interrupted; it goes on with --resume {session.records}")
