# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Recipes of firmware that is built: all their keys, what they extend, and mistakes with their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness import paths
from harness.debian.index import PackageQuery
from harness.documents.document import YamlError, json_schema
from harness.recipes.catalog import Catalog, load_catalog
from harness.recipes.firmware import BuildOptions, FirmwareFile

if TYPE_CHECKING:
    from pathlib import Path

KERNELS = "kernels:\n  - {name: k, source: {prebuilt: {package: linux-image-1, suite: trixie}}}\n"
BASE = """\
firmware:
  - name: base
    source:
      debian-source: {suite: trixie, version: 2025.02-*, skip-patches: [x.patch]}
    patches: [one.patch]
    defines: {NETWORK_IP6_ENABLE: true, SIZE: 4}
    pcds: {gA.PcdB: "0x10"}
    expect: {technologies: [snp], debug_output: true}
"""
CHILD = """\
firmware:
  - name: child
    extends: base
    patches: [sub/two.patch]
    target: NOOPT
    toolchain: GCC5
    defines: {SIZE: 8}
    pcds: {gA.PcdC: false}
    expect: {debug_output: false}
"""


class Project:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("guest-images/kernels.yaml", KERNELS)
        self.write("ovmf-builds/one.patch", "")
        self.write("ovmf-builds/sub/two.patch", "")

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def load(self, **files: str) -> Catalog:
        for name, text in files.items():
            self.write(f"ovmf-builds/{name}.yaml", text)
        return load_catalog(paths.Project((self.root,)))

    def problems(self, **files: str) -> list[str]:
        with pytest.raises(YamlError) as caught:
            self.load(**files)
        return [str(problem).partition("\n")[0] for problem in caught.value.problems]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def test_a_recipe_extends_one_of_another_file(project: Project) -> None:
    catalog = project.load(a=CHILD, b=BASE)  # in whatever order
    base, child = catalog.firmware_recipe("base"), catalog.firmware_recipe("child")
    assert list(catalog.firmware) == ["child", "base"]
    assert base.queries() == child.queries() == (PackageQuery("edk2", "trixie", "2025.02-*", source=True),)
    assert base.options == BuildOptions(
        defines=(("NETWORK_IP6_ENABLE", "TRUE"), ("SIZE", "4")), pcds=(("gA.PcdB", "0x10"),)
    )
    assert child.options == BuildOptions(
        target="NOOPT",
        toolchain="GCC5",
        defines=(("NETWORK_IP6_ENABLE", "TRUE"), ("SIZE", "8")),
        pcds=(("gA.PcdB", "0x10"), ("gA.PcdC", "FALSE")),
    )
    builds = project.root / "ovmf-builds"
    assert child.patches == (builds / "one.patch", builds / "sub/two.patch")
    assert child.expect == (("debug_output", False), ("technologies", ("snp",)))
    assert child.source == base.source
    assert child.description == ""


def test_every_source(project: Project) -> None:
    commit = "0123456789" * 4
    catalog = project.load(
        a="firmware:\n"
        f"  - {{name: g, source: {{git: {{url: ../edk2, commit: '{commit}', submodules: [CryptoPkg/x]}}}}}}\n"
        "  - {name: t, source: {tree: {path: ../edk2}}, dsc: OvmfPkg/AmdSev/AmdSevX64.dsc}\n"
        "  - {name: f, source: {file: {path: images/OVMF.fd}}}\n"
        "  - {name: p, source: {prebuilt: {package: ovmf, suite: sid, path: usr/OVMF.fd}}}\n"
    )
    assert [catalog.firmware_recipe(name).source.way for name in "gtfp"] == [
        "git",
        "tree",
        "file",
        "prebuilt",
    ]
    assert [catalog.firmware_recipe(name).source.is_image for name in "gtfp"] == [False, False, True, True]
    assert catalog.queries()[0] == PackageQuery("ovmf", "sid")
    image = catalog.firmware_recipe("f")
    assert image.source.file is not None
    assert image.path(image.source.file.path) == project.root / "ovmf-builds/images/OVMF.fd"


def test_a_key_that_has_moved_says_its_name(project: Project) -> None:
    text = BASE.replace("technologies: [snp]", "snp_capable: true")
    said = "firmware[0].expect.snp_capable: this key has another name; write technologies: [snp]"
    assert project.problems(a=text) == [f"ovmf-builds/a.yaml:8:27: {said}"]


def test_an_inherited_source_stays_relative_to_its_own_file(project: Project, tmp_path: Path) -> None:
    project.write("elsewhere/ovmf-builds/x", "")
    tree = "firmware:\n  - {name: t, source: {tree: {path: mine}}}\n  - {name: u, extends: t}\n"
    recipe = project.load(a=tree).firmware_recipe("u")
    assert recipe.source.tree is not None
    assert recipe.path(recipe.source.tree.path) == tmp_path / "ovmf-builds/mine"


