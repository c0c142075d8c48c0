# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Boots of tests of somebody's own: who shares one, when it begins, and what checks say of it."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ExitCode, HarnessError
from harness.run import session
from harness.run.boots import Boots
from tests.support.own_tests import EMULATED, ON_EMULATED, ON_PLAIN, PLAIN, ids, run
from tests.support.pytest_runs import stored_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("stand_ins")


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
    assert stored_records(pytester.path / "here") == [EMULATED, PLAIN]
    assert f"boot records: {pytester.path}/here" in text


def test_boots_are_queued_before_the_first_test_runs(pytester: pytest.Pytester, stand_ins: Any) -> None:
    """Those whose record a test takes; what a module's own fixtures decide is not known before."""
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
    names = stored_records(pytester.path / "here")
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
    assert "reaches-userspace: the guest hung, in phase kernel" in text
    assert (
        "test_own.py:9: def test_other(check): check('no-ledger')\n"
        "no-ledger: there is nothing to judge: the guest hung, in phase kernel, "
        "2.8 s after it began: no console byte for 9 s\n"
        f"  boot record: {records / PLAIN}\n"
    ) in text


def test_an_unknown_check(pytester: pytest.Pytester) -> None:
    result, text = run(pytester, f"{ON_PLAIN}def test_it(check):\n    check('no-alarm')\n")
    result.assert_outcomes(failed=1)
    assert "test_own.py:6: check('no-alarm')\nunknown check 'no-alarm'\n  did you mean 'no-alarms'" in text


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
    assert list(dict.fromkeys(re.findall(r"::test_(\w+)", text))) == ["none", "record", "guest", "machine"]


def test_boots_wait_for_the_first_test_that_needs_one(pytester: pytest.Pytester, stand_ins: Any) -> None:
    """What runs before may do what no boot survives, such as to replace parts of the harness."""
    code = (
        "import harness.run.boots\n"
        "def test_none(monkeypatch): monkeypatch.setattr(harness.run.boots, 'boot', None)\n"
        f"{ON_PLAIN}def test_one(record): pass\n"
    )
    run(pytester, code)[0].assert_outcomes(passed=2)
    assert stand_ins.booted == [PLAIN]


@pytest.mark.parametrize(
    ("fixture", "starts"),
    [
        ("machine", "pytest_plugin.own.machines.running_machine"),
        ("guest", "boot.running_guest.running_guest"),
    ],
)
def test_a_guest_at_work_has_a_place_among_the_boots(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, fixture: str, starts: str
) -> None:
    seen: list[str] = []

    @contextmanager
    def noted(what: str) -> Iterator[str]:
        seen.append(what)
        yield what
        seen.append(f"{what} ends")

    monkeypatch.setattr(Boots, "place", lambda _boots, cell: noted(cell.id))
    monkeypatch.setattr(f"harness.{starts}", lambda *_: noted("guest"))
    monkeypatch.setattr(Boots, "spec", lambda *_: None)
    cell = "debian-2025.02+debian-6.1+direct+2G+plain" + ("+debian-trixie" if fixture == "guest" else "")
    code = f"{ON_PLAIN}def test_it({fixture}): assert {fixture} == 'guest'\n"
    run(pytester, code)[0].assert_outcomes(passed=1)
    assert seen == [cell, "guest", "guest ends", f"{cell} ends"]


def test_a_run_of_own_cells_that_the_host_lacks_something_for_judged_nothing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, stand_ins: Any
) -> None:
    code = f"def test_plain(): pass\n{ON_PLAIN}def test_one(record): pass\n"
    by_itself = f"{ON_PLAIN}def test_two(record): pytest.skip('so')\n"
    with monkeypatch.context() as lacking:
        lacking.setattr(session, "lacks", lambda *_: "no such host")
        result, text = run(pytester, code)
    assert (result.ret, stand_ins.booted) == (ExitCode.HOST, [])
    assert "judged nothing: the host lacks something for its cell (no such host)\n" in text
    result, text = run(pytester, by_itself)
    assert (result.ret, "judged nothing" in text) == (0, False)


@pytest.mark.parametrize("asks", ["record", "firmware, kernel, loader, platform, vcpus, cmdline, action"])
def test_values_of_ones_own_that_make_no_cell(pytester: pytest.Pytester, stand_ins: Any, asks: str) -> None:
    """By pytest's own mark, which nobody can refuse where it is written; other axes are as usual."""
    mark = '@pytest.mark.parametrize("memory", ["nonsense"])\n'
    result, text = run(pytester, f"{mark}def test_one({asks}, memory, guest_image, emulation, qemu): pass\n")
    assert result.ret == ExitCode.MISTAKE
    assert text.count("memory: 'nonsense' is not a memory size") == 1
    assert stand_ins.booted == []
