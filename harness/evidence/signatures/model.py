# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The file ``signatures.yaml``: what an entry says, and the pattern that finds its lines."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, ValidationInfo, model_validator

from harness.documents.strict import Strict
from harness.evidence.record import EndingKind
from harness.recipes.common import Name

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Place = Literal["console", "qemu", "host"]
"""Who prints the line: the guest on one of its consoles, QEMU, or the host's kernel."""
PhaseWord = Literal[
    "any",
    "launch",
    "firmware",
    "sec",
    "pei",
    "dxe",
    "bds",
    "loader",
    "stub",
    "decompressor",
    "early-kernel",
    "kernel",
    "init",
]
Alarm = Literal["panic", "exit-boot-services", "memory-acceptance", "sev", "bug", "lockup", "warning"]
"""Kinds of lines that no healthy Linux prints; findings of ``no-alarms`` name them."""


TRIED = "tried"
"""Context for a file whose patterns somebody has tried: a test, the shipped one's."""


class SignatureEntry(Strict):
    """One signature."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    pattern: Text = Field(description="regular expression (Python's) that is searched for in each line")
    place: Place = Field(default="console", description="who prints it: console, qemu or host")
    phase: PhaseWord = Field(default="any", description="phase of the boot in which it comes")
    meaning: Text = Field(description="what it means, in a few words")
    cause: str = Field(default="", description="what usually leads to it")
    try_: str = Field(default="", alias="try", description="what to do next")
    link: str = Field(default="", description="where more is known: an address, or a page of the project")
    ends: EndingKind | None = Field(default=None, description="the boot is over with this line, as this kind")
    alarm: Alarm | None = Field(default=None, description="kind of alarm that it is for no-alarms")
    lines: tuple[Text, ...] = Field(min_length=1, description="lines that the pattern must find")

    @model_validator(mode="after")
    def _finds_its_lines(self, info: ValidationInfo) -> Self:
        if info.context is TRIED:
            return self
        try:
            pattern = re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern: no regular expression: {error}") from None
        if pattern.search(""):
            raise ValueError("pattern: finds every line")
        for line in self.lines:
            if not pattern.search(line):
                raise ValueError(f"the pattern does not find its own line {line!r}")
        if (self.ends or self.alarm) and self.place != "console":
            raise ValueError("only a console's line ends a boot or is an alarm")
        return self


class SignatureFile(Strict):
    """The file ``signatures.yaml``."""

    signatures: dict[Name, SignatureEntry]
