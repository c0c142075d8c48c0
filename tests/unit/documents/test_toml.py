# SPDX-License-Identifier: BSD-2-Clause-Patent
"""TOML files: the same messages as YAML's, each at its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.documents.document import YamlError, load, load_document
from harness.documents.strict import Strict

if TYPE_CHECKING:
    from pathlib import Path


class Tool(Strict):
    name: str
    count: int = 1
    on: bool = True
    folders: tuple[str, ...] = ()


def read(folder: Path, text: str) -> Tool:
    path = folder / "tool.toml"
    path.write_text(text)
    return load(path, Tool)


def test_values(tmp_path: Path) -> None:
    text = '# a = 1\nname = "a # b" # c\n\ncount = 0x1_0\n"on" = false\n'
    text += 'folders = [\n  "a", # "no"\n  \'b\',\n]\n'
    assert read(tmp_path, text) == Tool(name="a # b", count=16, on=False, folders=("a", "b"))
    assert read(tmp_path, 'name = """\ncount = 3"""\n') == Tool(name="count = 3")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('nmae = "x"', "1:1: unknown key 'nmae'; did you mean 'name'?\n      1 | nmae = \"x\"\n        | ^"),
        ("name = 6.10", '1:8: name: wanted text, found the number 6.1; quote it: "6.1"'),
        (
            'name = "x"\ncount = "7"',
            "2:9: count: wanted a whole number, found the text '7'; remove the quotes",
        ),
        (
            'name = "x"\n  folders = "a"',
            "2:13: folders: wanted a list, found the text 'a'; write it as [\"a\"]",
        ),
        ('name = "x"\nfolders = [ # ["\n  "a",\n  1]', "4:3: folders[1]: wanted text, found the number 1"),
        ('name = "x"\n\non = 2026-01-01', "3:6: on: wanted true or false, found the text '2026-01-01'"),
        ("count = 2\n", "1:1: missing key 'name'"),
        ("", "1:1: missing key 'name'"),
        ('name = "x"\n[more]\na = 1', "2:1: 'more': tables are not used here"),
        ('name = "x"\nname = "y"', "2:11: not valid TOML: "),
        ("name = x", "1:8: not valid TOML: invalid value"),
        ('name = "x', "1:10: not valid TOML: "),
        ("name", "1:5: not valid TOML: expected '=' after a key in a key/value pair"),
    ],
)
def test_mistakes_at_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(YamlError) as caught:
        read(tmp_path, text)
    assert f"tool.toml:{said}" in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "tool.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(YamlError, match="1:9: not valid TOML: this byte is not UTF-8"):
        load(tmp_path / "tool.toml", Tool)


def test_later_checks_point_into_the_file(tmp_path: Path) -> None:
    (tmp_path / "tool.toml").write_text('folders = ["a",\n  "b"]\nname = "n"\n')
    document = load_document(tmp_path / "tool.toml", Tool)
    assert document.where(("folders", 1)).endswith("tool.toml:2:3")
    assert document.where(("name",)).endswith("tool.toml:3:8")
