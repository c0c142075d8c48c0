# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The report in a browser: its script filters, what a guest prints does nothing, light, dark and on paper."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import zlib
from typing import TYPE_CHECKING

import pytest

from harness.results.report.pages import write_report
from tests.support.data import DATA
from tests.support.runs import boot, check, end, finding, write_run

if TYPE_CHECKING:
    from pathlib import Path

BAD = "debian-2025.02+debian-5.10+direct+2G+snp-emulated"
GOOD = "debian-2025.02+debian-6.1+direct+2G+plain"
HOSTILE = '</pre></li><script>document.title="owned"</script><img src="x" onerror="document.title=\'owned\'">'
PATIENCE = 120
"""Seconds that a browser may take to start on a slow machine; it takes two."""


class Browser:
    """A headless Chromium, started anew for each page."""

    def __init__(self, program: str, folder: Path) -> None:
        self._command = [
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            "--window-size=1000,1200",
            f"--user-data-dir={folder / 'profile'}",
        ]
        self._folder = folder

    def _run(self, url: str, *options: str) -> tuple[str, list[str]]:
        """Return what the browser printed, and what it has to say of the page."""
        command = [*self._command, *options, url]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            pytest.skip("chromium hangs on this machine")
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    def page(self, url: str) -> tuple[str, list[str]]:
        """Return the page as it is when its script has run, and what the browser has to say of it."""
        return self._run(url, "--dump-dom", "--virtual-time-budget=1000")

    def background(self, url: str, *, dark: bool) -> int:
        """Return how bright the page's first pixel is, of 255."""
        shot = self._folder / "shot.png"
        self._run(url, f"--screenshot={shot}", f"--blink-settings=preferredColorScheme={int(not dark)}")
        return first_pixel(shot.read_bytes())

    def paper(self, url: str) -> bytes:
        """Return the page as PDF."""
        made = self._folder / "page.pdf"
        self._run(url, f"--print-to-pdf={made}")
        return made.read_bytes()


def first_pixel(png: bytes) -> int:
    """Return the red part of a picture's first pixel: no filter changes the first byte of the first line."""
    begin = png.index(b"IDAT")
    (size,) = struct.unpack(">I", png[begin - 4 : begin])
    return zlib.decompressobj().decompress(png[begin + 4 : begin + 4 + size], 16)[1]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on this machine")
    made = Browser(program, tmp_path_factory.mktemp("browser"))
    try:
        made.page("data:text/html,<p>there")
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"chromium does not start on this machine: {error}")
    return made


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a report of two boots, one of which failed and has a hostile console."""
    folder = tmp_path_factory.mktemp("report")
    run = write_run(
        folder,
        "run",
        boot(
            BAD,
            axes=dict(
                zip(("firmware", "kernel", "loader", "memory", "platform"), BAD.split("+"), strict=True)
            ),
        ),
        boot(
            GOOD,
            axes=dict(
                zip(("firmware", "kernel", "loader", "memory", "platform"), GOOD.split("+"), strict=True)
            ),
        ),
        check(BAD, "no-userspace", "failed", findings=(finding("k", HOSTILE, HOSTILE),)),
        check(GOOD, "reaches-userspace"),
        end(1),
    )
    for path in (DATA / "records").iterdir():
        shutil.copytree(path, run.path / path.name)
    with (run.path / BAD / "serial.log").open("a") as file:
        file.write(f"{HOSTILE}\n")
    return write_report(run, folder / "out", every=True).parent


def title(page: str) -> str:
    found = re.search(r"<title>(.*?)</title>", page)
    assert found is not None
    return found[1]


def test_filter(browser: Browser, report: Path) -> None:
    whole, told = browser.page(f"file://{report}/index.html")
    assert told == []
    assert whole.count('<tr tabindex="-1"') == 2
    assert 'class="hidden"' not in whole
    some, told = browser.page(f"file://{report}/index.html#passed%20plain")
    assert some.count('class="hidden"') == 1
    assert re.search(r'<tr tabindex="-1" class="hidden"><td><span class="state failed">', some)
    assert "1 of 2" in some
    assert told == []


def test_a_guest_reaches_nothing(browser: Browser, report: Path) -> None:
    for path in (report / "index.html", *sorted((report / "cells").iterdir())):
        page, told = browser.page(f"file://{path}")
        assert told == []
        assert title(page) in {"run", BAD, GOOD}
        assert "<img" not in page
        assert page.count("<script>") == (1 if path.name == "index.html" else 0)


def test_markup_that_got_in_would_be_noticed(browser: Browser, report: Path) -> None:
    """The other side of the test above: unescaped, the text does reach the page."""
    index = report / "index.html"
    broken = index.with_name("broken.html")
    broken.write_text(index.read_text().replace("</h1>", f"</h1>{HOSTILE}", 1))
    shown, told = browser.page(f"file://{broken}")
    assert "<img" in shown
    assert title(shown) == "owned"
    assert any("Content Security Policy" in line for line in told)


def test_light_and_dark(browser: Browser, report: Path) -> None:
    url = f"file://{report}/index.html"
    assert browser.background(url, dark=False) > 200
    assert browser.background(url, dark=True) < 60


def test_paper(browser: Browser, report: Path) -> None:
    page = next(path for path in (report / "cells").iterdir() if "snp" in path.name)
    made = browser.paper(f"file://{page}")
    assert made.startswith(b"%PDF-")
    assert len(made) > 20_000
