# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The boot record: all that one boot showed, as files in one folder plus an index, ``boot.json``.

The index is written last and atomically: a folder without it belongs to a boot that was cut short. Whatever
judges a boot reads the folder alone. When a run is over, the folder of a boot that passed is packed: the file
``NAME.tar.zst`` is in its place, and reads as the folder did. The index lists the other files with size and
SHA-256: one of them that is missing, cut or changed is damaged evidence, and never a pass. The files:

``boot.json``           the index (`BootRecord`), schema version 1
``command.sh``          the same machine, runnable by hand
``serial.log``          bytes of the serial console, ``serial.times.jsonl`` when they came
``debugcon.log``        bytes of the firmware's debug port, ``debugcon.times.jsonl`` when they came
``qmp-events.jsonl``    QMP events, ``t`` in seconds since the guest was let run
``ledger.jsonl``        who made which guest page private and validated; written by QEMU
``counters.json``       properties of the confidential object, and QEMU's state, at the end
``guest.json``          the document that the guest printed between the sentinels, when it is whole
``qemu.log``            QEMU's own output
``trace.log``           QEMU's trace events of page state changes, of a confidential guest
``kernel-trace.log``    on hardware: events of the host's kernel, or why there are none
``ssh.json``            what a Debian guest said over SSH
``registers.txt``       registers, code and stacks after a boot that went wrong; ``images.json``: EFI images
``memory.json``         guest memory that the user asked for, in files ``memory-0x….bin``, and what they hold
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import msgspec

from harness.errors import HarnessError
from harness.evidence.problems import EvidenceError
from harness.evidence.text import plain_text
from harness.formats.json_text import parsed, write_json
from harness.store.packing import holds_file, is_there, open_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA = 1
INDEX = "boot.json"
REGISTERS = "registers.txt"
IMAGES = "images.json"
CONFIDENTIAL = "confidential"
"""Key of the confidential object in the index and in ``counters.json``; older records say ``guest``."""
QUERY_SEV = "query-sev"
"""QMP's command for what the SEV firmware says of itself, and its key in ``counters.json``."""
DOCUMENT_BEGIN = "=====HARNESS-JSON-BEGIN====="
DOCUMENT_END = "=====HARNESS-JSON-END====="
ACTION_BEGIN = "=====HARNESS-ACTION-BEGIN====="
ACTION_END = "=====HARNESS-ACTION-END====="
ACTIONS_DONE = "=====HARNESS-ACTIONS-DONE====="

ONLY_THE_BOOT_NEEDS = re.compile(
    r"^(?:disk\d+\.qcow2|.*-key|.*-key\.pub|.*-keys\.img|known-hosts|guest-memory\.bin)$"
)
"""Names of files that are no evidence: overlays with what the guest wrote, keys of one boot."""
_PRINTK = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d{6}\]")


class EndingKind(StrEnum):
    """How a boot ended."""

    COMPLETED = "completed"  # the guest's document ended and the guest then powered off
    POWERED_OFF_EARLY = "powered-off-early"
    GUEST_PANIC = "guest-panic"
    FIRMWARE_ASSERT = "firmware-assert"
    FIRMWARE_EXCEPTION = "firmware-exception"  # of its own code or of what it had started
    TERMINATED = "terminated"  # it asked for that (GHCB MSR protocol 0x100), or SNP ended it
    UNVALIDATED_ACCESS = "unvalidated-access"
    """The guest used a page that it had not validated; no firmware and no kernel survives that #VC."""
    RESET = "reset"
    HANG = "hang"  # silence, or a phase that outlived its deadline
    QEMU_EXIT = "qemu-exit"
    UNREACHABLE = "unreachable"  # the guest runs, but did not answer in a menu or over SSH
    GAVE_UP = "gave-up"  # firmware or loader wait for a person: a shell, a prompt, a menu
    RECORD_FULL = "record-full"  # guest or QEMU wrote more than a record may hold
    HOST = "host"  # it killed or stopped QEMU, or gave it no processor: nothing is known of the guest


@dataclass(frozen=True)
class Ending:
    """The end of a boot: in which phase, after which last console line, and why it counts as this kind."""

    kind: EndingKind
    phase: str
    last_line: str
    detail: str


@dataclass(frozen=True)
class PhaseMark:
    """A phase began, ``t`` seconds after the guest was let run."""

    name: str
    t: float


@dataclass(frozen=True)
class Remark:
    """A console line that matched an always-on pattern."""

    t: float
    console: str
    pattern: str
    line: str


@dataclass(frozen=True)
class Input:
    """An ingredient, as it was when the boot began: a file (``path``) or a text (``text``); size in bytes."""

    sha256: str
    size: int
    path: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class StoredFile:
    """A file of the record, as the boot left it; size in bytes."""

    sha256: str
    size: int

    @classmethod
    def of(cls, file: BinaryIO) -> Self:
        """Return what an open file is now."""
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # any binary file
        return cls(digest, file.seek(0, os.SEEK_END))


