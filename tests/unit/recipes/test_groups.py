# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Groups of recipes, and the versions that conditions compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.artifacts.ingredients import Ingredients
from harness.documents.document import YamlError
from harness.paths import Project
from harness.recipes.catalog import load_catalog
from harness.recipes.versions import upstream_version, versions

if TYPE_CHECKING:
    from pathlib import Path

NAME = "^[a-z0-9][a-z0-9._-]*$"
FIRMWARE = "firmware:\n  - {name: f-1, source: {file: {path: x}}}\n"
KERNELS = "kernels:\n  - {name: k-1, source: {file: {path: x}}}\n  - {name: k-2, source: {file: {path: x}}}\n"


def test_versions_of_debian_packages() -> None:
    for text, version in (
        ("6.12.43-1~bpo12+1", (6, 12, 43)),
        ("1+2.12+9+deb13u4", (2, 12)),
        ("2:1.0-1", (1, 0)),
        ("2026.08+ds-2", (2026, 8)),
        ("262.1-1", (262, 1)),
    ):
        assert upstream_version(text) == version
    assert upstream_version("none") is None
    own = Ingredients(progress=print)
    found = versions(own.catalog, own.lock_of)
    assert found["kernel"]["debian-6.12.43"] == (6, 12, 43)
    assert found["firmware"]["safe-2022.11"] == (2022, 11)  # inherited from what it extends
    assert found["loader"]["shim-16.1-grub-2.12"] == (2, 12)
    assert found["loader"]["uki-257"][0] == 257
    assert not any(name.startswith("efi-probe") for name in found["kernel"])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with recipes."""
    monkeypatch.chdir(tmp_path)
    for name in ("ovmf-builds", "guest-images"):
        (tmp_path / name).mkdir()
    (tmp_path / "ovmf-builds/a.yaml").write_text(FIRMWARE)
    (tmp_path / "guest-images/kernels.yaml").write_text(KERNELS)
    (tmp_path / "guest-images/efi-probe.yaml").write_text("probes:\n  - {name: probe}\n")
    return tmp_path


def test_groups_are_written_beside_the_recipes(project: Path) -> None:
    (project / "guest-images/kernels.yaml").write_text(
        f"{KERNELS}groups:\n  both: ['@one', k-1, '@probes']\n  one: [k-2]\n"
    )
    (project / "guest-images/efi-probe.yaml").write_text(
        "probes:\n  - {name: probe}\ngroups:\n  probes: [probe, k-2]\n"
    )
    assert load_catalog(Project((project,))).known().groups["kernel"] == {
        "both": ("k-2", "k-1", "probe"),
        "one": ("k-2",),
        "probes": ("probe", "k-2"),
    }


def test_wrong_groups(project: Path) -> None:
    (project / "ovmf-builds/a.yaml").write_text(f"{FIRMWARE}groups:\n  g: [f-1, k-1]\n")
    (project / "ovmf-builds/b.yaml").write_text(
        FIRMWARE.replace("f-1", "f-2")
        + "groups:\n  g: [f-2]\n  h: ['@i']\n  i: ['@h']\n  j: ['@k']\n  l: []\n  M: [f-1]\n"
    )
    with pytest.raises(YamlError) as caught:
        load_catalog(Project((project,)))
    heads = [line for line in str(caught.value).splitlines() if line.startswith("ovmf-builds/")]
    assert heads == [
        "ovmf-builds/a.yaml:4:12: groups.g[1]: unknown firmware 'k-1'; did you mean 'f-1'?",
        "ovmf-builds/b.yaml:8:6: groups.l: wanted at least 1 item(s), found 0",
        f"ovmf-builds/b.yaml:9:3: groups.M: string should match pattern '{NAME}', found the text 'M'",
    ]
    (project / "ovmf-builds/b.yaml").write_text(
        FIRMWARE.replace("f-1", "f-2") + "groups:\n  g: [f-2]\n  h: ['@i']\n  i: ['@h']\n  j: ['@k']\n"
    )
    with pytest.raises(YamlError) as caught:
        load_catalog(Project((project,)))
    heads = [line for line in str(caught.value).splitlines() if line.startswith("ovmf-builds/b")]
    assert heads == [
        "ovmf-builds/b.yaml:4:3: the group 'g' is at ovmf-builds/a.yaml:4:6 already",
        "ovmf-builds/b.yaml:6:7: groups.i[0]: the group is part of itself",
        "ovmf-builds/b.yaml:7:7: groups.j[0]: unknown group 'k'; known: g, h, i, j",
    ]
