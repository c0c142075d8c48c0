# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Tests of somebody's own: dimensions, the ladder from a cell to its checks, and what they share."""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ExitCode, HarnessError
from tests.support.data import DATA, PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EMULATED = "debian-2025.02+debian-5.10+direct+2G+snp-emulated"
PLAIN = "debian-2025.02+debian-6.1+direct+2G+plain"
RECORDS = DATA / "records"
HEAD = "import pytest\nfrom dataclasses import replace\nfrom harness import Check, Cell, HarnessError\n"
ON_PLAIN = '@pytest.mark.cell(kernel="debian-6.1", memory="2G", platform="plain")\n'
ON_EMULATED = '@pytest.mark.cell(kernel="debian-5.10", memory="2G")\n'

pytestmark = pytest.mark.usefixtures("stand_ins")


def run(pytester: pytest.Pytester, code: str, *arguments: str | Path) -> tuple[pytest.RunResult, str]:
    """Run tests written in ``code`` in this process; a message for the user never has a traceback."""
    pytester.makepyfile(test_own=HEAD + code)
    result = pytester.runpytest_inprocess("-ra", *arguments)
    text = f"{result.stdout}\n{result.stderr}"
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    return result, text


def ids(pytester: pytest.Pytester, code: str, *arguments: str) -> list[str]:
    """Return what stands in brackets behind the collected tests' names."""
    result, text = run(pytester, code, "--collect-only", "-q", *arguments)
    assert result.ret == 0, text
    return re.findall(r"^test_own\.py::test_\w+\[(.*)\]$", text, re.MULTILINE)


def test_the_usual_cell(pytester: pytest.Pytester) -> None:
    assert ids(pytester, "def test_it(cell): pass") == ["debian-2025.02+debian-6.12+direct+4G+snp-emulated"]


def test_lists_multiply(pytester: pytest.Pytester) -> None:
    code = '@pytest.mark.cell(kernel=["debian-6.1", "debian-5.10"], memory=["2G", "8G"], platform="plain")\n'
    assert ids(pytester, f"{code}def test_it(cell): pass") == [
        f"debian-2025.02+{kernel}+direct+{memory}+plain"
        for kernel in ("debian-6.1", "debian-5.10")
        for memory in ("2G", "8G")
    ]
    code = (
        '@pytest.mark.cell(kernel=">=7.3", vcpus=2, cmdline="x=1", action="drain", guest="debian-trixie")\n'
    )
    (found,) = ids(pytester, f"{code}def test_it(cell): pass")
    assert re.fullmatch(
        r"debian-2025\.02\+debian-7\.3\+direct\+4G\+snp-emulated\+2cpu\+x-1-\w{6}\+drain\+debian-trixie",
        found,
    )


def test_the_nearest_mark_counts_axis_by_axis(pytester: pytest.Pytester) -> None:
    code = (
        'pytestmark = pytest.mark.cell(kernel="debian-6.1", memory="8G")\n'
        '@pytest.mark.cell(memory="2G")\nclass TestIt:\n'
        '    @pytest.mark.cell(platform="plain")\n    def test_it(self, cell): pass\n'
        "    def test_other(self): pass\n"
    )
    result, text = run(pytester, code, "--collect-only", "-q")
    assert result.ret == 0
    assert f"test_own.py::TestIt::test_it[{PLAIN}]\ntest_own.py::TestIt::test_other\n" in text


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (
            ["--loader", "grub-2.12", "--memory", "2G"],
            ["debian-2025.02+debian-5.10+grub-2.12+2G+snp-emulated"],
        ),
        (
            ["--memory", "2G", "--memory", "8G"],
            [
                "debian-2025.02+debian-5.10+direct+2G+snp-emulated",
                "debian-2025.02+debian-5.10+direct+8G+snp-emulated",
            ],
        ),
        (["--platform", "plain"], ["debian-2025.02+debian-5.10+direct+2817M+plain"]),
    ],
)
def test_the_command_line_takes_the_place_of_marks(
    pytester: pytest.Pytester, arguments: list[str], found: list[str]
) -> None:
    code = '@pytest.mark.cell(kernel="debian-5.10", memory="2817M")\ndef test_it(cell): pass'
    assert ids(pytester, code, *arguments) == found


