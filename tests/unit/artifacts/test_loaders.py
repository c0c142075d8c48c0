# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Loaders: their recipes, what is read from their binaries, and the disks that they boot from."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.artifacts.kernel.files import kernel_files
from harness.artifacts.kernel.traits import KernelTraits
from harness.artifacts.loader.choice import choose_loader
from harness.artifacts.loader.files import Payload, esp_files
from harness.artifacts.loader.resolve import IMAGE, Loader, loader_image, resolve_loader, write_disk
from harness.artifacts.loader.traits import LoaderTraits, read_loader_traits
from harness.debian.archive import NotInPackageError
from harness.documents.document import Problem, YamlError, load_document
from harness.errors import HarnessError
from harness.recipes.catalog import load_catalog
from harness.recipes.kernel import KernelRecipe, KernelSource, Prebuilt
from harness.recipes.loader import BUILT_IN, LoaderFile, LoaderKind, LoaderRecipe, whole_loaders
from harness.store.entries import Store
from tests.support.data import PROJECT
from tests.support.pe_image import sections, stub

if TYPE_CHECKING:
    from pathlib import Path

KERNEL = KernelTraits("6.12", 0x20F, ("snp",), True, True, True, {})
STUBLESS = KernelTraits("6.12", 0x20F, ("snp",), True, False, False, {})

YAML = """\
binaries:
  grub: {package: grub, suite: sid, path: usr/lib/grubx64.efi}
  stub: {package: systemd, suite: sid, path: usr/lib/linuxx64.efi.stub}
loaders:
  - {name: g, kind: {grub: {image: grub}}}
  - {name: u, kind: {uki: {stub: stub}}, esp-mib: 40}
"""
SBAT = b"sbat,1,SBAT Version,sbat,1,x\ngrub,5,Free Software Foundation,grub,2.06,https://x/\n"
GRUB_206 = (
    SBAT
    + b"Secure Boot enabled: trying linuxefi\0kernel doesn't support EFI handover\0loader/efi/chainloader.c"
)
GRUB_212 = (
    SBAT.replace(b"2.06", b"2.12")
    + b"Using LoadFile2 initrd loading protocol\0rebuild with CONFIG_(U)EFI_STUB enabled\0"
    + b"loader/efi/chainloader.c"
)


def made(*paths: Path) -> dict[str, LoaderRecipe]:
    problems: list[Problem] = []
    found = whole_loaders([load_document(path, LoaderFile) for path in paths], problems)
    if problems:
        raise YamlError(problems)
    return BUILT_IN | found


def loaders(folder: Path, text: str = YAML) -> dict[str, LoaderRecipe]:
    path = folder / "loaders.yaml"
    path.write_text(text)
    return made(path)


def test_recipes_name_their_binaries(tmp_path: Path) -> None:
    found = loaders(tmp_path)
    assert list(found) == ["direct", "g", "u"]
    assert [(key, binary.package) for key, binary in found["g"].binaries] == [("image", "grub")]
    assert found["u"].where.endswith("loaders.yaml:6:5")
    assert BUILT_IN.keys() == {"direct"}


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("image: grub}", "image: grup}", ":5:36: unknown binary 'grup'; did you mean 'grub'?"),
        ("name: u", "name: g", ":6:12: the name 'g' is taken"),
        ("stub: stub", "stub: grub", ":3:3: no loader uses 'stub'"),
        ("uki: {stub: stub}", "uki: {stub: stub}, shell: {}", "wanted exactly one of the keys"),
        ("{stub: stub}", "{stab: stub}", "unknown key 'stab'; did you mean 'stub'?"),
        ("esp-mib: 40", "esp-mib: big", "wanted a whole number"),
    ],
)
def test_mistakes_in_recipes(tmp_path: Path, old: str, new: str, wanted: str) -> None:
    assert YAML.count(old) == 1
    with pytest.raises(YamlError) as caught:
        loaders(tmp_path, YAML.replace(old, new))
    assert wanted in str(caught.value)


def grub(command: str, image: bytes) -> LoaderTraits:
    kind = _kind({"grub": {"image": "grub", "command": command}})
    recipe = LoaderRecipe("g", kind, where="l.yaml:5:5")
    return read_loader_traits(recipe, {"image": image})


def _kind(told: Any) -> Any:
    return LoaderKind.model_validate(told)


