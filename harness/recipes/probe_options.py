# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The options of the EFI probe: words of its command line (see ``guest-images/efi-probe/options.c``)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.documents.document import near

if TYPE_CHECKING:
    from collections.abc import Callable

USABLE = frozenset({1, 2, 3, 4, 7})
"""EFI memory types that a system owns after ExitBootServices: loader, boot services, conventional."""
UNACCEPTED = 15
MOST_EXITS = 32
WRONG = ("twice", "short", "beyond", "unasked", "trespass", "rescind", "share")
"""What the probe can do wrong by itself after ExitBootServices."""
_MOST_OWN = 1 << 20
_ALL_OF_IT = 1 << 40
_TOUCH = {"usable": USABLE, "unaccepted": frozenset({UNACCEPTED}), "all": USABLE | {UNACCEPTED}}


@dataclass(frozen=True)
class ProbeOptions:
    """What the probe does; ``docs/reference/efi-probe.md`` explains each.

    ``allow`` counts calls of AllowUnacceptedMemory, ``exits`` calls of ExitBootServices at most, of which
    the first ``stale`` use a stale key. ``accept_mib`` is in MiB, ``touch`` holds EFI memory types, ``step``
    counts pages, as ``own`` does, and ``wrong`` is one of `WRONG` or "".
    """

    allow: int = 0
    late: bool = False
    lookup: bool = False
    exits: int = 2
    stale: int = 0
    fresh: bool = False
    full: bool = False
    accept_mib: int = 0
    own: int = 0
    wrong: str = ""
    touch: frozenset[int] = frozenset()
    step: int = 1


def _number(text: str, most: int, least: int = 0) -> int:
    if not (text.isascii() and text.isdecimal()) or not least <= int(text) <= most:
        raise ValueError(f"{text!r} is no whole number from {least} to {most}")
    return int(text)


def _one_of(text: str, first: str, second: str) -> bool:
    """Return whether it is the second."""
    if text not in {first, second}:
        raise ValueError(f"{text!r} is neither {first} nor {second}")
    return text == second


def _wrong(text: str) -> str:
    if text not in WRONG:
        raise ValueError(f"{text!r} is none of {', '.join(WRONG)}")
    return text


def _types(text: str) -> frozenset[int]:
    return _TOUCH[text] if text in _TOUCH else frozenset({_number(text, UNACCEPTED)})


_SETTERS: dict[str, Callable[[ProbeOptions, str], ProbeOptions]] = {
    "allow": lambda now, text: replace(now, allow=_number(text, 2)),
    "allow-when": lambda now, text: replace(now, late=_one_of(text, "before-map", "after-map")),
    "ebs": lambda now, text: replace(now, exits=_number(text, MOST_EXITS)),
    "stale": lambda now, text: replace(now, stale=_number(text, MOST_EXITS)),
    "retry": lambda now, text: replace(now, fresh=_one_of(text, "same-buffer", "fresh-buffer")),
    "accept": lambda now, text: replace(
        now, accept_mib=_ALL_OF_IT if text == "all" else _number(text, _ALL_OF_IT)
    ),
    "own": lambda now, text: replace(now, own=_number(text, _MOST_OWN)),
    "wrong": lambda now, text: replace(now, wrong=_wrong(text)),
    "touch": lambda now, text: replace(now, touch=now.touch | _types(text)),
    "step": lambda now, text: replace(now, step=_number(text, 1 << 30, least=1)),
}


def parse_probe_options(text: str) -> ProbeOptions:
    """Read words separated by blanks; ValueError names the first that the probe would not understand."""
    options = ProbeOptions()
    for word in text.split():
        key, equals, value = word.partition("=")
        if word == "lookup-only":
            options = replace(options, lookup=True)
        elif word == "full-pool":
            options = replace(options, full=True)
        elif not equals or key not in _SETTERS:
            known = [*(f"{name}=" for name in _SETTERS), "lookup-only", "full-pool"]
            raise ValueError(f"unknown option {word!r}; {near(key + equals, known)}")
        else:
            try:
                options = _SETTERS[key](options, value)
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None
    return options
