# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A tiny signed Debian archive on disk, so that apt's own code runs in the tests without a network."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import tempfile
from pathlib import Path

SUITES = ("one", "two")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Signer:
    """A throw-away OpenPGP key."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.keyring = home / "archive.gpg"
        self._gpg("--passphrase", "", "--quick-gen-key", "Test archive", "ed25519", "sign", "never")
        self._gpg("--output", str(self.keyring), "--export")

    def _gpg(self, *arguments: str) -> None:
        argv = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--yes", *arguments]
        subprocess.run(argv, check=True, capture_output=True)

    def sign(self, release: Path, signed: Path) -> None:
        self._gpg("--output", str(signed), "--clearsign", str(release))


class DebRepo:
    """An archive with the suites "one" and "two", or others; ``publish`` after every change."""

    def __init__(self, root: Path, signer: Signer, suites: tuple[str, ...] = SUITES) -> None:
        self.root = root
        self.signer = signer
        self.binaries: dict[str, list[str]] = {suite: [] for suite in suites}
        self.sources: dict[str, list[str]] = {suite: [] for suite in suites}
        self.publish()

    @property
    def mirror(self) -> str:
        return f"file:{self.root}"

    def pool(self, name: str) -> Path:
        directory = self.root / "pool/main" / name[0] / name
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def add_deb(self, name: str, version: str, files: dict[str, str], suite: str = "one") -> Path:
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@example.org>\n"
        control += "Description: a test\n"
        deb = self.pool(name) / f"{name}_{version.replace(':', '%3a')}_all.deb"
        with tempfile.TemporaryDirectory(dir=self.root) as directory:
            for path, text in {"DEBIAN/control": control, **files}.items():
                target = Path(directory) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
            Path(directory).chmod(0o755)
            argv = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", directory, str(deb)]
            subprocess.run(argv, check=True, capture_output=True)
        self.binaries[suite].append(
            f"{control}Filename: {deb.relative_to(self.root)}\n"
            f"Size: {deb.stat().st_size}\nSHA256: {_digest(deb)}\n"
        )
        return deb

    def add_source(
        self,
        name: str,
        version: str,
        tarballs: dict[str, dict[str, str]],
        suite: str = "one",
    ) -> Path:
        """Add a 3.0 (quilt) package; ``tarballs``: {file name: {member: text}}. Returns the .dsc."""
        pool = self.pool(name)
        for tarball, members in tarballs.items():
            with tempfile.TemporaryDirectory(dir=self.root) as directory:
                for member, text in members.items():
                    target = Path(directory) / member
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(text)
                argv = [
                    "tar",
                    "-czf",
                    str(pool / tarball),
                    "-C",
                    directory,
                    *sorted(path.name for path in Path(directory).iterdir()),
                ]
                subprocess.run(argv, check=True)
        sums = "".join(
            f" {_digest(pool / tarball)} {(pool / tarball).stat().st_size} {tarball}\n"
            for tarball in tarballs
        )
        dsc = pool / f"{name}_{version}.dsc"
        head = f"Binary: {name}\nArchitecture: any\nVersion: {version}\nMaintainer: A <a@example.org>\n"
        files = "".join(
            f" {hashlib.md5((pool / t).read_bytes()).hexdigest()} {(pool / t).stat().st_size} {t}\n"  # noqa: S324
            for t in tarballs
        )
        dsc.write_text(
            f"Format: 3.0 (quilt)\nSource: {name}\n{head}Checksums-Sha256:\n{sums}Files:\n{files}",
        )
        sums += f" {_digest(dsc)} {dsc.stat().st_size} {dsc.name}\n"
        self.sources[suite].append(
            f"Package: {name}\n{head}Directory: {pool.relative_to(self.root)}\nChecksums-Sha256:\n{sums}"
        )
        return dsc

    def publish(self, signer: Signer | None = None) -> None:
        for suite in self.binaries:
            dists = self.root / "dists" / suite
            lines = []
            for name, entries in (
                ("main/binary-amd64/Packages", self.binaries[suite]),
                ("main/source/Sources", self.sources[suite]),
            ):
                path = dists / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("\n".join(entries))
                packed = path.with_name(path.name + ".gz")
                packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
                lines += [
                    f" {_digest(file)} {file.stat().st_size} {file.relative_to(dists)}\n"
                    for file in (path, packed)
                ]
            release = dists / "Release"
            release.write_text(
                f"Origin: Debian\nLabel: Debian\nSuite: {suite}\nCodename: {suite}\n"
                f"Date: Sat, 01 Mar 2025 00:00:00 UTC\nArchitectures: amd64\nComponents: main\n"
                f"SHA256:\n{''.join(lines)}"
            )
            (signer or self.signer).sign(release, dists / "InRelease")
