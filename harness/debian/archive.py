# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Debian packages through a private apt root: the system's apt state is read for its settings, never written.

Every suite has its own root below ``<cache>/apt/<suite>-<digest>/``, so that its index is fetched only when a
package of it is wanted and one suite that fails does not touch the others. apt checks the signatures and the
digests; a download is compared once more with the digest of its index.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from harness.debian import apt_config
from harness.debian.index import (
    PackageQuery,
    PackageVersion,
    SourceFile,
    matching,
    package_version,
    relatives,
    source_files,
    stanzas,
    version_key,
)
from harness.debian.suite import UPDATE_HINT, FetchError, SuiteRoot
from harness.errors import HarnessError, HostError
from harness.paths import cache_dir
from harness.progress import Progress, say
from harness.store.entries import Artifact, Store
from harness.store.file_tree import digest_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.store.inputs import JSONValue

SUITES = ("bullseye", "bookworm", "bookworm-backports", "trixie", "trixie-backports", "sid")
DAY = 86400.0
_HELPER = "/usr/lib/apt/apt-helper"
_INSTALLS = re.compile(r"^Inst (\S+) \((\S+) ", re.MULTILINE)
_NOT_FOUND = "Not found in archive"  # GNU tar, of a pattern that no member matches


class NotInPackageError(HarnessError):
    """A package lacks a wanted file; any other HarnessError says nothing about its content."""


def deb_file(artifact: Artifact) -> Path:
    """Return the .deb inside an artifact of ``AptRoot.download``."""
    return artifact.path / f"{artifact.provenance['inputs']['package']}.deb"


class AptRoot:
    """Packages of ``suites`` from ``mirror`` (default: the machine's own), kept in ``store``.

    ``max_age`` is the age in seconds from which an index is fetched again.
    """

    def __init__(
        self,
        mirror: str | None = None,
        suites: tuple[str, ...] = SUITES,
        *,
        root: Path | None = None,
        store: Store | None = None,
        keyring: Path = apt_config.KEYRING,
        progress: Progress = say,
        max_age: float = DAY,
    ) -> None:
        self.suites = suites
        self.store = store if store is not None else Store()
        self.progress = progress
        self._mirror = mirror.rstrip("/") if mirror else None
        self._root = root if root is not None else cache_dir() / "apt"
        self._keyring = keyring
        self._max_age = max_age
        self._roots: dict[str, SuiteRoot] = {}

    @property
    def mirror(self) -> str:
        """The archive's address, found on first use: a warm store needs none."""
        if self._mirror is None:
            self._mirror = apt_config.find_mirror()
        return self._mirror

    def update(self, suites: Sequence[str] | None = None, *, force: bool = False) -> dict[str, str]:
        """Fetch the indexes that are missing or old (all with ``force``); returns {failed suite: reason}.

        A suite that fails keeps its old index, if it has one.
        """
        failures = {}
        for suite in suites if suites is not None else self.suites:
            try:
                self._suite(suite).refresh(force=force)
            except FetchError as error:
                failures[suite] = error.what
                self.progress(error.what)
        return failures

    def resolve(self, query: PackageQuery) -> PackageVersion:
        """Return the newest package that answers ``query``; HarnessError when there is none."""
        index = self._suite(query.suite).index(source=query.source)
        if found := matching(index, query):
            return package_version(found[-1], query.suite)
        others = sorted({stanza["Version"] for stanza in stanzas(index, query.package)}, key=version_key)
        raise HarnessError(
            f"no {_kind(query)} matches {query.key} on {self.mirror}",
            f"its versions there: {', '.join(others)}" if others else "check the name",
        )

    def source_files(
        self, package: str, version: str, suite: str
    ) -> tuple[PackageVersion, tuple[SourceFile, ...]]:
        """Return one exact source package and its files as the signed Sources index lists them."""
        stanza = self._exactly(PackageQuery(package, suite, version, source=True))
        return package_version(stanza, suite), source_files(stanza)

    def download(self, package: PackageVersion) -> Artifact:
        """Return the .deb of exactly this version and digest (see ``deb_file``)."""
        if package.source:
            raise ValueError(f"{package.package} is a source package: see harness.debian.source")

        def build(directory: Path) -> None:
            self._download(package, directory)

        return self.store.get(
            "deb", package.package, _identity(package), build, self.progress, tools=("apt",)
        )

    def extract(self, package: PackageVersion, paths: Sequence[str] = ()) -> Artifact:
        """Return the package's file tree; of large packages only what matches ``paths``.

        ``paths`` are globs of names from the root, such as ``boot/vmlinuz-*``; a directory stands for all
        that it holds. Each must match something, else NotInPackageError.
        """

        def build(directory: Path) -> None:
            _unpack(deb_file(self.download(package)), directory, paths)

        inputs: dict[str, JSONValue] = {**_identity(package), "paths": sorted(paths)}
        return self.store.get("deb-tree", package.package, inputs, build, self.progress, tools=("dpkg-deb",))

    def closure(self, suite: str, names: Sequence[str]) -> tuple[PackageVersion, ...]:
        """Return ``names``, the suite's essential packages, and all that these need; no recommendations."""
        root = self._suite(suite)
        index = root.index(source=False)
        said = root.ask(["apt-get", "install", "-s", "-qq", "--no-install-recommends", "?essential", *names])
        queries = (PackageQuery(match[1], suite, match[2]) for match in _INSTALLS.finditer(said))
        return tuple(package_version(matching(index, query)[-1], suite) for query in queries)

    def download_all(self, packages: Sequence[PackageVersion], directory: Path) -> None:
        """Fetch the .deb files of packages of one suite at once; the caller checks their digests."""
        suite = self._suite(packages[0].suite)
        words = [f"{package.package}={package.version}" for package in packages]
        size = sum(package.size for package in packages)
        self.progress(f"fetching {len(words)} packages of {suite.name}{_mebibytes(size)}")
        suite.index(source=False)
        what = f"{len(words)} packages from {self.mirror} ({suite.name})"
        try:
            suite.run(["apt-get", "download", "-q", *words], what, directory, size)
        except FetchError as error:
            raise HostError(error.what, UPDATE_HINT) from error

    def fetch(self, path: str, sha256: str, target: Path, suite: str, size: int = 0) -> None:
        """Fetch one file of the archive (``path`` from its root) and check its SHA-256; FetchError if not."""
        # apt takes the address as it is sent, and "+" must be sent encoded.
        uri = f"{self.mirror}/{quote(path, safe='/~')}"
        argv = [_HELPER, "download-file", uri, str(target), f"SHA256:{sha256}"]
        self.progress(f"fetching {target.name}{_mebibytes(size)}")
        self._suite(suite).run(argv, f"{target.name} from {self.mirror} ({suite})", target.parent, size)
        if digest_file(target) != sha256:
            raise HostError(f"{target.name} from {self.mirror} does not have the digest that its index gives")

    def _suite(self, name: str) -> SuiteRoot:
        if name not in self.suites:
            raise HarnessError(f"unknown Debian suite {name!r}", f"known are: {', '.join(self.suites)}")
        if name not in self._roots:
            # Another mirror or keyring is another root: apt would otherwise mix their indexes.
            digest = hashlib.sha256(f"{self.mirror}\n{self._keyring}".encode()).hexdigest()[:8]
            root = self._root / f"{name}-{digest}{_of_user(self._root)}"
            self._roots[name] = SuiteRoot(
                name, root, self.mirror, keyring=self._keyring, progress=self.progress, max_age=self._max_age
            )
        return self._roots[name]

    def _exactly(self, query: PackageQuery) -> dict[str, str]:
        """Return the index's stanza of one exact version; refreshes an index that lacks it, once."""
        suite = self._suite(query.suite)
        found = matching(suite.index(source=query.source), query)
        if not found and suite.refresh_once():
            found = matching(suite.index(source=query.source), query)
        if found:
            return found[-1]
        pattern = replace(query, package=relatives(query.package), version=None)
        candidates = matching(suite.index(source=query.source), pattern)
        latest = candidates[-1] if candidates else None
        there = f"the newest is {latest['Package']} {latest['Version']}" if latest else "nor is any other"
        raise FetchError(
            f"{_kind(query)} {query.package} {query.version} is not (or no longer) in {query.suite} "
            f"on {self.mirror}; {there}",
            UPDATE_HINT,
            missing=True,
        )

    def _require(self, package: PackageVersion) -> None:
        """Raise HarnessError unless the index has exactly this version with this digest."""
        stanza = self._exactly(PackageQuery(package.package, package.suite, package.version))
        if stanza["SHA256"] != package.sha256:
            raise HostError(
                f"{package.package} {package.version} ({package.suite}) on {self.mirror} has another SHA-256 "
                f"than the one asked for: {package.sha256}",
                f"the mirror holds a different build; {UPDATE_HINT}",
            )

    def _download(self, package: PackageVersion, directory: Path) -> None:
        suite = self._suite(package.suite)
        argv = ["apt-get", "download", "-q", f"{package.package}={package.version}"]
        what = f"{package.package} {package.version} from {self.mirror} ({package.suite})"
        self._require(package)
        self.progress(f"fetching {package.package} {package.version}{_mebibytes(package.size)}")
        try:
            suite.run(argv, what, directory, package.size)
        except FetchError as error:
            # The mirror may have moved on since the index was fetched.
            if not error.missing or not suite.refresh_once():
                raise
            self._require(package)
            suite.run(argv, what, directory, package.size)
        debs = list(directory.glob("*.deb"))
        if len(debs) != 1 or digest_file(debs[0]) != package.sha256:
            raise HarnessError(f"what apt fetched as {what} does not have the digest that its index gives")
        debs[0].rename(directory / f"{package.package}.deb")


