# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Guests, records and capsules of others as input: each parser refuses in the harness's own words.

What is not refused is read; nothing raises but HarnessError, whatever was sent. The short form meets the same
examples each time; the long one, marked ``nightly``, 10,000 others for each parser.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.firmware.traits import read_firmware_traits
from harness.checks.asked import checks_of
from harness.checks.model import expectation
from harness.errors import HarnessError
from harness.evidence.actions import parse_actions
from harness.evidence.e820 import parse_e820
from harness.evidence.efi_probe import parse_probe
from harness.evidence.evidence import Evidence
from harness.evidence.exception_dump import exception_dump
from harness.evidence.guest_report import parse_guest
from harness.evidence.host.firmware_lines import parse_firmware_lines
from harness.evidence.host.kernel_trace import parse_kernel_trace
from harness.evidence.host.page_states import parse_page_states
from harness.evidence.kernel_log import kernel_release, sev_features, sev_lines
from harness.evidence.ledger import read_ledger
from harness.evidence.memory_map import parse_config_tables, parse_memory_map
from harness.evidence.record import BootRecord, guest_document
from harness.evidence.signatures.signatures import shipped
from harness.evidence.snp_report import parse_response
from harness.evidence.ssh import OS_RELEASE, parse_ssh
from harness.evidence.symbols.modules import modules_of
from harness.evidence.symbols.registers import read_registers
from harness.evidence.text import plain_text
from harness.evidence.uefi_shell import parse_shell_memmap
from harness.formats import rpm
from harness.formats.bzimage import read_release, read_setup
from harness.formats.firmware_volume import volume_files
from harness.formats.qcow2 import virtual_size
from harness.formats.unified_diff import DiffError, parse_diff
from harness.matrix.cell import Cell
from harness.results.folder import RESULTS, RUN, StoredRun
from harness.results.record.told import as_data, as_text
from harness.results.record_facts import read_facts
from harness.results.report.pages import record_page
from harness.run.replay import TRAITS, load_cell, load_traits
from harness.run.single.capsule import unpack_capsule
from harness.store.packing import SUFFIX, pack
from tests.support.data import DATA
from tests.support.hostile import CHANGES, EDITS, SEED, changed, edited, fuzz
from tests.support.pytest_runs import PLAIN
from tests.support.runs import boot, check, end, finding, write_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHORT, LONG = 40, 10_000
WITHOUT_HASTE = [pytest.mark.nightly, pytest.mark.timeout(0)]
"""A busy host takes longer than any test's limit over 10,000 records, and that is nobody's failure."""
EXAMPLES = [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=WITHOUT_HASTE)]
RECORDS = DATA / "records"
SERIAL = (RECORDS / PLAIN / "serial.log").read_bytes()
LEDGER = (DATA / "snp-emulated-6.12-2G.ledger.jsonl").read_bytes()

STARTS = (b"", b"MZ" + bytes(0x1FE) + b"U\xaaHdrS" + bytes(600), b"QFI\xfb" + bytes(100))
"""Beginnings of nothing, a bzImage and a qcow2."""


def refused(read: Callable[[], object]) -> None:
    """Read, and let the harness refuse."""
    with contextlib.suppress(HarnessError):
        read()


def test_a_failure_keeps_its_example_and_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SEED, "7")

    def check(edits: Any) -> None:
        assert len(edits) < 4

    met: list[list[Any]] = [[], []]
    for each in met:
        fuzz(EDITS, each.append, SHORT, fixed=False)
    assert met[0] == met[1]
    with pytest.raises(AssertionError) as caught:
        fuzz(EDITS, check, LONG, fixed=False)
    told = "\n".join(caught.value.__notes__)
    assert f"{SEED}=7, and this example: [(" in told
    assert "@reproduce_failure(" in told


