# SPDX-License-Identifier: BSD-2-Clause-Patent
from __future__ import annotations

from pathlib import Path

import pytest

from harness.debian import apt_config
from harness.errors import HarnessError


def test_debians_archive_is_picked() -> None:
    lines = [
        "https://vendor.example/repo/|bookworm|main|Vendor|Vendor",
        "http://m.example/debian-security/|bookworm-security|main|Debian|Debian-Security",
        "http://m.example/debian/|bookworm|contrib|Debian|Debian",
        "http://m.example/debian/|bookworm|main|Debian|Debian",
    ]
    assert apt_config.pick_mirror("\n".join(lines)) == "http://m.example/debian"
    assert apt_config.pick_mirror("\n".join(lines[:3])) is None


def test_archive_is_recognised_before_the_first_update() -> None:
    lines = [
        "https://vendor.example/repo/|bookworm|main|$(ORIGIN)|$(LABEL)",
        "http://m.example/debian-security/|bookworm-security|main",
        "http://m.example/debian/|bookworm-updates|main",
    ]
    assert apt_config.pick_mirror("\n".join(lines)) == "http://m.example/debian"
    assert apt_config.pick_mirror("http://m.example/ubuntu/|noble|main") is None


def test_setting_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(apt_config.MIRROR_SETTING, "http://m.example/debian/")
    assert apt_config.find_mirror() == "http://m.example/debian"
    monkeypatch.setenv(apt_config.MIRROR_SETTING, "m.example/debian [trusted=yes]")
    with pytest.raises(HarnessError, match=apt_config.MIRROR_SETTING):
        apt_config.find_mirror()


def test_no_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(apt_config.MIRROR_SETTING, raising=False)
    monkeypatch.setattr(apt_config, "_ask", lambda _: "")
    with pytest.raises(HarnessError, match=f"set {apt_config.MIRROR_SETTING}"):
        apt_config.find_mirror()


def test_signature_policy_and_layout_are_not_inherited() -> None:
    kept = [
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::https::CAInfo "/etc/ssl/ca.pem";',
        'Acquire::Check-Valid-Until "false";',
        'Acquire::Retries "5";',
    ]
    dropped = [
        'Acquire::http "";',
        'Acquire::AllowInsecureRepositories "1";',
        'acquire::AllowWeakRepositories "1";',
        'Acquire::GzipIndexes "true";',
        'Acquire::IndexTargets::deb::Packages::MetaKey "x";',
        'Acquire::Languages:: "none";',
        'APT::Sandbox::User "_apt";',
        'Dir::Cache::pkgcache "";',
    ]
    assert apt_config.inherited("\n".join(kept + dropped)) == kept


def test_configuration_is_private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    text = apt_config.configuration(Path("/c/apt"), ['Acquire::Retries "5";'])
    assert 'Dir "/c/apt";' in text
    assert 'Acquire::Retries "5";' in text
    assert "Sandbox" not in text
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert 'APT::Sandbox::User "root";' in apt_config.configuration(Path("/c/apt"), [])


def test_errors_are_reduced() -> None:
    stderr = (
        "E: Failed to fetch http://m.example/pool/x.dsc  404  Not Found [IP: 192.0.2.1 80]\n"
        "E: Failed to fetch http://m.example/pool/x.dsc  404  Not Found [IP: 192.0.2.1 80]\n"
        "E: Download Failed\n"
    )
    assert apt_config.reduce_errors(stderr) == "http://m.example/pool/x.dsc: 404  Not Found"
    assert apt_config.reduce_errors("strange\n") == "strange"
    assert apt_config.reduce_errors("") == "apt gave no reason"
