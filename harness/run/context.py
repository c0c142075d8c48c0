# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the runs of all cells share, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.evidence.signatures.signatures import Signatures
    from harness.recipes.catalog import Catalog
    from harness.run.source import RecordSource


@dataclass(frozen=True)
class Context:
    """What `CellRun` needs: the recipes, where records come from, what lines mean."""

    catalog: Catalog
    source: RecordSource
    signatures: Signatures
