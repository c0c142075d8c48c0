# SPDX-License-Identifier: BSD-2-Clause-Patent
"""``HARNESS_NATIVE``: a QEMU for this processor alone has a key of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.artifacts.qemu import qemu_inputs
from harness.artifacts.qemu_native import SETTING, native
from harness.debian.lock_file import LOCK_NAME, Lock
from harness.errors import HarnessError
from harness.paths import SHIPPED
from harness.recipes.qemu import load_qemu

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Gcc = Callable[..., None]


@pytest.fixture
def gcc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gcc:
    """Put a compiler of these words in the place of the host's."""

    def put(*, march: str, features: str = "", code: int = 0) -> None:
        lines = f"#!/bin/sh\necho '  -march=    {march}'\necho '{features}'\nexit {code}\n"
        (tmp_path / "gcc").write_text(lines)
        (tmp_path / "gcc").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return put


def inputs() -> dict[str, object]:
    return dict(qemu_inputs(load_qemu(), Lock.load(SHIPPED / LOCK_NAME)))


@pytest.mark.parametrize("value", [None, "", "0"])
def test_a_usual_qemu_is_for_every_processor(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv(SETTING, raising=False)
    if value is not None:
        monkeypatch.setenv(SETTING, value)
    assert "processor" not in inputs()
    assert "-march" not in str(inputs()["configure"])


def test_a_native_qemu_is_one_for_each_processor(monkeypatch: pytest.MonkeyPatch, gcc: Gcc) -> None:
    monkeypatch.setenv(SETTING, "1")
    seen = []
    for march, features in (("znver4", "avx512"), ("znver4", "none"), ("haswell", "none")):
        gcc(march=march, features=features)
        assert native().left_out is None
        assert "--extra-cflags=-march=native" in str(inputs()["configure"])
        seen.append(str(inputs()["processor"]))
    assert [it.partition(" ")[0] for it in seen] == ["znver4", "znver4", "haswell"]
    assert len({*seen}) == 3


def test_a_compiler_that_cannot_leaves_it_out_and_says_so(monkeypatch: pytest.MonkeyPatch, gcc: Gcc) -> None:
    monkeypatch.setenv(SETTING, "1")
    gcc(march="native", code=1)
    assert "gcc knows no -march=native" in str(native().left_out)
    assert "-march" not in str(inputs()["configure"])


def test_another_value_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "yes")
    with pytest.raises(HarnessError, match=r"HARNESS_NATIVE: unknown value 'yes'\n.*1, or leave it out"):
        native()
