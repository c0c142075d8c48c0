# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which modules a changed C file concerns; and when only a whole build knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.artifacts.firmware.part_build import keep, makefiles_of, mend

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """Two libraries and three modules: A links One, B both, C none."""
    links = {"One": "", "Two": "", "A": "One", "B": "One Two", "C": ""}
    for name, libraries in links.items():
        folder = tmp_path / "X64/Pkg" / name
        (folder / "OUTPUT").mkdir(parents=True)
        lines = [f"    $(BIN_DIR)/Pkg/{library}/OUTPUT/{library}.lib \\\n" for library in libraries.split()]
        (folder / "GNUmakefile").write_text("".join(lines))
        sources = f"{tmp_path}/src/{name}.c {tmp_path}/src/Common.h \\\n {tmp_path}/src/{name}Part.c"
        (folder / "OUTPUT" / f"{name}.obj.deps").write_text(f"{folder}/OUTPUT/{name}.obj: {sources}\n")
    return tmp_path / "X64"


def named(changed: set[str], modules: Path) -> list[str] | None:
    found = makefiles_of(changed, modules.parent / "src", modules)
    return None if found is None else [path.parent.name for path in found]


def test_a_module_of_its_own(modules: Path) -> None:
    assert named({"A.c"}, modules) == ["A"]
    assert named({"CPart.c"}, modules) == ["C"]


def test_a_library_comes_before_what_links_it(modules: Path) -> None:
    found = named({"One.c"}, modules)
    assert found is not None
    assert found[0] == "One"
    assert sorted(found[1:]) == ["A", "B"]
    both = named({"Two.c", "C.c"}, modules)
    assert both is not None
    assert sorted(both) == ["B", "C", "Two"]
    assert both[-1] == "B"


@pytest.mark.parametrize("changed", [set(), {"Common.h"}, {"A.c", "Pkg.dec"}, {"Tool.c"}, {"A.c", "Tool.c"}])
def test_only_a_whole_build_knows(modules: Path, changed: set[str]) -> None:
    assert named(changed, modules) is None


def test_a_makefile_that_does_not_pack_its_module_is_written_anew(modules: Path) -> None:
    """edk2 writes such a one when somebody builds an image alone; what it made would never get there."""
    folder = modules / "Pkg/A"
    (folder / "OUTPUT/A.efi").touch()
    keep([folder / "GNUmakefile", modules / "Pkg/B/GNUmakefile"])
    assert named({"A.c"}, modules) is None
    mend(modules)
    assert not (folder / "AutoGenTimeStamp").exists()
    assert (modules / "Pkg/B/AutoGenTimeStamp").exists()
    with (folder / "GNUmakefile").open("a") as makefile:
        makefile.write("\tGenFfs -t EFI_FV_FILETYPE_DRIVER\n")
    assert named({"A.c"}, modules) == ["A"]