def test_mistakes_in_values(project: Project) -> None:
    text = (
        BASE.replace("SIZE", "0SIZE")
        .replace("gA.PcdB", "PcdB")
        .replace("debug_output", "debug_outptu")
        .replace("[one.patch]", "one.patch")
        .replace("expect:", "target: debug\n    expect:")
        .replace("skip-patches", "skip_patches")
    )
    define, pcd = "'^[A-Za-z_][A-Za-z0-9_]*$'", r"'^[A-Za-z_]\w*(\.[A-Za-z_]\w*){1,2}$'"
    assert [problem.removeprefix("ovmf-builds/a.yaml:") for problem in project.problems(a=text)] == [
        "4:58: firmware[0].source.debian-source: unknown key 'skip_patches'; did you mean 'skip-patches'?",
        "5:14: firmware[0].patches: wanted a list, found the text 'one.patch'; write it as [one.patch]",
        f"6:41: firmware[0].defines.0SIZE: string should match pattern {define}, found the text '0SIZE'",
        f"7:12: firmware[0].pcds.PcdB: string should match pattern {pcd}, found the text 'PcdB'",
        "8:13: firmware[0].target: unknown value 'debug'; did you mean 'DEBUG'?",
        "9:35: firmware[0].expect: unknown key 'debug_outptu'; did you mean 'debug_output'?",
    ]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{}", "wanted exactly one of the keys prebuilt, file, debian-source, git, tree; found none"),
        (
            "{file: {path: x}, debian-source: {suite: sid}}",
            "found file and debian-source",
        ),
        ("{flie: {path: x}}", "unknown key 'flie'; did you mean 'file'?"),
    ],
)
def test_a_source_has_one_key(source: str, said: str, project: Project) -> None:
    text = f"firmware:\n  - name: x\n    source: {source}\n"
    assert any(said in problem for problem in project.problems(a=text))
    assert all(problem.startswith("ovmf-builds/a.yaml:3:1") for problem in project.problems(a=text))


def test_what_cannot_be_extended(project: Project) -> None:
    at = "ovmf-builds/a.yaml"
    text = (
        "firmware:\n"
        "  - {name: a, extends: bb}\n"
        "  - {name: b, extends: d}\n"
        "  - {name: c, extends: b}\n"
        "  - {name: d, extends: c}\n"
        "  - {name: e}\n"
        "  - {name: f, extends: e}\n"
        "  - {name: g, source: {file: {path: x}}, target: DEBUG, patches: []}\n"
        "  - {name: h, extends: i, source: {file: {path: x}}}\n"
        "  - {name: i, source: {tree: {path: x}}, target: NOOPT}\n"
        "  - {name: j, extends: i, patches: [one.patch, none.patch]}\n"
    )
    assert project.problems(a=text) == [
        f"{at}:2:24: unknown firmware 'bb'; did you mean 'b'?",
        f"{at}:4:24: a circle: b extends d extends c extends b",
        f"{at}:6:5: missing key 'source' (where it comes from), and it extends nothing",
        f"{at}:8:5: patches, target: nothing is built from the source 'file'",
        f"{at}:9:5: the source 'file' is not built, but i has patches or options",
        f"{at}:11:48: there is no patch 'none.patch' beside this file",
    ]


def test_a_missing_patch_is_told_once(project: Project) -> None:
    text = BASE.replace("one.patch", "gone.patch")
    assert len(project.problems(a=text, b=CHILD)) == 1


def test_json_schema_of_firmware() -> None:
    schema = json_schema(FirmwareFile)
    definitions = schema["$defs"]
    assert set(definitions["FirmwareSource"]["properties"]) == {
        "prebuilt",
        "file",
        "debian-source",
        "git",
        "tree",
    }
    assert definitions["FirmwareSource"]["maxProperties"] == 1
    assert "skip-patches" in definitions["DebianSource"]["properties"]
    assert definitions["FirmwareEntry"]["required"] == ["name"]


def test_shipped_builds() -> None:
    """Every build the project ships is DEBUG, and its patches and expectations are where they should be."""
    catalog = load_catalog()
    built = {name: recipe for name, recipe in catalog.firmware.items() if not recipe.source.is_image}
    assert set(built) == {
        "stock-2022.11",
        "stock-2025.02",
        "safe-2022.11",
        "safe-2022.11-verbatim",
        "unsafe-2022.11",
        "reverted-2025.02",
    }
    compiler = "0001-BaseTools-GCC-keeps-frame-pointers.patch"  # nothing of the series
    assert [path.name for path in built["stock-2022.11"].patches] == [compiler]
    assert not built["stock-2025.02"].patches
    verbatim, safe = built["safe-2022.11-verbatim"].patches, built["safe-2022.11"].patches
    assert safe[:-2] == verbatim
    assert set(built["unsafe-2022.11"].patches) < set(verbatim)
    for recipe in built.values():
        assert recipe.options.target == "DEBUG"
        assert dict(recipe.options.pcds) == {"gEfiMdePkgTokenSpaceGuid.PcdDebugPrintErrorLevel": "0x8240004F"}
        assert dict(recipe.expect)["technologies"] == ("snp",), recipe.name
        assert dict(recipe.expect)["debug_output"], recipe.name