def _of_user(root: Path) -> str:
    """Return what tells a user's apt state from others' in a cache that is another's, "" in an own one.

    apt keeps parts of it from everybody else, whatever the umask says.
    """
    there = next(path for path in (root.parent, *root.parents) if path.exists())
    user = os.geteuid()
    return "" if user in {0, there.stat().st_uid} else f"-{user}"


def _kind(query: PackageQuery) -> str:
    return "source package" if query.source else "package"


def _identity(package: PackageVersion) -> dict[str, JSONValue]:
    """Return what a package *is*, wherever it came from: suite and mirror are not part of it."""
    return {
        "package": package.package,
        "version": package.version,
        "architecture": package.architecture,
        "sha256": package.sha256,
    }


def _mebibytes(size: int) -> str:
    return f" ({size / (1 << 20):.1f} MiB)" if size >= 1 << 17 else ""


def _unpack(deb: Path, directory: Path, paths: Sequence[str]) -> None:
    if not paths:
        done = subprocess.run(
            ["dpkg-deb", "-x", str(deb), str(directory)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise HarnessError(f"{deb.name} could not be unpacked: {done.stderr.strip()}")
        return
    members = [f"./{path.removeprefix('./').removeprefix('/')}" for path in paths]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as archive:
        done = subprocess.run(
            ["tar", "-x", "--no-same-owner", "--wildcards", "-C", str(directory), "--", *members],
            stdin=archive.stdout,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    if done.returncode:
        kind = NotInPackageError if _NOT_FOUND in done.stderr else HarnessError
        raise kind(f"{deb.name}: {done.stderr.strip()}", "the paths are globs from the package's root")
