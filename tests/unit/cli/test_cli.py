# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness``: what it prints and how it ends."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli import entry
from harness.cli.host import host
from harness.cli.parser import COMMANDS, moved, parser
from harness.errors import ExitCode
from harness.platforms.qemu_answers import QemuAnswers
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def plans(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[Any]:
    assert entry.main(["plan", "--json", *arguments]) == 0
    made: list[Any] = json.loads(capsys.readouterr().out)
    return made


def test_plan_of_all_scenarios(stand_ins: Any, capsys: pytest.CaptureFixture[str]) -> None:
    files = list((PROJECT / "scenarios").rglob("*.yaml"))
    assert entry.main(["plan"]) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if re.match(r"[a-z-]+: \d+ cell", line)]
    names = [made["scenario"] for made in plans(capsys)]
    assert [head.partition(":")[0] for head in heads] == names
    assert len(set(names)) == len(files)
    plain = plans(capsys, "--platform", "plain")
    assert {cell["platform"] for made in plain for cell in made["cells"]} == {"plain"}
    assert "not on platform plain" in {gone["reason"] for made in plain for gone in made["removed"]}
    few = plans(capsys, "-k", "first-boot and 5.10 and not plain")
    assert [made["scenario"] for made in few] == ["first-boot"]
    found = {(cell["kernel"], cell["platform"]) for cell in few[0]["cells"]}
    assert found == {("debian-5.10", "snp-emulated")}
    assert stand_ins.built == []


def test_keywords_that_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["plan", "-k", "loaders and"]) == ExitCode.MISTAKE
    assert "harness: -k loaders and: expected" in capsys.readouterr().err


@pytest.mark.usefixtures("stand_ins")
def test_mistakes_are_one_message_and_one_exit_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text("nane: x\ndescription: y\n")
    assert entry.main(["plan", "x.yaml"]) == ExitCode.MISTAKE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("harness: x.yaml:1:1: ")
    assert "unknown key 'nane'; did you mean 'name'?" in err
    assert entry.main(["plan", "absent.yaml"]) == ExitCode.MISTAKE
    assert capsys.readouterr().err == "harness: absent.yaml: cannot read it: No such file or directory\n"


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5"])
@pytest.mark.parametrize("words", [("runs", "-n{}"), ("history", "--runs={}"), ("repro", "x", "--times={}")])
def test_numbers_of_options_are_from_one_on(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], number: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        entry.main([word.format(number) for word in words])
    assert ended.value.code == ExitCode.MISTAKE
    assert f"'{number}' is not a number from 1 on\n" in capsys.readouterr().err


@pytest.mark.usefixtures("stand_ins")
def test_a_plan_of_hardware_is_made_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    (made,) = plans(capsys, "--platform", "snp", "-k", "first-boot and 5.10 and not plain")
    assert {cell["platform"] for cell in made["cells"]} == {"snp"}
    assert {cell["lacks"] for cell in made["cells"]} == {
        "platform snp cannot run here (there is no /dev/sev)"
    }


