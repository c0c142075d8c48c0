# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How a scenario names things: recipes by name, by group and by version, and sizes by comparison."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from harness.documents.document import near

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

LOADERS = ("direct",)
"""Loaders without a recipe. ``direct``: QEMU's ``-kernel``; the firmware starts the kernel's EFI stub."""

EMULATIONS = ("kvm",)
"""Emulated hosts without a recipe. ``kvm``: an upstream KVM host of today."""

QEMUS = ("built", "host", "debian-trixie", "debian-sid")
"""QEMUs, which have no recipes of their own. ``built``: the project's. ``host``: the one that is installed.
The others: Debian's of a suite."""

OWN_QEMU = "path:"
"""Before the path of a QEMU of the user's own, which the axis takes in place of a name."""

GUESTS = ("initramfs", "initramfs-large")
"""Guests without a recipe. ``initramfs``: busybox and our reporter. ``initramfs-large``: the same, but
more than a GiB."""

Version = tuple[int, ...]
Selection = Literal["pairs", "all", "on-request"]
"""Which of a scenario's cells a run takes that asks for no more."""

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
COMPARISON = r"(>=|<=|==|!=|>|<)"
GROUP = "@"
_WITHOUT_RECIPE = {"loader": LOADERS, "guest": GUESTS, "emulation": EMULATIONS, "qemu": QEMUS}


@dataclass(frozen=True)
class Known:
    """The names that a scenario may use; recipes and checks decide.

    ``recipes``, ``versions`` and ``groups`` are by axis. ``last_action``: actions after which the kernel that
    did them is gone. ``outcome`` and ``check`` are what expect and known-bad may name. None as ``platform``,
    ``outcome`` or ``check``: anything.
    """

    recipes: Mapping[str, frozenset[str]]
    action: frozenset[str] = frozenset()
    last_action: frozenset[str] = frozenset()
    versions: Mapping[str, Mapping[str, Version]] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    platform: frozenset[str] | None = None
    outcome: frozenset[str] | None = None
    check: frozenset[str] | None = None

    def names(self, axis: str) -> frozenset[str]:
        """Return the names that an axis has, those without a recipe included; none for other axes."""
        return self.recipes.get(axis, frozenset()).union(_WITHOUT_RECIPE.get(axis, ()))

    def refuse_unknown(self, axis: str, name: str) -> None:
        """Raise ``ValueError``, with what was meant, for what is neither a name nor a path of an axis."""
        if is_own_qemu(axis, name):
            if not name.removeprefix(OWN_QEMU).startswith("/"):
                raise ValueError(f"{name!r}: write {OWN_QEMU} and an absolute path")
        elif name not in (names := self.names(axis)):
            raise ValueError(f"unknown {axis} {name!r}; {near(name, sorted(names))}")


@dataclass(frozen=True)
class Choice:
    """One item of a list of values: what is written, the values that it stands for, and its comparisons."""

    text: str
    values: tuple[Any, ...] = ()
    comparisons: tuple[tuple[str, Any], ...] = ()

    def accepts(self, values: Collection[Any]) -> frozenset[Any]:
        """Return those of ``values`` that it stands for."""
        found = set(self.values).intersection(values)
        if self.comparisons:
            found.update(
                value
                for value in values
                if all(_COMPARISONS[sign](value, bound) for sign, bound in self.comparisons)
            )
        return frozenset(found)


def is_own_qemu(axis: str, name: str) -> bool:
    """Return whether a value of an axis is a QEMU of the user's own."""
    return axis == "qemu" and name.startswith(OWN_QEMU)


def parse_version(text: str) -> Version:
    """Read ``6.12.43`` as numbers; ``ValueError`` for anything else."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)*", text, re.ASCII) is None:
        raise ValueError(f"{text!r} is not a version; write numbers and dots, such as 6.5")
    return tuple(map(int, text.split(".")))


def split_comparison(word: str) -> tuple[str, str] | None:
    """Split ``>=6.5`` into sign and bound; None for a word that is no comparison."""
    match = re.match(COMPARISON, word)
    return (match[0], word[match.end() :]) if match else None


def parse_comparisons(text: str, read: Callable[[str], Any]) -> tuple[tuple[str, Any], ...] | None:
    """Read ``>4G <=1T``: all must hold; None when the text is none, ``ValueError`` when it is wrong."""
    words = text.split()
    if not words or split_comparison(words[0]) is None:
        return None
    comparisons = []
    for word in words:
        split = split_comparison(word)
        if split is None or not split[1]:
            raise ValueError(f"{word!r} is not a comparison; write it without spaces, such as {words[0]}")
        comparisons.append((split[0], read(split[1])))
    return tuple(comparisons)


def select(axis: str, text: str, known: Known) -> Choice:
    """Return the names that ``text`` stands for; ``ValueError`` with what was meant for unknown words.

    Words that must all hold: a name, ``@GROUP``, versions such as ``>=6.5``. A group keeps its order;
    versions alone mean all names that have one, in the order of version and name. A version is compared as
    far as the comparison goes: 6.12.43 is ``<=6.12`` and not ``>6.12``.
    """
    versions = known.versions.get(axis, {})
    if is_own_qemu(axis, text):
        known.refuse_unknown(axis, text)
        return Choice(text, (text,))
    words = text.split()
    if not words:
        raise ValueError(f"wanted a {axis}'s name, found no word")
    found: list[str] | None = None
    for word in words:
        if split := split_comparison(word):
            sign, bound = split[0], parse_version(split[1])
            base = sorted(versions, key=lambda name: (versions[name], name)) if found is None else found
            compare = _COMPARISONS[sign]
            found = [
                name for name in base if name in versions and compare(versions[name][: len(bound)], bound)
            ]
        else:
            stands_for = _named(axis, word, known)
            found = list(stands_for) if found is None else [name for name in found if name in stands_for]
    if not found:
        told = ", ".join(f"{name} {_dotted(version)}" for name, version in sorted(versions.items()))
        raise ValueError(f"no {axis} is {text}; versions are: {told or 'not known'}")
    return Choice(text, tuple(found))


def _named(axis: str, word: str, known: Known) -> tuple[str, ...]:
    if not word.startswith(GROUP):
        known.refuse_unknown(axis, word)
        return (word,)
    groups = known.groups.get(axis, {})
    name = word.removeprefix(GROUP)
    if name not in groups:
        raise ValueError(f"unknown group of {axis} {name!r}; {near(name, sorted(groups))}")
    return groups[name]


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
