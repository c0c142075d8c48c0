# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A capsule: a record that can travel, with the recipes, the locked packages and the small inputs behind it.

It is a packed record with ``capsule.json`` in it, so that whatever reads a record reads a capsule.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from harness.errors import HarnessError
from harness.evidence.record import INDEX, BootRecord, StoredFile
from harness.formats.json_text import parsed, write_json
from harness.results.identity import harness_version
from harness.results.model import PROJECT
from harness.results.retention import needless, remove
from harness.run.single.stored import ARTIFACTS, QEMU, rebuildable
from harness.store.packing import SUFFIX, holds_file, open_file, pack, packed_file, unpack, unpacked_name

if TYPE_CHECKING:
    from harness.results.redact import Redaction
    from harness.run.session import Session
    from harness.run.single.stored import StoredBoot

CAPSULE = "capsule.json"
SCHEMA = 1
_PATCHES = "recipes"
_SMALL = 256 << 10
"""Bytes of a user's own file that comes along unasked."""
_MEMORY = ".bin"
_AXES = ("firmware", "kernel", "loader")


@dataclass(frozen=True)
class Packed:
    """A capsule that was made: its file, what is inside by size in bytes, and what cannot be rebuilt."""

    file: Path
    inside: tuple[tuple[str, int], ...]
    lacks: tuple[str, ...]


def pack_capsule(
    stored: StoredBoot,
    session: Session,
    file: Path,
    *,
    artifacts: bool = False,
    redaction: Redaction | None = None,
) -> Packed:
    """Write a capsule of a stored boot, whole or not at all.

    ``artifacts``: files that no recipe makes come along, whatever their size. ``redaction`` goes over every
    text, the consoles too.
    """
    with tempfile.TemporaryDirectory(prefix="harness-capsule-") as name:
        folder = Path(name, "record")
        _copy(stored.path, folder)
        why = rebuildable(stored, session)
        along = _take_along(stored, folder, why, every=artifacts)
        recipes, lock = _recipes(stored, session, folder)
        if redaction is not None:
            _redact(folder, redaction)
        lacks = tuple(text for axis, text in why.items() if axis not in along)
        document = {
            "schema": SCHEMA,
            "project": PROJECT,
            "harness": harness_version(),
            "cell": stored.cell.id,
            "recipes": recipes,
            "lock": lock,
            "artifacts": along,
            "cannot-be-rebuilt": lacks,
        }
        text = json.dumps(document, indent=1, ensure_ascii=False, default=_plain)
        clean = redaction.text(text) if redaction is not None else text
        (folder / CAPSULE).write_text(clean + "\n", encoding="utf-8")
        pack(folder, file)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        inside = tuple((path.relative_to(folder).as_posix(), path.stat().st_size) for path in files)
    return Packed(file, inside, lacks)


def unpack_capsule(file: Path, folder: Path) -> tuple[str, ...]:
    """Make a record of a capsule in a new folder; return what cannot be rebuilt from it.

    HarnessError for what is no capsule, of another schema, or made to harm: nothing is left of it then.
    """
    if not file.name.endswith(SUFFIX) or not file.is_file():
        raise HarnessError(f"{file}: no capsule", f"give a file NAME{SUFFIX} that harness pack made")
    document = _document(file)
    if not holds_file(file.with_name(unpacked_name(file)) / INDEX):
        raise HarnessError(
            f"{file}: there is no {INDEX} in it, and so no record", "make it with harness pack"
        )
    unpack(file, folder)
    lacks = document.get("cannot-be-rebuilt", ())
    return tuple(map(str, lacks)) if isinstance(lacks, list) else ()


def check_capsule(file: Path) -> None:
    """Raise HarnessError for a capsule that is damaged or of another schema; a packed record is none."""
    if holds_file(file.with_name(unpacked_name(file)) / CAPSULE):
        _document(file)


