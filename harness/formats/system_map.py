# SPDX-License-Identifier: BSD-2-Clause-Patent
"""``System.map``: the symbols that a kernel's build leaves beside the image, one a line."""

from __future__ import annotations

import re

from harness.errors import HarnessError
from harness.formats.kallsyms import Kallsyms, code_symbols
from harness.formats.linux_payload import bytes_at

_LINE = re.compile(r"([0-9a-f]{16}) (\S) (\S+)")
_BANNER = "linux_banner"
_ELSEWHERE = re.compile(r"The real System\.map is in the (\S+) package")


def read_system_map(text: str, elf: bytes, what: str) -> Kallsyms:
    """Return the code symbols of a map; HarnessError, beginning with ``what``, for one of another kernel.

    ``elf``: the unpacked kernel, which has its version where its own map says. Debian's map is a line
    that names a package.
    """
    if (package := _ELSEWHERE.search(text[:4096])) is not None:
        raise HarnessError(f"{what} only says that the real one is in the package {package[1]}")
    found = [(int(it[1], 16), it[2], it[3]) for it in map(_LINE.fullmatch, text.splitlines()) if it]
    banner = next((address for address, _, name in found if name == _BANNER), None)
    if banner is None or not bytes_at(elf, banner, 14).startswith(b"Linux version "):
        raise HarnessError(f"{what} is of another kernel: this one has no version where it says")
    return code_symbols([kind + name for _, kind, name in found], [address for address, _, _ in found])
