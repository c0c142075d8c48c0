# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A file of the store that is no more what it was is named, and made anew."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from harness.boot.driver import _file_digest
from harness.errors import ExitCode, HostError
from harness.store.carried import CARRIED_KEY
from harness.store.entries import PROVENANCE, Store
from harness.store.file_tree import digest_file
from harness.store.vouching import vouch
from tests.support.fake_boots import KERNEL, OFF, document, fake_boots

if TYPE_CHECKING:
    from pathlib import Path

    from harness.store.entries import Artifact


def flip(path: Path) -> None:
    """Change one byte, and neither size nor times, as a failing disk does."""
    info = path.stat()
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    path.chmod(info.st_mode)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def made(store: Store) -> Artifact:
    def build(folder: Path) -> None:
        (folder / "bin").mkdir()
        (folder / "bin/OVMF.fd").write_bytes(b"firmware")

    return store.get("firmware", "debian-1", {"version": "1"}, build, lambda _text: None)


def test_a_flipped_byte_is_named_and_the_entry_made_anew(tmp_path: Path) -> None:
    store = Store(tmp_path)
    file = made(store).path / "bin/OVMF.fd"
    vouch(file, digest_file(file))
    flip(file)
    with pytest.raises(HostError, match=rf"{file} is damaged: .* made for firmware debian-1") as caught:
        vouch(file, digest_file(file))
    assert caught.value.exit_code == ExitCode.HOST
    assert made(store).path / "bin/OVMF.fd" == file
    assert file.read_bytes() == b"firmware"


def test_the_mend_is_that_of_where_the_file_came_from(tmp_path: Path) -> None:
    file = made(Store(tmp_path)).path / "bin/OVMF.fd"
    flip(file)
    with pytest.raises(HostError, match="the next run makes it anew"):
        vouch(file, digest_file(file))
    provenance = file.parents[1] / PROVENANCE
    provenance.chmod(0o644)
    provenance.write_text(json.dumps({**json.loads(provenance.read_text()), CARRIED_KEY: "k"}))
    vouch.cache_clear()
    with pytest.raises(HostError, match="install ovmf-acceptance-qemu again"):
        vouch(file, digest_file(file))


def test_a_file_of_no_entry_is_whoever_s_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"x")
    vouch(tmp_path / "mine", "0" * 64)
    folder = tmp_path / "entry"
    folder.mkdir()
    (folder / "provenance.json").write_text("[" * 100_000)
    (folder / "file").touch()
    vouch(folder / "file", "0" * 64)


@pytest.mark.faults
def test_a_boot_looks(tmp_path: Path) -> None:
    file = made(Store(tmp_path / "store")).path / "bin/OVMF.fd"
    run = fake_boots(tmp_path)
    run(KERNEL, document("{}"), OFF, inputs={"own": file})
    flip(file)
    again = tmp_path / "again"
    again.mkdir()
    # As another process finds it: this one remembers digests of files whose times have not changed.
    _file_digest.cache_clear()
    with pytest.raises(HostError, match="is damaged"):
        fake_boots(again)(KERNEL, OFF, inputs={"own": file})
