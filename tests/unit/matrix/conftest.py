# SPDX-License-Identifier: BSD-2-Clause-Patent
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.matrix.expand import Substitution, plan
from harness.matrix.schema import Scenario, load_scenario
from tests.support.words import KNOWN

if TYPE_CHECKING:
    from pathlib import Path

    from harness.documents.document import Document
    from harness.matrix.plan import Plan
    from tests.support.words import Make


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.chdir(tmp_path)

    def made(text: str, *substitutions: Substitution) -> Plan:
        (tmp_path / "s.yaml").write_text(text)
        document: Document[Scenario] = load_scenario(tmp_path / "s.yaml", KNOWN)
        return plan(document, lambda name: name, substitutions)

    return made
