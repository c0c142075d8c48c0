# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where a kernel's files are: image, config and modules, whatever its recipe's source is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.debian.archive import NotInPackageError
from harness.errors import HarnessError
from harness.formats.bzimage import is_bzimage, read_release, read_setup
from harness.formats.ikconfig import embedded_config
from harness.formats.magic import no_bzimage
from harness.store.file_tree import only

if TYPE_CHECKING:
    from pathlib import Path

    from harness.debian.archive import AptRoot
    from harness.debian.index import PackageVersion
    from harness.debian.lock_file import Lock
    from harness.recipes.kernel import File, KernelRecipe, Prebuilt, Tree

BZIMAGE = "arch/x86/boot/bzImage"
MAKE_HINT = "run `make bzImage modules` in the kernel's tree"
_MODULES = "*lib/modules"
_ORDER = "modules.order"


@dataclass(frozen=True)
class KernelFiles:
    """``config`` is a text, None when there is none."""

    image: Path
    config: str | None


def kernel_files(recipe: KernelRecipe, apt: AptRoot, lock: Lock) -> KernelFiles:
    """Return image and config; HarnessError when they cannot be had, or do not belong together."""
    source = recipe.source
    if source.file is not None:
        return _of_file(recipe, source.file)
    if source.tree is not None:
        return _of_tree(recipe, source.tree)
    assert source.prebuilt is not None
    return _of_packages(recipe, source.prebuilt, apt, lock)


def modules_package(recipe: KernelRecipe, lock: Lock) -> PackageVersion | None:
    """Return the package that holds the modules, None for a kernel that is from no package."""
    prebuilt = recipe.source.prebuilt
    if prebuilt is None:
        return None
    query = prebuilt.modules_query()
    if query is None:
        raise HarnessError(f"{recipe.title}: the mirror has its image, but no longer its modules")
    return lock.require(query)


def modules_folders(recipe: KernelRecipe, apt: AptRoot, lock: Lock) -> tuple[Path, Path]:
    """Return the folder of the modules, lib/modules/RELEASE or a build tree, and that of modules.order.

    They are the same but for Debian's split packages. HarnessError when there are none.
    """
    prebuilt = recipe.source.prebuilt
    if prebuilt is not None:
        package, base = modules_package(recipe, lock), prebuilt.config_query()
        assert package is not None
        assert base is not None
        folder = _release_folder(apt.extract(package, [_MODULES]).path)
        if package == lock.require(base):
            return folder, folder
        return folder, _release_folder(apt.extract(lock.require(base), [f"{_MODULES}/*/modules.*"]).path)
    if recipe.source.tree is not None:
        places = [recipe.path(recipe.source.tree.path)]
    else:
        assert recipe.source.file is not None
        places = _places_beside(recipe, recipe.source.file)
    for place in places:
        if (place / _ORDER).is_file():
            return place, place
    raise HarnessError(
        f"{recipe.title}: no modules: there is no {_ORDER} in {', '.join(map(str, places))}",
        MAKE_HINT
        if recipe.source.tree
        else "put lib/modules/RELEASE beside the image, or name it in the recipe",
    )


def _release_folder(unpacked: Path) -> Path:
    return only(unpacked, "lib/modules/*" if (unpacked / "lib").is_dir() else "usr/lib/modules/*")


def _places_beside(recipe: KernelRecipe, file: File) -> list[Path]:
    if file.modules is not None:
        return [recipe.path(file.modules)]
    image = recipe.path(file.path)
    release = read_release(image.read_bytes())
    above = (image.parent, image.parent.parent)
    # From 7.1 on, Debian has vmlinuz among its modules.
    return [
        image.parent,
        *(folder / lib / release for folder in above for lib in ("lib/modules", "usr/lib/modules")),
    ]