def of_console(data: bytes) -> None:
    """Read a console as all parsers of consoles do."""
    text = plain_text(data)
    for parse in (
        *(parse_memory_map, parse_config_tables, parse_e820, kernel_release, sev_features, sev_lines),
        *(guest_document, parse_actions, exception_dump, modules_of, read_registers, parse_response),
        *(parse_shell_memmap, shipped().alarms),
    ):
        refused(lambda parse=parse: [parse(text)])  # type: ignore[misc]
    for line in text.splitlines()[:50]:
        refused(lambda line=line: shipped().match(line))  # type: ignore[misc]


def of_formats(data: bytes) -> None:
    """Read bytes as each binary format."""
    for parse in (read_setup, read_release, virtual_size, read_firmware_traits):
        refused(lambda parse=parse: parse(data))  # type: ignore[misc]
    with contextlib.suppress(DiffError):  # whoever reads a patch says then which
        parse_diff(data)
    refused(lambda: [*volume_files(data)])
    refused(lambda: rpm.payload(data, "x.rpm"))


@pytest.mark.parametrize("examples", EXAMPLES)
def test_consoles(examples: int) -> None:
    fuzz(EDITS, lambda edits: of_console(edited(SERIAL[-20_000:], edits)), examples, fixed=examples == SHORT)


def test_a_diff_of_binary_files_is_refused() -> None:
    of_formats(b"Binary files a and b differ\n")


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize(
    "start", [b"", b"MZ" + bytes(0x1FE) + b"U\xaaHdrS" + bytes(600), b"QFI\xfb" + bytes(100)]
)
def test_formats(examples: int, start: bytes) -> None:
    fuzz(EDITS, lambda edits: of_formats(edited(start, edits)), examples, fixed=examples == SHORT)


