# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Models that refuse what they do not know: the base of everything that our YAML files may say."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator


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