def _document(file: Path) -> dict[str, Any]:
    try:
        with open_file(file.with_name(unpacked_name(file)) / CAPSULE) as inside:
            document = parsed(inside.read())
    except FileNotFoundError:
        raise HarnessError(
            f"{file}: no capsule: there is no {CAPSULE} in it", "make it with harness pack"
        ) from None
    except ValueError as error:
        raise HarnessError(f"{file}: {CAPSULE} is damaged ({error})", "get it again") from None
    if not isinstance(document, dict) or document.get("project") != PROJECT:
        raise HarnessError(f"{file}: not a capsule of {PROJECT}", "make it with harness pack")
    if document.get("schema") != SCHEMA:
        raise HarnessError(
            f"{file}: schema version {document.get('schema')}, this harness reads {SCHEMA}",
            f"use the harness that made it ({document.get('harness', 'of an unknown version')})",
        )
    return document


def _copy(record: Path, folder: Path) -> None:
    """Copy a record, packed or not, without what only its boot needed."""
    if not record.is_dir():
        unpack(packed_file(record), folder)
    else:
        folder.mkdir()
        for path in sorted(record.rglob("*")):
            if path.is_file() and not path.is_symlink():
                target = folder / path.relative_to(record)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
    remove(needless(folder))
    (folder / CAPSULE).unlink(missing_ok=True)


def _take_along(stored: StoredBoot, folder: Path, why: dict[str, str], *, every: bool) -> dict[str, str]:
    """Copy the files that no recipe makes; return the digest of each by ingredient."""
    along = {}
    for name in why.keys() - {QEMU}:  # nobody runs a program that came in a capsule
        own = stored.own.get(name, "").removeprefix("file:")
        given = stored.record.inputs.get(name)
        path = Path(own or (given.path if given is not None and given.path is not None else ""))
        target = folder / ARTIFACTS / name
        if not target.is_file():
            if not path.is_file() or not (every or path.stat().st_size <= _SMALL):
                continue
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target)
        along[name] = given.sha256 if given is not None else ""
    return along


def _recipes(stored: StoredBoot, session: Session, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the recipes of a boot by axis, and the packages that they mean; patches become files."""
    ingredients, catalog = session.ingredients, session.ingredients.catalog
    recipes: dict[str, Any] = {}
    lock: dict[str, Any] = {}
    tables = (catalog.firmware, catalog.kernels, catalog.loaders)
    for axis, table in zip(_AXES, tables, strict=True):
        recipe: Any = table.get(getattr(stored.cell, axis))
        if recipe is None:
            continue
        recipes[axis] = recipe
        for number, patch in enumerate(getattr(recipe, "patches", ())):
            target = folder / _PATCHES / f"{axis}-{number:02}-{patch.name}"
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(patch, target)
        locked = ingredients.lock_of(axis, recipe.name)
        for query in recipe.queries():
            with suppress(HarnessError):
                lock[query.key] = locked.require(query)
    return recipes, lock


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Path):
        return value.name
    raise TypeError(f"{type(value).__name__} has no place in a capsule")


def _redact(folder: Path, redaction: Redaction) -> None:
    """Let a redaction go over every text; the index says then what each file is now.

    A file that was not as the boot had left it stays so. Kept memory is no text.
    """
    shorter: dict[str, int] = {}
    was, now = dict[str, Any](), dict[str, Any]()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix != _MEMORY:
            before = path.read_bytes()
            after = redaction.text(before.decode("utf-8", "surrogateescape")).encode(
                "utf-8", "surrogateescape"
            )
            path.write_bytes(after)
            shorter[path.name] = len(before) - len(after)
            was[path.name], now[path.name] = (asdict(StoredFile.of(BytesIO(it))) for it in (before, after))
    data = parsed((folder / INDEX).read_bytes())
    for name, size in data.get("consoles", {}).items():
        size["bytes"] -= shorter.get(f"{name}.log", 0)
    files = data.get("files") or {}
    files.update({name: now[name] for name in files if name in now and files[name] == was[name]})
    write_json(folder / INDEX, data)
    BootRecord.load(folder)  # it still is one
