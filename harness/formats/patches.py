# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Patch files: plain diffs, and mails as mailing lists keep them (one or several in a file).

A series is applied in memory: it gives the files that it changes, and touches nothing on the disk.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.formats.unified_diff import DiffError, FileDiff, apply_diff, parse_diff

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from email.message import Message
    from pathlib import Path

# "From 0123abc Mon Sep 17 00:00:00 2001": what begins a mail in a mailbox.
_FROM = re.compile(rb"^From \S+ .*\d\d:\d\d.* \d{4}\r?$", re.MULTILINE)
_HEADERS = re.compile(rb"\A(?:[A-Za-z][A-Za-z0-9-]*:.*\r?\n(?:[ \t].*\r?\n)*)+\r?\n")
_GZIP = b"\x1f\x8b"
_PATCH_TYPES = {"text/plain", "text/x-patch", "text/x-diff", "application/octet-stream"}


Read = Callable[[str], bytes | None]
"""Gives a file's content by its path, None when there is none."""


@dataclass(frozen=True)
class Patch:
    """One change of a patch file; ``title`` names file and mail in messages."""

    title: str
    files: tuple[FileDiff, ...]


def read_patches(path: Path) -> tuple[Patch, ...]:
    """Read a patch file; HarnessError when it holds no change, or one that cannot be read."""
    try:
        raw = path.read_bytes()
        if raw.startswith(_GZIP):
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise HarnessError(f"patch {path}: cannot be read: {error}") from error
    patches = []
    for subject, text in _mails(raw):
        if subject.lower().startswith("re:"):
            continue  # what a reply quotes is not to be applied
        title = f"{path.name} ({subject})" if subject else path.name
        try:
            files = parse_diff(text)
        except DiffError as error:
            raise HarnessError(f"patch {title}: {error}", f"the file is {path}") from error
        if files:
            patches.append(Patch(title, files))
    if not patches:
        raise HarnessError(f"patch {path}: there is no diff in it", "diffs, or mails with diffs, are read")
    return tuple(patches)


def apply_patches(patches: Iterable[Patch], read: Read) -> dict[str, bytes | None]:
    """Apply patches in order; gives the new content of every file that they change (None: it goes away).

    ``read`` gives a file of the tree. HarnessError with patch, file, hunk and the rejected lines for the
    first patch that does not apply.
    """
    changed: dict[str, bytes | None] = {}
    current = _over(changed, read)
    for patch in patches:
        rejected = []
        before = _over(dict(changed), read)
        for diff in patch.files:
            try:
                changed |= _apply(diff, current, before)
            except DiffError as error:
                rejected.append(f"{diff.name}: {error}")
        if rejected:
            raise HarnessError(f"patch {patch.title} does not apply\n  " + "\n  ".join(rejected))
    return changed


def _over(changed: Mapping[str, bytes | None], read: Read) -> Read:
    """Read a file from ``changed``, or else with ``read``."""

    def content(name: str) -> bytes | None:
        return changed[name] if name in changed else read(name)

    return content


def _apply(diff: FileDiff, current: Read, before: Read) -> dict[str, bytes | None]:
    """Return what a diff makes of ``current`` content. ``before`` is the content before the whole patch.

    Git names the files of a rename or copy as they are before the patch, in whatever order it lists them.
    """
    old, new = diff.old or diff.name, diff.new or diff.name
    if any(part in {"", "..", "."} for name in (old, new) for part in name.split("/")):
        raise DiffError("that is not a path inside the tree")
    if new == old:
        return {new: apply_diff(diff, current(old))}
    if current(new) is not None:
        raise DiffError(f"it would become {new}, which is there already")
    content = before(old)
    result = apply_diff(diff, current(old) if content is None else content)
    return {new: result} if diff.copied else {old: None, new: result}


def _mails(raw: bytes) -> list[tuple[str, bytes]]:
    """Split a file into mails as (subject, text); a file without mail headers is one text without subject."""
    starts = [match.start() for match in _FROM.finditer(raw)]
    if starts and not raw[: starts[0]].strip():
        ends = [*starts[1:], len(raw)]
        bodies = [raw[start:end].partition(b"\n")[2] for start, end in zip(starts, ends, strict=True)]
        return [_mail(body) for body in bodies]
    head = _HEADERS.match(raw)
    if head and re.search(rb"^(subject|content-transfer-encoding):", head[0], re.MULTILINE | re.IGNORECASE):
        return [_mail(raw)]
    return [("", raw)]


def _mail(raw: bytes) -> tuple[str, bytes]:
    import email  # noqa: PLC0415  # what reads headers is large, and few who look at patches meet a mail
    from email import policy  # noqa: PLC0415

    message = email.message_from_bytes(raw, policy=policy.default)
    subject = " ".join(str(message.get("subject", "")).split())
    return subject, b"\n".join(_texts(message))


def _texts(message: Message) -> list[bytes]:
    """Return the decoded texts of a mail, in which quoted-printable and base64 are undone."""
    texts = []
    for part in message.walk():
        payload = part.get_payload(decode=True)
        if part.get_content_type() in _PATCH_TYPES and isinstance(payload, bytes):
            texts.append(payload)
    return texts
