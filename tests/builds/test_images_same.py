# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every image that a guest boots from is made without root, and byte for byte the same each time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.paths import cache_dir
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients

pytestmark = pytest.mark.qemu

WITHOUT_CAPABILITIES = (
    *("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs", "--"),
)
"""What root can do beyond its own files is taken away: mounts, devices, owners."""

MAKE = """
import json, os, sys
from harness.store.file_tree import digest_file
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.loader.resolve import loader_image
from harness.artifacts.loader.files import Payload

os.umask(int(sys.argv[1], 8))
made = Ingredients(progress=lambda line: None)
paths = {"initramfs": made.initrd, "second kernel": made.initrd_with("debian-6.12")}
paths |= {name: made.kernel(name).path for name in ("efi-probe-lazy", "debian-6.12-stubless")}
probe = paths["efi-probe-lazy"]
small = Payload(probe, probe, "console=ttyS0 word", "6.12")  # of the loaders' disks, all but the size is real
for name, recipe in made.catalog.loaders.items():
    if not recipe.is_direct:
        paths[name] = loader_image(made.loader(name), small, made.apt)
assert all(str(path).startswith(os.environ["HARNESS_CACHE"]) for path in paths.values())
print(json.dumps({name: digest_file(path) for name, path in paths.items()}))
"""


def make(cache: Path, umask: str, prefix: tuple[str, ...] = (), **environment: str) -> dict[str, str]:
    """Make all images in a cache that has only what was fetched; give their digests."""
    (cache / "store").mkdir(parents=True)
    for kind in ("deb", "deb-tree"):
        (cache / "store" / kind).symlink_to(cache_dir() / "store" / kind)
    command = [*prefix, sys.executable, "-c", MAKE, umask]
    settings = {**os.environ, "HARNESS_CACHE": str(cache), "PYTHONPATH": str(PROJECT), **environment}
    done = subprocess.run(command, cwd=cache, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(cache / "store")
    digests: dict[str, str] = json.loads(done.stdout)
    return digests


def test_all_images_twice(ingredients: Ingredients, tmp_path: Path) -> None:
    for name, recipe in ingredients.catalog.loaders.items():  # fetched, so that both find the same
        _ = recipe.is_direct or ingredients.loader(name)
    _ = ingredients.kernel("debian-6.12"), ingredients.initrd
    privileged = os.geteuid() == 0
    first = make(tmp_path / "a", "022", TZ="UTC", LC_ALL="C")
    second = make(
        tmp_path / "another place",
        "077",
        WITHOUT_CAPABILITIES if privileged else (),
        TZ="Asia/Kathmandu",
        LC_ALL="C.UTF-8",
        PYTHONHASHSEED="7",
        SOURCE_DATE_EPOCH="1",
    )
    assert len(first) > 25
    assert first == second