@pytest.mark.parametrize(
    ("command", "image", "version", "entries"),
    [
        ("linux", GRUB_206, "2.06", ("legacy", "legacy")),
        ("linuxefi", GRUB_206, "2.06", ("handover", "none")),
        ("chainloader", GRUB_206, "2.06", ("efi-stub", "none")),
        ("linux", GRUB_212, "2.12", ("efi-stub", "legacy")),
        ("chainloader", GRUB_212, "2.12", ("efi-stub", "none")),
        ("linux", GRUB_212 + b"\0grub_cpu_relocator_preamble\0", "2.12", ("efi-stub", "legacy-no-cbit")),
    ],
)
def test_how_grub_enters(command: str, image: bytes, version: str, entries: tuple[str, str]) -> None:
    traits = grub(command, image)
    assert traits.version == version
    assert (traits.entry(KERNEL), traits.entry(STUBLESS)) == entries
    assert command in traits.sources["with_stub"]


def test_what_binaries_do_not_tell() -> None:
    with pytest.raises(
        HarnessError, match=r"l\.yaml:5:5: how loader g enters a kernel is unknown: GRUB 2\.12"
    ):
        grub("linuxefi", GRUB_212)
    with pytest.raises(HarnessError, match=r"\.sbat says no version of GRUB"):
        grub("linux", GRUB_206.removeprefix(SBAT))
    with pytest.raises(HarnessError, match="says no version of systemd's stub"):
        read_loader_traits(LoaderRecipe("u", _kind({"uki": {"stub": "s"}})), {"stub": b"MZ"})


@pytest.mark.parametrize(
    ("message", "loads"),
    [
        ("Error loading kernel image: %m".encode("utf-16le"), "firmware"),
        (b"Error loading kernel image: %m", "firmware"),
        (b"Inner kernel image contains base relocations", "own"),
    ],
)
def test_how_stubs_load_the_kernel(message: bytes, loads: str) -> None:
    recipe = LoaderRecipe("u", _kind({"uki": {"stub": "s"}}))
    traits = read_loader_traits(recipe, {"stub": b"#### LoaderInfo: systemd-stub 257.1-1 ####" + message})
    assert (traits.version, traits.pe_loader, traits.entry(KERNEL)) == ("257.1-1", loads, "efi-stub")
    assert traits.entry(STUBLESS) == "none"


def test_loaders_of_the_firmware() -> None:
    direct = read_loader_traits(BUILT_IN["direct"], {})
    assert (direct.entry(KERNEL), direct.entry(STUBLESS)) == ("efi-stub", "legacy-by-firmware")
    shell, file = (
        read_loader_traits(LoaderRecipe("x", _kind({kind: {}})), {}) for kind in ("shell", "boot-file")
    )
    assert (shell.passes_cmdline, file.passes_cmdline) == (True, False)
    assert file.entry(STUBLESS) == "none"


@pytest.fixture
def payload(tmp_path: Path) -> Payload:
    (tmp_path / "vmlinuz").write_bytes(b"kernel" * 99)
    (tmp_path / "initrd").write_bytes(b"initrd" * 99)
    return Payload(tmp_path / "vmlinuz", tmp_path / "initrd", "console=ttyS0 dyndbg='file x +p;'", "6.12")


def files(kind: Any, payload: Payload, tmp_path: Path) -> dict[str, Any]:
    binaries = {}
    for key in ("image", "shim", "stub"):
        binaries[key] = tmp_path / key
        binaries[key].write_bytes(stub() if key == "stub" else key.encode())
    recipe = LoaderRecipe("l", _kind(kind), where="l.yaml:5:5")
    return esp_files(recipe, {key: binaries[key] for key in recipe.kind.binaries()}, payload)


def test_grub_with_and_without_shim(payload: Payload, tmp_path: Path) -> None:
    made = files({"grub": {"image": "g"}}, payload, tmp_path)
    assert made["EFI/BOOT/BOOTX64.EFI"] == tmp_path / "image"
    config = made["EFI/debian/grub.cfg"].decode()
    assert "set timeout=0\n" in config
    # Two readers of one UART would share out what is typed: docs/how-to/use-menus.md.
    assert "terminal_input console\nterminal_output serial\n" in config
    # In GRUB's language, as in the shell's, ';' ends a command and quotes vanish.
    assert (
        "    linux /vmlinuz console=ttyS0 'dyndbg='\"'\"'file' x '+p;'\"'\"''\n    initrd /initrd\n" in config
    )
    shimmed = files(
        {"grub": {"image": "g", "shim": "s", "command": "linuxefi", "timeout": 9}}, payload, tmp_path
    )
    assert shimmed["EFI/BOOT/BOOTX64.EFI"] == tmp_path / "shim"
    assert shimmed["EFI/BOOT/grubx64.efi"] == tmp_path / "image"
    config = shimmed["EFI/debian/grub.cfg"].decode()
    assert "set timeout=9\n" in config
    assert "    linuxefi /vmlinuz console=ttyS0" in config
    assert "    initrdefi /initrd\n" in config


