# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An entry of ``signatures.yaml`` to complete, for a failure that no signature knows."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, get_args

from harness.evidence.record import EndingKind
from harness.evidence.signatures.model import PhaseWord

if TYPE_CHECKING:
    from harness.evidence.record import Ending
    from harness.evidence.signatures.signatures import Signatures

_STAMP = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d+\] +")
_VARIES = re.compile(r"0x[0-9A-Fa-f]+|\b[0-9A-Fa-f]{8,}\b|\d+")
_NAME_WORDS = 4
_NEVER_ENDS = {
    EndingKind.COMPLETED,
    EndingKind.HANG,
    EndingKind.QEMU_EXIT,
    EndingKind.UNREACHABLE,
    EndingKind.HOST,
}


def draft_for(ending: Ending, signatures: Signatures) -> str:
    """Return an entry for the last line of a boot that went wrong; "" where a signature knows that line.

    What changes from boot to boot (time stamps, numbers, addresses) is a pattern already.
    """
    line = _STAMP.sub("", ending.last_line).strip()
    if not line or ending.kind is EndingKind.COMPLETED or signatures.match(ending.last_line) is not None:
        return ""
    pattern, at = "", 0
    for found in _VARIES.finditer(line):
        digits = r"0x[0-9A-Fa-f]+" if found[0].startswith("0x") else r"[0-9A-Fa-f]+"
        pattern += _escaped(line[at : found.start()]) + digits
        at = found.end()
    pattern += _escaped(line[at:])
    words = [word.lower() for word in re.findall(r"[A-Za-z][A-Za-z0-9]*", line)][:_NAME_WORDS]
    phase = ending.phase if ending.phase in get_args(PhaseWord) else "any"
    ends = "" if ending.kind in _NEVER_ENDS else f"    ends: {ending.kind}\n"
    return (
        "signatures:\n"
        f"  {'-'.join(words) or 'new-signature'}:\n"
        f"    pattern: {json.dumps(pattern, ensure_ascii=False)}\n"
        f"    phase: {phase}\n"
        f"{ends}"
        "    meaning: WHAT IT MEANS\n"
        "    cause: WHAT LEADS TO IT\n"
        "    try: WHAT TO DO\n"
        '    link: ""\n'
        f"    lines: [{json.dumps(line, ensure_ascii=False)}]\n"
    )


def _escaped(text: str) -> str:
    """Return a pattern for a text, readable: a space needs no escape."""
    return re.escape(text).replace("\\ ", " ")
