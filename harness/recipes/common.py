# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the recipes of all ingredients have in common: names, suites, versions, paths, their places."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, Field, WithJsonSchema

from harness.debian.archive import SUITES
from harness.documents.document import Document, Loc, near


def _suite(name: str) -> str:
    if name not in SUITES:
        raise ValueError(f"unknown suite {name!r}; {near(name, SUITES)}")
    return name


def _inside_package(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"{path!r} must be a path inside the package, such as usr/share/ovmf/OVMF.fd")
    return path


Name = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="lower-case name, as scenarios use it")
]
Suite = Annotated[
    str,
    AfterValidator(_suite),
    WithJsonSchema({"type": "string", "enum": list(SUITES)}),
    Field(description="Debian suite"),
]
Version = Annotated[
    str | None,
    Field(default=None, min_length=1, description="package version, exact or a glob; default: the newest"),
]
PathInPackage = Annotated[str, AfterValidator(_inside_package), Field(min_length=1)]


R = TypeVar("R")


@dataclass(frozen=True)
class Located(Generic[R]):
    """A recipe and where it is written."""

    recipe: R
    document: Document[Any]
    at: Loc
