# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Good and bad YAML: every mistake is shown, at its place, in words that say what was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from harness.documents import nodes
from harness.documents.document import YamlError, json_schema, load, load_document, near
from harness.errors import HarnessError


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    package: str = Field(description="binary package")
    size: int = 1


class Sample(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(description="a short name")
    kind: Literal["snp", "snp-emulated", "plain"] = "snp"
    count: int = Field(default=1, ge=1)
    ratio: float = 1.0
    on: bool = False
    versions: tuple[str, ...] = ()
    either: int | str = 0
    inner: Inner | None = None
    named: dict[str, Inner] = {}
    path: Path | None = None

    @field_validator("name")
    @classmethod
    def _known(cls, name: str, info: ValidationInfo) -> str:
        if info.context is not None and name not in info.context:
            raise ValueError(f"unknown name {name!r}; {near(name, info.context)}")
        return name


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "m.yaml"


def heads(file: Path, text: str | bytes, context: object = None) -> list[str]:
    """Load ``text``; the first line of every problem, in the order shown."""
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(YamlError) as caught:
        load(file, Sample, context=context)
    lines = str(caught.value).splitlines()
    shown = [line for line in lines if line.startswith("m.yaml:")]
    assert len(shown) == len(caught.value.problems)
    return shown


def test_good_file(file: Path) -> None:
    file.write_text(
        "# a comment\nname: x\nkind: plain\ncount: 3\nratio: 2\non: true\n"
        "versions: ['6.10', 6.1.0, no, 010, 1:30]\n"
        "inner: &i {package: a}\nnamed: {one: *i, '2': {package: b, size: 0}}\npath: a/b\neither: 6\n"
    )
    sample = load(file, Sample)
    assert sample.versions == ("6.10", "6.1.0", "no", "010", "1:30")
    assert (sample.kind, sample.count, sample.ratio, sample.on, sample.either) == ("plain", 3, 2.0, True, 6)
    assert sample.named == {"one": Inner(package="a"), "2": Inner(package="b", size=0)}
    assert sample.path == Path("a/b")


@pytest.mark.parametrize(
    "text",
    ["name: x\r\ncount: 2\r\n", "\ufeffname: x\ncount: 2", "{name: x, count: 2}\n", "name: x\rcount: 2"],
)
def test_line_ends_and_byte_order_mark(file: Path, text: str) -> None:
    file.write_bytes(text.encode())
    assert load(file, Sample).count == 2


def test_columns_are_right_after_crlf_and_byte_order_mark(file: Path) -> None:
    assert heads(file, "\ufeffname: x\r\ncount: no\r\n") == [
        "m.yaml:2:8: count: wanted a whole number, found the text 'no'"
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_quoted_line_is_the_one_meant(file: Path, end: str) -> None:
    file.write_bytes(end.join(["name: x", "", "count: no", ""]).encode())
    with pytest.raises(YamlError) as caught:
        load(file, Sample)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.source) == (3, 8, "count: no")


def test_the_whole_message(file: Path) -> None:
    file.write_text("name: x\nversions: [ok, 6.10]\n")
    with pytest.raises(YamlError) as caught:
        load(file, Sample)
    assert str(caught.value) == (
        'm.yaml:2:16: versions[1]: wanted text, found the number 6.10; quote it: "6.10"\n'
        "      2 | versions: [ok, 6.10]\n"
        "        |                ^"
    )
    assert isinstance(caught.value, HarnessError)


def test_the_caret_of_a_long_or_indented_line_is_below_the_value(file: Path) -> None:
    for text in (f"name: x\nversions: [{'long-value, ' * 30} 6.10]\n", "name: x\nversions: ['a\tb', 6.10]\n"):
        file.write_text(text)
        with pytest.raises(YamlError) as caught:
            load(file, Sample)
        _, source, caret = str(caught.value).splitlines()[:3]
        assert source[caret.index("^") :].startswith("6.10"), source
        assert len(source) < 120


def test_all_mistakes_at_once_in_the_order_of_the_file(file: Path) -> None:
    text = (
        "nmae: x\n"
        "kind: snpp\n"
        "count: '8'\n"
        "ratio: fast\n"
        "on: yes\n"
        "versions: [6.10, true, null, [a]]\n"
        "inner:\n"
        "  size: 3.5\n"
        "named:\n"
        "  a: {package: 1, pakage: b}\n"
        "  a: {package: b, size: x}\n"
        "bogus: 1\n"
    )
    assert heads(file, text) == [
        "m.yaml:1:1: unknown key 'nmae'; did you mean 'name' or 'named'?",
        "m.yaml:2:7: kind: unknown value 'snpp'; did you mean 'snp'?",
        "m.yaml:3:8: count: wanted a whole number, found the text '8'; remove the quotes",
        "m.yaml:4:8: ratio: wanted a number, found the text 'fast'",
        "m.yaml:5:5: on: wanted true or false, found the text 'yes'",
        'm.yaml:6:12: versions[0]: wanted text, found the number 6.10; quote it: "6.10"',
        'm.yaml:6:18: versions[1]: wanted text, found true; quote it: "true"',
        "m.yaml:6:24: versions[2]: wanted text, found nothing",
        "m.yaml:6:30: versions[3]: wanted text, found a list",
        "m.yaml:8:3: inner: missing key 'package' (binary package)",
        "m.yaml:8:9: inner.size: wanted a whole number, found the number 3.5",
        'm.yaml:10:16: named.a.package: wanted text, found the number 1; quote it: "1"',
        "m.yaml:10:19: named.a: unknown key 'pakage'; did you mean 'package'?",
        "m.yaml:11:3: duplicate key 'a'; the first is on line 10",
        f"m.yaml:12:1: unknown key 'bogus'; known: {', '.join(Sample.model_fields)}",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: snp", "1:1: missing key 'name' (a short name)"),
        ("# c\n\n  name: 6.10", '3:9: name: wanted text, found the number 6.10; quote it: "6.10"'),
        ("name: 1e3", '1:7: name: wanted text, found the number 1e3; quote it: "1e3"'),
        ("name: -0", '1:7: name: wanted text, found the number -0; quote it: "-0"'),
        ("name:", "1:6: name: wanted text, found nothing"),
        (
            "name: x\nversions: '6.10'",
            "2:11: versions: wanted a list, found the text '6.10'; write it as [\"6.10\"]",
        ),
        (
            "name: x\nversions: a",
            "2:11: versions: wanted a list, found the text 'a'; write it as [a]",
        ),
        ("name: x\nversions: {a: b}", "2:11: versions: wanted a list, found a mapping"),
        ("name: x\ninner: [a]", "2:8: inner: wanted a mapping, found a list"),
        ("name: x\ncount: true", "2:8: count: wanted a whole number, found true"),
        ("name: x\ncount: 0", "2:8: count: wanted 1 or more, found the number 0"),
        (
            "name: x\nkind: 3",
            "2:7: kind: should be 'snp', 'snp-emulated' or 'plain', found the number 3",
        ),
        (
            "name: x\neither: [1]",
            "2:9: either: wanted a whole number, found a list; or wanted text, found a list",
        ),
        ("name: x\n6.10: y", '2:1: a key must be text, found the number 6.10; quote it: "6.10"'),
        ("name: x\nname: y", "2:1: duplicate key 'name'; the first is on line 1"),
        ("name: x\n? [a, b]\n: c", "2:3: a key must be text"),
        ("name: x\n<<: {count: 3}", "2:1: merge keys (<<) are not used here; write the keys out"),
        ("name: !py x", "1:7: the tag '!py' is not used here or does not fit 'x'"),
        (
            "name: x\ncount: !!int z",
            "2:8: the tag 'tag:yaml.org,2002:int' is not used here or does not fit 'z'",
        ),
        ("name: x\nversions: !!set {a, b}", "2:11: the tag 'tag:yaml.org,2002:set' is not used here"),
        ("- name: x", "1:1: wanted a mapping, found a list"),
        ("just text", "1:1: wanted a mapping, found the text 'just text'"),
        ("", "1:1: the file is empty; wanted a mapping"),
        ("# only a comment\n\n", "1:1: the file is empty; wanted a mapping"),
        ("name: x\nversions: &v [*v]", "2:11: this value contains itself through an alias"),
    ],
)
def test_one_mistake(file: Path, text: str, message: str) -> None:
    assert f"m.yaml:{message}" in heads(file, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\n\tcount: 3", "2:1: not valid YAML: a tab; indent with spaces"),
        ("name: x\ninner:\n\tpackage: a", "3:1: not valid YAML: a tab; indent with spaces"),
        (
            "name: x\n  count: 3",
            "2:8: not valid YAML: a second ': ' on this line; wrong indentation, or text that needs quotes",
        ),
        ("name: *nobody", "1:7: not valid YAML: found undefined alias"),
        (
            "name: x\n---\nname: y",
            "2:1: not valid YAML: expected a single document in the stream, but found another document",
        ),
        ("name: x\x00", "1:8: not valid YAML: the character '\\x00'"),
        ("[" * 100_000, "1:51: nested more than 50 deep"),
    ],
)
def test_syntax(file: Path, text: str, message: str) -> None:
    (head,) = heads(file, text)
    assert head.startswith(f"m.yaml:{message}")


