# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What leaves the machine: the published table, KernelCI's format, text without names."""

from __future__ import annotations

import json
import pwd
from typing import TYPE_CHECKING

import kcidb_io
import pytest

from harness.results.kcidb import as_kcidb
from harness.results.model import STATES
from harness.results.redact import Redaction
from harness.results.table import FORMATS, show_tables, tables
from tests.support.runs import boot, check, end, finding, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from harness.results.folder import StoredRun
    from harness.results.model import Line

EXPECTED = {"outcome": "lazy", "because": "x", "source": "y", "row": "z"}


@pytest.fixture
def run(tmp_path: Path) -> StoredRun:
    lines: list[Line] = []
    for number, state in enumerate(STATES):
        cell = f"fw+k{number}+direct|x+8G+snp-emulated"
        axes = {"firmware": "fw", "kernel": f"k{number}", "loader": "direct|x", "platform": "snp-emulated"}
        told = (finding("kind", "says <b>", bytes=1),) if state == "failed" else ()
        lines += [
            boot(cell, axes=axes, inputs={"kernel": f"{number:016x}"}, detail="a detail"),
            check(cell, "firmware-left-high", state, expectation=EXPECTED, findings=told),
        ]
    return write_run(tmp_path, "r", *lines, end(1), began="2026-11-30T02:00:00+00:00")


def test_kcidb_takes_it(run: StoredRun) -> None:
    document = as_kcidb(run, "ovmf_lab")
    schema = kcidb_io.schema.LATEST
    assert {"major": schema.major, "minor": schema.minor} == document["version"]
    schema.validate(document)
    assert len(document["tests"]) == len(STATES)
    assert {test["status"] for test in document["tests"]} == {"PASS", "FAIL", "ERROR", "MISS", "SKIP"}
    builds = {build["id"] for build in document["builds"]}
    assert {test["build_id"] for test in document["tests"]} == builds
    assert {build["checkout_id"] for build in document["builds"]} == {
        it["id"] for it in document["checkouts"]
    }
    assert len({test["id"] for test in document["tests"]}) == len(STATES)
    json.dumps(document)


def test_no_origin(run: StoredRun) -> None:
    with pytest.raises(ValueError, match="no KCIDB origin"):
        as_kcidb(run, "My Lab")


def test_the_table_in_every_form(run: StoredRun) -> None:
    made = tables(run, lambda row: f"cells/{row.axes['kernel']}.html")
    shown = {form: show_tables(made, form) for form in FORMATS}
    assert "| fw | k0 | [✓ kernel accepts lazily](cells/k0.html) |" in shown["markdown"]
    assert "[✗ firmware-left-high](cells/k1.html)" in shown["markdown"]
    assert '<a href="cells/k0.html">✓ kernel accepts lazily</a>' in shown["html"]
    rows = json.loads(shown["json"])["rows"]
    assert {row["kernel"]: row["result"] for row in rows}["k2"] == (
        "kernel accepts lazily, firmware-left-high known bad"
    )
    assert len(rows) == len(STATES)


def test_the_table_names_an_emulated_host_that_is_not_the_usual_one(tmp_path: Path) -> None:
    axes = {"firmware": "fw", "kernel": "k", "loader": "direct", "platform": "snp-emulated"}
    lines: list[Line] = []
    for cell, host in (("one", "kvm"), ("two", "older-host")):
        told = EXPECTED | ({"outcome": "refuses-to-boot"} if host == "kvm" else {})
        lines += [boot(cell, axes=axes | {"emulation": host}), check(cell, "c", "passed", expectation=told)]
    made = tables(write_run(tmp_path, "r", *lines, end(1)), lambda _: "")
    assert "| ✓ refuses to boot<br>✓ kernel accepts lazily (older-host) |" in show_tables(made, "markdown")


def test_what_is_taken_out() -> None:
    redaction = Redaction.of({"lab1": "HOST", "lab1.example.org": "HOST", "/srv/me": "~", "mei": "USER"})
    told = (
        'lab1.example.org lab1: /srv/me/x by mei on /home/mei/y; "serial": "AB12CD34" serial no: 998877 lab12'
    )
    assert redaction.text(told) == (
        'HOST HOST: ~/x by USER on /home/USER/y; "serial": "SERIAL" serial no: SERIAL lab12'
    )


@pytest.mark.parametrize("variables", [{}, {"USER": "mei"}])
def test_places_and_the_user_are_taken_out_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(pwd, "getpwuid", lambda _number: ["mei"])
    (tmp_path / "secret").mkdir()
    monkeypatch.chdir(tmp_path / "secret")
    monkeypatch.setenv("HARNESS_CACHE", "/data/cache")
    told = f"mei: {tmp_path}/secret/fd, :-/data/cache}}/store/qemu, /data/cache-2"
    assert Redaction.of_here().text(told) == "USER: PROJECT/fd, :-CACHE}/store/qemu, /data/cache-2"


def test_this_machine() -> None:
    assert all(word and instead for word, instead in Redaction.of_here().words)
