# SPDX-License-Identifier: BSD-2-Clause-Patent
from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.debian import apt_config
from harness.errors import ExitCode, HarnessError, HostError

if TYPE_CHECKING:
    from collections.abc import Callable


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


def test_apt_answers_once_where_its_indexes_name_the_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second question is for a machine that has no index yet."""
    asked: list[list[str]] = []
    answers = ["http://m.example/debian/|trixie|main|Debian|Debian\n"]

    def answer(argv: list[str]) -> str:
        asked.append(argv)
        return answers[min(len(asked), len(answers)) - 1]

    monkeypatch.delenv(apt_config.MIRROR_SETTING, raising=False)
    monkeypatch.setattr(apt_config, "_ask", answer)
    assert (apt_config.find_mirror(), len(asked)) == ("http://m.example/debian", 1)
    asked.clear()
    answers[:] = ["", "http://m.example/debian/|trixie|main\n"]
    assert (apt_config.find_mirror(), len(asked)) == ("http://m.example/debian", 2)


def test_no_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(apt_config.MIRROR_SETTING, raising=False)
    monkeypatch.setattr(apt_config, "_ask", lambda _: "")
    with pytest.raises(HarnessError, match=f"set {apt_config.MIRROR_SETTING}"):
        apt_config.find_mirror()


UBUNTU = 'NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\nPRETTY_NAME="Ubuntu 24.04.3 LTS"\n'


_TREE = """\
Dir "{0}";
Dir::State::status "/dev/null";
Dir::State::lists "{0}/lists";
Dir::Cache::archives "{0}/archives";
"""


@pytest.fixture
def ubuntu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Let apt have the configuration of an Ubuntu with sources of its own; gives its os-release."""

    def make(sources: str) -> Path:
        for folder in (
            "etc/apt/sources.list.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
        ):
            (tmp_path / folder).mkdir(parents=True)
        (tmp_path / "etc/apt/sources.list.d/ubuntu.sources").write_text(sources)
        (tmp_path / "apt.conf").write_text(_TREE.format(tmp_path))
        (tmp_path / "etc/os-release").write_text(UBUNTU)
        monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
        monkeypatch.delenv(apt_config.MIRROR_SETTING, raising=False)
        return tmp_path / "etc/os-release"

    return make


def deb822(uri: str) -> str:
    return f"Types: deb\nURIs: {uri}\nSuites: noble noble-updates\nComponents: main universe\n"


needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt")


@needs_apt
@pytest.mark.parametrize("origin", ["Debian", "Ubuntu"])
def test_an_ubuntus_mirror_serves_where_debian_lies_beside(
    ubuntu: Callable[[str], Path], tmp_path: Path, origin: str
) -> None:
    """Apt itself reads the tree and fetches; what answers as something else is no Debian archive."""
    os_release = ubuntu(deb822(f"file:{tmp_path}/mirror/ubuntu/"))
    stable = tmp_path / "mirror/debian/dists/stable"
    stable.mkdir(parents=True)
    (stable / "InRelease").write_text(f"-----BEGIN PGP SIGNED MESSAGE-----\n\nOrigin: {origin}\n")
    if origin == "Debian":
        assert apt_config.find_mirror(os_release) == f"file:{tmp_path}/mirror/debian"
    else:
        with pytest.raises(HostError, match="names no Debian archive"):
            apt_config.find_mirror(os_release)


@needs_apt
@pytest.mark.parametrize("name", ["ubuntu", "own"])
def test_an_ubuntu_without_one_says_what_to_set(
    ubuntu: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    os_release = ubuntu(deb822(f"file:{tmp_path}/mirror/{name}/"))
    with pytest.raises(HostError) as caught:
        apt_config.find_mirror(os_release)
    assert "names no Debian archive (it is Ubuntu 24.04.3 LTS)" in caught.value.what
    assert (f"and there is none at file:{tmp_path}/mirror/debian" in caught.value.what) == (name == "ubuntu")
    assert f"set {apt_config.MIRROR_SETTING}" in caught.value.hint
    assert caught.value.exit_code is ExitCode.HOST


@needs_apt
def test_a_debian_archive_among_an_ubuntus_goes_first(ubuntu: Callable[[str], Path], tmp_path: Path) -> None:
    debian = f"Types: deb\nURIs: file:{tmp_path}/own/debian\nSuites: trixie\nComponents: main\n"
    os_release = ubuntu(f"{deb822(f'file:{tmp_path}/mirror/ubuntu')}\n{debian}")
    assert apt_config.find_mirror(os_release) == f"file:{tmp_path}/own/debian"


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
