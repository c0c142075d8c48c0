# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The one exception family whose text is meant for the user."""

from __future__ import annotations


class HarnessError(Exception):
    """A mistake or a condition that the user can act on.

    The front doors (command line, pytest plugin) print the text alone, without a traceback, and exit with
    status 2. ``what`` says what is wrong, ``hint`` what to do about it.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(f"{what}\n  {hint}" if hint else what)
        self.what = what
        self.hint = hint
