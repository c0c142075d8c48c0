# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness boot``: one cell, without a scenario, with its console on the terminal."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from harness.artifacts.loader.choice import LOADER_FORMS
from harness.boot.terminal import Terminal
from harness.checks.ended import headline
from harness.cli.completion import recipes
from harness.errors import ExitCode
from harness.intervals import amount
from harness.machine.memory_dump import FORM as SPAN_FORM
from harness.machine.memory_dump import MOST, Span
from harness.machine.sockets import reach
from harness.matrix.cell import TABLE
from harness.matrix.cell_form import FORM
from harness.matrix.choices import QEMUS, is_own_qemu
from harness.platforms.choice import AUTO, USUAL
from harness.progress import say
from harness.recipes.project import find_project
from harness.results.model import BAD
from harness.run.axis_options import AXIS_OPTIONS, platform_choice
from harness.run.options import Options
from harness.run.session import Session
from harness.run.single.boot import GDB, MONITOR, SingleBoot, exit_code, prepare
from harness.run.single.memory import MemoryKeeper
from harness.run.single.parts import USUAL_VALUES, Own, chosen_cell
from harness.run.single.stored import answers_as_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.run.cell_run import CellRun
    from harness.run.judge import Answer
    from harness.run.single.boot import Prepared

_FORMS = {axis: form for axis, (form, _) in AXIS_OPTIONS.items()} | {"loader": LOADER_FORMS}


_OWN_WORDS = frozenset({"platform", "qemu"})
"""Axes whose options have words of their own."""
_AT_FAULT = "fault"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument(
        "cell", nargs="?", default="", metavar="CELL", help=f"a cell's id, or {FORM}; options change it"
    )
    for axis in TABLE:
        if axis.name in _OWN_WORDS:
            continue
        usual = USUAL_VALUES.get(axis.name, axis.show(axis.default) if axis.default else "")
        option = parser.add_argument(
            f"--{axis.name}",
            metavar=_FORMS.get(axis.name),
            help=f"{axis.meaning} (default: {usual or 'none'})",
        )
        if axis.named:
            option.completer = recipes(axis.name)  # type: ignore[attr-defined]
    parser.add_argument(
        "--platform",
        type=platform_choice,
        default=AUTO,
        metavar="NAME",
        help=f"what the guest runs on; auto, the default: {USUAL}, or what that falls back to on this host",
    )
    _add_own(parser)
    parser.add_argument("--judge", action="store_true", help="ask the model's questions at the end")
    parser.add_argument(
        "--hold", action="store_true", help="no deadlines, and the machine stays when the boot has ended"
    )
    parser.add_argument(
        "--hold-on-fail",
        action="store_true",
        help="the machine stays when its boot has gone wrong, with sockets for gdb and console",
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="fail where others have the host, in place of waiting for it"
    )
    parser.add_argument(
        "--memory-dump",
        nargs="?",
        type=_span,
        const=_AT_FAULT,
        metavar=SPAN_FORM,
        help="keep memory of a boot that went wrong in its record: 2 MiB around the fault, "
        f"or from a guest physical address on, at most {amount(MOST)}",
    )
    parser.add_argument("--monitor", action="store_true", help=f"QEMU's monitor as a socket, {MONITOR}")
    parser.add_argument(
        "--gdb", action="store_true", help=f"wait for gdb at the first instruction, on a socket, {GDB}"
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON, for programs, and the console to standard error"
    )
    parser.set_defaults(run=_run)


