# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The reporter with the busybox that guests have."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.guest.initramfs import BUSYBOX, BUSYBOX_PATH
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from harness.artifacts.ingredients import Ingredients


OVERLAY = PROJECT / "guest-images" / "initramfs"


@pytest.mark.qemu
def test_reporter_quotes_for_json(ingredients: Ingredients) -> None:
    """Loaders add initrd= with a backslash, users quotes. By the guest's own awk: others differ."""
    package = ingredients.apt.extract(ingredients.lock.require(BUSYBOX), [BUSYBOX_PATH])
    found = re.search(
        r"^function quote\(text\) \{.*?^\}", (OVERLAY / "reporter").read_text(), re.MULTILINE | re.DOTALL
    )
    assert found
    text = r'initrd=\initrd dyndbg="file *.c +p" x="y\"'
    awk = [str(package.path / BUSYBOX_PATH), "awk", f"{found[0]} {{ print quote($0) }}"]
    done = subprocess.run(awk, input=text, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == text
