# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Patch files as they come: plain diffs, mails, mailboxes."""

from __future__ import annotations

import base64
import gzip
import quopri
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.formats.patches import apply_patches, read_patches

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TREE = {"x.c": b"one\r\ntwo\r\nthree\r\n", "y.c": b"alpha\nbeta\n"}
X = b"--- a/x.c\n+++ b/x.c\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO = 2\n three\n"
Y = b"--- a/y.c\n+++ b/y.c\n@@ -1,2 +1,3 @@\n alpha\n+more\n beta\n"
NEW_X = b"one\r\nTWO = 2\r\nthree\r\n"
NEW_Y = b"alpha\nmore\nbeta\n"


def mail(subject: str, body: bytes, encoding: str = "8bit") -> bytes:
    head = f"From 0123456789 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nSubject: {subject}\n"
    body = b"Words.\n---\n x.c | 2 +-\n\n" + body + b"-- \n2.39.5\n\n"
    coders: dict[str, Callable[[bytes], bytes]] = {
        "8bit": bytes,
        "base64": base64.encodebytes,
        "quoted-printable": quopri.encodestring,
    }
    coded = coders[encoding](body)
    return head.encode() + f"Content-Transfer-Encoding: {encoding}\n\n".encode() + coded


def read(name: str) -> bytes | None:
    return TREE.get(name)


def apply(path: Path) -> dict[str, bytes | None]:
    return apply_patches(read_patches(path), read)


@pytest.mark.parametrize(
    "text",
    [
        X + Y,
        b"diff --git a/x.c b/x.c\nindex 1..2 100644\n" + X + b"Only in b: z\n" + Y,
        mail("[PATCH 1/2] x", X) + mail("[PATCH 2/2] y", Y),
        mail("x", X, "base64") + mail("y", Y, "quoted-printable"),
        mail("cover", b"") + mail("x", X) + mail("Re: x", X[:60]) + mail("y", Y),
        mail("both", X + Y).partition(b"\n")[2],
        gzip.compress(mail("both", X + Y)),
        mail("y", Y) + mail("x", X.replace(b"two", b"2"))[:0] + mail("x", X),
    ],
    ids=["plain", "git", "mbox", "encoded", "thread", "one mail", "gzip", "other order"],
)
def test_all_forms(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "series.mbox"
    path.write_bytes(text)
    assert apply(path) == {"x.c": NEW_X, "y.c": NEW_Y}


def test_what_git_writes(tmp_path: Path) -> None:
    """A series with a new, a renamed and a removed file, through format-patch into one mailbox."""

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "core.autocrlf=false"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    git("init", "-q")
    for name, content in TREE.items():
        (tmp_path / name).write_bytes(content)
    git("add", ".")
    git("commit", "-qm", "base")
    (tmp_path / "x.c").write_bytes(NEW_X)
    (tmp_path / "z.h").write_bytes(b"new\r\nfile")
    git("add", ".")
    git("commit", "-qm", "one")
    git("mv", "y.c", "moved.c")
    git("rm", "-q", "z.h")
    git("commit", "-qm", "two\n\nFrom here on, lines of prose.")
    series = tmp_path / "out.mbox"
    series.write_bytes(git("format-patch", "--stdout", "HEAD~2").encode())
    assert [patch.title for patch in read_patches(series)] == [
        "out.mbox ([PATCH 1/2] one)",
        "out.mbox ([PATCH 2/2] two)",
    ]
    expected = {"x.c": NEW_X, "z.h": None, "y.c": None, "moved.c": TREE["y.c"]}
    assert apply(series) == expected


def test_copies_and_empty_files_and_unusual_names(tmp_path: Path) -> None:
    """In one diff a copy is of the file as it was, whatever the diff makes of that file before."""

    def git(*arguments: str) -> bytes:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "core.autocrlf=false"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout

    git("init", "-q")
    before = {"x.c": TREE["x.c"] * 9, 'ü "q".c': b"old\n", "empty": b""}
    after = {"x.c": before["x.c"] + b"end\r\n", "z.c": before["x.c"], 'ü "q".c': b"new\n", "made": b""}
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    git("add", ".")
    git("commit", "-qm", "base")
    (tmp_path / "empty").unlink()
    for name, content in after.items():
        (tmp_path / name).write_bytes(content)
    git("add", ".")
    git("commit", "-qm", "größer")
    series = tmp_path / "out.mbox"
    series.write_bytes(git("format-patch", "-1", "-C", "--no-renames", "--find-copies-harder", "--stdout"))
    assert b"copy from x.c" in series.read_bytes()
    (patch,) = read_patches(series)
    assert patch.title == "out.mbox ([PATCH] größer)"
    changed = apply_patches([patch], before.get)
    assert changed == {**after, "empty": None}


def test_later_patches_see_earlier_ones(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(Y)
    (tmp_path / "b").write_bytes(b"--- a/y.c\n+++ b/y.c\n@@ -2 +2 @@\n-more\n+most\n")
    patches = (*read_patches(tmp_path / "a"), *read_patches(tmp_path / "b"))
    assert apply_patches(patches, read) == {"y.c": b"alpha\nmost\nbeta\n"}


def test_what_does_not_apply_is_named(tmp_path: Path) -> None:
    path = tmp_path / "0001-x.patch"
    path.write_bytes(mail("[PATCH] x", X.replace(b"-two", b"-2") + Y + Y.replace(b"y.c", b"gone.c")))
    with pytest.raises(HarnessError) as caught:
        apply(path)
    assert str(caught.value).splitlines() == [
        "patch 0001-x.patch ([PATCH] x) does not apply",
        "  x.c: hunk 1 of 1 (line 7 of the patch): at line 2 the file has 'two', the patch wants '2'",
        "    @@ -1,3 +1,3 @@",
        "     one",
        "    -2",
        "    +TWO = 2",
        "     three",
        "  gone.c: there is no such file",
    ]


@pytest.mark.parametrize("name", ["../x.c", "d//x.c", "./x.c"])
def test_paths_stay_inside_the_tree(name: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(X.replace(b"/x.c", b"/" + name.encode()))
    with pytest.raises(HarnessError, match="not a path inside the tree"):
        apply(tmp_path / "p")


def test_a_rename_onto_another_file(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"diff --git a/x.c b/y.c\nrename from x.c\nrename to y.c\n")
    with pytest.raises(HarnessError, match=r"become y\.c, which is there already"):
        apply(tmp_path / "p")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"hello\n", "no diff in it"),
        (b"", "no diff in it"),
        (b"\x1f\x8bxx", "cannot be read"),
        (X[:-9], "line 3"),
    ],
)
def test_what_is_no_patch(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(HarnessError, match=why):
        read_patches(tmp_path / "p")
    with pytest.raises(HarnessError, match="No such file"):
        read_patches(tmp_path / "absent")
