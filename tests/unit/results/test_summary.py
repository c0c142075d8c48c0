# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A run in short, and who ran it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from harness.results.compare import compare
from harness.results.folder import RESULTS, StoredRun
from harness.results.identity import Checkout, checkout, host_data
from harness.results.model import LackLine
from harness.results.summary import github_annotations, markdown_summary, summary_as_data
from tests.support.runs import boot, check, end, finding, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from harness.results.model import Line


def test_what_failed_what_flakes_what_changed(tmp_path: Path) -> None:
    told = (finding("k", "6 GiB | <gone>", bytes=6),)
    lines: list[Line] = [
        *(boot("c", attempt=1), boot("c", attempt=2, ending="hang"), boot("d")),
        *(check("c", "x", attempt=1), check("c", "x", "failed", attempt=2, findings=told)),
        check("c", "y", "failed", attempt=2, cause="x"),
        check("d", "x"),
    ]
    run = write_run(tmp_path, "2", *lines, end(1))
    base = write_run(tmp_path, "1", boot("c"), check("c", "x"), boot("d"), check("d", "x"), end())
    shown = markdown_summary(run, compare(base, run))
    assert shown.startswith("### ❌ 2 cells: ✓ 1 passed, ✗ 2 failed")
    assert "| `c` | x | 6 GiB \\| &lt;gone> (and 1 more) |" in shown
    assert "- `c` x: fails in 1 of 2, 95 %:" in shown
    assert "- `c`: completed 1 of 2, 95 %:" in shown
    assert "Since `1`: new failures: 2" in shown
    assert github_annotations(run) == "::error file=scenarios/a.yaml,line=7,title=c::x: 6 GiB | <gone>"


def test_all_is_well(tmp_path: Path) -> None:
    run = write_run(tmp_path, "1", boot("c"), check("c", "x"), end())
    assert markdown_summary(run).startswith("### ✅ 1 cells: ✓ 1 passed")
    assert github_annotations(run) == ""


def test_cells_that_did_not_boot_are_told_with_what_the_host_lacks(tmp_path: Path) -> None:
    """A night on a host with less memory has fewer failures, and proves less."""
    base = write_run(tmp_path, "1", boot("c"), check("c", "x"), boot("d"), check("d", "x"), end())
    lacks = "needs 64G of memory, the host has 23G"
    lack = LackLine(cell="d", scenario="s.yaml:1", reason=lacks, at=base.lines[0].at)
    run = write_run(tmp_path, "2", boot("c"), check("c", "x"), lack, end())
    shown = markdown_summary(run, compare(base, run))
    assert shown.startswith("### ✅ 2 cells: ✓ 1 passed")
    assert f"1 cell of 2 did not boot: {lacks}." in shown
    assert summary_as_data(run)["lacking"] == {"d": lacks}
    (change,) = compare(base, run).of("state-changed")
    assert (change.cell, change.now) == ("d", f"not booted: {lacks}")
    nothing = write_run(tmp_path, "3", lack, end())
    assert markdown_summary(nothing).startswith("### ⚪ 1 cells: no question")


def test_what_was_carried_over_and_what_cannot_be_read(tmp_path: Path) -> None:
    run = write_run(tmp_path, "2", boot("c", carried="1"), boot("d"), check("c", "x"), end())
    assert "1 of 2 boots are carried over from `1`" in markdown_summary(run)
    with (run.path / RESULTS).open("a") as file:
        file.write('{"line": "hologram"}\n{"line": "ch')
    shown = markdown_summary(StoredRun.load(run.path))
    assert "Of its results 2 lines cannot be read: results.jsonl:5: Input tag 'hologram'" in shown


def test_a_hosts_tree(tmp_path: Path) -> None:
    files = {
        "proc/cpuinfo": "processor : 0\nmodel name : AMD EPYC 7713\nmicrocode : 0xa0011d5\n\nprocessor : 1\n",
        "proc/meminfo": "MemTotal:       263800000 kB\nMemFree: 1 kB\n",
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\n',
        "sys/module/kvm_amd/parameters/sev_snp": "Y\n",
        "sys/module/kvm_amd/parameters/nested": "1\n",
        "sys/bus/pci/drivers/ccp/0000:22:00.1/bootloader_version": "00.31.00.75\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = host_data(tmp_path)
    assert (found.cpu, found.microcode, found.memory_mib) == ("AMD EPYC 7713", "0xa0011d5", 257617)
    assert found.distribution == "Debian GNU/Linux 13 (trixie)"
    assert found.sev == {"kvm_amd.sev_snp": "Y", "ccp.bootloader_version": "00.31.00.75"}


def test_a_host_that_shows_nothing(tmp_path: Path) -> None:
    found = host_data(tmp_path)
    assert (found.cpu, found.memory_mib, found.sev) == ("", 0, {})


def test_a_checkout(tmp_path: Path) -> None:
    assert checkout(tmp_path / "none") == Checkout()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "file").write_text("one")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    found = checkout(tmp_path)
    assert (len(found.commit), found.dirty) == (40, False)
    (tmp_path / "file").write_text("two")
    checkout.cache_clear()
    assert checkout(tmp_path) == Checkout(found.commit, dirty=True)
