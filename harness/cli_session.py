# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness plan`` and ``harness host``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.filelock import say
from harness.matrix.expand import plan_table
from harness.paths import PROJECT, cache_dir
from harness.session import Options, Session

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def _session(platform: str = "auto", firmware: Sequence[str] = ()) -> Session:
    return Session(Options(platform=platform, firmware=tuple(firmware)), Path.cwd(), say)


def plan(options: argparse.Namespace) -> None:
    """Print the boots that scenarios ask for."""
    session = _session(options.platform, options.firmware)
    files = options.files or sorted((PROJECT / "scenarios").glob("*.yaml"))
    for path in files:
        print(plan_table(session.plan(path)))


def host(_options: argparse.Namespace) -> None:
    """Print what this host can do, and where the cache is."""
    found = _session().host
    print("SEV-SNP guests: " + ("on hardware" if found.sev_snp else f"emulated ({'; '.join(found.why)})"))
    print(f"cache: {cache_dir()}")
