# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A host that lacks something for hardware guests: a boot is refused in doctor's words, with exit code 6."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.cli import entry
from harness.errors import ExitCode
from harness.platforms.snp_leaves import host_leaves
from harness.run import session
from tests.support.hosts import BAD_HOSTS

if TYPE_CHECKING:
    from harness.platforms.host import Host
    from tests.support.stand_ins import StandIns

CELL = "firmware=debian-2025.02,kernel=debian-6.1,memory=2G"


@pytest.mark.parametrize(("host", "name", "words"), BAD_HOSTS.values(), ids=BAD_HOSTS)
def test_a_boot_says_what_is_bad_and_what_mends_it(
    host: Host,
    name: str,
    words: str,
    stand_ins: StandIns,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(session, "survey", lambda **_: host)
    assert entry.main(["boot", CELL, "--platform", "snp"]) == ExitCode.HOST
    said = capsys.readouterr().err
    leaf = next(each for each in host_leaves(host) if each.name == name)
    assert words in leaf.said
    assert "--platform snp: this host cannot run SEV-SNP guests" in said
    assert leaf.said in said
    assert leaf.mend in said
    assert stand_ins.booted == []
