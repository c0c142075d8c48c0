# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the terminal says to type next."""

from __future__ import annotations

from harness.pytest_plugin.findings import again, has_own


def test_the_command_says_what_took_the_place_of_values() -> None:
    assert (
        again("scenarios/x.yaml", "a+b+direct+2G+plain", {})
        == "pytest 'scenarios/x.yaml::a+b+direct+2G+plain'"
    )
    axes = {"firmware": ("file:my own.fd",), "kernel": ("debian-6.1", "debian-6.12")}
    assert again("x.yaml", "a+b", axes) == (
        "pytest 'x.yaml::a+b' --firmware 'file:my own.fd' --kernel debian-6.1 --kernel debian-6.12"
    )


def test_a_users_own_file_has_no_name() -> None:
    assert has_own({"firmware": ("tree:../edk2",), "kernel": ("debian-6.1",)})
    assert not has_own({"kernel": ("debian-6.1",)})
    assert not has_own({})
