# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What is raised when stored evidence cannot carry a judgement."""

from __future__ import annotations

from harness.errors import HarnessError


class EvidenceError(HarnessError):
    """Evidence that a judgement needs is missing, cut short or contradicts itself.

    Whoever judges turns it into a failure: missing evidence is never a pass.
    """
