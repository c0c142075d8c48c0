# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Kernels of a developer: an image with its config, a build tree; messages say what is wrong with one."""

from __future__ import annotations

import gzip
import lzma
import re
import struct
import zlib
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.guest.initramfs import NEEDS
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.kernel.files import BZIMAGE
from harness.artifacts.kernel.resolve import Kernel
from harness.artifacts.kernel.traits import parse_config, read_kernel_traits
from harness.boot.cell_machine import ENCRYPTED, machine_spec
from harness.errors import HarnessError
from harness.formats.ikconfig import embedded_config
from harness.matrix.cell import Cell
from harness.paths import Project
from harness.platforms.host import Host
from harness.recipes.kernel import KernelRecipe
from tests.support.data import PROJECT
from tests.support.kernel_files import CONFIG, RELEASE, bzimage, make_tree, zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ZSTD_FRAME = b"\x28\xb5\x2f\xfd"


def with_payload(packed: bytes) -> bytes:
    """Make a bzImage whose compressed vmlinux is ``packed``."""
    image = bytearray(bzimage())
    image[0x1F1] = 7  # sectors of setup after the first: the image is 8 of them long
    struct.pack_into("<II", image, 0x248, 16, len(packed))
    return bytes(image) + bytes(16) + packed


def vmlinux(config: str = CONFIG) -> bytes:
    return b"code IKCFG_ST" + gzip.compress(config.encode()) + b"IKCFG_ED code"


@pytest.fixture
def ingredients() -> Ingredients:
    return Ingredients(progress=lambda _line: None)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Ingredients]:
    """Make a project with one kernel, ``k``, from this source."""
    monkeypatch.chdir(tmp_path)

    def make(source: str, more: str = "") -> Ingredients:
        path = tmp_path / "guest-images/kernels.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"kernels:\n  - {{name: k, source: {source}{more}}}\n")
        return Ingredients(Project((tmp_path,)), lambda _line: None)

    return make


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        lambda data: lzma.compress(data) + b"size",
        lambda data: zstd(data) + b"size",
    ],
    ids=["gzip", "xz", "zstd"],
)
def test_the_config_inside_an_image(pack: Callable[[bytes], bytes]) -> None:
    assert embedded_config(with_payload(pack(vmlinux()))) == CONFIG
    assert embedded_config(with_payload(pack(b"no config"))) is None


@pytest.mark.parametrize(
    "image",
    [
        b"",
        bzimage(),
        with_payload(b"unknown packer"),
        with_payload(gzip.compress(vmlinux())[:-60]),
        with_payload(b"\xfd7zXZ\0 damaged"),
        with_payload(ZSTD_FRAME + b"damaged"),
        with_payload(zlib.compress(b"")),
        with_payload(gzip.compress(b"IKCFG_ST damaged IKCFG_ED")),
        with_payload(gzip.compress(b"IKCFG_ED IKCFG_ST")),
    ],
)
def test_an_image_whose_config_cannot_be_read(image: bytes) -> None:
    assert embedded_config(image) is None


@pytest.mark.parametrize(
    ("image", "config"),
    [
        ("vmlinuz-6.12.1", "config-6.12.1"),
        ("bzImage", "bzImage.config"),
        ("bzImage", ".config"),
        ("vmlinuz", "config"),
    ],
)
def test_a_config_beside_the_image(ingredients: Ingredients, tmp_path: Path, image: str, config: str) -> None:
    (tmp_path / image).write_bytes(bzimage())
    (tmp_path / config).write_text(CONFIG)
    name = ingredients.choose_kernel(f"file:{tmp_path / image}")
    assert re.fullmatch(rf"file-{image.lower()}-[0-9a-f]{{6}}", name)
    kernel = ingredients.kernel(name)
    assert (kernel.path, kernel.traits.version) == (tmp_path / image, RELEASE)
    assert (kernel.traits.technologies, kernel.traits.unaccepted_memory) == (("snp",), True)
    assert kernel.options is not None
    assert kernel.options["CONFIG_SEV_GUEST"] == "m"


def test_the_config_of_the_image_itself_is_enough(ingredients: Ingredients, tmp_path: Path) -> None:
    (tmp_path / "bzImage").write_bytes(with_payload(gzip.compress(vmlinux())))
    kernel = ingredients.kernel(ingredients.choose_kernel(f"file:{tmp_path / 'bzImage'}"))
    assert "CONFIG_UNACCEPTED_MEMORY=y" in kernel.traits.sources["unaccepted_memory"]


