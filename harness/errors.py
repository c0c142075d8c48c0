# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The exceptions whose text is meant for the user, and how both doors end."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """How ``harness`` and a run of pytest end; pytest's own numbers where it has one."""

    OK = 0
    """All is as expected."""
    WRONG = 1
    """Something under test is wrong: a finding, sources that do not compile."""
    INTERRUPTED = 2
    """Ctrl-C."""
    MISTAKE = 4
    """The user asked for what cannot be: an option, a scenario, a recipe, a path."""
    NOTHING = 5
    """Nothing is selected."""
    HOST = 6
    """The host lacks something: a tool, space, rights, KVM, or a mirror that answers."""


class HarnessError(Exception):
    """A mistake or a condition that the user can act on.

    The doors (command line, pytest plugin) print the text alone, without a traceback, and exit with
    ``exit_code``: the user's mistake, unless a subclass says whose fault it is. ``what`` says what is wrong,
    ``hint`` what to do about it.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.MISTAKE

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(f"{what}\n  {hint}" if hint else what)
        self.what = what
        self.hint = hint


class HostError(HarnessError):
    """The host, its network or its mirror cannot do its part; the subject under test is not judged."""

    exit_code = ExitCode.HOST


class SubjectError(HarnessError):
    """The subject under test is wrong before it boots: it does not compile, or contradicts its recipe."""

    exit_code = ExitCode.WRONG
