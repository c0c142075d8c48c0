# SPDX-License-Identifier: BSD-2-Clause-Patent
"""On which platform a cell runs, and the machines that the project's platforms make."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import ExitCode, HarnessError
from harness.machine.argv import ByHand, argv
from harness.machine.spec import MachineSpec
from harness.platforms.choice import of_records, on_host, refusal, wanted
from harness.platforms.registry import platform_named
from harness.platforms.sev.cpuid import Encryption
from tests.support.hosts import GENOA, GENOA_HOST, SNP_HOST, WITHOUT_DEV_SEV

if TYPE_CHECKING:
    from harness.platforms.host import Host

SPEC = MachineSpec(qemu=Path("/q"), firmware=Path("/f"), memory_mib=8192, accel="tcg")


def command(platform: str, host: Host, spec: MachineSpec = SPEC) -> tuple[str, ...]:
    return argv(platform_named(platform).configure(spec, host), ByHand())


def test_auto_takes_hardware_where_it_is_and_says_so_in_the_name() -> None:
    assert on_host("auto", SNP_HOST)("snp") == "snp"
    assert on_host("auto", WITHOUT_DEV_SEV)("snp") == "snp-emulated"
    assert on_host("auto", SNP_HOST)("snp-emulated") == "snp-emulated"
    assert on_host("snp-emulated", SNP_HOST)("snp") == "snp-emulated"
    assert on_host("plain", SNP_HOST)("snp") == "snp"
    assert on_host("auto", SNP_HOST)("plain") == "plain"


def test_hardware_that_is_not_there_is_an_error_not_a_fallback() -> None:
    with pytest.raises(HarnessError) as caught:
        on_host("snp", WITHOUT_DEV_SEV)
    assert str(caught.value) == (
        "--platform snp: this host cannot run SEV-SNP guests (there is no /dev/sev)\n"
        "  load the module ccp, and switch SEV on in the BIOS; or use --platform auto or snp-emulated here"
    )


def test_every_option_that_wants_hardware_is_refused_alike() -> None:
    snp = platform_named("snp")
    assert refusal("--platform", snp, SNP_HOST) is None
    said = [refusal(option, snp, WITHOUT_DEV_SEV) for option in ("--platform", "--require-platform")]
    assert all(error is not None and error.exit_code is ExitCode.HOST for error in said)
    first, second = (str(error).partition(" ")[2] for error in said)
    assert first == second


def test_a_plan_for_another_host_is_never_refused() -> None:
    assert on_host("snp", WITHOUT_DEV_SEV, elsewhere=True)("snp") == "snp"
    assert on_host("snp", WITHOUT_DEV_SEV, elsewhere=True)("snp-emulated") == "snp-emulated"


def test_records_decide_where_they_are_judged_again() -> None:
    assert of_records("auto", {"snp", "plain"})("snp") == "snp"
    assert of_records("auto", {"snp-emulated"})("snp") == "snp-emulated"
    assert of_records("auto", ())("snp") == "snp-emulated"
    assert of_records("snp-emulated", {"snp", "snp-emulated"})("snp") == "snp-emulated"


def test_an_unknown_name_is_told_with_what_was_meant() -> None:
    with pytest.raises(HarnessError, match=r"--platform: unknown platform 'snpp'; did you mean 'snp'"):
        on_host("snpp", SNP_HOST)


def test_wanted() -> None:
    assert wanted("auto", "plain")
    assert wanted("plain", "plain")
    assert not wanted("plain", "snp-emulated")


def test_hardware_and_emulation_differ_in_object_accelerator_and_what_is_noted_alone() -> None:
    real, emulated = command("snp", SNP_HOST), command("snp-emulated", WITHOUT_DEV_SEV)
    differing = [(a, b) for a, b in zip(real, emulated, strict=True) if a != b]
    made = "sev-snp-guest,id=cgs0,cbitpos=51,reduced-phys-bits=1,policy=0x30000"
    assert differing == [
        ("kvm", "tcg"),
        (made, made.replace("sev-snp-guest", "sev-snp-emulated") + ",ledger=ledger.jsonl"),
    ]


def test_encrypted_guests_differ_in_policy_and_intercepts_alone() -> None:
    sev, sev_es = command("sev-emulated", WITHOUT_DEV_SEV), command("sev-es-emulated", SNP_HOST)
    made = "sev-emulated,id=cgs0,cbitpos=51,reduced-phys-bits=1,policy="
    differing = [(a, b) for a, b in zip(sev, sev_es, strict=True) if a != b]
    assert differing == [(made + "0x1", made + "0x5,reflect=on")]
    assert sev[sev.index("-accel") + 1] == "tcg"


def test_the_c_bit_is_that_of_the_processor() -> None:
    found = replace(GENOA, encryption=Encryption(0x1F, 6 << 6 | 47, 1006, 100))
    words = " ".join(command("snp", replace(GENOA_HOST, answers=found)))
    assert "cbitpos=47,reduced-phys-bits=1" in words
    assert "cbitpos=51,reduced-phys-bits=1" in " ".join(command("snp", SNP_HOST))
    assert "cbitpos=51" in " ".join(command("snp-emulated", replace(GENOA_HOST, answers=found)))


def test_a_firmware_that_measures_gets_a_measured_kernel() -> None:
    measured = MachineSpec(
        qemu=Path("/q"), firmware=Path("/f"), memory_mib=64, accel="tcg", measured_kernel=True
    )
    for platform in ("snp", "snp-emulated"):
        assert "policy=0x30000,kernel-hashes=on" in " ".join(command(platform, SNP_HOST, measured))
    for platform in ("sev-emulated", "sev-es-emulated"):
        assert ",kernel-hashes=on" in " ".join(command(platform, SNP_HOST, measured))
    assert "kernel-hashes" not in " ".join(command("plain", SNP_HOST, measured))


def test_plain_guests_run_as_the_hosts_confidential_ones_do() -> None:
    for host, accelerator in ((SNP_HOST, "kvm"), (WITHOUT_DEV_SEV, "tcg")):
        words = command("plain", host)
        assert words[words.index("-accel") + 1] == accelerator
        assert not any("cgs0" in word for word in words)
