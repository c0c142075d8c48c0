# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The JSON Schemas that editors get: what the harness takes they take, what it refuses they refuse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from jsonschema import Draft202012Validator

from harness.cli import entry
from harness.documents.document import json_schema
from harness.matrix.schema import load_scenario, scenario_schema
from harness.recipes.firmware import FirmwareFile
from harness.recipes.project import find_project
from harness.run.options import Options
from harness.run.session import Session
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO = """\
name: s
description: Does it?
selection: all
matrix:
  firmware: [debian-2025.02]
  kernel: ['@releases', debian-7.2, '>=7.0']
  memory: [2G, 8G]
  platform: [snp]
exclude:
  - {kernel: ['<6', debian-6.12], memory: '>2G'}
overrides:
  - {when: {kernel: '@releases >=7'}, set: {cmdline: accept_memory=eager}}
include:
  - {firmware: debian-2025.02, kernel: debian-6.12, memory: 9G, platform: snp, vcpus: 2}
requires: [{memory: 4G}]
expect:
  - {when: {memory: 9G}, outcome: kernel-eager, reason: because, link: docs/a.md}
known-bad:
  - {when: {vcpus: 1}, checks: no-alarms, reason: because, link: 'https://example.org/1', since: '1'}
"""


MISTAKES: dict[str, dict[str, object]] = {
    "two sources": {"name": "a", "source": {"tree": {"path": "x"}, "file": {"path": "y"}}},
    "a key misspelt": {"name": "a", "source": {"file": {"path": "y"}}, "tagret": "DEBUG"},
    "half a commit": {"name": "a", "source": {"git": {"url": "x", "commit": "c0ffee"}}},
    "an unknown suite": {"name": "a", "source": {"debian-source": {"suite": "woody"}}},
    "a name that is none": {"name": "A b", "extends": "a"},
    "a define that is none": {"name": "a", "extends": "b", "defines": {"A=1": 1}},
}


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    session = Session(Options(), find_project(PROJECT), print)
    made = json.loads(json.dumps(scenario_schema(session.known)))
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(made)


@pytest.mark.parametrize("path", sorted((PROJECT / "scenarios").rglob("*.yaml")), ids=str)
def test_the_schema_takes_the_projects_scenarios(path: Path, schema: Draft202012Validator) -> None:
    schema.validate(yaml.safe_load(path.read_text()))


def test_the_example_is_a_scenario(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SCENARIO)
    known = Session(Options(), find_project(PROJECT), print).known
    assert load_scenario(tmp_path / "s.yaml", known).model.include


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("selection: all", "selection: some"),
        ("memory: [2G, 8G]", "memory: [2G, '8 G']"),
        ("memory: [2G, 8G]", "memroy: [2G]"),
        ("memory: [2G, 8G]", "memory: ['>2G']"),
        ("memory: 9G, platform", "memory: '>2G', platform"),
        ("debian-7.2", "debian-7.1"),
        ("kernel: debian-6.12", "kernel: debian-6.13"),
        ("'@releases',", "relaeses,"),
        ("'>2G'", "'2'"),
        ("outcome: kernel-eager", "outcome: eagerly"),
        ("no-alarms", "no-alarm"),
        ("[snp]", "snp"),
        ("[snp]", "[snpp]"),
        ("vcpus: 2", "vcpus: '2'"),
        ("docs/", "dogs/"),
    ],
)
def test_the_schema_knows_words_and_names(schema: Draft202012Validator, old: str, new: str) -> None:
    assert old in SCENARIO
    assert schema.is_valid(yaml.safe_load(SCENARIO.replace(old, new))) is (old == new)


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("firmware", "ovmf-builds/*.yaml"),
        ("kernels", "guest-images/kernels.yaml"),
        ("loaders", "guest-images/loaders.yaml"),
        ("guests", "guest-images/guests.yaml"),
        ("probes", "guest-images/efi-probe.yaml"),
        ("emulations", "qemu-builds/emulations.yaml"),
    ],
)
def test_schemas_of_recipes(kind: str, files: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["schema", kind]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert "groups" in schema["properties"]
    Draft202012Validator.check_schema(schema)
    paths = list(PROJECT.glob(files))
    assert paths
    for path in paths:
        Draft202012Validator(schema).validate(yaml.safe_load(path.read_text()))


def test_mistakes_in_recipes_of_firmware() -> None:
    schema = Draft202012Validator(json_schema(FirmwareFile))
    right: dict[str, object] = {"name": "a", "source": {"file": {"path": "x"}}}
    assert schema.is_valid({"firmware": [right], "groups": {"some": ["a"]}})
    assert not schema.is_valid({"firmware": [right], "groups": {"S ome": ["a"]}})
    assert [name for name, wrong in MISTAKES.items() if schema.is_valid({"firmware": [wrong]})] == []