def _of_packages(recipe: KernelRecipe, prebuilt: Prebuilt, apt: AptRoot, lock: Lock) -> KernelFiles:
    package = lock.require(prebuilt.query())
    config_query = prebuilt.config_query()
    old = "boot/vmlinuz-*"
    new = "usr/lib/modules/*"
    if config_query is None:
        return KernelFiles(_unpacked(recipe, package, apt, old)[0], None)
    config_package = lock.require(config_query)
    if package == config_package:
        image, config = _unpacked(recipe, package, apt, old, "boot/config-*")
    else:
        (image,) = _unpacked(recipe, package, apt, f"{new}/vmlinuz")
        (config,) = _unpacked(recipe, config_package, apt, f"{new}/config")
        if image.parent.name != config.parent.name:
            raise HarnessError(
                f"{recipe.title}: the image is of {image.parent.name}, the config of {config.parent.name}",
                "run `harness update` to lock packages that belong together",
            )
    return KernelFiles(image, config.read_text(encoding="utf-8"))


def _unpacked(recipe: KernelRecipe, package: PackageVersion, apt: AptRoot, *patterns: str) -> list[Path]:
    """Unpack one file for each pattern; HarnessError, with the recipe's place, where there is not one."""
    title = f"{recipe.title}: {package.package} {package.version}"
    try:
        tree = apt.extract(package, patterns).path
    except NotInPackageError as error:
        raise HarnessError(
            f"{title} holds no {' or no '.join(patterns)}",
            f"the kernel is in linux-image-ABI, from 6.19 on in linux-binary-ABI; {error.what}",
        ) from error
    try:
        return [only(tree, pattern) for pattern in patterns]
    except HarnessError as error:
        raise HarnessError(f"{title}: {error.what}", error.hint) from error


def _of_file(recipe: KernelRecipe, file: File) -> KernelFiles:
    image = recipe.path(file.path)
    if not image.is_file():
        raise HarnessError(f"{recipe.title}: {image}: no such file")
    data = image.read_bytes()
    if not is_bzimage(data):
        what, hint = no_bzimage(data)
        raise HarnessError(f"{recipe.title}: {image} is no bzImage: {what}", hint)
    read_setup(data)  # before the config: an image that is cut short has none inside either
    if file.config is False:
        return KernelFiles(image, None)
    if isinstance(file.config, str):
        return KernelFiles(image, _read(recipe, recipe.path(file.config)))
    release = image.name.partition("-")[2]
    names = [f"config-{release}"] if release else []
    names += [f"{image.name}.config", "config", ".config"]
    for name in names:
        if (beside := image.with_name(name)).is_file():
            return KernelFiles(image, _read(recipe, beside))
    if inside := embedded_config(data):
        return KernelFiles(image, inside)
    if not recipe.where:
        return KernelFiles(image, None)  # a recipe says that there is none, a command line need not
    hint = f"put the .config that it was built with beside it, as {names[0]}"
    if image.as_posix().endswith(BZIMAGE):
        hint = f"for a build tree, say tree:{image.parents[3]}"
    raise HarnessError(
        f"{recipe.title}: no config: beside {image} there is none of {', '.join(names)}, and the "
        "image carries none (CONFIG_IKCONFIG)",
        hint,
    )


def _of_tree(recipe: KernelRecipe, tree: Tree) -> KernelFiles:
    root = recipe.path(tree.path)
    image, config = root / BZIMAGE, root / ".config"
    for path in (image, config):
        if not path.is_file():
            raise HarnessError(f"{recipe.title}: {path}: no such file", MAKE_HINT)
    built = read_release(image.read_bytes())
    stated = root / "include/config/kernel.release"
    if stated.is_file() and (now := stated.read_text(encoding="utf-8").strip()) != built:
        raise HarnessError(
            f"{recipe.title}: its bzImage is {built}, but the tree is configured as {now}",
            MAKE_HINT,
        )
    return KernelFiles(image, _read(recipe, config))


def _read(recipe: KernelRecipe, config: Path) -> str:
    try:
        return config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"{recipe.title}: {config}: cannot be read: {error}") from error
