# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Packages made up by a test, which add objects to the harness by entry points."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def install(site: Path, package: str, kind: str, *entries: str) -> None:
    """Make the folder that an installed package leaves; its modules are for the test to write.

    ``site`` is the folder of the fixture of this name, ``entries`` are such as ``name = module:OBJECT``.
    """
    info = site / (package.replace("-", "_") + "-1.dist-info")
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[ovmf_acceptance.{kind}]\n" + "\n".join(entries) + "\n")
