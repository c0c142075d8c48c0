# SPDX-License-Identifier: BSD-2-Clause-Patent
from __future__ import annotations

import dataclasses
import functools
import http.server
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.debian import apt_config
from harness.debian.archive import AptRoot, NotInPackageError, deb_file
from harness.debian.index import PackageQuery
from harness.debian.suite import FetchError, has_left
from harness.errors import HarnessError
from harness.store.file_tree import digest_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.deb_repo import DebRepo, Signer

HELLO = PackageQuery("hello", "one")


def entries(tmp_path: Path) -> list[str]:
    """Every store entry and every leftover of a build, without locks and seals."""
    found = (tmp_path / "store").glob("*/*")
    return sorted(path.name for path in found if path.is_dir())


def test_newest_is_downloaded_and_unpacked(repo: DebRepo, apt: AptRoot) -> None:
    repo.add_deb("hello", "1.10-1", {"usr/share/x": "ten\n"})
    deb = repo.add_deb("hello", "1.10-2", {"usr/share/x": "new\n"})
    repo.add_deb("hello", "1.9-1", {"usr/share/x": "nine\n"})
    repo.publish()
    found = apt.resolve(HELLO)
    assert (found.version, found.architecture, found.suite) == ("1.10-2", "all", "one")
    assert (found.size, found.sha256) == (deb.stat().st_size, digest_file(deb))
    assert deb_file(apt.download(found)).read_bytes() == deb.read_bytes()
    assert (apt.extract(found).path / "usr/share/x").read_text() == "new\n"


def test_queries(repo: DebRepo, apt: AptRoot) -> None:
    for version in ("6.12.9", "6.12.43"):
        for flavour in ("amd64", "rt-amd64"):
            repo.add_deb(f"linux-image-{version}+deb13-{flavour}", f"{version}-1", {})
    repo.add_deb("linux-image-6.13.1+deb13-amd64", "6.13.1-1", {})
    repo.add_deb("hello", "1:2.0", {}, "two")
    repo.add_deb("hello", "1.5", {}, "two")
    repo.publish()
    kernel = apt.resolve(PackageQuery("linux-image-6.12.*-amd64", "one"))
    assert kernel.package == "linux-image-6.12.43+deb13-amd64"
    assert apt.resolve(PackageQuery("hello", "two", "1.*")).version == "1.5"
    assert apt.resolve(PackageQuery("hello", "two")).version == "1:2.0"
    assert apt.download(apt.resolve(PackageQuery("hello", "two"))).path.is_dir()
    with pytest.raises(HarnessError, match=r"two:hello=3\.\*.*\n.*1\.5, 1:2\.0"):
        apt.resolve(PackageQuery("hello", "two", "3.*"))
    with pytest.raises(HarnessError, match="no package matches one:hello"):
        apt.resolve(HELLO)
    with pytest.raises(HarnessError, match="unknown Debian suite 'three'"):
        apt.resolve(PackageQuery("hello", "three"))


def test_only_the_wanted_paths(repo: DebRepo, apt: AptRoot) -> None:
    repo.add_deb("hello", "1", {"boot/vmlinuz-1": "k", "boot/config-1": "c", "lib/modules/1/a.ko": "m"})
    repo.publish()
    found = apt.resolve(HELLO)
    kept = apt.extract(found, ("boot/vmlinuz-*", "/lib/modules")).path
    files = {str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()}
    assert files == {"boot/vmlinuz-1", "lib/modules/1/a.ko", "provenance.json"}
    with pytest.raises(NotInPackageError, match="nothing/"):
        apt.extract(found, ("nothing/*",))


def test_a_warm_store_needs_no_archive(repo: DebRepo, apt: AptRoot, new_apt: Callable[..., AptRoot]) -> None:
    repo.add_deb("hello", "1", {"x": "x"})
    repo.publish()
    found = apt.resolve(HELLO)
    apt.extract(found)
    shutil.rmtree(repo.root)
    assert new_apt(max_age=0.0).extract(found).path.is_dir()


def test_missing_deb(repo: DebRepo, apt: AptRoot, tmp_path: Path) -> None:
    deb = repo.add_deb("hello", "1", {"x": "x"})
    repo.publish()
    found = apt.resolve(HELLO)
    deb.unlink()
    with pytest.raises(FetchError) as caught:
        apt.download(found)
    assert caught.value.missing
    assert "could not fetch hello 1 from file:" in caught.value.what
    assert apt_config.MIRROR_SETTING in caught.value.hint
    assert "harness update" in caught.value.hint
    assert entries(tmp_path) == []


