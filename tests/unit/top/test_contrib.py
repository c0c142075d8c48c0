# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Templates for nightly runs, against the schemas of those who read them, and our own commands' parsers."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml
from check_jsonschema.cli import main as check_jsonschema
from click.testing import CliRunner, Result

from harness.cli.parser import parser
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

CONTRIB = PROJECT / "contrib"
CHECKS = [
    *(("vendor.github-workflows", (), path) for path in sorted((CONTRIB / "github").iterdir())),
    *(
        ("vendor.gitlab-ci", ("--data-transform", "gitlab-ci"), path)
        for path in sorted((CONTRIB / "gitlab").iterdir())
    ),
]


def validate(schema: str, options: tuple[str, ...], path: Path) -> Result:
    return CliRunner().invoke(check_jsonschema, ["--builtin-schema", schema, *options, str(path)])


@pytest.mark.parametrize(("schema", "options", "path"), CHECKS, ids=[path.name for _, _, path in CHECKS])
def test_schema(schema: str, options: tuple[str, ...], path: Path, tmp_path: Path) -> None:
    done = validate(schema, options, path)
    assert done.exit_code == 0, done.output
    broken = tmp_path / path.name
    broken.write_text(
        path.read_text()
        .replace("timeout-minutes: ", "timeout-minutes: x")
        .replace("timeout: 3h", "timeout: []")
    )
    assert validate(schema, options, broken).exit_code == 1


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path in sorted((CONTRIB / "systemd").iterdir()):
        text = path.read_text()
        text = text.replace("/srv/ovmf-acceptance/run ", "/bin/true ")
        text = text.replace("/srv/ovmf-acceptance/.venv/bin/harness ", "/bin/true ").replace(
            "User=acceptance\n", ""
        )
        (tmp_path / path.name).write_text(text)
    units = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "ovmf-acceptance" in line]
    assert not ours
    (tmp_path / "ovmf-acceptance.timer").write_text("[Timer]\nOnCalendar=every other day\n")
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert "ovmf-acceptance.timer" in done.stderr


def test_every_job_keeps_failures_only() -> None:
    text = "\n".join(path.read_text() for path in CONTRIB.rglob("*") if path.is_file())
    assert text.count("prune --keep 14d --keep-failures 90d") >= 4
    workflow = yaml.safe_load((CONTRIB / "github/nightly.yaml").read_text())
    uploads = [
        step
        for job in workflow["jobs"].values()
        for step in job["steps"]
        if "upload-artifact" in str(step.get("uses"))
    ]
    assert uploads
    assert all(step["if"] == "failure()" for step in uploads)


def commands() -> list[tuple[str, list[str]]]:
    """Return the commands of `harness` in all templates."""
    return [
        (path.name, shlex.split(found[1]))
        for folder in ("github", "gitlab", "systemd")
        for path in sorted((CONTRIB / folder).iterdir())
        for found in re.finditer(
            r"harness ((?:summary|report|compare|records|cache|update)\b[^>|\n]*)", path.read_text()
        )
    ]


def test_every_command_is_one() -> None:
    """Our own parser takes what the templates call; it exits for what it does not know."""
    found = commands()
    assert len(found) >= 15
    for name, words in found:
        try:
            parser(words).parse_args(words)
        except SystemExit:
            pytest.fail(f"{name}: harness {' '.join(words)}")
    with pytest.raises(SystemExit):
        parser(["compare"]).parse_args(["compare", "--bose", "x"])


@pytest.mark.parametrize("path", ["github/nightly.yaml", "gitlab/nightly.gitlab-ci.yml", "systemd"])
def test_each_place_runs_compares_and_reports(path: str) -> None:
    files = sorted((CONTRIB / path).rglob("*")) if (CONTRIB / path).is_dir() else [CONTRIB / path]
    text = "\n".join(file.read_text() for file in files)
    for part in (
        "scenarios",
        "summary last --base last-green",
        "report last --base last-green",
        "records prune",
        "cache prune",
        "HARNESS_CACHE",
    ):
        assert part in text, part


@pytest.mark.parametrize("path", ["github/nightly.yaml", "gitlab/nightly.gitlab-ci.yml"])
def test_a_job_renews_the_lock_and_compares_with_the_locked_run(path: str) -> None:
    text = (CONTRIB / path).read_text().partition("renewed-lock:")[2].partition("\n  hardware:")[0]
    update, run = text.index("harness update"), text.rindex("./run scenarios")
    assert update < run < text.index("summary last --base last")


def test_the_smoke_set_of_a_pull_request() -> None:
    text = (CONTRIB / "github/edk2-pull-request.yaml").read_text()
    assert "-m smoke --firmware tree:" in text
    scenarios = [yaml.safe_load(path.read_text()) for path in (PROJECT / "scenarios").rglob("*.yaml")]
    smoke = {it["name"] for it in scenarios if "smoke" in it.get("tags", ())}
    assert "protocol" in smoke
    assert len(smoke) >= 2


def test_systemd_renews_the_lock_and_compares_with_the_locked_run() -> None:
    text = (CONTRIB / "systemd/ovmf-acceptance-renewed.service").read_text()
    update, run = text.index("harness update"), text.index("run --no-install scenarios --records out/renewed")
    assert update < run < text.index("compare last out/renewed") < text.index("checkout -- debian.lock.yaml")
