# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The EFI probe: its options in both languages, its image, its recipes and its document."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.guest.initramfs import CMDLINE
from harness.artifacts.probe import SOURCES, probe_traits, resolve_probe
from harness.boot.cell_machine import machine_spec
from harness.debian.archive import AptRoot
from harness.documents.document import YamlError
from harness.errors import HarnessError
from harness.evidence.efi_probe import parse_probe, type_name
from harness.evidence.problems import EvidenceError
from harness.matrix.cell import Cell
from harness.paths import Project
from harness.platforms.host import Host
from harness.recipes.catalog import load_catalog
from harness.recipes.probe import ProbeRecipe
from harness.recipes.probe_options import USABLE, WRONG, ProbeOptions, parse_probe_options
from tests.support.data import DATA, PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = DATA / "efi-probe"
GOOD = (
    "",
    "allow=2 allow-when=after-map lookup-only",
    "ebs=32 stale=3 retry=fresh-buffer",
    "full-pool ebs=0 retry=same-buffer allow-when=before-map",
    "accept=64 touch=usable touch=unaccepted step=512",
    "  accept=all   touch=3 ",
    "touch=all accept=1099511627776",
    "own=1048576 wrong=twice",
    "own=16 wrong=share touch=all",
)
BAD = (
    "allow=3",
    "allow=",
    "allow",
    "alow=1",
    "allow=1x",
    "allow-when=never",
    "ebs=33",
    "ebs=-1",
    "ebs=99999999999999999999999",
    "retry=buffer",
    "accept=al",
    "accept=1099511627777",
    "touch=16",
    "own=1048577",
    "wrong=right",
    "touch=everything",
    "step=0",
    "lookup-only=1",
    "full-pool=1",
    "=1",
)
# The program of the probe that reads options, on the host: it prints what it understood.
MAIN = """
#include "options.h"
int printf(const char *, ...); /* <stdio.h> has other definitions of the probe's types */
int putchar(int);
void put(const char *text) { printf("%s", text); }
void put_word(const u16 *word, u64 length) { while (length--) putchar(*word++); }
int main(int argc, char **argv)
{
    struct options o;
    u16 text[512];
    u64 length = 0;
    for (char *c = argc > 1 ? argv[1] : ""; *c; c++)
        text[length++] = (u8)*c;
    parse_options(&o, text, length);
    printf("\\n%lu %lu %lu %lu %lu ", o.allow, o.late, o.lookup, o.exits, o.stale);
    printf("%lu %lu %lu %lu ", o.fresh, o.full, o.accept_mib, o.own);
    printf("%lu %lu %lu\\n", o.wrong, o.touch, o.step);
}
"""


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """Give the probe's own parser: the words that it refuses, then the values."""
    folder = tmp_path_factory.mktemp("options")
    (folder / "main.c").write_text(MAIN)
    sources = [str(folder / "main.c"), str(PROJECT / SOURCES / "options.c")]
    command = ["gcc", "-I", str(PROJECT / SOURCES), "-o", str(folder / "options"), *sources]
    subprocess.run(command, check=True, capture_output=True)

    def run(text: str) -> list[str]:
        done = subprocess.run([folder / "options", text], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    return run


@pytest.mark.parametrize("text", GOOD)
def test_both_parsers_understand_the_same(in_c: Callable[[str], list[str]], text: str) -> None:
    refused, values = in_c(text)
    assert refused == ""
    allow, late, lookup, exits, stale, fresh, full, accept, own, wrong, touch, step = map(int, values.split())
    types = frozenset(bit for bit in range(64) if touch >> bit & 1)
    wanted = (allow, bool(late), bool(lookup), exits, stale, bool(fresh), bool(full), accept, own)
    assert parse_probe_options(text) == ProbeOptions(*wanted, ("", *WRONG)[wrong], types, step)


@pytest.mark.parametrize("word", BAD)
def test_both_parsers_refuse_the_same(in_c: Callable[[str], list[str]], word: str) -> None:
    assert in_c(f"allow=1 {word} ebs=4")[0] == word
    with pytest.raises(ValueError, match=word.partition("=")[0] or word):
        parse_probe_options(f"allow=1 {word} ebs=4")


def test_usable_memory_is_what_linux_takes() -> None:
    names = {"Loader Code", "Loader Data", "Boot Code", "Boot Data", "Conventional"}
    assert {type_name(number) for number in USABLE} == names
    assert type_name(15) == "Unaccepted"
    assert type_name(0x7000_0001) == "type=1879048193"


def test_the_options_decide_the_traits() -> None:
    assert probe_traits("allow=1").unaccepted_memory
    assert not probe_traits("lookup-only").unaccepted_memory
    assert probe_traits("").probe


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AptRoot:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return AptRoot(progress=lambda _line: None)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give a project that has the probe's sources alone."""
    shutil.copytree(PROJECT / SOURCES, tmp_path / "project" / SOURCES)
    return Project((tmp_path / "project",))


RECIPE = ProbeRecipe(name="p", options="allow=1")


def test_the_image_is_one_that_firmware_loads(apt: AptRoot, project: Project) -> None:
    kernel = resolve_probe(RECIPE, project, apt)
    assert (kernel.name, kernel.words) == ("p", "allow=1")
    image = kernel.path.read_bytes()
    (pe,) = struct.unpack_from("<I", image, 0x3C)
    assert (image[:2], image[pe : pe + 4]) == (b"MZ", b"PE\0\0")
    machine, count = struct.unpack_from("<HH", image, pe + 4)
    magic, subsystem, headers = (
        struct.unpack_from(f, image, pe + 24 + at)[0] for f, at in (("<H", 0), ("<H", 68), ("<I", 60))
    )
    assert (machine, magic, subsystem) == (0x8664, 0x20B, 10)  # x86-64, PE32+, EFI application
    for number in range(count):
        address, _size, raw = struct.unpack_from("<III", image, pe + 24 + 240 + 40 * number + 12)
        assert address >= headers  # edk2's loader refuses a section below the end of the headers
        assert raw >= headers
    # QEMU takes this byte for a Linux kernel's number of setup sectors, 0 for 4 of them.
    assert image[0x1F1] == 0
    assert len(image) > 5 * 512


def test_the_image_is_made_once_and_the_same_each_time(
    apt: AptRoot, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = resolve_probe(RECIPE, project, apt).path
    assert resolve_probe(RECIPE, project, apt).path == first
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "elsewhere"))
    again = resolve_probe(RECIPE, project, AptRoot(progress=lambda _line: None)).path
    assert again != first
    assert again.read_bytes() == first.read_bytes()
    with (project.one(SOURCES) / "probe.c").open("a") as file:
        file.write("const int changed = 1;\n")
    assert resolve_probe(RECIPE, project, apt).path != first


