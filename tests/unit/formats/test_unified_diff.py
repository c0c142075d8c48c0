# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Unified diffs: read, applied, refused."""

from __future__ import annotations

import random
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.formats.unified_diff import DiffError, FileDiff, apply_diff, parse_diff

if TYPE_CHECKING:
    from pathlib import Path

OLD = b"".join(b"line %d\n" % number for number in range(1, 21))
CHANGE = b"""\
--- a/x.c
+++ b/x.c
@@ -2,3 +2,4 @@
 line 2
-line 3
+LINE 3
+more
 line 4
@@ -17,3 +18,2 @@
 line 17
-line 18
 line 19
"""
NEW = OLD.replace(b"line 3\n", b"LINE 3\nmore\n").replace(b"line 18\n", b"")


def only(text: bytes) -> FileDiff:
    (diff,) = parse_diff(text)
    return diff


def test_a_change() -> None:
    diff = only(b"Words before.\n---\n x.c | 3 ++-\n\n" + CHANGE + b"-- \n2.39.5\n")
    assert (diff.old, diff.new, len(diff.hunks)) == ("x.c", "x.c", 2)
    assert apply_diff(diff, OLD) == NEW


def test_a_change_elsewhere_in_the_file() -> None:
    for moved in (b"first\n" * 5 + OLD, OLD.removeprefix(b"line 1\n")):
        result = apply_diff(only(CHANGE), moved)
        assert result is not None
        assert b"LINE 3\nmore\nline 4" in result


def test_the_nearest_of_several_places_is_taken() -> None:
    text = b"a\nb\n" * 10
    diff = only(b"--- a/x\n+++ b/x\n@@ -9,2 +9,2 @@\n a\n-b\n+B\n")
    assert apply_diff(diff, text) == b"a\nb\n" * 4 + b"a\nB\n" + b"a\nb\n" * 5


def test_files_that_come_and_go() -> None:
    made = only(
        b"--- /dev/null\n+++ b/d/new.h\t2026\n@@ -0,0 +1,2 @@\n+one\n+two\n\\ No newline at end of file\n"
    )
    assert (made.old, made.new) == (None, "d/new.h")
    assert apply_diff(made, None) == b"one\ntwo"
    with pytest.raises(DiffError, match="there already"):
        apply_diff(made, b"one\n")
    gone = only(b"--- a/d/new.h\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-one\n-two\n\\ No newline at end of file\n")
    assert apply_diff(gone, b"one\ntwo") is None
    with pytest.raises(DiffError, match="no such file"):
        apply_diff(gone, None)
    with pytest.raises(DiffError, match="more in it"):
        apply_diff(gone, b"zero\none\ntwo")


def test_renames() -> None:
    head = b"diff --git a/x.c b/y.c\nsimilarity index 90%\nrename from x.c\nrename to y.c\n"
    assert only(head) == FileDiff("x.c", "y.c", ())
    changed = only(head + CHANGE.replace(b"b/x.c", b"b/y.c"))
    assert (changed.old, changed.new) == ("x.c", "y.c")
    assert apply_diff(changed, OLD) == NEW


def test_line_ends_follow_the_file() -> None:
    crlf = OLD.replace(b"\n", b"\r\n")
    assert apply_diff(only(CHANGE), crlf) == NEW.replace(b"\n", b"\r\n")
    body = b"".join(
        line if line.startswith((b"---", b"+++", b"@@")) else line.replace(b"\n", b"\r\n")
        for line in CHANGE.splitlines(keepends=True)
    )
    assert apply_diff(only(body), crlf) == NEW.replace(b"\n", b"\r\n")
    assert apply_diff(only(body), OLD) == NEW
    mixed = OLD.replace(b"line 3\n", b"line 3\r\n")
    with pytest.raises(DiffError, match="hunk 1 of 2"):
        apply_diff(only(CHANGE), mixed)


def test_a_blank_context_line_without_its_blank() -> None:
    diff = only(b"--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n")
    assert apply_diff(diff, b"a\n\nb\n") == b"a\n\nc\n"


def test_rejected_hunks_are_shown_with_what_the_file_has() -> None:
    with pytest.raises(DiffError) as caught:
        apply_diff(only(CHANGE), OLD.replace(b"line 3", b"other"))
    assert str(caught.value).splitlines() == [
        "hunk 1 of 2 (line 3 of the patch): at line 3 the file has 'other', the patch wants 'line 3'",
        "    @@ -2,3 +2,4 @@",
        "     line 2",
        "    -line 3",
        "    +LINE 3",
        "    +more",
        "     line 4",
    ]
    with pytest.raises(DiffError, match="have this change already") as again:
        apply_diff(only(CHANGE), NEW)
    assert [line[:13] for line in str(again.value).splitlines() if "hunk" in line] == [
        "hunk 1 of 2 (",
        "  hunk 2 of 2",
    ]
    with pytest.raises(DiffError, match="the file has ended"):
        apply_diff(only(CHANGE), b"line 1\nline 2\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (CHANGE[:-9], "line 9: .*not as many|line 9: the hunk is cut off"),
        (
            CHANGE.replace(b" line 4", b"*line 4"),
            "line 8: it does not belong to the hunk that begins on line 3",
        ),
        (CHANGE.replace(b"-2,3 +2,4", b"-2,3 +2,3"), "line 3"),
        (b"diff --git a/x.bin b/x.bin\nGIT binary patch\nliteral 3\n", "line 2: .*binary"),
        (b"--- /dev/null\n+++ /dev/null\n@@ -1 +1 @@\n", "from nothing|cut off"),
    ],
)
def test_damaged_diffs(text: bytes, why: str) -> None:
    with pytest.raises(DiffError, match=why):
        parse_diff(text)


@pytest.mark.parametrize("seed", range(40))
def test_what_diff_writes_applies(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)  # noqa: S311  # no secrets here
    words = [b"a", b"b", b"", b"--- x", b"+++ y", b"@@ -1 +1 @@", b"tail\r"]
    old = [dice.choice(words) for _ in range(dice.randrange(30))]
    new = list(old)
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(new) + 1)
        new[at : at + dice.randrange(3)] = [dice.choice(words) for _ in range(dice.randrange(3))]
    texts = [b"\n".join(lines) + dice.choice([b"", b"\n"]) for lines in (old, new)]
    for name, text in zip(("a", "b"), texts, strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_bytes(text)
    lines = str(dice.randrange(4))
    done = subprocess.run(["diff", "-U", lines, "a/f", "b/f"], cwd=tmp_path, capture_output=True, check=False)
    diffs = parse_diff(done.stdout)
    assert len(diffs) == (texts[0] != texts[1])
    assert (apply_diff(diffs[0], texts[0]) if diffs else texts[0]) == texts[1]