def test_a_platform_that_the_run_does_not_want(pytester: pytest.Pytester) -> None:
    code = f"{ON_PLAIN}def test_it(record): pass"
    result, text = run(pytester, code, "--platform", "snp-emulated")
    result.assert_outcomes(skipped=1)
    assert "not on platform snp-emulated" in text
    several = (
        '@pytest.mark.cell(platform=["snp", "plain"])\ndef test_it(cell): assert cell.platform == "plain"'
    )
    run(pytester, several, "--platform", "plain")[0].assert_outcomes(passed=1)


def test_dimensions_are_fixtures(pytester: pytest.Pytester) -> None:
    """What a test sees is as a scenario writes it; a test that asks for some has these alone in its id."""
    code = (
        "@pytest.mark.cell(vcpus=2)\n"
        "def test_all(firmware, kernel, loader, memory, platform, vcpus, cmdline, action, guest_image):\n"
        '    assert (firmware, kernel, loader, memory) == ("debian-2025.02", "debian-6.12", "direct", "4G")\n'
        '    assert (platform, vcpus, cmdline, action) == ("snp-emulated", 2, "", "")\n'
        '    assert guest_image == "initramfs"\n'
        '@pytest.mark.cell(memory=["2G", "8G"])\ndef test_one(memory, vcpus): assert memory in {"2G", "8G"}\n'
    )
    run(pytester, code)[0].assert_outcomes(passed=3)
    assert ids(pytester, code)[1:] == ["2G", "8G"]


@pytest.mark.parametrize(
    "own",
    [
        '@pytest.fixture\ndef memory(): return "8G"',
        '@pytest.fixture(scope="module")\ndef memory(): return "8G"',
        '@pytest.fixture(params=["8G"])\ndef memory(request): return request.param',
        '@pytest.fixture\ndef memory(memory): return {"4G": "8G"}[memory]',
    ],
)
def test_a_modules_own_dimension(pytester: pytest.Pytester, own: str) -> None:
    code = (
        f'{own}\ndef test_it(cell, memory):\n    assert cell.memory_mib == 8192\n    assert memory == "8G"\n'
    )
    result, text = run(pytester, code, "-v", "--memory", "4G")
    result.assert_outcomes(passed=1)
    assert "test_it[debian-2025.02+debian-6.12+direct+snp-emulated" in text


def test_a_mark_is_nearer_than_a_modules_own_dimension(pytester: pytest.Pytester) -> None:
    code = (
        '@pytest.fixture\ndef memory(): return "8G"\n@pytest.mark.cell(memory="2G")\ndef test_it(cell): pass'
    )
    assert ids(pytester, code) == ["debian-2025.02+debian-6.12+direct+2G+snp-emulated"]
    code = '@pytest.mark.parametrize("memory", ["2G", "8G"])\ndef test_it(cell, memory): pass'
    assert len(ids(pytester, code)) == 2


