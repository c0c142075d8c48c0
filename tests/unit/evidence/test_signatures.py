# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What lines mean: the shipped signatures on recorded transcripts, and files of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.documents.document import load
from harness.errors import HarnessError
from harness.evidence.record import Ending, EndingKind
from harness.evidence.signatures.draft import draft_for
from harness.evidence.signatures.model import SignatureEntry, SignatureFile
from harness.evidence.signatures.signatures import PLACES, SHIPPED_FILE, shipped, signatures_of
from harness.evidence.signatures.words import words_of
from harness.evidence.text import plain_text
from harness.paths import SHIPPED, Project
from tests.support.data import DATA

if TYPE_CHECKING:
    from pathlib import Path

TRANSCRIPTS = sorted((DATA / "transcripts").glob("*.yaml"))
OWN = """\
signatures:
  our-assert:
    pattern: '^OURS: '
    meaning: our firmware's own assertion
    ends: firmware-assert
    lines: ['OURS: no']
"""


def transcript(path: Path) -> dict[str, Any]:
    said: dict[str, Any] = yaml.safe_load(path.read_text())
    return said


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcripts(path: Path) -> None:
    said = transcript(path)
    found = {
        number: match
        for number, line in enumerate(said["text"].splitlines(), start=1)
        if (match := shipped().match(line, said["place"]))
    }
    assert {number: match.name for number, match in found.items()} == said["finds"]
    assert {number: str(match.ends) for number, match in found.items() if match.ends} == said.get("ends", {})
    if "alarms" in said:
        assert [match.alarm for match in shipped().alarms(said["text"])] == said["alarms"]


def test_there_are_many_and_each_says_what_to_do() -> None:
    entries = shipped().entries
    assert len(entries) >= 60
    for each in entries:
        says = each.says
        assert says.cause, each.name
        assert says.try_, each.name
        assert says.link.startswith(("https://", "docs/")), each.name
        assert not says.link.startswith("docs/") or (SHIPPED / says.link).is_file(), says.link


@pytest.mark.parametrize("each", shipped().entries, ids=lambda each: each.name)
def test_lines_have_a_signature_each(each: Any) -> None:
    """An entry that another one before it hides would never be seen."""
    found = [match for line in each.says.lines if (match := shipped().match(line, each.says.place))]
    assert len(found) == len(each.says.lines)
    assert each.name in {match.name for match in found}


def test_the_shipped_file_is_whole() -> None:
    """No run tries its patterns again."""
    assert len(load(SHIPPED_FILE, SignatureFile).signatures) == len(shipped().entries)


def test_good_logs_hold_nothing() -> None:
    for path in DATA.glob("*.serial.log"):
        if "5.10" not in path.name and "exception" not in path.name:
            assert shipped().matches(plain_text(path.read_bytes())) == ()


def test_words_lose_no_line() -> None:
    """What the quick look passes over, no pattern finds."""
    texts = [plain_text(path.read_bytes()) for path in DATA.glob("*.log")]
    texts += ["\n".join(each.says.lines) for each in shipped().entries]
    for line in {line for text in texts for line in text.splitlines()}:
        for place in PLACES:
            here = [each for each in shipped().entries if each.says.place == place]
            slow = [each.name for each in here if each.pattern.search(line)]
            quick = shipped().match(line, place)
            assert (quick.name if quick else None) == (slow[0] if slow else None)
    for text in texts:
        one_by_one = (shipped().match(line) for line in text.splitlines())
        assert shipped().matches(text) == tuple(match for match in one_by_one if match)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"abc: \d+ longer words", {" longer words"}),
        (r"one|other", {"one", "other"}),
        (r"(?:one|other) thing", {" thing"}),
        (r"(one)?x", None),
        (r"colou?r", {"colo"}),
        (r"exit_boot\(\) failed!", {"exit_boot() failed!"}),
        (r"[Mm]emory", {"emory"}),
        (r"abc{2}def", {"def"}),
        (r"abc|[0-9]+", None),
        (r"(?i)abcdef", None),
        (r"a[|]bcdef", {"bcdef"}),
        (r"\bBUG: ", {"BUG: "}),
    ],
)
def test_words(pattern: str, words: set[str] | None) -> None:
    assert words_of(pattern) == words