def test_chainloaded_kernels_read_their_own_initrd(payload: Payload, tmp_path: Path) -> None:
    plain = Payload(payload.kernel, payload.initrd, "quiet", "6.12")
    made = files({"grub": {"image": "g", "command": "chainloader"}}, plain, tmp_path)
    assert "    chainloader /vmlinuz quiet 'initrd=\\initrd'\n}" in made["EFI/debian/grub.cfg"].decode()
    assert (
        files({"shell": {}}, plain, tmp_path)["startup.nsh"] == b"fs0:\r\nvmlinuz quiet initrd=\\initrd\r\n"
    )


def test_words_that_the_shell_would_keep(payload: Payload, tmp_path: Path) -> None:
    """All behind a # is a comment to it, and so was the initramfs."""
    special = Payload(payload.kernel, payload.initrd, 'a=#b c="%d%"', "6.12")
    with pytest.raises(
        HarnessError, match=r'^l.yaml:5:5: the UEFI shell of loader l would not .* " # % of the'
    ):
        files({"shell": {}}, special, tmp_path)


def test_systemd_boot_and_unified_kernel_images(payload: Payload, tmp_path: Path) -> None:
    made = files({"systemd-boot": {"image": "b"}}, payload, tmp_path)
    assert made["loader/loader.conf"].startswith(b"timeout 0\ndefault guest.conf\n")
    entry = made["loader/entries/guest.conf"].decode().splitlines()
    assert entry[1:] == ["linux /vmlinuz", "initrd /initrd", f"options {payload.cmdline}"]
    made = files({"systemd-boot": {"image": "b", "stub": "s"}}, payload, tmp_path)
    assert made["loader/loader.conf"].startswith(b"timeout 0\ndefault guest.efi\n")
    assert "vmlinuz" not in made
    alone = files({"uki": {"stub": "s"}}, payload, tmp_path)
    assert alone == {"EFI/BOOT/BOOTX64.EFI": made["EFI/Linux/guest.efi"]}
    found = sections(made["EFI/Linux/guest.efi"])
    assert found[".cmdline"][1] == payload.cmdline.encode()
    assert found[".linux"][1] == payload.kernel.read_bytes()
    assert files({"boot-file": {}}, payload, tmp_path) == {"EFI/BOOT/BOOTX64.EFI": payload.kernel}


def apt(folder: Path, **programs: bytes) -> Any:
    """Stand in for the archive: packages that hold one program each."""

    def extract(package: Any, paths: list[str]) -> Any:
        path = folder / package.package / paths[0]
        if package.package not in programs:
            raise NotInPackageError(f"{package.package}.deb: tar: ./{paths[0]}: Not found in archive")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(programs[package.package])
        return SimpleNamespace(path=folder / package.package)

    return SimpleNamespace(extract=extract, store=Store(folder / "store"), progress=print)


LOCK: Any = SimpleNamespace(require=lambda query: SimpleNamespace(package=query.package, version="1-1"))


def test_images_are_built_once_and_are_the_same(tmp_path: Path, payload: Payload) -> None:
    recipe = loaders(tmp_path)["g"]
    images = []
    for place in ("a", "b"):
        archive = apt(tmp_path / place, grub=GRUB_212)
        loader = resolve_loader(recipe, archive, LOCK)
        images.append(loader_image(loader, payload, archive))
        assert loader_image(loader, payload, archive) == images[-1]
        other = Payload(payload.kernel, payload.initrd, "quiet", "6.12")
        assert loader_image(loader, other, archive) != images[-1]
    assert images[0].name == IMAGE
    assert images[0].read_bytes() == images[1].read_bytes()
    assert images[0].stat().st_blocks * 512 < 4 << 20, "what holds nothing is a hole"
    assert not images[0].stat().st_mode & 0o222


