# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Tests of somebody's own as text, and how pytest runs them in this process."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

EMULATED = "debian-2025.02+debian-5.10+direct+2G+snp-emulated"
PLAIN = "debian-2025.02+debian-6.1+direct+2G+plain"
HEAD = "import pytest\nfrom dataclasses import replace\nfrom harness import Check, Cell, HarnessError\n"
ON_PLAIN = '@pytest.mark.cell(kernel="debian-6.1", memory="2G", platform="plain")\n'
ON_EMULATED = '@pytest.mark.cell(kernel="debian-5.10", memory="2G")\n'


def run(pytester: pytest.Pytester, code: str, *arguments: str | Path) -> tuple[pytest.RunResult, str]:
    """Run tests written in ``code`` in this process; a message for the user never has a traceback."""
    pytester.makepyfile(test_own=HEAD + code)
    result = pytester.runpytest_inprocess("-ra", *arguments)
    text = f"{result.stdout}\n{result.stderr}"
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    return result, text


def ids(pytester: pytest.Pytester, code: str, *arguments: str) -> list[str]:
    """Return what stands in brackets behind the collected tests' names."""
    result, text = run(pytester, code, "--collect-only", "-q", *arguments)
    assert result.ret == 0, text
    return re.findall(r"^test_own\.py::test_\w+\[(.*)\]$", text, re.MULTILINE)