def test_a_quoted_message_counts_at_the_start_alone() -> None:
    line = "[ 0.1] Kernel panic - not syncing: Attempted to kill init!"
    assert shipped().match(line, quoted=True) is not None
    assert shipped().match(f'"dmesg": "{line}"', quoted=True) is None
    assert shipped().match(f'"dmesg": "{line}"') is not None


def project(*roots: Path) -> Project:
    return Project((*roots, SHIPPED))


def test_own_ones_come_first(tmp_path: Path) -> None:
    (tmp_path / "signatures.yaml").write_text(OWN)
    own = signatures_of(project(tmp_path))
    assert own.entries[0].name == "our-assert"
    assert len(own.entries) == len(shipped().entries) + 1
    match = own.match("OURS: no")
    assert match is not None
    assert match.ends is EndingKind.FIRMWARE_ASSERT
    assert own.files["our-assert"] == tmp_path / "signatures.yaml"
    assert signatures_of(project()).entries == shipped().entries


def test_a_name_of_two_files_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "signatures.yaml").write_text(OWN.replace("our-assert", "kernel-panic"))
    with pytest.raises(HarnessError, match=r"signature 'kernel-panic': .*signatures.yaml: there is"):
        signatures_of(project(tmp_path))
    with pytest.raises(HarnessError, match="unknown signature 'kernel-panik'\n  did you mean 'kernel-panic'"):
        shipped().named("kernel-panik")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("'^OURS: '", "'(OURS'", r"3.*pattern: no regular expression: missing \)"),
        ("'^OURS: '", "'x*'", "pattern: finds every line"),
        ("['OURS: no']", "['ours']", "the pattern does not find its own line 'ours'"),
        ("['OURS: no']", "[]", "wanted at least 1 item"),
        ("ends:", "place: qemu\n    ends:", "only a console's line ends a boot"),
        ("ends: firmware-assert", "ends: death", "unknown value 'death'"),
        ("meaning:", "mening:", "unknown key 'mening'; did you mean 'meaning'"),
    ],
)
def test_mistakes(tmp_path: Path, old: str, new: str, said: str) -> None:
    (tmp_path / "signatures.yaml").write_text(OWN.replace(old, new))
    with pytest.raises(HarnessError, match=said):
        signatures_of(project(tmp_path))


def test_an_unknown_failure_is_an_entry_to_complete(tmp_path: Path) -> None:
    line = "[    7.123456] floppy0: no (sense) at 0xfee00000 of CPU 3"
    ending = Ending(EndingKind.RESET, "kernel", line, "QMP event SHUTDOWN")
    text = draft_for(ending, shipped())
    (tmp_path / "signatures.yaml").write_text(text)
    ((name, entry),) = load(tmp_path / "signatures.yaml", SignatureFile).signatures.items()
    assert name == "floppy0-no-sense-at"
    assert (entry.phase, entry.ends) == ("kernel", EndingKind.RESET)
    again = signatures_of(project(tmp_path)).match("[   17.5] floppy0: no (sense) at 0xfed00000 of CPU 12")
    assert again is not None
    assert again.name == name


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (EndingKind.GUEST_PANIC, "[ 1.0] Kernel panic - not syncing: x"),
        (EndingKind.COMPLETED, "reboot: Power down"),
        (EndingKind.HANG, ""),
    ],
)
def test_what_is_known_needs_no_entry(kind: EndingKind, line: str) -> None:
    assert draft_for(Ending(kind, "kernel", line, ""), shipped()) == ""


def test_entries_say_by_which_names() -> None:
    assert SignatureEntry.model_fields["try_"].alias == "try"