def test_an_own_cell(pytester: pytest.Pytester, stand_ins: Any) -> None:
    code = (
        '@pytest.fixture\ndef cell(): return Cell("debian-2025.02", "debian-6.1", "direct", 2048, "plain")\n'
        "def test_it(cell, record, check):\n    assert record.cell == cell.id\n    check('no-sev')\n"
    )
    run(pytester, code)[0].assert_outcomes(passed=1)
    assert stand_ins.booted == [PLAIN]


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ('kernel="debian-6.13"', r"kernel: unknown kernel 'debian-6\.13'; did you mean 'debian-6\.1'"),
        ('memroy="2G"', r"unknown axis 'memroy'; did you mean 'memory'\?"),
        ("memory=2048", r"memory: the memory size 2048 has no unit; write 2048M or 2048G"),
        ('kernel=["debian-6.1", "debian-6.1"]', r"kernel\[1\]: debian-6\.1 is on this axis already"),
        ("kernel=6.12", r"kernel: wanted text, found the number 6\.12; quote it"),
        ("kernel=[]", r"kernel: wanted at least 1 item"),
        ("kernel=object()", r"Object of type object is not JSON serializable"),
        ('"debian-6.12"', r"cell takes axes by name\n  write cell\(kernel="),
    ],
)
def test_mistakes_in_a_mark(pytester: pytest.Pytester, mark: str, said: str) -> None:
    result, text = run(pytester, f"\n@pytest.mark.cell({mark})\ndef test_it(cell): pass")
    assert result.ret == ExitCode.MISTAKE
    assert len(re.findall(rf"^test_own\.py:5: (?:cell: )?{said}", text, re.MULTILINE)) == 1
    assert "harness/" not in text


def test_other_mistakes(pytester: pytest.Pytester) -> None:
    _, text = run(pytester, "@pytest.mark.cell(memory='2G')\ndef test_it(tmp_path): pass")
    assert "test_own.py:4: the mark cell changes nothing\n  ask for a fixture that the cell is for" in text
    _, text = run(pytester, "@pytest.mark.firmware('stock')\ndef test_it(firmware): pass")
    assert "test_own.py:4: the mark firmware has moved\n  write cell(firmware=NAME)" in text
    _, text = run(pytester, "def test_it(cell): pass", "--platform", "snp")
    assert text.count("--platform snp: this host cannot run SEV-SNP guests (there is no /dev/sev)") == 1
    _, text = run(pytester, "def test_it(cell): pass", "--memory", "8")
    assert "--memory: the memory size 8 has no unit; write 8M or 8G" in text


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            '@pytest.fixture\ndef memory(): return ["2G", "8G"]\ndef test_it(cell): pass',
            "test_own.py:6: wanted one value on each axis, found memory 2G, 8G",
        ),
        (
            "@pytest.fixture\ndef memory(memory): return memory\n\ndef test_it(cell): pass",
            "test_own.py:7: cell: memory: wanted one value, found 2: 2G, 8G\n  name one",
        ),
        (
            '@pytest.fixture\ndef kernel(): return "debian-6.13"\ndef test_it(cell): pass',
            "test_own.py:6: kernel: unknown kernel 'debian-6.13'; did you mean",
        ),
    ],
)
def test_mistakes_that_a_run_shows(pytester: pytest.Pytester, code: str, said: str) -> None:
    arguments = ["--memory", "2G", "--memory", "8G"] if "memory(memory)" in code else []
    result, text = run(pytester, code, *arguments)
    result.assert_outcomes(errors=1)
    assert text.count(said) == 1
    assert "harness/" not in text


def test_tests_and_scenarios_share_a_boot(pytester: pytest.Pytester, stand_ins: Any) -> None:
    folder = pytester.mkdir("scenarios")
    (folder / "one.yaml").write_text(
        "name: one\ndescription: which?\n"
        "include: [{firmware: debian-2025.02, kernel: debian-6.1, memory: 2G, platform: plain}]\n"
    )
    code = (
        f"{ON_PLAIN}def test_one(record, cell): assert record.cell == cell.id\n"
        f"{ON_PLAIN}def test_two(evidence): assert evidence.guest.kernel.release\n"
        f"{ON_EMULATED}def test_three(boot, cell):\n"
        '    assert boot().record.ending.kind == "guest-panic"\n'
        '    assert boot(replace(cell, kernel="debian-6.1", platform="plain")).evidence.guest\n'
    )
    result, text = run(pytester, code, "scenarios", ".", "--records", "here")
    assert result.parseoutcomes().keys() == {"passed"}
    assert sorted(stand_ins.booted) == [EMULATED, PLAIN]
    assert sorted(path.name for path in (pytester.path / "here").iterdir()) == [EMULATED, PLAIN]
    assert f"boot records: {pytester.path}/here" in text


