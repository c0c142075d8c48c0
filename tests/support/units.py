# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What findings say: sizes in GiB, MiB or pages, addresses in hexadecimal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.checks.finding import Finding

MOST_DIGITS = 7
"""An address or a size in bytes has more; a number of pages or of nanoseconds in a small guest has fewer."""
_BYTES = re.compile(r"\b\d+ bytes\b")
_DECIMAL = re.compile(rf"(?<![\w.:/-])\d{{{MOST_DIGITS + 1},}}(?![\w.])")
_SMALL = re.compile(r"\d PVALIDATEs|descriptors of \d+ bytes|\.log\b.* bytes|report .*bytes")
"""What counts, or has a size of its own: instructions, a descriptor, a file, a report."""


def wrong_units(text: str) -> list[str]:
    """Return what in a sentence is a size in bytes or a decimal address."""
    if _SMALL.search(text):
        return []
    return [*_BYTES.findall(text), *_DECIMAL.findall(text)]


def wrong_in(findings: Iterable[Finding]) -> list[str]:
    """Return the sentences of findings, and their lines but those of a console, with such a number."""
    said = [text for finding in findings for text in (finding.what, *finding.evidence)]
    return [text for text in said if not text.startswith(("| ", "[", " ")) and wrong_units(text)]
