# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A run whose archive has one kernel's package no more: apt itself says so, and its own cells fail alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts import ingredients
from harness.artifacts.ingredients import Ingredients
from harness.debian.archive import AptRoot
from harness.results.folder import StoredRun
from harness.run import session
from harness.store.file_tree import digest_file
from tests.support.deb_repo import DebRepo
from tests.support.pytest_runs import EMULATED, PLAIN, TWO, run
from tests.support.stand_ins import StandInIngredients

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.deb_repo import Signer

KERNEL = "debian-6.1"
NEWER = "linux-image-6.1.0-999-amd64"


class OneFetched(StandInIngredients):
    """Ingredients of stored boots; one kernel is fetched, from the archive that the settings name."""

    def kernel(self, name: str) -> object:
        if name != KERNEL:
            return super().kernel(name)
        return Ingredients(progress=self.progress).kernel(name)


@pytest.fixture
def archive(
    tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch, stand_ins: Any
) -> tuple[DebRepo, Path]:
    """Give an archive with the locked kernel and a newer one, and the locked one's file."""
    locked = Ingredients().lock_of("kernel", KERNEL)
    recipe = Ingredients().catalog.kernel_recipe(KERNEL)
    package = locked.require(recipe.queries()[0])
    root = tmp_path / "archive"
    root.mkdir()
    repo = DebRepo(root, signer, (package.suite,))
    deb = repo.add_deb(package.package, package.version, {"boot/x": "x"}, package.suite)
    entries = repo.binaries[package.suite]
    entries[:] = [it.replace(digest_file(deb), package.sha256) for it in entries]
    repo.publish()
    monkeypatch.setenv("HARNESS_DEBIAN_MIRROR", repo.mirror)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ingredients, "AptRoot", partial(AptRoot, keyring=signer.keyring, max_age=0.0))
    monkeypatch.setattr(session, "Ingredients", partial(OneFetched, stand_ins))
    return repo, deb


def test_its_own_cells_fail_and_the_others_boot(
    archive: tuple[DebRepo, Path], pytester: pytest.Pytester, stand_ins: Any
) -> None:
    repo, deb = archive
    suite = next(iter(repo.binaries))
    name, version, *_ = deb.name.split("_")
    deb.unlink()
    repo.binaries[suite].clear()
    repo.add_deb(NEWER, "6.1.999-1", {}, suite)
    repo.add_deb(NEWER.replace("amd64", "cloud-amd64"), "6.1.999-1", {}, suite)
    repo.publish()
    (pytester.mkdir("scenarios") / "s.yaml").write_text(TWO)
    result, text = run(pytester, "scenarios", "--records", "here")
    assert result.ret == 6
    assert stand_ins.booted == [EMULATED]
    said = f"package {name} {version} is not (or no longer) in {suite} on {repo.mirror}"
    assert f"{said}; the newest is {NEWER} 6.1.999-1" in text
    assert "`harness update`" in text
    found = StoredRun.load(pytester.path / "here")
    assert {(line.cell, line.check) for line in found.checks if line.state == "host-error"} == {
        (PLAIN, "requirements")
    }
    assert {line.state for line in found.checks if line.cell == EMULATED} == {"passed"}


def test_the_file_is_gone_and_the_index_lists_it(
    archive: tuple[DebRepo, Path], pytester: pytest.Pytester, stand_ins: Any
) -> None:
    repo, deb = archive
    deb.unlink()
    (pytester.mkdir("scenarios") / "s.yaml").write_text(TWO)
    result, text = run(pytester, "scenarios", "--records", "here")
    assert result.ret == 6
    assert stand_ins.booted == [EMULATED]
    name, version, *_ = deb.name.split("_")
    assert f"{name} {version} from {repo.mirror}" in text
    found = StoredRun.load(pytester.path / "here")
    assert [line.cell for line in found.checks if line.state == "host-error"] == [PLAIN]
