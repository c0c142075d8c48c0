# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The JSON Schemas that editors get: what the harness takes they take, what it refuses they refuse."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness import cli
from harness.matrix.schema import load_scenario, scenario_schema
from harness.paths import PROJECT
from harness.selection import Options
from harness.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable
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


def valid(value: Any, part: Any, schema: Any) -> bool:
    """Check a JSON value against what pydantic's JSON Schemas use of the language; an unknown word raises."""
    if "$ref" in part:
        part = {**schema["$defs"][part["$ref"].rsplit("/", 1)[1]], **part}
    tests: dict[str, Callable[[Any], bool]] = {
        "type": lambda kind: isinstance(value, TYPES[kind]) and (kind != "integer" or value is not True),
        "anyOf": lambda branches: any(valid(value, branch, schema) for branch in branches),
        "enum": lambda values: value in values,
        "const": lambda wanted: value == wanted,
        "pattern": lambda pattern: not isinstance(value, str) or re.search(pattern, value) is not None,
        "minLength": lambda least: len(value) >= least,
        "minItems": lambda least: len(value) >= least,
        "minimum": lambda least: not isinstance(value, int) or value >= least,
        "maximum": lambda most: not isinstance(value, int) or value <= most,
        "items": lambda item: all(valid(one, item, schema) for one in value),
        "required": lambda keys: set(keys) <= set(value),
        "properties": lambda own: all(valid(value[key], own[key], schema) for key in set(value) & set(own)),
        "additionalProperties": lambda other: other is not False or set(value) <= set(part["properties"]),
    }
    ignored = {"$ref", "$defs", "$schema", "title", "description", "default"}
    return all(tests[word](told) for word, told in part.items() if word not in ignored)


TYPES: dict[str, Any] = {"object": dict, "array": list, "string": str, "integer": int, "null": type(None)}


@pytest.fixture(scope="module")
def schema() -> Any:
    session = Session(Options(), PROJECT, print)
    return json.loads(json.dumps(scenario_schema(session.known)))


@pytest.mark.parametrize("path", sorted((PROJECT / "scenarios").rglob("*.yaml")), ids=str)
def test_the_schema_takes_the_projects_scenarios(path: Path, schema: Any) -> None:
    assert valid(yaml.safe_load(path.read_text()), schema, schema)


def test_the_example_is_a_scenario(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SCENARIO)
    assert load_scenario(tmp_path / "s.yaml", Session(Options(), PROJECT, print).known).model.include


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
        ("vcpus: 2", "vcpus: '2'"),
        ("docs/", "dogs/"),
    ],
)
def test_the_schema_knows_words_and_names(schema: Any, old: str, new: str) -> None:
    assert old in SCENARIO
    assert valid(yaml.safe_load(SCENARIO.replace(old, new)), schema, schema) is (old == new)


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("firmware", "ovmf-builds/*.yaml"),
        ("kernels", "guest-images/kernels.yaml"),
        ("loaders", "guest-images/loaders.yaml"),
        ("guests", "guest-images/guests.yaml"),
        ("probes", "guest-images/efi-probe.yaml"),
    ],
)
def test_schemas_of_recipes(kind: str, files: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema", kind]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert "groups" in schema["properties"]
    assert list(PROJECT.glob(files))
