# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What may leave the machine: text without host name, paths of the user and serial numbers."""

from __future__ import annotations

import contextlib
import getpass
import re
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.paths import cache_dir
from harness.results.model import LINE, RunData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.results.folder import StoredRun

_SERIALS = re.compile(
    r"((?:serial(?:[ _-]?(?:no|number|num))?|chip[ _-]?id|uuid)\"?\s*[:=]\s*\"?)([A-Za-z0-9-]{6,})",
    re.IGNORECASE,
)
_LEAST = 3
"""Letters of a name that is looked for: a shorter one would be found in half of all words. Parts of a folder,
the root among them: ``/srv`` alone would be found in paths of everybody."""


@dataclass(frozen=True)
class Redaction:
    """Words to replace, the longest first, and what stands in their place."""

    words: tuple[tuple[str, str], ...]

    @classmethod
    def of_here(cls) -> Redaction:
        """Return the redaction for this machine and user, the cache and the folder of this process."""
        names = {socket.gethostname(), socket.gethostname().partition(".")[0]}
        home = str(Path.home())
        found = {name: "HOST" for name in names if len(name) >= _LEAST}
        if home != "/":
            found[home] = "~"
        for place, instead in ((cache_dir(), "CACHE"), (Path.cwd(), "PROJECT")):
            if not place.is_relative_to(home) and len(place.parts) >= _LEAST:
                found[str(place)] = instead
        with contextlib.suppress(KeyError, OSError):  # a container's user without a name
            user = getpass.getuser()  # where the environment has no name, that of the user's number
            if len(user) >= _LEAST and user != "root":
                found[user] = "USER"
        return cls.of(found)

    @classmethod
    def of(cls, words: Mapping[str, str]) -> Redaction:
        """Return the redaction that puts each value in the place of its key."""
        return cls(tuple(sorted(words.items(), key=lambda pair: -len(pair[0]))))

    def text(self, text: str) -> str:
        """Return text without the words and without what looks like a serial number."""
        for word, instead in self.words:
            before = r"(?<!\w)" if word.startswith("/") else r"(?<![\w-])"  # ${CACHE:-/a/path}, -I/a/path
            text = re.sub(rf"{before}{re.escape(word)}(?![\w-])", instead, text)
        text = re.sub(r"/home/[^/\s\"']+", "/home/USER", text)
        return _SERIALS.sub(r"\1SERIAL", text)


def redacted_run(run: StoredRun, redaction: Redaction) -> StoredRun:
    """Return a run whose texts, in all their fields, went through a redaction."""
    data = RunData.model_validate_json(redaction.text(run.run.model_dump_json(by_alias=True)))
    lines = tuple(LINE.validate_json(redaction.text(line.model_dump_json())) for line in run.lines)
    return replace(run, run=data, lines=lines)