def commands(made: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield each command that has no verbs, and each verb of the others, with its parser."""
    verbs = [action for action in made._actions if isinstance(action, argparse._SubParsersAction)]
    if not verbs:
        yield name, made
    for action in verbs:
        for word, inner in action.choices.items():
            yield from commands(inner, f"{name} {word}".strip())


def test_whatever_tells_something_tells_it_to_programs_too() -> None:
    """Three make files, one starts gdb, and two print what goes into a file: YAML, JSON."""
    without = {name for name, made in commands(parser()) if "--json" not in made._option_string_actions}
    assert without == {"init", "qemu tree", "qemu export", "debug", "signature draft", "schema"}


@pytest.mark.parametrize("arguments", [["plann"], ["plan", "--platform", "sev"], ["plan", "--form", "text"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        entry.main(arguments)
    assert caught.value.code == ExitCode.MISTAKE
    assert capsys.readouterr().err.startswith("usage: harness")
    assert entry.main([]) == ExitCode.MISTAKE
    assert "exit codes: 0 as expected" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_no_room(option: str) -> None:
    code = (
        f"import sys, harness.cli.entry as e\ntry: e.main([{option!r}])\nexcept SystemExit: pass\n"
        "print(*sorted(name for name in sys.modules if name.startswith('harness.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told, *_, imported = done.stdout.splitlines()
    lean = {"harness.cli", "harness.cli.entry", "harness.cli.parser", "harness.errors"}
    assert set(imported.split()) - {"harness.paths", "harness.version"} == lean
    assert told.startswith("usage: harness" if option == "--help" else "ovmf-acceptance ")


def test_every_command_has_a_module_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in COMMANDS.items():
        with pytest.raises(SystemExit) as caught:
            entry.main([name, "--help"])
        assert caught.value.code == ExitCode.OK
        said = capsys.readouterr().out
        assert said.startswith(f"usage: harness {name} ")
        assert f"{text[0].upper()}{text[1:]}." in said


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("image list", "harness image` is `harness loader"),
        ("build firmware safe-2022.11", "harness build firmware` is `harness build NAME…"),
        ("build image --all", "harness build image` is `harness build LOADER…"),
        ("firmware path safe-2022.11", "harness firmware path` is `harness build NAME"),
        ("firmware why safe-2022.11", "harness firmware why` is `harness why NAME"),
        ("plan x.yaml --format json", "harness plan --format json` is `harness plan --json"),
    ],
)
def test_a_name_that_moved_says_its_new_one(capsys: pytest.CaptureFixture[str], old: str, new: str) -> None:
    assert entry.main(old.split()) == ExitCode.MISTAKE
    assert capsys.readouterr().err == f"harness: `{new}` now\n"
    assert moved(["build", "safe-2022.11"]) == moved(["plan", "--format", "text"]) == ""


@pytest.mark.usefixtures("stand_ins")
def test_a_plan_of_the_cells_with_these_values(capsys: pytest.CaptureFixture[str]) -> None:
    whole = plans(capsys, "--cell", "kernel=debian-6.1,memory=8G,platform=snp")
    found = {(cell["kernel"], cell["memory"], cell["platform"]) for made in whole for cell in made["cells"]}
    assert found == {("debian-6.1", "8G", "snp-emulated")}
    one = "debian-2025.02+debian-6.12+grub-2.06-bookworm+8G+plain"
    both = plans(
        capsys, "--cell", one, "--cell", "kernel=debian-5.10,memory=<=2G", "scenarios/first-boot.yaml"
    )
    assert [cell["id"] for cell in both[0]["cells"]] == [
        "debian-2025.02+debian-5.10+direct+2G+snp-emulated",
        one,
    ]
    assert entry.main(["plan", "-k", "debian-6.1", "scenarios/rollout.yaml"]) == ExitCode.OK
    said = "harness: -k debian-6.1 also took debian-6.12; --cell kernel=debian-6.1 takes it alone\n"
    assert capsys.readouterr().err == said
    assert (
        entry.main(["plan", "-k", "debian-6.1 and not debian-6.12", "scenarios/rollout.yaml"]) == ExitCode.OK
    )
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-k", "zzz"], 5, "no cell of these scenarios matches"),
        (["--cell", "kernel=debian-6.12,vcpus=4096"], 5, "no cell of these scenarios matches"),
        (
            ["--cell", "kernel=debian-6.1x"],
            4,
            "--cell kernel=debian-6.1x: kernel: unknown kernel 'debian-6.1x'",
        ),
        (["--cell", "krnel=x"], 4, "krnel=x: unknown axis 'krnel'\n  did you mean 'kernel'?"),
        (["--cell", "memory=8"], 4, "--cell memory=8: memory: the memory size 8 has no unit"),
        (
            ["--cell", "platform=snq"],
            4,
            "--cell platform=snq: platform: unknown platform 'snq'; did you mean",
        ),
        (["-k", "no-termination"], 5, "no cell of these scenarios matches; no-termination: see which"),
        (["--cell", "debian-6.1"], 4, "--cell debian-6.1: neither a cell's id nor AXIS=VALUE"),
    ],
)
def test_a_plan_of_nothing(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert entry.main(["plan", *arguments]) == code
    assert f"harness: {said}" in capsys.readouterr().err


@pytest.mark.usefixtures("stand_ins")
def test_a_plan_says_what_a_run_takes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert entry.main(["plan", "scenarios/first-boot.yaml"]) == ExitCode.OK
    assert capsys.readouterr().out.startswith("first-boot: 6 cells, a run takes all of them, ")
    assert entry.main(["plan", "scenarios/rollout-all.yaml"]) == ExitCode.OK
    assert re.match(r"rollout-all: \d+ cells, \d+ without --full \(marked \*\)", capsys.readouterr().out)
    monkeypatch.chdir(tmp_path)
    assert entry.main(["plan", "-k", "first-boot"]) == ExitCode.OK
    assert f"no harness.toml in or above {tmp_path}: these are the shipped" in capsys.readouterr().err
    (tmp_path / "harness.toml").write_text('name = "own"\n')
    assert entry.main(["plan"]) == ExitCode.MISTAKE
    assert f"harness: there is no scenario in {tmp_path}/scenarios" in capsys.readouterr().err


@pytest.mark.usefixtures("stand_ins")
def test_host(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "c"))
    answers = QemuAnswers("11.1.3", frozenset({"sev-snp-guest"}), resets=True)
    monkeypatch.setattr(host, "qemus", lambda *_: {"built": answers, "host": "not installed"})
    assert entry.main(["host"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "platform plain: runs here",
        "platform sev-emulated: runs here",
        "platform sev-es-emulated: runs here",
        "platform snp: there is no /dev/sev",
        "platform snp-emulated: runs here",
        "qemu built: QEMU 11.1.3 has sev-snp-guest, takes no IGVM files, launches guests anew on reset",
        "qemu host: not installed",
        f"cache: {tmp_path}/c",
        f"shipped recipes and scenarios: {PROJECT}",
    ]
    assert entry.main(["host", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["platforms"]["snp"] == {"runs": False, "lacking": ["there is no /dev/sev"]}
    assert told["cache"] == f"{tmp_path}/c"
    built = {"version": "11.1.3", "objects": ["sev-snp-guest"], "igvm": False, "resets": True}
    assert told["qemus"] == {"built": built, "host": {"lacking": "not installed"}}