def _add_own(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--initrd", default="", metavar="file:PATH", help="in place of the guest's initramfs")
    parser.add_argument(
        "--disk", default="", metavar="file:PATH", help="one more disk, qcow2 or raw; it is never written"
    )
    parser.add_argument(
        "--qemu",
        default="",
        metavar="NAME|PATH",
        help=f"what runs the machine: {', '.join(QEMUS)} (default: {QEMUS[0]}), or a QEMU of your own",
    )
    parser.add_argument(
        "--record", type=Path, metavar="DIR", help="this new folder becomes the boot's record"
    )


def _run(options: argparse.Namespace) -> int:
    """Boot, show the console, say what came of it; the exit code is as of a run."""
    session = Session(
        Options(platform=options.platform, wait=not options.no_wait), find_project(Path.cwd()), say
    )
    names = (axis.name for axis in TABLE if axis.name not in _OWN_WORDS)
    written = {name: value for name in names if (value := getattr(options, name)) is not None}
    on_axis = options.qemu in QEMUS or is_own_qemu("qemu", options.qemu)
    named = {"qemu": options.qemu} if on_axis else {}
    own_qemu = "" if named else options.qemu
    cell = chosen_cell(options.cell, written | named, session)
    own = Own(options.initrd, options.disk, own_qemu)
    own.parts()  # before anything is built
    out = sys.stderr if options.json else sys.stdout
    terminal = Terminal(
        out.buffer,
        _keyboard(out),
        say,
        hold=options.hold,
        hold_on_fail=options.hold_on_fail,
        by_gdb=options.gdb,
    )
    asked = options.memory_dump
    keeper = MemoryKeeper(terminal, None if asked == _AT_FAULT else asked, say)
    wanted = SingleBoot(
        cell,
        own,
        record=options.record.absolute() if options.record is not None else None,
        monitor=options.monitor,
        gdb=options.gdb,
        unlimited=options.hold or options.gdb,
        attendant=terminal if asked is None else keeper,
        invites=terminal.say if options.hold else None,
    )
    prepared = prepare(session, wanted)
    say(f"booting {cell.id}")
    for line in _ways_in(prepared):
        say(line)
    with terminal:
        record = prepared.boot()
    run, answers = prepared.judged(record, ask=options.judge)
    code = exit_code(record, run, answers)
    if options.json:
        print(json.dumps(_as_data(run, answers, code), indent=1))
    else:
        _tell(run, answers)
    prepared.finish(code)
    return ExitCode.INTERRUPTED if terminal.left and not (options.hold or answers) else code


def _span(text: str) -> Span | str:
    if text == _AT_FAULT:
        return text
    try:
        return Span.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, nor {_AT_FAULT}") from None


def _keyboard(out: TextIO) -> int | None:
    """Return standard input when a person is at a terminal, None in a pipe and where it is closed."""
    if sys.stdin is None or not (sys.stdin.isatty() and out.isatty()):
        return None
    return sys.stdin.fileno()


def _ways_in(prepared: Prepared) -> Sequence[str]:
    wanted, folder = prepared.wanted, prepared.folder
    lines = []
    if wanted.monitor:
        before, path = reach(folder, MONITOR)
        lines.append(f"QEMU's monitor: {before}socat - UNIX-CONNECT:{shlex.quote(path)}")
    if wanted.gdb:
        before, path = reach(folder, GDB)
        lines.append(f"the guest waits for gdb: {before}gdb -ex {shlex.quote(f'target remote {path}')}")
    return lines


def _as_data(run: CellRun, answers: Sequence[Answer], code: ExitCode) -> dict[str, Any]:
    """Return for programs what ``_tell`` says; a boot that goes as it should has a code of 0."""
    ending = run.record.ending
    return {
        "cell": run.cell.id,
        "record": str(run.record.path),
        "code": int(code),
        "ending": {"kind": str(ending.kind), "phase": ending.phase, "says": headline(run.evidence)},
        "seconds": run.record.durations.get("boot", 0.0),
        "checks": answers_as_data(answers),
    }


def _tell(run: CellRun, answers: Sequence[Answer]) -> None:
    """Say how the boot ended, what is wrong, and where the record is."""
    say(headline(run.evidence))
    bad = [answer for answer in answers if answer.state in BAD]
    for answer in bad:
        findings = [finding.what for finding in answer.findings] or [answer.reason]
        say(f"{answer.check.name}: {answer.state}: {findings[0]}")
    if answers:
        asked = [answer for answer in answers if answer.state != "not-asked"]
        say(f"{len(asked)} checks asked, {len(bad)} of them bad")
    say(f"record: {run.record.path}")