def test_a_source_that_does_not_compile_is_told_in_short(apt: AptRoot, project: Project) -> None:
    with (project.one(SOURCES) / "map.c").open("a") as file:
        file.write("int x = y;\n" * 100)
    with pytest.raises(
        HarnessError, match=r"does not build\n  map.c:\d+:\d+: error: .y. undeclared"
    ) as caught:
        resolve_probe(RECIPE, project, apt)
    assert len(str(caught.value).splitlines()) < 15


def test_a_missing_tool_is_named(apt: AptRoot, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(HarnessError, match=r"gcc is not installed\n.*apt-get install gcc binutils"):
        resolve_probe(RECIPE, project, apt)


def test_shipped_recipes() -> None:
    catalog = load_catalog()
    probes = {name for name, recipe in catalog.kernels.items() if isinstance(recipe, ProbeRecipe)}
    assert {"efi-probe-eager", "efi-probe-lazy"} <= probes <= catalog.known().names("kernel")


def test_mistakes_in_recipes_have_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    guest = tmp_path / "guest-images"
    guest.mkdir()
    source = "{prebuilt: {package: linux-image-1, suite: trixie}}"
    (guest / "kernels.yaml").write_text(f"kernels:\n  - {{name: k, source: {source}}}\n")
    (guest / "efi-probe.yaml").write_text(
        "probes:\n  - {name: p, options: alow=1}\n  - {name: q, options: ebs=99}\n  - {name: r, option: x}\n"
    )
    with pytest.raises(YamlError) as caught:
        load_catalog(Project((tmp_path,)))
    told = str(caught.value)
    assert "efi-probe.yaml:2:24: probes[0].options: unknown option 'alow=1'; did you mean 'allow='" in told
    assert "efi-probe.yaml:3:24: probes[1].options: ebs: '99' is no whole number from 0 to 32" in told
    assert "efi-probe.yaml:4:15: probes[2]: unknown key 'option'; did you mean 'options'?" in told
    (guest / "efi-probe.yaml").write_text("probes:\n  - {name: k}\n")
    with pytest.raises(YamlError, match=r"the name 'k' is taken by the recipe at guest-images/kernels.yaml"):
        load_catalog(Project((tmp_path,)))


DOCUMENT: dict[str, Any] = json.loads((SAMPLES / "lazy.json").read_text())


def test_document() -> None:
    probe = parse_probe(DOCUMENT)
    assert probe.options == parse_probe_options("allow=1 touch=all step=512")
    assert probe.left is probe.attempts[0]
    last = probe.start.entries[-1]
    assert [when for when, _map in probe.maps] == ["at the start", "before ExitBootServices call 1"]
    high = next(entry for entry in probe.start.entries if entry.start == 1 << 32)
    assert (high.type, high.size, high.attributes) == (
        "Unaccepted",
        769 << 20,
        frozenset({"UC", "WC", "WT", "WB"}),
    )
    assert high.line == "Unaccepted [0x100000000-0x1300fffff] attributes 0xf (UC WB WC WT)"
    assert last.type == "Reserved"


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("schema",), 2, "schema"),
        (("program",), "linux", "program"),
        (("cmdline",), None, "cmdline"),
        (("surprise",), 1, "surprise"),
        (("start", "key"), 12, "start.key"),
        (("start", "key"), "0x1ffffffffffffffff", "start.key"),
        (("start", "entries", 0, 2), 0, "start.entries.0"),
        (("start", "entries", 0, 2), "1", "start.entries.0"),
        (("start", "entries", 0, 1), "0x7", "start.entries.0"),
        (("start", "entries", 0, 1), "0xfffffffffffff000", "start.entries.0"),
        (("start", "entries", 0), [7, "0x0", 1], "start.entries.0"),
        (("attempts", 0, "status"), "success", "attempts.0.status"),
        (("attempts", 0, "exit_events"), -1, "attempts.0.exit_events"),
        (("touched", 0, "fault"), {}, "touched.0.fault"),
        (("tables", 0), "no guid", "tables.0"),
    ],
)
def test_a_damaged_document_is_refused_by_place(path: tuple[Any, ...], value: object, told: str) -> None:
    document = deepcopy(DOCUMENT)
    here: Any = document
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    with pytest.raises(EvidenceError, match=f"not of schema 1: {told}"):
        parse_probe(document)