def test_an_open_bracket_names_the_line_where_it_opens(file: Path) -> None:
    (head,) = heads(file, "name: x\nversions: [a,\nb\ncount: 3\n")
    assert head.startswith("m.yaml:4:")
    assert "starts on line 2" in head


def test_not_utf8(file: Path) -> None:
    assert heads(file, b"name: x\nkind: \xff\n") == ["m.yaml:2:7: not valid YAML: this byte is not UTF-8"]
    (head,) = heads(file, "name: x".encode("utf-16"))
    assert head == "m.yaml:1:1: not valid YAML: this byte is not UTF-8"


def test_aliases_cannot_make_a_file_enormous(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert nodes._MAX_VALUES < 9**9
    monkeypatch.setattr(nodes, "_MAX_VALUES", 10_000)  # which takes no time
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 10))
    (head,) = heads(file, f"l0: &l0 [a]\n{levels}")
    assert "once its aliases are expanded" in head


def test_a_file_that_cannot_be_read(file: Path, tmp_path: Path) -> None:
    for path in (file, tmp_path):
        with pytest.raises(HarnessError, match="cannot read it: "):
            load(path, Sample)


def test_context_checks_come_together_with_the_others(file: Path) -> None:
    text = "name: debian-6.21\ncuont: 3\n"
    assert heads(file, text, context=["debian-6.12", "debian-7.2", "other"]) == [
        "m.yaml:1:7: name: unknown name 'debian-6.21'; did you mean 'debian-6.12' or 'debian-7.2'?",
        "m.yaml:2:1: unknown key 'cuont'; did you mean 'count'?",
    ]