@pytest.fixture
def web(repo: DebRepo, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the archive over HTTP on the loopback interface, past any proxy of this machine."""
    monkeypatch.setattr(apt_config, "machine_settings", lambda: ['Acquire::Check-Valid-Until "false";'])

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(repo.root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_http_404(repo: DebRepo, new_apt: Callable[..., AptRoot], web: str) -> None:
    deb = repo.add_deb("hello", "1+deb13u1", {"x": "x"})
    repo.publish()
    apt = new_apt(web)
    found = apt.resolve(HELLO)
    deb.unlink()
    with pytest.raises(FetchError, match="404") as caught:
        apt.download(found)
    assert caught.value.missing
    assert web in caught.value.what
    assert "\n" not in caught.value.what
    assert "Unable to read" not in caught.value.what


def test_nobody_answers(new_apt: Callable[..., AptRoot]) -> None:
    with pytest.raises(FetchError, match="could not fetch the package index of one") as caught:
        new_apt("http://127.0.0.1:9/debian").resolve(HELLO)
    assert apt_config.MIRROR_SETTING in caught.value.hint


def test_damaged_deb(repo: DebRepo, apt: AptRoot, tmp_path: Path) -> None:
    deb = repo.add_deb("hello", "1", {"x": "x"})
    repo.publish()
    found = apt.resolve(HELLO)
    damaged = bytearray(deb.read_bytes())
    damaged[-1] ^= 1
    deb.write_bytes(damaged)
    with pytest.raises(HarnessError, match=r"could not fetch hello 1 .*|does not have the digest"):
        apt.download(found)
    assert entries(tmp_path) == []


def test_bad_signature(repo: DebRepo, apt: AptRoot, new_signer: Callable[[], Signer]) -> None:
    repo.add_deb("hello", "1", {})
    repo.publish(new_signer())
    with pytest.raises(FetchError, match=r"(?i)not signed|signature|public key|verif"):
        apt.resolve(HELLO)


def test_index_changed_after_signing(repo: DebRepo, apt: AptRoot) -> None:
    repo.add_deb("hello", "1", {})
    repo.publish()
    for path in (repo.root / "dists/one/main/binary-amd64").iterdir():
        path.write_text("Package: hello\nVersion: 666\n")
    with pytest.raises(FetchError, match="package index of one"):
        apt.resolve(HELLO)


def test_locked_version_left(repo: DebRepo, apt: AptRoot, new_apt: Callable[..., AptRoot]) -> None:
    repo.add_deb("linux-image-6.12.9+deb13-amd64", "6.12.9-1", {})
    repo.publish()
    locked = apt.resolve(PackageQuery("linux-image-6.12.9+deb13-amd64", "one"))
    repo.binaries["one"].clear()
    repo.add_deb("linux-image-6.12.43+deb13-amd64", "6.12.43-1", {})
    repo.publish()
    later = new_apt(max_age=0.0)
    with pytest.raises(HarnessError) as caught:
        later.download(locked)
    assert "linux-image-6.12.9+deb13-amd64 6.12.9-1 is not (or no longer) in one" in caught.value.what
    assert "newest is linux-image-6.12.43+deb13-amd64 6.12.43-1" in caught.value.what
    assert "`harness update`" in caught.value.hint
    assert has_left(caught.value)


def test_an_index_that_lacks_the_locked_version_is_refreshed(
    repo: DebRepo, apt: AptRoot, new_apt: Callable[..., AptRoot]
) -> None:
    repo.publish()
    apt.update(["one"])
    repo.add_deb("hello", "1", {})
    repo.publish()
    found = new_apt(max_age=0.0).resolve(HELLO)
    repo.add_deb("hello", "2", {})
    repo.publish()
    newer = dataclasses.replace(
        found, version="2", sha256=digest_file(repo.pool("hello") / "hello_2_all.deb")
    )
    assert new_apt().download(newer).path.is_dir()


def test_same_version_other_build(repo: DebRepo, apt: AptRoot) -> None:
    repo.add_deb("hello", "1", {})
    repo.publish()
    found = dataclasses.replace(apt.resolve(HELLO), sha256="0" * 64)
    with pytest.raises(HarnessError, match="another SHA-256 than the one asked for: 0000"):
        apt.download(found)


def test_one_suite_fails(repo: DebRepo, apt: AptRoot, said: list[str]) -> None:
    repo.add_deb("hello", "1", {})
    repo.publish()
    shutil.rmtree(repo.root / "dists/two")
    failures = apt.update()
    assert list(failures) == ["two"]
    assert any("index of two" in line for line in said)
    assert apt.resolve(HELLO).version == "1"
    with pytest.raises(HarnessError, match="package index of two"):
        apt.resolve(PackageQuery("hello", "two"))


def test_index_is_kept_for_its_age_and_outlives_the_network(
    repo: DebRepo, apt: AptRoot, new_apt: Callable[..., AptRoot], said: list[str]
) -> None:
    repo.add_deb("hello", "1", {})
    repo.publish()
    apt.resolve(HELLO)
    fetches = [line for line in said if "fetching the package index" in line]
    assert len(fetches) == 1
    shutil.rmtree(repo.root)
    assert new_apt().resolve(HELLO).version == "1"
    assert [line for line in said if "fetching the package index" in line] == fetches
    assert new_apt(max_age=0.0).resolve(HELLO).version == "1"
    assert any("index of an earlier day is used" in line for line in said)


def test_index_files_that_were_deleted(
    repo: DebRepo, apt: AptRoot, new_apt: Callable[..., AptRoot], tmp_path: Path
) -> None:
    repo.add_deb("hello", "1", {})
    repo.publish()
    apt.resolve(HELLO)
    shutil.rmtree(next((tmp_path / "apt").glob("one-*/var")))
    assert new_apt().resolve(HELLO).version == "1"


def test_system_state_is_untouched(repo: DebRepo, apt: AptRoot) -> None:
    def state() -> list[tuple[str, int]]:
        places = (Path("/var/lib/apt"), Path("/var/lib/apt/lists"), Path("/var/cache/apt"), Path("/etc/apt"))
        return [(str(place), place.stat().st_mtime_ns) for place in places if place.exists()]

    before = state()
    repo.add_deb("hello", "1", {"x": "x"})
    repo.publish()
    apt.extract(apt.resolve(HELLO))
    assert state() == before


def test_missing_keyring(repo: DebRepo, tmp_path: Path) -> None:
    apt = AptRoot(repo.mirror, ("one",), root=tmp_path / "apt", keyring=tmp_path / "none.gpg")
    with pytest.raises(HarnessError, match="debian-archive-keyring"):
        apt.resolve(HELLO)