def test_a_document_of_a_newer_probe_is_refused() -> None:
    with pytest.raises(EvidenceError, match="command line: unknown option 'dance=1'"):
        _ = parse_probe({**DOCUMENT, "cmdline": "dance=1"}).options
    with pytest.raises(EvidenceError, match="not of schema 1: attempts: Field required"):
        parse_probe({key: value for key, value in DOCUMENT.items() if key != "attempts"})


@pytest.mark.parametrize(
    ("words", "cmdline", "initrd"), [("allow=1", "allow=1 step=2", None), (None, None, "/i")]
)
def test_the_probe_gets_its_options_and_no_initrd(
    words: str | None, cmdline: str | None, initrd: str | None
) -> None:
    traits = SimpleNamespace(kernel_hashes=False)
    file = SimpleNamespace(path=Path("/f"), words=words, traits=traits, require=lambda *_: None)
    ingredients: Any = SimpleNamespace(
        qemu=Path("/q"),
        firmware=lambda _name: file,
        kernel=lambda _name: file,
        initrd_of=lambda _guest: Path("/i"),
        loader_recipe=load_catalog().loader_recipe,
        catalog=load_catalog(),
    )
    cell = Cell("fw", "p", "direct", 4096, "snp-emulated", cmdline="step=2")
    spec = machine_spec(cell, ingredients, Host())
    assert spec.initrd == (Path(initrd) if initrd else None)
    assert spec.cmdline == (cmdline or f"{CMDLINE} step=2")
