# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An archive to sign, and apt to read it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.debian.archive import AptRoot
from harness.store.entries import Store
from tests.support.deb_repo import SUITES, DebRepo, Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def new_signer() -> Iterator[Callable[[], Signer]]:
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed: the test archive cannot be signed")
    homes: list[Path] = []

    def make() -> Signer:
        homes.append(Path(tempfile.mkdtemp(prefix="gpg-")))  # short: it holds gpg-agent's socket
        return Signer(homes[-1])

    yield make
    for home in homes:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def signer(new_signer: Callable[[], Signer]) -> Signer:
    return new_signer()


@pytest.fixture
def repo(tmp_path: Path, signer: Signer) -> DebRepo:
    root = tmp_path / "archive"
    root.mkdir()
    return DebRepo(root, signer)


@pytest.fixture
def said() -> list[str]:
    """Collect what the apt root tells the user."""
    return []


@pytest.fixture
def new_apt(tmp_path: Path, repo: DebRepo, said: list[str]) -> Callable[..., AptRoot]:
    """Make an apt root as another process would: same directories, nothing remembered."""

    def make(mirror: str = "", max_age: float = 3600.0) -> AptRoot:
        return AptRoot(
            mirror or repo.mirror,
            SUITES,
            root=tmp_path / "apt",
            store=Store(tmp_path / "store"),
            keyring=repo.signer.keyring,
            progress=said.append,
            max_age=max_age,
        )

    return make


@pytest.fixture
def apt(new_apt: Callable[..., AptRoot]) -> AptRoot:
    return new_apt()
