# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the recipes of all ingredients have in common: strict models, names, suites, versions, paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

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


class Strict(BaseModel):
    """A mapping that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class OneKey(Strict):
    """A mapping with exactly one of the keys it knows: each key is a way with settings of its own.

    The fields of a subclass are all optional; ``way`` gives the key's name as it is written.
    """

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = self._given()
        if len(given) != 1:
            known = ", ".join(field.alias or name for name, field in type(self).model_fields.items())
            said = f"found {' and '.join(given)}" if given else "found none"
            raise ValueError(f"wanted exactly one of the keys {known}; {said}")
        return self

    def _given(self) -> list[str]:
        fields = type(self).model_fields
        return [field.alias or name for name, field in fields.items() if getattr(self, name) is not None]

    @property
    def way(self) -> str:
        """Return the one key."""
        return self._given()[0]


R = TypeVar("R")


@dataclass(frozen=True)
class Located(Generic[R]):
    """A recipe and where it is written."""

    recipe: R
    document: Document[Any]
    at: Loc
