# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Debian source packages: fetched with the digests of the signed index, unpacked with Debian's patches.

dpkg-source does the unpacking when the .dsc is there. A mirror may have lost only that (it is a small file
that nothing but source downloads read); the index lists digests for the tarballs too, so they are unpacked
here by the rules of dpkg-source(1), "Format: 3.0 (quilt)".
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.debian.suite import FetchError
from harness.errors import HarnessError, HostError
from harness.store import file_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.debian.archive import AptRoot
    from harness.store.entries import Artifact

_TARBALL = re.compile(
    r"(?P<stem>.+)\.(?:(?P<orig>orig)(?:-(?P<component>[a-zA-Z0-9-]+))?|(?P<debian>debian))"
    r"\.tar\.(?:gz|bz2|lzma|xz|zst)"
)


def source(
    apt: AptRoot, package: str, version: str, *, suite: str | None = None, sha256: str | None = None
) -> Artifact:
    """Return the files of one source package (tarballs, and the .dsc unless the mirror lacks it).

    ``suite``: where to look (default: each of the apt root's suites in turn). ``sha256``: the .dsc's digest
    that the index must give, from the lock file. Raises HarnessError when the version is not to be had.
    """

    def build(directory: Path) -> None:
        _fetch(apt, (package, version), [suite] if suite else apt.suites, sha256, directory)

    inputs = {"package": package, "version": version, "sha256": sha256}
    return apt.store.get("deb-source", package, inputs, build, apt.progress, tools=("apt",))


def unpack(tarballs: Artifact, dest: Path, skip_patches: tuple[str, ...] = ()) -> None:
    """Unpack a source package to ``dest``, which must not exist, with Debian's patches applied.

    ``skip_patches`` names entries of debian/patches/series to leave out; HarnessError for one that is not
    there. The tree is that of ``dpkg-source -x`` without quilt's own ``.pc`` directory.
    """
    dest = dest.absolute()
    dest.parent.mkdir(parents=True, exist_ok=True)
    dsc = next(iter(sorted(tarballs.path.glob("*.dsc"))), None)
    if dsc is None:
        _unpack_tarballs(tarballs, dest)
    else:
        # --no-check: the digests were checked against the signed index, whose chain of trust the .dsc's
        # own signature (an uploader's key) does not add to.
        _run(
            ["dpkg-source", "--no-check", "--no-copy", "--skip-patches", "-x", str(dsc), str(dest)],
            dest.parent,
        )
    _apply_patches(dest, skip_patches)


def series(text: str) -> list[str]:
    """Read debian/patches/series: one patch a line, comments and options dropped."""
    lines = (line.split("#", 1)[0].split() for line in text.splitlines())
    return [words[0] for words in lines if words]


def _fetch(
    apt: AptRoot, wanted: tuple[str, str], suites: Sequence[str], sha256: str | None, directory: Path
) -> None:
    for number, suite in enumerate(suites, start=1):
        try:
            found, files = apt.source_files(*wanted, suite)
            break
        except HarnessError:
            if number == len(suites):
                raise
    if sha256 is not None and found.sha256 != sha256:
        raise HarnessError(
            f"source package {' '.join(wanted)} in {found.suite} on {apt.mirror} has another SHA-256 "
            f"than the one asked for ({sha256})",
            "run `harness update` to take the versions of today into the lock file",
        )
    for file in files:
        if file.name.endswith(".asc"):
            continue  # upstream's signature: nothing here reads it
        try:
            apt.fetch(file.path, file.sha256, directory / file.name, found.suite, file.size)
        except FetchError as error:
            if not (error.missing and file.name.endswith(".dsc")):
                raise
            apt.progress(f"{file.name} is not on the mirror; its tarballs and the signed index do without it")


def _run(argv: Sequence[str], directory: Path) -> None:
    try:
        done = subprocess.run(
            argv,
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise HostError(f"{argv[0]} is not installed", "install the package dpkg-dev") from error
    if done.returncode:
        output = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise HostError(f"{' '.join(argv)} failed: {' / '.join(output[-5:])}")


def _unpack_tarballs(tarballs: Artifact, dest: Path) -> None:
    found = {
        path: match
        for path in sorted(tarballs.path.iterdir())
        if (match := _TARBALL.fullmatch(path.name)) is not None
    }
    main = [path for path, match in found.items() if match["orig"] and not match["component"]]
    debian = [path for path, match in found.items() if match["debian"]]
    if len(main) != 1 or len(debian) != 1:
        raise HarnessError(
            f"{tarballs.path} has no .dsc, and is not a source package in format 3.0 (quilt)",
            "such a package cannot be unpacked until the mirror has its .dsc again",
        )
    if dest.exists():
        raise HarnessError(f"{dest} exists already")
    _untar(main[0], dest)
    for path, match in found.items():
        if component := match["component"]:
            file_tree.remove(dest / component)
            _untar(path, dest / component)
    file_tree.remove(dest / "debian")
    _run(["tar", "-x", "--no-same-owner", "-f", str(debian[0]), "-C", str(dest)], dest)
    rules = dest / "debian/rules"
    rules.chmod(rules.stat().st_mode | 0o111)


def _untar(archive: Path, dest: Path) -> None:
    """Unpack so that ``dest`` is the archive's one top directory, or holds all of it if there are several."""
    with tempfile.TemporaryDirectory(prefix=".untar-", dir=dest.parent) as name:
        inside = Path(name) / "archive"
        inside.mkdir()
        _run(["tar", "-x", "--no-same-owner", "-f", str(archive), "-C", str(inside)], inside)
        entries = list(inside.iterdir())
        top = entries[0] if len(entries) == 1 and entries[0].is_dir() else inside
        top.rename(dest)


def _apply_patches(dest: Path, skip_patches: tuple[str, ...]) -> None:
    patches = dest / "debian/patches"
    lists = [path for path in (patches / "debian.series", patches / "series") if path.is_file()]
    names = series(lists[0].read_text(encoding="utf-8")) if lists else []
    if unknown := sorted(set(skip_patches) - set(names)):
        raise HarnessError(
            f"debian/patches/series has no {', '.join(unknown)}", f"it has: {', '.join(names) or 'none'}"
        )
    for name in names:
        if name not in skip_patches:
            # dpkg-source's own options: no fuzz, no questions, files that become empty are removed.
            argv = ["patch", "-t", "-F", "0", "-N", "-p1", "-u", "-V", "never", "-E", "-s"]
            _run([*argv, "--no-backup-if-mismatch", "-i", str(patches / name)], dest)