def test_later_checks_point_into_the_file(file: Path) -> None:
    file.write_text("name: x\nversions:\n  - a\n  - b\nnamed: {k: {package: p}}\n")
    document = load_document(file, Sample)
    assert document.where(("versions", 1)) == "m.yaml:4:5"
    error = document.error_at(("versions", 1), "unknown firmware 'b'")
    assert str(error) == "m.yaml:4:5: unknown firmware 'b'\n      4 |   - b\n        |     ^"
    assert document.problem_at(("named", "k"), "", key=True).column == 9
    assert document.problem_at(("named", "k"), "").column == 12
    assert document.problem_at(("named", "k", "size"), "").column == 12  # absent: what is around it
    both = YamlError([document.problem_at(("versions", 1), "two"), document.problem_at(("name",), "one")])
    assert [problem.message for problem in both.problems] == ["one", "two"]


def test_files_elsewhere_keep_their_full_path(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("kind: plain")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    with pytest.raises(YamlError, match=f"^{file}:1:1: "):
        load(file, Sample)


def test_near() -> None:
    assert near("Debian-2025.2", ["debian-2025.02", "other"]) == "did you mean 'debian-2025.02'?"
    assert near("zzz", ["a", "b"]) == "known: a, b"
    assert near("zzz", []) == "none is known"


def test_json_schema() -> None:
    schema = json_schema(Sample)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["properties"]["name"]["description"] == "a short name"
    assert schema["additionalProperties"] is False