TRACE = (
    b"7@1796045581.044313:kvm_convert_memory start 0x7eade000 size 0x1000 private_to_shared\n"
    b"7@1796045581.044412:kvm_hc_map_gpa_range gpa 0x7eadc000 size 0x1000 attributes 0x10 flags 0x1\n"
    b"7@1796045581.044499:kvm_convert_memory start 0x7eadc000 size 0x1000 shared_to_private\n"
    b"7@1796045581.044500:kvm_memory_fault start 0x1000 size 0x1000 flags 0x8\n"
)
KERNEL_TRACE = (
    b"# clock began at 1796030000.000000\n# entries-in-buffer/entries-written: 2/2   #P:64\n"
    b" CPU 0/KVM-7 [003] ..... 3720.5: kvm_vmgexit_msr_protocol_enter: vcpu 0, ghcb_gpa 0020000000809014\n"
    b" CPU 0/KVM-7 [003] ..... 3733.6: kvm_vmgexit_enter: vcpu 0, exit_reason 80000010, exit_info1 0,"
    b" exit_info2 0\n"
)


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("start", [TRACE, KERNEL_TRACE], ids=["qemu", "kernel"])
def test_traces(examples: int, start: bytes) -> None:
    def read(edits: Any) -> None:
        text = edited(start, edits).decode(errors="replace")
        for parse in (parse_page_states, parse_kernel_trace, parse_firmware_lines):
            refused(lambda parse=parse: parse(text))  # type: ignore[misc]

    fuzz(EDITS, read, examples, fixed=examples == SHORT)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_ledgers(examples: int, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"

    def read(edits: Any) -> None:
        path.write_bytes(edited(LEDGER, edits))
        refused(lambda: read_ledger(path).final())

    fuzz(EDITS, read, examples, fixed=examples == SHORT)


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("kind", ["guest", "probe", "ssh"])
def test_documents(examples: int, kind: str) -> None:
    report = json.loads((RECORDS / PLAIN / "guest.json").read_bytes())
    probe = json.loads(next(iter(sorted((DATA / "efi-probe").glob("*.json")))).read_bytes())
    said = {"command": OS_RELEASE, "status": 0, "stdout": 'A="b\n', "stderr": "", "seconds": 1.0}
    sample: Any = {"guest": report, "probe": probe, "ssh": {"connected": 1.0, "nonce": "n", "said": [said]}}[
        kind
    ]

    def read(changes: Any) -> None:
        data = changed(sample, changes)
        if kind == "ssh":
            refused(lambda: parse_ssh(data).os_release)
            return
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            return  # no record holds it
        if isinstance(document, dict):
            refused(lambda: (parse_guest if kind == "guest" else parse_probe)(document))

    fuzz(CHANGES, read, examples, fixed=examples == SHORT)


def judge_and_show(folder: Path) -> None:
    """Take a record as judging, showing and reporting do."""
    refused(lambda: load_cell(folder / TRAITS))
    facts = None
    with contextlib.suppress(HarnessError):
        facts = read_facts(folder)
    if facts is not None:
        refused(lambda: (as_text(facts), json.dumps(as_data(facts), default=str)))
        refused(lambda: record_page(folder, facts.checks))
    try:
        record, traits = BootRecord.load(folder), load_traits(folder / TRAITS)
    except HarnessError:
        return
    cell = Cell("debian-2025.02", "debian-6.1", "direct", 2048, "plain")
    evidence = Evidence(record, cell, traits)
    for one in checks_of(expectation(cell, traits)):
        refused(lambda one=one: one(evidence))  # type: ignore[misc]


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("name", ["boot.json", "traits.json", "counters.json", "guest.json", "verdict.json"])
def test_records_of_others(examples: int, name: str, tmp_path: Path) -> None:
    folder = shutil.copytree(RECORDS / PLAIN, tmp_path / "record")
    (folder / "serial.log").write_bytes(SERIAL[:4000])
    if name == "verdict.json":
        line = check(PLAIN, "no-sev", "failed", findings=(finding("k", "s", "e", bytes=3),))
        sample: Any = {"schema": 1, "harness": "x", "cell": PLAIN, "checks": [line.model_dump(mode="json")]}
    else:
        sample = json.loads((folder / name).read_bytes())

    def read(changes: Any) -> None:
        (folder / name).write_bytes(changed(sample, changes))
        judge_and_show(folder)

    fuzz(CHANGES, read, 20 if examples == SHORT else examples, fixed=examples == SHORT)


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("name", [RUN, RESULTS])
def test_runs_of_others(examples: int, name: str, tmp_path: Path) -> None:
    told = (finding("k", "s", "e", bytes=3),)
    run = write_run(tmp_path, "1", boot(PLAIN), check(PLAIN, "x", "failed", findings=told), end(1))
    lines = [json.loads(line) for line in (run.path / RESULTS).read_text().splitlines()]
    sample: Any = json.loads((run.path / RUN).read_text()) if name == RUN else lines

    def read(changes: Any) -> None:
        data = changed(sample, changes)
        if name == RESULTS:
            inside = data.strip().removeprefix(b"[").removesuffix(b"]").replace(b"}, {", b"}\n{")
            data = inside + b"\n"
        (run.path / name).write_bytes(data)
        refused(lambda: StoredRun.load(run.path).checks)

    fuzz(CHANGES, read, examples, fixed=examples == SHORT)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_capsules_of_others(examples: int, tmp_path: Path) -> None:
    folder = shutil.copytree(RECORDS / PLAIN, tmp_path / "record")
    (folder / "capsule.json").write_text('{"schema": 1, "project": "ovmf-acceptance"}')
    packed = tmp_path / f"packed{SUFFIX}"
    pack(folder, packed)
    whole = packed.read_bytes()
    capsule, out = tmp_path / f"capsule{SUFFIX}", tmp_path / "out"

    def read(edits: Any) -> None:
        capsule.write_bytes(edited(whole, edits))
        refused(lambda: unpack_capsule(capsule, out))
        shutil.rmtree(out, ignore_errors=True)
        assert {path.name for path in tmp_path.iterdir()} == {"record", packed.name, capsule.name}

    fuzz(EDITS, read, examples, fixed=examples == SHORT)
