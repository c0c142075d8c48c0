# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Finished entries of the store as one file, and taken in elsewhere."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest
import zstandard

from harness.errors import HarnessError
from harness.store.asking import NotMadeError
from harness.store.entries import PROVENANCE, Artifact, Store
from harness.store.moving import Recording, export, take_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INPUTS = {"source": "1.0"}


def fill(directory: Path) -> None:
    (directory / "bin").mkdir()
    (directory / "bin/qemu").write_bytes(b"ELF" * 100)
    (directory / "bin/qemu").chmod(0o755)
    (directory / "link").symlink_to("bin/qemu")


def make(root: Path, name: str = "qemu") -> tuple[Store, Artifact]:
    store = Store(root)
    return store, store.get("tool", name, INPUTS, fill, lambda _line: None)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    store, artifact = make(tmp_path / "here")
    export([artifact], store, tmp_path / "all.tar.zst")
    return tmp_path / "all.tar.zst"


def rewrite(
    file: Path, change: Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes] | None]
) -> None:
    """Write an export anew with other members."""
    plain = zstandard.ZstdDecompressor().stream_reader(file.read_bytes()).read()
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(plain)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for member in old:
            content = old.extractfile(member) if member.isreg() else None
            changed = change(member, content.read() if content is not None else b"")
            if changed is not None:
                changed[0].size = len(changed[1])
                new.addfile(changed[0], io.BytesIO(changed[1]))
    file.write_bytes(zstandard.ZstdCompressor().compress(out.getvalue()))


def test_an_entry_is_the_same_on_another_machine(tmp_path: Path, exported: Path) -> None:
    there = Store(tmp_path / "there")
    [taken] = take_in(exported, there)
    found = there.find("tool", "qemu", INPUTS)
    assert found is not None
    assert found == taken
    assert found.path == there.root / "tool" / found.path.name
    assert (found.path / "link").resolve() == found.path / "bin/qemu"
    assert (found.path / "bin/qemu").stat().st_mode & 0o777 == 0o555
    assert take_in(exported, there) == []
    assert [path.name for path in there.root.iterdir()] == ["tool"]


def test_a_damaged_entry_is_made_whole(tmp_path: Path, exported: Path) -> None:
    there, artifact = make(tmp_path / "there")
    (artifact.path / "bin/qemu").chmod(0o644)
    (artifact.path / "bin/qemu").write_bytes(b"other")
    assert there.find("tool", "qemu", INPUTS) is None
    assert len(take_in(exported, there)) == 1
    assert there.find("tool", "qemu", INPUTS) is not None


def changed_file(member: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    return member, data.replace(b"ELF", b"ELG")


def other_inputs(member: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    return member, data.replace(b'"1.0"', b'"6.6"')


def other_name(member: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member.name = member.name.replace("tool/", "firmware/")
    return member, data


def no_provenance(member: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes] | None:
    return None if member.name.endswith(PROVENANCE) else (member, data)


def not_json(member: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    return member, json.dumps([1]).encode() if member.name.endswith(PROVENANCE) else data


def more(member: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    if member.issym():
        member.type, member.linkname = tarfile.REGTYPE, ""
        return member, b"a file in the place of a link"
    return member, data


@pytest.mark.parametrize("change", [changed_file, other_inputs, other_name, no_provenance, not_json, more])
def test_what_is_not_what_it_says_is_refused(
    tmp_path: Path,
    exported: Path,
    change: Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes] | None],
) -> None:
    rewrite(exported, change)
    with pytest.raises(HarnessError, match="is not what its provenance says"):
        take_in(exported, Store(tmp_path / "there"))
    assert [*(tmp_path / "there").iterdir()] == []


def leads_out(member: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member.name = f"../../{member.name}"
    return member, data


def link_out(member: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    if member.issym():
        member.linkname = "/etc/passwd"
    return member, data


def hard_link_out(member: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    if member.issym():
        member.type, member.linkname = tarfile.LNKTYPE, "../../secret"
    return member, data


def device(member: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    if member.issym():
        member.type = tarfile.FIFOTYPE
    return member, data


@pytest.mark.parametrize("change", [leads_out, link_out, hard_link_out, device])
def test_what_would_harm_is_refused(
    tmp_path: Path,
    exported: Path,
    change: Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes] | None],
) -> None:
    rewrite(exported, change)
    with pytest.raises(HarnessError, match="cannot be read"):
        take_in(exported, Store(tmp_path / "deep/there"))
    assert not (tmp_path / "tool").exists()


@pytest.mark.parametrize("data", [b"", b"no export", zstandard.ZstdCompressor().compress(b"")])
def test_what_is_no_export_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.tar.zst").write_bytes(data)
    with pytest.raises(HarnessError, match=r"cannot be read|holds no entry"):
        take_in(tmp_path / "x.tar.zst", Store(tmp_path / "there"))
    with pytest.raises(HarnessError, match="no such file"):
        take_in(tmp_path / "y.tar.zst", Store(tmp_path / "there"))


def test_an_export_that_was_cut_short_is_refused(tmp_path: Path, exported: Path) -> None:
    exported.write_bytes(exported.read_bytes()[:-20])
    with pytest.raises(HarnessError):
        take_in(exported, Store(tmp_path / "there"))
    assert [*(tmp_path / "there").iterdir()] == []


def test_a_recording_store_notes_what_it_gives(tmp_path: Path) -> None:
    _, artifact = make(tmp_path)
    store = Recording(tmp_path)
    assert store.get("tool", "qemu", INPUTS, fill) == artifact
    assert store.get("tool", "qemu", INPUTS, fill) == artifact
    with pytest.raises(NotMadeError):
        store.get("tool", "other", INPUTS, fill)
    assert [*store.given.values()] == [artifact]


def test_nothing_is_left_of_an_export_that_fails(tmp_path: Path) -> None:
    store, artifact = make(tmp_path / "here")
    with pytest.raises(HarnessError, match="no such folder"):
        export([artifact], store, tmp_path / "none/all.tar.zst")
    assert not [*tmp_path.glob("**/*.zst*")]
