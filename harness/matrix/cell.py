# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One boot of the matrix: a frozen value with a stable, readable name; and the axes on which it has values.

A new axis is a field of ``Cell`` and an entry of ``TABLE``, in the same place.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema

from harness.documents.document import near
from harness.matrix.choices import EMULATIONS, GUESTS, QEMUS, Known, is_own_qemu

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

NAMES = "x-names"
"""Key in a JSON Schema where names of this kind stand; ``scenario_schema`` fills them in."""
_MIB = {"M": 1, "G": 1024}
_SHOWN = 24
"""Characters of a command line that an id shows."""

ACTION_NAME = r"[a-z][a-z0-9]*(?:-[a-z][a-z0-9]*)*"
"""The name of an action: words that begin with a letter."""
_ARGUMENT = r"[0-9A-Z_][A-Za-z0-9_]*(?:\.[0-9A-Z_][A-Za-z0-9_]*)*"
"""An argument that an id shows as it is: neither a word of the action's name nor the next action's."""
_PLAIN_ACTION = re.compile(f"({ACTION_NAME})((?::{_ARGUMENT})*)")
_SHOWN_ACTION = re.compile(f"({ACTION_NAME})((?:-{_ARGUMENT})*)")
_QEMU = "qemu-"
"""Before the name of a QEMU in an id."""
_SHORTENED = re.compile(r"[A-Za-z0-9._-]*-[0-9a-f]{6}")
_OWN_QEMU = re.compile(r"qemu-path-[A-Za-z0-9._-]*-[0-9a-f]{6}")


def parse_memory(text: str) -> int:
    """Read ``8G`` or ``2817M`` (binary units, as QEMU's ``-m``) as MiB; ``ValueError`` says what to write."""
    match = re.fullmatch(r"([0-9]+)([MG])", text, re.ASCII)
    if match is None:
        if close := re.fullmatch(r"\s*([0-9]+)\s*([mg])(i?b)?\s*", text, re.ASCII | re.IGNORECASE):
            raise ValueError(f"{text!r} is not a memory size; write {close[1]}{close[2].upper()}")
        if re.fullmatch(r"[0-9]+", text, re.ASCII):
            raise ValueError(f"the memory size {text} has no unit; write {text}M or {text}G")
        raise ValueError(f"{text!r} is not a memory size; write a whole number with M or G: 8G, 2817M")
    mib = int(match[1]) * _MIB[match[2]]
    if mib == 0:
        raise ValueError(f"a guest needs memory, found {text}")
    return mib


def format_memory(mib: int) -> str:
    """Write MiB in the shortest exact form: ``8G``, ``2817M``."""
    return f"{mib // 1024}G" if mib % 1024 == 0 else f"{mib}M"


def _memory(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)  # so that the message speaks of the unit, not of quotes
    return parse_memory(value) if isinstance(value, str) else value


def _action(text: str, info: ValidationInfo) -> str:
    words = text.split()
    for number, word in enumerate(words, start=1):
        name = word.partition(":")[0]
        if isinstance(info.context, Known) and name not in info.context.action:
            raise ValueError(f"unknown action {name!r}; {near(name, sorted(info.context.action))}")
        if re.fullmatch(f"{ACTION_NAME}(:[A-Za-z0-9_.-]+)*", word) is None:
            raise ValueError(f"{word!r} is not an action; write NAME or NAME:ARGUMENT, such as touch:4096")
        if isinstance(info.context, Known) and name in info.context.last_action and number != len(words):
            raise ValueError(f"{name} ends the kernel that runs: it must be the last action")
    return " ".join(words)