def test_a_package_without_the_program(tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as caught:
        resolve_loader(loaders(tmp_path)["g"], apt(tmp_path), LOCK)
    assert caught.value.what.endswith("loaders.yaml:5:5: loader g: grub 1-1 holds no usr/lib/grubx64.efi"), (
        caught.value.what
    )


def test_what_says_nothing_about_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message blames a full disk or a wrong mirror, and not the recipe."""
    archive = apt(tmp_path)

    def extract(*_: object) -> None:
        raise HarnessError("cannot write below /cache")

    monkeypatch.setattr(archive, "extract", extract)
    with pytest.raises(HarnessError, match=r"^cannot write below /cache$"):
        resolve_loader(loaders(tmp_path)["g"], archive, LOCK)
    kernel = KernelRecipe(
        "k", KernelSource(prebuilt=Prebuilt(package="linux-image-1", suite="trixie", version=None))
    )
    with pytest.raises(HarnessError, match=r"^cannot write below /cache$"):
        kernel_files(kernel, archive, LOCK)


def test_a_disk_too_small_and_no_disk(tmp_path: Path, payload: Payload) -> None:
    recipe = loaders(tmp_path)["u"]
    with pytest.raises(HarnessError) as caught:
        write_disk(tmp_path / "d", recipe, {"large": bytes(45 << 20)})
    assert "loaders.yaml:6:5: the disk of loader u is too small: its files need 48 MiB, esp-mib is 40" in str(
        caught.value
    )
    assert "set esp-mib to 48 or more" in caught.value.hint
    write_disk(tmp_path / "d", recipe, {"large": bytes(36 << 20)})
    direct = BUILT_IN["direct"]
    with pytest.raises(HarnessError, match="the loader direct has no disk"):
        loader_image(Loader(direct, {}, read_loader_traits(direct, {})), payload, apt(tmp_path))


def test_the_projects_own_loaders() -> None:
    catalog = load_catalog()
    ways = {recipe.kind.way for recipe in catalog.loaders.values()}
    assert ways == {"direct", "grub", "systemd-boot", "uki", "boot-file", "shell"}
    assert catalog.known().names("loader") == frozenset(catalog.loaders)
    locked = (PROJECT / "debian.lock.yaml").read_text()
    missing = [query.key for query in catalog.queries() if f"\n{query.key}:\n" not in locked]
    assert not missing


@pytest.mark.parametrize(
    ("program", "way", "configs"),
    [
        (
            b"MZ" + GRUB_212 + b"grub_normal\0(,gpt2)/EFI/fedora\0",
            "grub",
            ("EFI/fedora/grub.cfg", "EFI/BOOT/grub.cfg", "boot/grub/grub.cfg"),
        ),
        (b"MZ#### LoaderInfo: systemd-boot 257 ####Failed to load image", "systemd_boot", None),
        (b"MZ#### LoaderInfo: systemd-stub 257 ####Inner kernel image contains", "uki", None),
    ],
)
def test_a_users_own_program(
    tmp_path: Path, program: bytes, way: str, configs: tuple[str, ...] | None
) -> None:
    path = tmp_path / "grubx64.efi"
    path.write_bytes(program)
    recipe = choose_loader(f"file:{path}", load_catalog())
    assert recipe.kind.way.replace("-", "_") == way
    assert recipe.name.startswith("file-grubx64-")
    loader = resolve_loader(recipe, cast("Any", None), cast("Any", None))
    assert loader.traits.with_stub == "efi-stub"
    if configs is None:
        return
    (tmp_path / "vmlinuz").write_bytes(b"kernel")
    payload = Payload(tmp_path / "vmlinuz", None, "quiet", "6.12")
    made = esp_files(recipe, loader.binaries, payload)
    assert {name for name in made if name.endswith("cfg")} == set(configs)
    assert b"linux /vmlinuz quiet" in made[configs[0]]  # type: ignore[operator]
    (tmp_path / "grub.cfg").write_text("mine")
    own = choose_loader(f"file:{path}", load_catalog())
    assert esp_files(own, loader.binaries, payload)[configs[0]] == tmp_path / "grub.cfg"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file:none.efi", "none.efi: no such file"),
        ("file:text", "text: no EFI program"),
        ("file:other.efi", "neither GRUB, systemd-boot nor systemd's stub"),
        ("tree:x", "unknown kind of loader 'tree'\n  write NAME|file:PATH"),
        ("grub-2", "unknown loader 'grub-2'"),
    ],
)
def test_mistakes_about_own_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("text")
    (tmp_path / "other.efi").write_bytes(b"MZ other")
    with pytest.raises(HarnessError, match=re.escape(said)):
        choose_loader(text, load_catalog())
