# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands about stored runs: each on runs made up for it, for people and for programs."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import jsonschema
import kcidb_io
import pytest

from harness.cli.entry import main
from tests.support.pytest_runs import PLAIN, RECORDS
from tests.support.runs import boot, check, end, finding, write_run

if TYPE_CHECKING:
    from pathlib import Path

GONE = finding("memory-gone", "6 GiB are gone", "line 7", bytes=6442450944)
CELL = "fw+k+direct+8G+snp-emulated"
AXES = {"firmware": "fw", "kernel": "k", "loader": "direct", "memory": "8G", "platform": "snp-emulated"}


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Give a folder with a green run and a red one."""
    folder = tmp_path / "records"
    began = {"1": "2026-11-28T02:00:00+00:00", "2": "2026-11-29T02:00:00+00:00"}
    write_run(folder, "1", boot(CELL, axes=AXES), check(CELL, "x"), end(), began=began["1"])
    bad = check(CELL, "x", "failed", findings=(GONE,))
    write_run(folder, "2", boot(CELL, axes=AXES), bad, end(1), began=began["2"])
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_runs(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "runs", "--records", records, "--json")
    assert code == 0
    assert [(row["run"], row["exit"], row["bad"]) for row in json.loads(out)] == [("2", 1, 1), ("1", 0, 0)]


def test_history(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "history", "memory-gone", "--records", records, "--json")
    assert code == 0
    (row,) = json.loads(out)
    assert (row["cell"], row["failing-since"], row["fails-in"][:6]) == (CELL, "2", "1 of 2")


@pytest.mark.parametrize("command", ["runs", "history"])
def test_a_run_that_cannot_be_read_is_named(
    records: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    index = records / "1" / "run.json"
    index.write_text(index.read_text().replace('"schema": 1', '"schema": 99', 1))
    code, out, said = run(capsys, command, "--records", records, "--json")
    assert (code, len(json.loads(out))) == (0, 1)
    assert "left out: " in said
    assert "schema" in said


def test_compare_says_what_is_worse(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "compare", "last-green", "--records", records)
    assert code == 1
    assert out.startswith("1 → 2: new failures: 1")
    assert "now: 6 GiB are gone" in out
    code, out, _ = run(capsys, "compare", "2", "1", "--records", records)
    assert code == 0
    assert out.startswith("2 → 1: fixed: 1")
    code, out, _ = run(capsys, "compare", "last", "--records", records, "--json")
    assert (code, json.loads(out)["base"], json.loads(out)["head"]) == (1, "1", "2")


def test_a_green_run_is_compared_with_the_green_one_before_it(
    records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(records, "3", boot(CELL, axes=AXES), check(CELL, "x"), end())
    _, out, _ = run(capsys, "compare", "last-green", "--records", records)
    assert out.startswith("1 → 3: ")
    _, out, _ = run(capsys, "compare", "last", "--records", records)
    assert out.startswith("2 → 3: fixed: 1")


def test_a_summary(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "summary", "--base", "last-green", "--records", records)
    assert code == 0
    assert f"| `{CELL}` | x | 6 GiB are gone |" in out
    code, out, _ = run(capsys, "summary", "--format", "github", "--records", records)
    assert out == f"::error file=scenarios/a.yaml,line=7,title={CELL}::x: 6 GiB are gone\n"
    code, out, _ = run(capsys, "summary", "--base", "last-green", "--records", records, "--json")
    told = json.loads(out)
    assert (code, told["run"], told["cells"], told["states"]["failed"]) == (0, "2", 1, 1)
    (bad,) = told["bad"]
    assert (bad["cell"], bad["check"], bad["says"]) == (CELL, "x", "6 GiB are gone")
    assert (told["changes"]["base"], told["changes"]["new-failure"]) == ("1", 1)


def test_the_first_night_has_nothing_to_compare_with(
    records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "summary", "1", "--base", "last-green", "--records", records)
    assert (code, out[:5]) == (0, "### ✅")
    assert "nothing to compare with" in err


def test_a_report(records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "report", "2", "-o", tmp_path / "out", "--records", records)
    assert code == 0
    assert out.startswith(f"{tmp_path}/out/index.html: 0.0")
    assert " MB; verdicts, consoles" in out
    assert len(list((tmp_path / "out/cells").iterdir())) == 1
    assert "lab1" not in (tmp_path / "out/index.html").read_text()
    _, out, _ = run(capsys, "report", "2", "-o", tmp_path / "two", "--redact", "--records", records, "--json")
    told = json.loads(out)
    assert (told["file"], told["redacted"]) == (str(tmp_path / "two/index.html"), True)
    assert told["bytes"] == sum(it.stat().st_size for it in (tmp_path / "two").rglob("*") if it.is_file())


def test_kcidb(records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "kcidb.json"
    words = ("report", "2", "--format", "kcidb", "--origin", "lab", "-o", out, "--records", records)
    assert run(capsys, *words)[0] == 0
    kcidb_io.schema.LATEST.validate(json.loads(out.read_text()))
    code, _, err = run(capsys, *words[:5], "My Lab", *words[6:])
    assert code == 4
    assert "no KCIDB origin" in err


def test_a_table(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "table", "2", "--link", "https://example.org/r/", "--records", records)
    assert code == 0
    assert "| fw | k | [✗ x](https://example.org/r/cells/fw_k_direct_8G_snp-emulated.html) |" in out
    code, out, _ = run(capsys, "table", "2", "--json", "--records", records)
    assert json.loads(out)["rows"][0]["result"] == "x"


def test_pruning_says_what_goes(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("records", "prune", "--keep", "0h", "--keep-failures", "9000d", "--records", records)
    code, out, _ = run(capsys, *words, "--dry-run")
    assert (code, out.splitlines()[-1].partition(",")[0]) == (0, "1 runs would go")
    assert (records / "1").is_dir()
    code, out, _ = run(capsys, *words, "--json")
    (row,) = json.loads(out)
    assert (code, row["run"], row["bytes"] > 0) == (0, str(records / "1"), True)
    assert not (records / "1").exists()
    assert (records / "2").is_dir()
    code, _, err = run(capsys, "records", "prune", "--keep", "soon", "--records", records)
    assert (code, "is no age" in err) == (4, True)


def test_records_packed_and_unpacked_as_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, "1", boot(CELL, axes=AXES), end())
    shutil.copytree(RECORDS / PLAIN, tmp_path / "1" / PLAIN)
    code, out, _ = run(capsys, "records", "pack", "1", "--records", tmp_path, "--json")
    packed = json.loads(out)
    assert (code, packed["records"], packed["bytes"] < packed["bytes-before"]) == (0, 1, True)
    code, out, _ = run(capsys, "records", "unpack", "1", "--records", tmp_path, "--json")
    unpacked = json.loads(out)
    assert (code, unpacked["records"], unpacked["bytes"] > packed["bytes"]) == (0, 1, True)


def test_a_run_that_is_not_there(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "compare", "nothing", "--records", records)
    assert code == 4
    assert "no such run below" in err


def test_the_schemas_of_what_a_run_writes(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, file in (("run", "run.json"), ("results", "results.jsonl")):
        code, out, _ = run(capsys, "schema", kind)
        assert code == 0
        validator = jsonschema.Draft202012Validator(json.loads(out))
        text = (records / "2" / file).read_text()
        documents = (
            [json.loads(line) for line in text.splitlines()] if kind == "results" else [json.loads(text)]
        )
        for document in documents:
            validator.validate(document)
            with pytest.raises(jsonschema.ValidationError):
                validator.validate({**document, "odd": 1})
