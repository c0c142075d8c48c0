# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands of ``harness``: one module of this room each, imported when its command is the one.

A command's module has ``add(parser)``, which adds its arguments and sets ``run``, the function that takes
what was parsed.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from harness.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = MappingProxyType(
    {
        "init": "make a project of your own, with an example of each thing",
        "plan": "list the boots that scenarios ask for on this host",
        "build": "fetch and build what boots need: everything, or what is named",
        "update": "lock today's newest packages: for everything, or for what is named",
        "why": "say whether something would be made anew, and which input changed",
        "firmware": "firmware recipes, and what their images can do",
        "kernel": "kernels that guests boot, and what each can do",
        "loader": "loaders, and how each enters a kernel",
        "guest": "what runs in a guest: the initramfs guests, and whole Debians",
        "qemu": "the patched QEMU as a git tree to work in, and back to patches",
        "check": "the questions to a boot",
        "signature": "what lines of a boot that went wrong mean, and what to do",
        "boot": "boot one cell without a scenario, with its console on the terminal",
        "measure": "print the launch digest of a cell's guest, and explain another one",
        "show": "show one record: timeline, memory, who accepted what, findings with their lines",
        "ledger": "say who accepted a page, when and from where, or who accepted how much",
        "diff": "say what differs between two records",
        "judge": "ask the model's questions of stored records, whatever scenario they came from",
        "repro": "boot a record's cell again, and say what differs",
        "debug": "stop a guest under gdb, with the symbols of its firmware and its kernel",
        "coverage": "say which code of a firmware boots execute, and which none does",
        "pack": "make a capsule of a record: one file that can travel",
        "unpack": "make a record of a capsule",
        "runs": "list the runs that there are, the newest first",
        "history": "say since when and how often cells and checks fail, or what was never met",
        "compare": "say what changed between two runs",
        "ab": "boot two firmwares, kernels or loaders in turn, and say what differs",
        "summary": "print a run in short, for the page of a CI job",
        "report": "write a run as static pages, or for other programs",
        "table": "print what came out by firmware, kernel and loader",
        "records": "remove old runs, or make their records small",
        "cache": "remove what nobody has used for long",
        "store": "move what has been fetched and built to another machine, as one file",
        "schema": "print the JSON Schema of a kind of file, for editors",
        "doctor": "say what this host can do, question by question, and what mends it",
        "leases": "list who boots on this host, with which part of it, what for and since when",
        "host": "say which platforms run on this host, and where the cache is",
    }
)
"""What each command does, in the order of the help."""
_RESULTS = ("runs", "history", "compare", "ab", "summary", "report", "table", "records", "cache", "store")
_RECORD = ("show", "ledger", "diff", "judge", "repro", "debug", "coverage", "pack", "unpack")
_HOST = ("doctor", "leases", "host")
_SUB_ROOMS = MappingProxyType(
    {
        **dict.fromkeys(_RESULTS, "results."),
        **dict.fromkeys(_RECORD, "record."),
        **dict.fromkeys(_HOST, "host."),
        **dict.fromkeys(("check", "signature"), "judging."),
    }
)
"""Where a command's module is, when it is not in this room itself."""

_DESCRIPTION = """\
Everything about boots of confidential guests that is no test; pytest boots and judges.

Recipes and scenarios are those of the project in or above the current folder (harness.toml), and the shipped
ones.
"""
_EPILOG = """\
NAME is a recipe's name. Of firmware and kernels, file:PATH names an image of your own and tree:PATH a working
tree of your own.

exit codes: 0 as expected, 1 something under test is wrong, 2 interrupted, 4 a mistake of the user,
5 nothing is selected, 6 the host's fault
"""

_MOVED = MappingProxyType(
    {
        ("shell",): "harness boot --guest debian-trixie --hold",
        ("image",): "harness loader",
        ("build", "firmware"): "harness build NAME…",
        ("build", "image"): "harness build LOADER…",
        ("firmware", "path"): "harness build NAME",
        ("firmware", "why"): "harness why NAME",
        ("plan", "--format", "json"): "harness plan --json",
        ("plan", "--format=json"): "harness plan --json",
    }
)


class Parser(argparse.ArgumentParser):
    """argparse with the house's exit code for a mistake, that guesses no option from its beginning."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **arguments
        )

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and exit."""
        self.print_usage(sys.stderr)
        self.exit(ExitCode.MISTAKE, f"{self.prog}: error: {message}\n")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from harness.version import version_line  # noqa: PLC0415  # it asks git

        print(version_line())
        parser.exit(ExitCode.OK)


def parser(words: Sequence[str] | None = None) -> Parser:
    """Return the parser of ``harness``.

    With the ``words`` of a command line, only the command that they name has its arguments; where it comes
    first there are no others: they would cost time, and are not asked for anything.
    """
    made = Parser(prog="harness", description=_DESCRIPTION, epilog=_EPILOG)
    made.add_argument(
        "--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="print version and commit"
    )
    commands = made.add_subparsers(required=True, metavar="COMMAND", dest="command")
    wanted = None if words is None else next((word for word in words if not word.startswith("-")), "")
    for name in words[:1] if words and words[0] in COMMANDS else COMMANDS:
        text = COMMANDS[name]
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if wanted in {None, name}:
            import_module(f"harness.cli.{_SUB_ROOMS.get(name, '')}{name}").add(command)
    return made


def moved(words: Sequence[str]) -> str:
    """Return what to say of a name that has moved; "" for all others."""
    for old, new in _MOVED.items():
        first, *rest = old
        if words[:1] == [first] and any(
            list(words[at : at + len(rest)]) == rest for at in (range(1, len(words)) if rest else (1,))
        ):
            return f"`harness {' '.join(old)}` is `{new}` now"
    return ""