def test_boots_are_queued_before_the_first_test_runs(pytester: pytest.Pytester, stand_ins: Any) -> None:
    """Those of which the record is asked for; what a module's own fixtures decide is not known before."""
    code = (
        "def test_plain(): pass\n"
        f"{ON_PLAIN}def test_one(check): pass\n"
        f"{ON_EMULATED}def test_two(record): pass\n"
        f"{ON_EMULATED}@pytest.mark.skip(reason='x')\ndef test_three(record): pass\n"
        '@pytest.mark.cell(kernel="debian-6.12", memory="2G")\ndef test_four(boot): pass\n'
    )
    result, _ = run(pytester, code)
    result.assert_outcomes(passed=4, skipped=1)
    assert sorted(stand_ins.booted) == [EMULATED, PLAIN]
    stand_ins.booted.clear()
    run(
        pytester,
        f"@pytest.fixture\ndef record(): return 1\n{ON_PLAIN}def test_one(record): assert record == 1",
    )
    assert stand_ins.booted == []


def test_collecting_builds_and_boots_nothing(pytester: pytest.Pytester, stand_ins: Any) -> None:
    assert ids(pytester, f"{ON_PLAIN}def test_one(record): pass\n{ON_PLAIN}def test_two(guest): pass") == [
        PLAIN,
        f"{PLAIN}+debian-trixie",
    ]
    assert (stand_ins.booted, stand_ins.built) == ([], [])
    assert not (pytester.path / "out").exists()


def test_an_own_machine_is_an_own_boot(pytester: pytest.Pytester, stand_ins: Any) -> None:
    code = (
        "@pytest.fixture\ndef spec(spec): return replace(spec, vcpus=4)\n"
        f"{ON_PLAIN}def test_own(record): assert 'test_own.py-test_own-' in record.path.name\n"
        f"{ON_PLAIN}def test_more(boot, spec, record):\n"
        "    assert boot(spec=replace(spec, vcpus=2)).record.path != record.path\n"
    )
    run(pytester, code, "--records", "here")[0].assert_outcomes(passed=2)
    assert stand_ins.booted == [PLAIN] * 3
    names = sorted(path.name for path in (pytester.path / "here").iterdir())
    assert [name.split("-")[1] for name in names] == ["test_more", "test_more", "test_own"]
    assert names[1].startswith(names[0])
    run(pytester, code, "--replay", "here")[0].assert_outcomes(passed=1, skipped=1)


def test_replay(pytester: pytest.Pytester, stand_ins: Any, records: Path) -> None:
    code = (
        f"{ON_PLAIN}def test_one(record, evidence, check):\n"
        "    check('no-sev')\n    assert record.path == evidence.record.path\n"
        f"{ON_EMULATED}def test_two(check): check('no-userspace')\n"
        "def test_three(record): pass\n"
        f"{ON_PLAIN}def test_four(machine): pass\n"
        f"{ON_PLAIN}def test_five(guest): pass\n"
        f"{ON_PLAIN}def test_six(boot, cell): assert boot(cell).record\n"
    )
    result, text = run(pytester, code, "--replay", records)
    result.assert_outcomes(passed=3, skipped=3)
    assert text.count(f"--replay {records}: no machine runs in a replay") == 2
    assert (
        f"--replay {records}: it holds no record of debian-2025.02+debian-6.12+direct+4G+snp-emulated" in text
    )
    assert stand_ins.booted == []
    result, text = run(pytester, "def test_three(record): pass\n", "--replay", records)
    assert f"ERROR: --replay {records}: it holds no boot record of a selected cell" in text


def test_required_platforms(pytester: pytest.Pytester) -> None:
    code = f"{ON_PLAIN}def test_one(record): pass\n"
    run(pytester, code, "--require-platform", "plain")[0].assert_outcomes(passed=1)
    _, text = run(pytester, code, "--require-platform", "snp-emulated")
    assert "--require-platform snp-emulated: no selected cell runs on it" in text