@dataclass(frozen=True)
class ConsoleSize:
    """Bytes that arrived, and how many of them the log does not hold."""

    bytes: int
    dropped: int


_PARTS: Mapping[str, Any] = {
    "cell": str,
    "platform": str,
    "ending": Ending,
    "phases": tuple[PhaseMark, ...],
    "remarks": tuple[Remark, ...],
    "spec": dict[str, Any],
    "argv": tuple[str, ...],
    "inputs": dict[str, Input],
    "host": dict[str, str | int],
    "qemu_version": str,
    "harness_version": str,
    "started": str,
    "durations": dict[str, float],
    "consoles": dict[str, ConsoleSize],
    "files": dict[str, StoredFile],
    "lives": tuple[tuple[int, int], ...],
}
"""What the index holds, by key."""


@dataclass(frozen=True, kw_only=True)
class BootRecord:
    """The index, and access to the files beside it.

    ``spec`` is the machine's specification and ``argv`` the command as it was started (with descriptors that
    only lived then). ``durations`` are seconds: ``launch`` (start to paused machine), ``boot`` (let run to
    the end), ``total``. ``started`` is an ISO 8601 time in UTC. ``files`` are those that the boot left beside
    the index, by name; empty in records of before they were listed, whose files nobody can vouch for.
    ``lives``: bytes of both consoles, serial first, after which each life begins that followed a reset.
    """

    path: Path
    cell: str
    platform: str
    ending: Ending
    phases: tuple[PhaseMark, ...] = ()
    remarks: tuple[Remark, ...] = ()
    spec: Mapping[str, Any] = field(default_factory=dict)
    argv: tuple[str, ...] = ()
    inputs: Mapping[str, Input] = field(default_factory=dict)
    host: Mapping[str, str | int] = field(default_factory=dict)
    qemu_version: str = ""
    harness_version: str = ""
    started: str = ""
    durations: Mapping[str, float] = field(default_factory=dict)
    consoles: Mapping[str, ConsoleSize] = field(default_factory=dict)
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    lives: tuple[tuple[int, int], ...] = ()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the index of a record in ``path``, packed or not.

        HarnessError when it is missing, damaged or of another schema.
        """
        index = path / INDEX
        try:
            with open_file(index) as file:
                data = parsed(file.read())
            schema = data.pop("schema")
            if schema != SCHEMA:
                wrote = f", written by harness {version}" if (version := data.get("harness_version")) else ""
                raise HarnessError(
                    f"{index}: schema version {schema}{wrote}; this harness reads {SCHEMA}",
                    "use the harness version that wrote it, or boot the cell again",
                )
            data = {"files": {}, "ending": data.pop("outcome"), **data}
            parts = {name: msgspec.convert(value, _PARTS[name]) for name, value in data.items()}
            if unsafe := [name for name in parts["files"] if PurePath(name).name != name]:
                raise ValueError(f"{unsafe[0]!r} is no name of a file")  # noqa: TRY301 - told as all damage
            return cls(path=path, **parts)
        except (FileNotFoundError, NotADirectoryError):
            what = (
                f"{path}: not a boot record"
                if not is_there(path)
                else f"{path}: no {INDEX}, so an unfinished boot"
            )
            raise HarnessError(what, "boot the cell again") from None
        except (msgspec.ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else error
            raise HarnessError(f"{index}: damaged ({why})", "boot the cell again") from error

    def write_index(self) -> None:
        """Write ``boot.json``, last of all files and atomically."""
        data = {"schema": SCHEMA, **asdict(self)}
        del data["path"]
        data["outcome"] = data.pop("ending")
        write_json(self.path / INDEX, data)

    def holds(self, name: str) -> bool:
        """Return whether this boot left the file, packed or not; EvidenceError when it is damaged."""
        self.vouch(name)
        return holds_file(self.path / name)

    @cached_property
    def _whole(self) -> set[str]:
        """Return the names of files that were found to be as the boot left them."""
        return set()

    def vouch(self, name: str) -> None:
        """Raise EvidenceError when a file is not as the boot left it."""
        if not self.files or name in self._whole:
            return
        path = self.path / name
        try:
            wrong = self._damage(path)
        except HarnessError as error:
            raise EvidenceError(error.what, error.hint) from error
        if wrong:
            hint = "unpack or copy the record again, or boot the cell again"
            raise EvidenceError(f"{path}: {wrong}", hint)
        self._whole.add(name)

    def damaged(self) -> list[EvidenceError]:
        """Return what is wrong with each file that is not as the boot left it."""
        found = []
        for name in self.files:
            try:
                self.vouch(name)
            except EvidenceError as error:
                found.append(error)
        return found

    def _damage(self, path: Path) -> str:
        left = self.files.get(path.name)
        if not holds_file(path):
            return "" if left is None else f"is missing, the boot left {left.size} bytes"
        if left is None:
            return "is not of this boot, which left no such file"
        with open_file(path) as file:
            found = StoredFile.of(file)
        if found.size != left.size:
            return f"has {found.size} bytes, the boot left {left.size}"
        return "" if found == left else "was changed after the boot: its SHA-256 is another"

    def bytes_of(self, name: str) -> bytes:
        """Return the content of one of the record's files, empty when this boot left none.

        EvidenceError when it is damaged.
        """
        self.vouch(name)
        try:
            with open_file(self.path / name) as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return b""

    @cached_property
    def whole_text(self) -> str:
        """The serial console from the first byte to the last."""
        return plain_text(self.bytes_of("serial.log"))

    @cached_property
    def serial_text(self) -> str:
        """The serial console until the guest has reported: firmware, loader and the first kernel."""
        return self.whole_text.partition(f"{ACTION_BEGIN} ")[0]

    @property
    def later_text(self) -> str:
        """What came after ``serial_text``: the guest's actions, and kernels that these boot."""
        return self.whole_text[len(self.serial_text) :]

    @cached_property
    def debugcon_text(self) -> str:
        """What the firmware wrote to the debug console, without control sequences."""
        return plain_text(self.bytes_of("debugcon.log"))

    @property
    def left_out(self) -> list[str]:
        """Return which consoles said more than their logs hold."""
        return [
            f"{name}.log lacks {size.dropped} of the {size.bytes} bytes that came"
            for name, size in self.consoles.items()
            if size.dropped
        ]

    @cached_property
    def guest(self) -> dict[str, Any] | None:
        """The guest's own document, None when it did not print a whole one."""
        return self._document("guest.json") or None

    @cached_property
    def counters(self) -> dict[str, Any]:
        """Properties of the confidential object when the boot ended; empty for a plain guest."""
        document = self._document("counters.json")
        found = document.get(CONFIDENTIAL, document.get("guest"))
        return found if isinstance(found, dict) else {}

    @cached_property
    def sev(self) -> dict[str, Any]:
        """What QEMU told of the SEV firmware, such as its version; empty where it told nothing."""
        found = self._document("counters.json").get(QUERY_SEV)
        return found if isinstance(found, dict) else {}

    @cached_property
    def confidential(self) -> Mapping[str, str]:
        """What the confidential object was made with, under QEMU's names; empty for a plain guest."""
        try:
            found = dict(self.spec.get(CONFIDENTIAL) or self.spec.get("guest") or {})
            properties = {str(name): str(value) for name, value in found.pop("properties", ())}
        except (TypeError, ValueError) as error:
            raise EvidenceError(f"{self.path / INDEX}: damaged: spec ({error})", "boot it again") from error
        return {str(key).replace("_", "-"): str(value) for key, value in found.items()} | properties

    @property
    def ledger_path(self) -> Path | None:
        """The acceptance ledger, for ``read_ledger``; None if the boot wrote none."""
        return self.path / "ledger.jsonl" if self.holds("ledger.jsonl") else None

    def _document(self, name: str) -> dict[str, Any]:
        if not self.holds(name):
            return {}
        try:
            document = parsed(self.bytes_of(name))
        except ValueError as error:
            raise HarnessError(f"{self.path / name}: damaged ({error})", "boot the cell again") from error
        return document if isinstance(document, dict) else {}


def stored_files(folder: Path) -> dict[str, StoredFile]:
    """Return the files of a boot that is over, by name: all beside the index that are evidence."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != INDEX and not ONLY_THE_BOOT_NEEDS.match(path.name):
            with path.open("rb") as file:
                found[path.name] = StoredFile.of(file)
    return found


def guest_document(serial_text: str) -> tuple[dict[str, Any] | None, str]:
    """Extract the last whole document between sentinel lines.

    Kernel messages that came between its lines are left out. Give the document and "", or None and what is
    wrong with what is there.
    """
    _before, begin, rest = serial_text.rpartition(f"{DOCUMENT_BEGIN}\n")
    if not begin:
        return None, "the guest printed no document"
    body, end, _after = rest.partition(DOCUMENT_END)
    if not end:
        return None, "the guest's document has no end"
    lines = [line for line in body.splitlines() if not _PRINTK.match(line)]
    try:
        document = parsed("\n".join(lines))
    except ValueError as error:
        return None, f"the guest's document is not JSON: {error}"
    if not isinstance(document, dict):
        return None, f"the guest's document is a {type(document).__name__}, not an object"
    return document, ""
