# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A line that stays below what pytest writes to a terminal."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

_ECHO = 4
"""Columns that stay free: what a user types, such as ^C, is echoed there and must not begin a row."""


class Below:
    """Takes the place of the file that pytest writes to, and keeps a line below what comes.

    ``line`` returns that line, for so many columns. What pytest has not ended with a newline is shown again
    with it.
    """

    def __init__(self, file: IO[str], line: Callable[[int], str], begun: str = "") -> None:
        self._file = file
        self._line = line
        self._begun = begun
        self._console = Console(file=file, force_terminal=True)
        self.live = Live(
            console=self._console,
            get_renderable=self._shown,
            refresh_per_second=2,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def start(self) -> None:
        """Show the line."""
        self._file.write("\r\x1b[2K")  # what has begun comes again, with the line
        self.live.start(refresh=True)

    def stop(self) -> None:
        """Leave pytest's output as it would be without the line."""
        self.live.stop()
        self._file.write(self._begun)
        self._file.flush()

    def write(self, text: str) -> int:
        """Write what pytest says above the line."""
        whole, newline, self._begun = (self._begun + text).rpartition("\n")
        if newline:
            self._console.print(Text.from_ansi(whole), soft_wrap=True)
        else:
            self.live.refresh()
        return len(text)

    def __getattr__(self, name: str) -> Any:
        """Be the file in everything else."""
        return getattr(self._file, name)

    def _shown(self) -> Group:
        width = self._console.width - _ECHO
        line = Text(self._line(width), style="dim", no_wrap=True)
        line.truncate(width, overflow="ellipsis")
        return Group(Text.from_ansi(self._begun), line) if self._begun else Group(line)