def test_findings(pytester: pytest.Pytester, records: Path) -> None:
    line = "Memory Encryption Features active: AMD SEV SEV-ES SEV-SNP"
    with (records / PLAIN / "serial.log").open("a") as log:
        log.write(f"[    0.500000] {line}\r\n")
    code = (
        "def two(evidence):\n    yield 'first'\n    yield 'second'\n"
        f"{ON_PLAIN}def test_stock(check): check('no-sev')\n"
        f"{ON_PLAIN}def test_own(check): check(Check('mine', 'Is it?', two))\n"
        f"{ON_PLAIN}def test_other(check, boot): check('no-sev', boot().evidence)\n"
        f"{ON_PLAIN}def test_good(check): check(Check('mine', 'Is it?', lambda evidence: iter(())))\n"
    )
    result, text = run(pytester, code, "--replay", records)
    result.assert_outcomes(failed=3, passed=1)
    finding = f"no-sev: a plain guest speaks of SEV\n    {line}\n\nboot record: {records / PLAIN}\n"
    assert text.count(finding) == 2
    assert f"mine: first\nmine: second\n\nboot record: {records / PLAIN}\n" in text
    assert "test_own.py:" not in re.sub(r"(FAILED|^) test_own.py::.*", "", text)


def test_a_boot_that_ended_wrongly_passes_no_check(
    pytester: pytest.Pytester, records: Path, edit_index: Callable[..., None]
) -> None:
    edit_index(records / PLAIN, kind="hang", phase="kernel", detail="no console byte for 9 s")
    code = (
        f"{ON_PLAIN}def test_record(record): assert record.ending.kind == 'hang'\n"
        f"{ON_PLAIN}def test_first(check): check('reaches-userspace')\n"
        f"{ON_PLAIN}def test_other(check): check('no-ledger')\n"
    )
    result, text = run(pytester, code, "--replay", records)
    result.assert_outcomes(failed=2, passed=1)
    assert "reaches-userspace: the boot ended as hang in phase kernel" in text
    assert (
        "test_own.py:9: def test_other(check): check('no-ledger')\n"
        "no-ledger: there is nothing to judge: the boot ended as hang in phase kernel: "
        "no console byte for 9 s\n"
        f"  boot record: {records / PLAIN}\n"
    ) in text


def test_an_unknown_check(pytester: pytest.Pytester) -> None:
    result, text = run(pytester, f"{ON_PLAIN}def test_it(check):\n    check('no-alarm')\n")
    result.assert_outcomes(failed=1)
    assert "test_own.py:6: check('no-alarm')\nunknown check 'no-alarm'; did you mean 'no-alarms'" in text


def test_what_the_platform_cannot_show(pytester: pytest.Pytester, records: Path) -> None:
    (records / EMULATED).rename(records / EMULATED.replace("-emulated", ""))
    index = records / EMULATED.replace("-emulated", "") / "boot.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"platform": "snp"}))
    result, text = run(
        pytester, f"{ON_EMULATED}def test_it(check): check('ledger-whole')\n", "--replay", records
    )
    result.assert_outcomes(skipped=1)
    assert "exact ledger" in text


def test_a_boot_that_fails_is_told_without_a_traceback(pytester: pytest.Pytester, stand_ins: Any) -> None:
    stand_ins.failures[PLAIN] = HarnessError(
        "QEMU did not start: code 1", "its whole output is in x/qemu.log"
    )
    code = (
        f"{ON_PLAIN}def test_one(record): pass\n"
        f"{ON_PLAIN}def test_two(boot):\n    one = boot()\n    assert one.record\n"
    )
    result, text = run(pytester, code)
    result.assert_outcomes(errors=1, failed=1)
    said = "QEMU did not start: code 1\n  its whole output is in x/qemu.log\n"
    assert text.count(said) == 2
    assert f"test_own.py:9: assert one.record\n{said}" in text
    assert stand_ins.booted == [PLAIN]
    assert "harness/" not in text


