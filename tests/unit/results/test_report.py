# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The report's pages: what they hold, what a guest cannot do to them, how large they get."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from harness.evidence.record import INDEX
from harness.intervals import IntervalSet
from harness.results.compare import compare
from harness.results.report.cell import read_parts
from harness.results.report.drawing import (
    Band,
    Lane,
    Mark,
    acceptance_plot,
    memory_picture,
    size_text,
    timeline,
)
from harness.results.report.index import cell_rows, heat_maps, state_counts
from harness.results.report.pages import write_report
from tests.support.data import DATA
from tests.support.runs import boot, check, end, finding, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from harness.results.folder import StoredRun
    from harness.results.model import Line

EMULATED = "debian-2025.02+debian-5.10+direct+2G+snp-emulated"
PLAIN = "debian-2025.02+debian-6.1+direct+2G+plain"
HOSTILE = '</pre><script>alert("x")</script><img src=x onerror=alert(1)>'
VOID = {"meta", "input", "br", "img"}


class Page(HTMLParser):
    """A page's elements, links and text; fails on one that is not closed in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(path.read_text())
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def links(self) -> list[str]:
        return [str(attrs["href"]) for tag, attrs in self.tags if tag == "a"]


@pytest.fixture
def run(tmp_path: Path) -> StoredRun:
    """Give a run of two stored boots, one of which failed; its console is hostile."""
    axes = {"firmware": "debian-2025.02", "loader": "direct", "memory": "2G"}
    lines: list[Line] = [
        boot(EMULATED, axes={**axes, "kernel": "debian-5.10", "platform": "snp-emulated"}, seconds=8.5),
        boot(PLAIN, axes={**axes, "kernel": "debian-6.1", "platform": "plain"}, platform="plain"),
        check(
            EMULATED,
            "no-userspace",
            "failed",
            findings=(finding("k", f"the guest said {HOSTILE}", f"[    0.000000] {HOSTILE}"),),
            expectation={
                "outcome": "refuses-to-boot",
                "because": "no SNP",
                "source": "x",
                "row": "kernel-snp",
            },
        ),
        check(EMULATED, "other", "failed", cause="no-userspace", reason="the same"),
        check(PLAIN, "reaches-userspace"),
    ]
    made = write_run(tmp_path, "run", *lines, end(1))
    for path in (DATA / "records").iterdir():
        shutil.copytree(path, made.path / path.name)
    with (made.path / EMULATED / "serial.log").open("a") as file:
        file.write(f"[    0.000000] {HOSTILE}\n")
    return made


def test_pages_for_what_failed(run: StoredRun, tmp_path: Path) -> None:
    first = write_report(run, tmp_path / "out")
    index = Page(first)
    (page,) = {link for link in index.links() if not link.startswith("#")}
    assert [path.name for path in (tmp_path / "out/cells").iterdir()] == [page.removeprefix("cells/")]
    cell = Page(tmp_path / "out" / page)
    for said in (
        "Expected: refuses-to-boot",
        "ended as completed",
        "PANIC: Unsupported exit-code 0x404",
        "Same cause as no-userspace",
        "Calls of ExitBootServices",
        f"pytest scenarios/ --replay out/records/run --cell {EMULATED}",
        f"out/records/run/{EMULATED}/command.sh",
        "0c065594055167c248822417211e1f4e093497db5d5da18e2f018c34a6e6ad35",
    ):
        assert said in cell.words, said
    pictures = [attrs["aria-label"] for tag, attrs in cell.tags if tag == "svg"]
    assert pictures == ["phases", "memory", "acceptance"]
    marked = [attrs["id"] for tag, attrs in cell.tags if tag == "li" and attrs.get("class") == "marked"]
    assert len(marked) == 1
    assert str(marked[0]).startswith("serial-")


def test_every_page(run: StoredRun, tmp_path: Path) -> None:
    write_report(run, tmp_path / "out", every=True)
    assert len(list((tmp_path / "out/cells").iterdir())) == 2


def test_a_guest_cannot_write_markup(run: StoredRun, tmp_path: Path) -> None:
    first = write_report(run, tmp_path / "out", every=True)
    for path in (first, *(tmp_path / "out/cells").iterdir()):
        page = Page(path)
        assert "<script>alert" not in path.read_text()
        assert not [attrs for tag, attrs in page.tags if tag == "img" or "onerror" in attrs]
    assert HOSTILE in Page(first).words


def test_nothing_is_loaded_from_elsewhere(run: StoredRun, tmp_path: Path) -> None:
    write_report(run, tmp_path / "out", every=True)
    for path in (tmp_path / "out").rglob("*.html"):
        page = Page(path)
        assert not [attrs for _, attrs in page.tags if "src" in attrs]
        assert not [link for link in page.links() if "//" in link]
        assert not [tag for tag, _ in page.tags if tag in {"link", "iframe", "object"}]


def test_a_record_that_is_gone_or_damaged(run: StoredRun, tmp_path: Path) -> None:
    shutil.rmtree(run.path / PLAIN)
    (run.path / EMULATED / "ledger.jsonl").write_text("nonsense\n")
    write_report(run, tmp_path / "out", every=True)
    pages = {path.name: Page(path).words for path in (tmp_path / "out/cells").iterdir()}
    plain = next(words for name, words in pages.items() if "plain" in name)
    emulated = next(words for name, words in pages.items() if "snp" in name)
    assert "not a boot record" in plain
    assert "ledger: " in emulated
    assert "PANIC: Unsupported exit-code 0x404" in emulated


def test_what_changed_since_the_base(run: StoredRun, tmp_path: Path) -> None:
    base = write_run(tmp_path, "base", boot(PLAIN), check(PLAIN, "reaches-userspace", "failed"), end(1))
    first = write_report(run, tmp_path / "out", compare(base, run))
    assert "fixed: 1" in Page(first).words
    assert len(list((tmp_path / "out/cells").iterdir())) == 2


def test_five_hundred_cells(tmp_path: Path) -> None:
    """The index stays below 2 MB, and is one that a browser opens."""
    lines: list[Line] = []
    for number in range(500):
        cell = f"firmware-{number % 12}+kernel-{number % 15}+loader-{number % 7}+{number}G+snp-emulated"
        axes = dict(zip(("firmware", "kernel", "loader", "memory", "platform"), cell.split("+"), strict=True))
        lines.append(boot(cell, axes=axes))
        for name in range(24):
            bad = number < 20
            told = (finding("k", "something rather long is wrong " * 5),) if bad else ()
            lines.append(check(cell, f"check-{name}", "failed" if bad else "passed", findings=told))
    run = write_run(tmp_path, "big", *lines, end(1))
    first = write_report(run, tmp_path / "out")
    assert first.stat().st_size < 2_000_000
    assert len(list((tmp_path / "out/cells").iterdir())) == 20
    assert f"{500} cells" in Page(first).words


def test_worst_first(tmp_path: Path) -> None:
    lines: list[Line] = [
        *(check("a", "x"), check("b", "x", "failed"), check("b", "y"), check("c", "x", "known-bad")),
        *(check("d", "x", "host-error"), check("e", "x", "not-asked")),
    ]
    run = write_run(tmp_path, "r", *lines, end(1))
    assert [(row.cell, row.state) for row in cell_rows(run)] == [
        ("b", "failed"),
        ("d", "host-error"),
        ("c", "known-bad"),
        ("a", "passed"),
        ("e", "not-asked"),
    ]
    assert state_counts(run) == {"passed": 2, "failed": 1, "known-bad": 1, "not-asked": 1, "host-error": 1}


def test_a_heat_map_has_a_place_for_each_cell(run: StoredRun) -> None:
    plain, emulated = heat_maps(cell_rows(run))
    assert (plain.platform, emulated.platform) == ("plain", "snp-emulated")
    assert [row.cell for row in emulated.at("debian-2025.02", ("debian-5.10", "direct"))] == [EMULATED]
    assert emulated.at("debian-2025.02", ("debian-6.1", "direct")) == ()


def test_pictures_escape_and_stay_inside() -> None:
    ram = IntervalSet.of([(0, 2 << 30), (4 << 30, 10 << 30)])
    lane = Lane("<map>", (Band(0, 4096, "is-usable", "<b>"), Band(5 << 30, 6 << 30, "is-reserved", "x")))
    drawn = str(memory_picture([lane], ram))
    assert "&lt;map&gt;" in drawn
    assert "<b>" not in drawn
    assert "0x100000000" in drawn
    assert 'class="hole"' in drawn
    assert "<svg" in str(timeline([("launch", 0.0), ("kernel", 1.0)], 2.0, [Mark(1.5, "<exit>")]))
    assert "&lt;exit&gt;" in str(acceptance_plot({"kernel": [(0.5, 4096)]}, 2.0, [Mark(1.5, "<exit>")]))


@pytest.mark.parametrize(
    ("size", "said"),
    [(6 << 30, "6 GiB"), (3 << 19, "1.5 MiB"), (4096, "4 KiB"), (513 << 30, "513 GiB"), (100, "100 bytes")],
)
def test_sizes(size: int, said: str) -> None:
    assert size_text(size) == said


@pytest.mark.parametrize("size", [-2755, "2G", None])
def test_a_size_that_no_machine_has_is_damage(tmp_path: Path, size: object) -> None:
    folder = shutil.copytree(DATA / "records" / PLAIN, tmp_path / "record")
    index = json.loads((folder / INDEX).read_text())
    (folder / INDEX).write_text(json.dumps(index | {"spec": index["spec"] | {"memory_mib": size}}))
    parts = read_parts(folder, ())
    assert parts.memory is None
    assert [said for said in parts.missing if "memory size" in said and f"memory_mib {size!r}" in said]
