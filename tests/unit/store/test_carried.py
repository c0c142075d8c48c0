# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What comes built, in a package of its own, in the place of what a compiler would make here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.store import carried as module
from harness.store.asking import Asking, NotMadeError
from harness.store.carried import DISTRIBUTION, PACKAGE, carried, carried_key
from harness.store.entries import PROVENANCE, Artifact, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MADE_WITH = ("compiler",)
HERE = {"source": "digest", "compiler": "gcc 12"}
ELSEWHERE = {"source": "digest", "compiler": "gcc 14"}
OTHER = {"source": "another", "compiler": "gcc 14"}


def fill(directory: Path) -> None:
    (directory / "program").write_bytes(b"built here")


def get(store: Store, inputs: dict[str, Any], made_with: tuple[str, ...] = MADE_WITH) -> Artifact:
    return store.get("tool", "qemu", inputs, fill, lambda _line: None, made_with=made_with)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install the package with a tool that was made elsewhere."""
    place = tmp_path / "site" / PACKAGE / "tool" / "qemu"
    place.mkdir(parents=True)
    (tmp_path / "site" / PACKAGE / "__init__.py").touch()
    (place / "program").write_bytes(b"came built")
    provenance = {"key": "that of elsewhere", "carried-key": carried_key("tool", ELSEWHERE, MADE_WITH)}
    (place / PROVENANCE).write_text(json.dumps(provenance))
    monkeypatch.syspath_prepend(tmp_path / "site")
    module._package.cache_clear()
    yield place
    module._package.cache_clear()


def test_what_comes_built_serves_whatever_the_compiler(tmp_path: Path, package: Path) -> None:
    store = Store(tmp_path / "store")
    assert get(store, HERE).path == package
    assert not store.root.exists()
    assert store.explain("tool", "qemu", HERE, MADE_WITH).startswith(
        f"tool qemu: comes built, in {DISTRIBUTION} ("
    )
    assert get(Asking(store.root), HERE).path == package


def test_other_sources_are_built(tmp_path: Path, package: Path) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(NotMadeError):
        get(Asking(store.root), OTHER)
    assert get(store, OTHER).path.is_relative_to(store.root)
    assert get(store, HERE).path == package


def test_what_names_no_tools_is_built(tmp_path: Path, package: Path) -> None:
    store = Store(tmp_path / "store")
    assert get(store, HERE, ()).path != package
    assert get(store, HERE).path.is_relative_to(store.root), "what was built here goes first"


@pytest.mark.parametrize("provenance", ["", "[]", "{}", '{"carried-key": "no"}'])
def test_a_damaged_package_is_no_package(tmp_path: Path, package: Path, provenance: str) -> None:
    (package / PROVENANCE).write_text(provenance)
    assert get(Store(tmp_path / "store"), HERE).path != package


def test_without_the_package_nothing_is_carried() -> None:
    module._package.cache_clear()
    assert carried("tool", "qemu", "key") is None