def test_an_ingredient_that_cannot_be_had_is_told_once(pytester: pytest.Pytester, stand_ins: Any) -> None:
    stand_ins.failures["debian-6.1"] = HarnessError("could not fetch it", "check the network")
    result, text = run(
        pytester, f"{ON_PLAIN}def test_one(record): pass\n{ON_PLAIN}def test_two(record): pass\n"
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert text.count("could not fetch it\n  check the network") == 1


def test_a_guest_without_a_server(pytester: pytest.Pytester) -> None:
    result, text = run(
        pytester, '@pytest.mark.cell(kernel="debian-6.1", guest="initramfs")\ndef test_it(guest): pass'
    )
    result.assert_outcomes(errors=1)
    assert 'no SSH server runs in initramfs\n  write cell(guest="debian-trixie")' in text


def test_tests_that_run_a_guest_go_last(pytester: pytest.Pytester) -> None:
    code = (
        f"{ON_PLAIN}def test_guest(guest): pass\n{ON_PLAIN}def test_machine(machine): pass\n"
        f"{ON_PLAIN}def test_record(record): pass\ndef test_none(): pass\n"
        "@pytest.fixture\ndef machine(cell): pass\n@pytest.fixture\ndef guest(cell): pass\n"
    )
    _, text = run(pytester, code, "-v")
    assert re.findall(r"::test_(\w+)", text)[:4] == ["none", "record", "guest", "machine"]


def test_every_fixture_says_what_it_gives_and_how_to_override_it(pytester: pytest.Pytester) -> None:
    text = str(pytester.runpytest_inprocess("--fixtures", "-v").stdout)
    for name in (
        *("firmware", "kernel", "loader", "memory", "vcpus", "platform", "cmdline", "action", "guest_image"),
        *("cell", "spec", "boot", "record", "evidence", "check", "machine", "guest"),
    ):
        found = re.search(rf"^{name} -- \S+harness/pytest_plugin/\S+\n((?:    .*\n|\n)+)", text, re.MULTILINE)
        assert found, name
        assert "efine" in " ".join(found[1].split()), name


def test_another_projects_fixtures_are_left_alone(pytester: pytest.Pytester) -> None:
    code = (
        "@pytest.fixture(params=[1, 2])\ndef memory(request): return request.param\n"
        "@pytest.fixture\ndef cell(memory): return memory\n"
        "@pytest.mark.cell\ndef test_it(cell): assert cell in {1, 2}\n"
    )
    result, text = run(pytester, code.replace("@pytest.mark.cell\n", ""), "-v")
    result.assert_outcomes(passed=2)
    assert "test_it[1]" in text


def test_workers(pytester: pytest.Pytester, records: Path) -> None:
    """Tests of one cell go to one worker; another's own parameters do not hide that they share it."""
    code = (
        f"{ON_PLAIN}@pytest.mark.parametrize('n', range(4))\ndef test_one(record, n): assert record.cell\n"
        f"{ON_PLAIN}def test_two(check): check('no-sev')\n"
        f"{ON_EMULATED}def test_three(evidence): assert evidence.cell.platform == 'snp-emulated'\n"
    )
    pytester.makepyfile(test_own=HEAD + code)
    result = pytester.runpytest_subprocess("-n2", "--replay", records, "-v")
    result.assert_outcomes(passed=6)
    workers = re.findall(r"^\[(gw\d)\].* PASSED .*\[(.*\+plain)", result.stdout.str(), re.MULTILINE)
    assert len({worker for worker, _ in workers}) == 1


def test_examples_are_short() -> None:
    examples = sorted((PROJECT / "examples").glob("test_*.py"))
    assert len(examples) >= 5
    for path in examples:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
                assert (node.end_lineno or 0) - first < 8, f"{path}: {node.name}"