def test_an_image_without_any_config(
    ingredients: Ingredients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(ingredients.apt, "progress", told.append)
    image = tmp_path / "bzImage"
    image.write_bytes(bzimage())
    kernel = ingredients.kernel(ingredients.choose_kernel(f"file:{image}"))
    assert kernel.options is None
    assert kernel.traits.sources["unaccepted_memory"].startswith("image: ")
    assert told == [
        f"kernel {kernel.name}: no config is beside the image or in it; its traits are read from the image"
    ]
    (tmp_path / "given").write_text(CONFIG)
    given = ingredients.kernel(ingredients.choose_kernel(f"file:{image},config={tmp_path}/given"))
    assert given.name != kernel.name
    assert given.traits.unaccepted_memory
    (tmp_path / "config").write_text(CONFIG)
    ignored = ingredients.kernel_recipe(ingredients.choose_kernel(f"file:{image},config=none"))
    assert isinstance(ignored, KernelRecipe)
    assert ignored.source.file is not None
    assert ignored.source.file.config is False


def test_an_image_that_is_cut_short_is_told_before_its_config(
    ingredients: Ingredients, tmp_path: Path
) -> None:
    whole = bytearray(bzimage())
    whole[0x1F4:0x1F8] = (1 << 20).to_bytes(4, "little")
    (tmp_path / "bzImage").write_bytes(whole)
    with pytest.raises(HarnessError, match="the kernel image is cut short"):
        ingredients.kernel(ingredients.choose_kernel(f"file:{tmp_path / 'bzImage'}"))


def test_a_build_tree(ingredients: Ingredients, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "My Linux")
    name = ingredients.choose_kernel(f"tree:{tree}")
    assert re.fullmatch(r"tree-my-linux-[0-9a-f]{6}", name)
    assert ingredients.kernel(name).path == tree / BZIMAGE
    assert ingredients.kernel(name).traits.unaccepted_memory


def test_another_build_gets_another_name(ingredients: Ingredients, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "linux")
    before = ingredients.choose_kernel(f"tree:{tree}")
    (tree / BZIMAGE).write_bytes(bzimage(flags=0))
    assert ingredients.choose_kernel(f"tree:{tree}") != before


def test_recipes_of_files_and_trees(recipe: Callable[..., Ingredients], tmp_path: Path) -> None:
    make_tree(tmp_path / "linux")
    (tmp_path / "guest-images").mkdir()
    (tmp_path / "guest-images/mine").write_bytes(bzimage())
    (tmp_path / "other.config").write_text("CONFIG_EFI_STUB=y\n")
    assert recipe("{tree: {path: ../linux}}").kernel("k").path == tmp_path / "guest-images/../linux" / BZIMAGE
    traits = recipe("{file: {path: mine, config: ../other.config}}").kernel("k").traits
    assert (traits.technologies, traits.efi_stub) == ((), True)
    kernel = recipe("{file: {path: mine, config: false}}").kernel("k")
    assert kernel.options is None
    assert kernel.traits.sources["technologies"].startswith("image: lacks")
    cleared = recipe("{tree: {path: ../linux}}", ", efi-stub: false").kernel("k")
    assert not cleared.traits.efi_stub
    assert cleared.path.read_bytes()[:2] == b"\0\0"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{file: {path: none}}", r"kernel k: \S*/guest-images/none: no such file"),
        (
            "{file: {path: alone-1}}",
            r"no config: beside \S*/alone-1 there is none of config-1, alone-1.config, ",
        ),
        ("{file: {path: alone-1}}", r"carries none \(CONFIG_IKCONFIG\)\n  put the .config .* as config-1"),
        ("{file: {path: ../linux/arch/x86/boot/bzImage}}", r"no config: [^\n]*\n  .*say tree:\S*/linux$"),
        ("{file: {path: alone-1, config: none}}", r"\S*/none: cannot be read: .*No such file"),
        ("{file: {path: text, config: given}}", r"\S*/text is no bzImage: it is text\n  name arch/x86"),
        ("{file: {path: alone-1, config: text}}", r"\S*/alone-1: the kernel config holds no option"),
        ("{tree: {path: none}}", r"\S*/none/arch/x86/boot/bzImage: no such file\n  run `make bzImage"),
        ("{tree: {path: ../stale}}", r"bzImage is 6.12.1-test, but the tree is configured as 6.12.2\n  run"),
    ],
)
def test_mistakes_name_the_recipe(
    recipe: Callable[..., Ingredients], tmp_path: Path, source: str, message: str
) -> None:
    make_tree(tmp_path / "linux")
    make_tree(tmp_path / "stale", release="6.12.2")
    images = tmp_path / "guest-images"
    images.mkdir()
    (images / "alone-1").write_bytes(bzimage())
    (images / "text").write_text("nothing")
    (images / "given").write_text(CONFIG)
    with pytest.raises(HarnessError, match=r"^guest-images/kernels.yaml:2:5: kernel k: ") as caught:
        recipe(source).kernel("k")
    assert re.search(message, str(caught.value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file:none", "file:none: no such file"),
        ("file:.", "file:.: it is a folder\n  did you mean tree:.?"),
        (
            "file:elf",
            "file:elf: no bzImage: it is an ELF program, as vmlinux is\n  name arch/x86",
        ),
        ("file:arm64", "file:arm64: no bzImage: it is an arm64 kernel\n  guests are x86-64"),
        ("file:packed", "file:packed: no bzImage: it is packed with gzip\n  unpack it, or name arch/x86"),
        ("file:empty", "file:empty: no bzImage: it is empty\n  build or copy it again"),
        ("file:text", "file:text: no bzImage: it is text\n  name arch/x86/boot/bzImage"),
        ("file:noise", "file:noise: no bzImage: it has no HdrS in its setup header"),
        ("file:good,config=gone", "file:good,config=gone: there is no "),
        ("tree:.", f"tree:.: no {BZIMAGE} there\n  run `make bzImage modules`"),
        ("git:x", "git:x: unknown kind of kernel 'git'\n  write NAME|file:PATH|tree:PATH"),
        ("debian-6.2", "unknown kernel 'debian-6.2'\n  did you mean "),
    ],
)
def test_choices_that_are_none(
    ingredients: Ingredients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    images = {
        "elf": b"\x7fELF\x02\x01",
        "arm64": b"MZ" + bytes(0x36) + b"ARM\x64",
        "packed": gzip.compress(bzimage()),
        "empty": b"",
        "text": b"nothing\n",
        "noise": bytes(range(256)),
        "good": bzimage(),
    }
    for name, content in images.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(HarnessError) as caught:
        ingredients.choose_kernel(text)
    assert str(caught.value).startswith(message)


def test_what_a_kernel_must_have(recipe: Callable[..., Ingredients], tmp_path: Path) -> None:
    make_tree(tmp_path / "linux")
    kernel = recipe("{tree: {path: ../linux}}").kernel("k")
    kernel.require(["CONFIG_EFI_STUB"], "the boot")
    lacks = r"^guest-images/kernels.yaml:2:5: kernel k: the action kexec needs CONFIG_KEXEC_FILE=y, which"
    with pytest.raises(HarnessError, match=lacks):
        kernel.require(["CONFIG_EFI_STUB", "CONFIG_KEXEC_FILE"], "the action kexec")
    with pytest.raises(HarnessError, match="needs CONFIG_SEV_GUEST=y"):  # a module is not built in
        kernel.require(["CONFIG_SEV_GUEST"], "it")


def test_an_action_that_the_kernel_cannot_do(ingredients: Ingredients, tmp_path: Path) -> None:
    assert ingredients.catalog.actions["kexec"].needs == ("CONFIG_KEXEC_FILE",)
    assert ingredients.catalog.actions["touch"].needs == ()
    name = ingredients.choose_kernel(f"tree:{make_tree(tmp_path / 'linux')}")
    cell = Cell("debian-2025.02", name, "direct", 2048, "plain", action="touch:1 kexec")
    with pytest.raises(
        HarnessError, match=f"^kernel {name}: the action kexec needs CONFIG_KEXEC_FILE=y, which"
    ):
        machine_spec(cell, ingredients, Host())


@pytest.mark.parametrize(
    ("option", "platform", "message"),
    [
        ("CONFIG_PRINTK", "plain", "the guest initramfs needs CONFIG_PRINTK=y, which its config lacks"),
        ("CONFIG_BINFMT_SCRIPT", "plain", "the guest initramfs needs CONFIG_BINFMT_SCRIPT=y, which"),
        ("CONFIG_X86_PAT", "snp-emulated", "a guest whose memory is encrypted needs CONFIG_X86_PAT=y, which"),
        ("CONFIG_X86_PAT", "plain", "the action kexec needs CONFIG_KEXEC_FILE=y"),
    ],
)
def test_a_kernel_in_which_no_guest_starts(
    ingredients: Ingredients, tmp_path: Path, option: str, platform: str, message: str
) -> None:
    tree = make_tree(tmp_path / "linux")
    config = tree / ".config"
    config.write_text(config.read_text().replace(f"{option}=y", f"# {option} is not set"))
    name = ingredients.choose_kernel(f"tree:{tree}")
    # Of a guest with all that it needs, this action is the next that its kernel lacks.
    cell = Cell("debian-2025.02", name, "direct", 2048, platform, action="kexec")
    with pytest.raises(HarnessError, match=f"^kernel {name}: {message}"):
        machine_spec(cell, ingredients, Host())


def test_the_smallest_kernel_has_what_guests_need() -> None:
    text = (PROJECT / "guest-images/small-kernel.config").read_text()
    options = parse_config(text)
    assert set(options.values()) == {"y"}
    traits = read_kernel_traits(bzimage(), text)
    assert traits.technologies
    assert traits.unaccepted_memory
    assert traits.efi_stub
    small = Kernel("small", PROJECT / "bzImage", traits, options=options)
    small.require((*NEEDS, *ENCRYPTED), "a guest")