def _cmdline(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a command line is one line of printable text")
    return text


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def named(kind: Literal["platform", "outcome", "check"]) -> AfterValidator:
    """Return the validator that refuses names which the validation context, a ``Known``, does not hold."""

    def check(name: str, info: ValidationInfo) -> str:
        names = getattr(info.context, kind) if isinstance(info.context, Known) else None
        if names is not None and name not in names:
            raise ValueError(f"unknown {kind} {name!r}; {near(name, sorted(names))}")
        return name

    return AfterValidator(check)


Memory = Annotated[
    int, BeforeValidator(_memory), WithJsonSchema({"type": "string", "pattern": "^[0-9]*[1-9][0-9]*[MG]$"})
]
Platform = Annotated[str, named("platform"), WithJsonSchema({"type": "string", NAMES: "platform"})]
Vcpus = Annotated[int, Field(ge=1, le=4096)]
Cmdline = Annotated[str, AfterValidator(_cmdline)]
Action = Annotated[str, AfterValidator(_action)]


class ShortenedError(ValueError):
    """An id that shows a command line, an odd action or a path by its beginning and a digest.

    ``shown``: the cell without them.
    """

    def __init__(self, text: str, shown: Cell) -> None:
        super().__init__(f"{text}: an id shows a command line, and a path, by its beginning and a digest")
        self.shown = shown


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One boot. ``firmware`` and ``kernel`` name recipes; ``platform`` is what the guest really runs on.

    ``cmdline`` holds words added to the kernel's command line; ``action`` is what the guest does after it has
    reported: words such as ``touch:4096``, done in order; ``guest`` names what runs in it; ``emulation``
    names the host that an emulated platform emulates; ``qemu`` names what runs the machine.
    """

    firmware: str
    kernel: str
    loader: str
    memory_mib: int
    platform: str
    vcpus: int = 1
    cmdline: str = ""
    action: str = ""
    guest: str = GUESTS[0]
    emulation: str = EMULATIONS[0]
    qemu: str = QEMUS[0]

    @property
    def whole_system(self) -> bool:
        """Whether the guest is a whole Debian, which is reached over SSH."""
        return self.guest not in GUESTS

    @property
    def id(self) -> str:
        """Such as ``debian-2025.02+debian-6.12+direct+8G+plain``; unique, and safe as a file name.

        What has its usual value is left out: one vCPU, nothing added to the command line, no action, the
        initramfs guest, the usual emulation, the project's QEMU. Words added to the command line show as
        their beginning and a digest (``+accept_memory-eager-1b2c3d``), as do actions that could not be read
        back and the path of a QEMU of one's own.
        """
        parts = [self.firmware, self.kernel, self.loader, format_memory(self.memory_mib), self.platform]
        if self.vcpus != 1:
            parts.append(f"{self.vcpus}cpu")
        if self.cmdline:
            parts.append(_shortened(self.cmdline))
        if self.action:
            parts.append(_shown_action(self.action))
        if self.guest != GUESTS[0]:
            parts.append(self.guest)
        if self.emulation != EMULATIONS[0]:
            parts.append(self.emulation)
        if is_own_qemu("qemu", self.qemu):
            parts.append(f"{_QEMU}{_shortened(self.qemu)}")
        elif self.qemu != QEMUS[0]:
            parts.append(f"{_QEMU}{self.qemu}")
        return "+".join(parts)

    @property
    def values(self) -> tuple[Any, ...]:
        """The value on each axis, in the order of the axes."""
        return _values_of(self.__match_args__)(self)

    def __str__(self) -> str:
        """Return the id."""
        return self.id

    @classmethod
    def parse(
        cls, text: str, *, actions: Collection[str], guests: Collection[str], emulations: Collection[str]
    ) -> Self:
        """Return the cell of an id; ``actions``, ``guests`` and ``emulations`` are the names of them.

        ``ShortenedError`` for an id that does not show the whole cell, another ``ValueError`` for a text that
        is no id. The names of firmware, kernel, loader and platform may be any.
        """
        first, rest = text.split("+")[:5], text.split("+")[5:]
        if len(first) < 5 or not all(first):
            raise ValueError(
                f"{text!r} is no cell's id: these begin with FIRMWARE+KERNEL+LOADER+MEMORY+PLATFORM"
            )
        firmware, kernel, loader, memory, platform = first
        vcpus = 1
        if rest and (match := re.fullmatch(r"([1-9][0-9]{0,3})cpu", rest[0], re.ASCII)):
            vcpus, rest = int(match[1]), rest[1:]
        guest, action, emulation, qemu = GUESTS[0], "", EMULATIONS[0], QEMUS[0]
        own_qemu = bool(rest and _OWN_QEMU.fullmatch(rest[-1]))
        if own_qemu or (rest and rest[-1].startswith(_QEMU) and rest[-1].removeprefix(_QEMU) in QEMUS):
            qemu, rest = QEMUS[0] if own_qemu else rest[-1].removeprefix(_QEMU), rest[:-1]
        if rest and rest[-1] in emulations:
            emulation, rest = rest[-1], rest[:-1]
        if rest and rest[-1] in guests:
            guest, rest = rest[-1], rest[:-1]
        if rest and (read := _read_action(rest[-1], actions)):
            action, rest = read, rest[:-1]
        mib = parse_memory(memory)
        cell = cls(firmware, kernel, loader, mib, platform, vcpus, "", action, guest, emulation, qemu)
        if not rest and cell.id == text:
            return cell
        if (rest or own_qemu) and len(rest) <= 2 and all(map(_SHORTENED.fullmatch, rest)):
            raise ShortenedError(text, cell)
        if not rest:
            raise ValueError(f"{text!r} is no cell's id; did you mean {cell.id!r}?")
        raise ValueError(
            f"{text}: unknown action, guest or emulation {rest[-1]!r}; "
            f"{near(rest[-1], [*actions, *guests, *emulations])}"
        )


@cache
def _values_of(fields: tuple[str, ...]) -> Callable[[Cell], tuple[Any, ...]]:
    return attrgetter(*fields)


@dataclass(frozen=True)
class Axis:
    """An axis. ``value``: the type of one value. ``default`` None: a matrix must name the axis.

    ``named``: values are names of recipes, which groups and versions can stand for. ``read``: how a bound is
    read, for axes whose values can be compared.
    """

    name: str
    value: Any
    meaning: str
    default: Any = None
    named: bool = False
    read: Callable[[str], Any] | None = None
    show: Callable[[Any], str] = str


TABLE = (
    Axis("firmware", str, "names of firmware recipes", named=True),
    Axis("kernel", str, "names of kernel recipes", named=True),
    Axis("loader", str, "names of loader recipes; direct is QEMU's -kernel", "direct", named=True),
    Axis("memory", Memory, "guest RAM, such as 8G or 2817M", read=parse_memory, show=format_memory),
    Axis(
        "platform",
        Platform,
        "how the guest runs: names of platforms. Where the host lacks something for one, the cell runs on "
        "what it falls back to. Cell ids and results name what was really used",
    ),
    Axis("vcpus", Vcpus, "number of vCPUs", 1, read=_number),
    Axis("cmdline", Cmdline, "words added to the kernel's command line", "", show=repr),
    Axis(
        "action",
        Action,
        "what the guest does after it has reported, such as touch:4096, or cpu-cycle drain (in this order)",
        "",
        show=repr,
    ),
    Axis("guest", str, "names of guest recipes; initramfs: busybox and our reporter", GUESTS[0], named=True),
    Axis(
        "emulation",
        str,
        "names of emulated hosts; kvm: an upstream KVM host of today. Cells of others run on emulated "
        "platforms alone",
        EMULATIONS[0],
        named=True,
    ),
    Axis(
        "qemu",
        str,
        "what runs the machine: built is the project's QEMU, host the installed one, path:/PATH one of your "
        "own, the others Debian's of a suite; only built emulates",
        QEMUS[0],
        named=True,
    ),
)
"""In the order of nesting: the last one varies fastest."""

AXES = tuple(axis.name for axis in TABLE)
BY_NAME = {axis.name: axis for axis in TABLE}


def platform_of(text: str) -> str:
    """Return the platform that an id names, also one that shows only a part of its cell; "" for no id."""
    return (text.split("+") + [""] * 5)[4]


def _shortened(text: str, sign: str = "-") -> str:
    words = re.sub(r"[^A-Za-z0-9._]+", "-", text)[:_SHOWN].strip("-.")
    return f"{words}{sign}{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _shown_action(action: str) -> str:
    """Return an action as an id shows it: as it is where ``_read_action`` can read that back."""
    if all(map(_PLAIN_ACTION.fullmatch, action.split(" "))):
        return action.replace(":", "-").replace(" ", ".")
    return _shortened(action, "--")  # which no action reads as


def _read_action(shown: str, names: Collection[str]) -> str:
    """Return the action that ``_shown_action`` shows; "" for a text that is none of known ``names``."""
    words = []
    for word in re.split(r"\.(?=[a-z])", shown):
        match = _SHOWN_ACTION.fullmatch(word)
        if match is None or match[1] not in names:
            return ""
        words.append(match[1] + match[2].replace("-", ":"))
    return " ".join(words)
