# SPDX-License-Identifier: BSD-2-Clause-Patent
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.machine.argv import ByHand, argv
from harness.machine.spec import MachineSpec
from harness.platforms import kvm
from harness.platforms.host import Host, probe
from harness.platforms.platform import accelerator, configure, cpu_with_addresses, resolver, wanted

EMULATING = Host(sev_snp=False, why=("there is no /dev/sev",))
SNP_HOST = Host(sev_snp=True)


def tree(root: Path, *, kvm: bool = True, sev: bool = True, parameter: str | None = "Y") -> Path:
    (root / "dev").mkdir()
    for name, there in (("kvm", kvm), ("sev", sev)):
        if there:
            (root / "dev" / name).touch()
    if parameter is not None:
        folder = root / "sys/module/kvm_amd/parameters"
        folder.mkdir(parents=True)
        (folder / "sev_snp").write_text(f"{parameter}\n")
    return root


def runs() -> str:
    return ""


def test_snp_host(tmp_path: Path) -> None:
    assert probe(tree(tmp_path), guest_runs=runs) == Host(sev_snp=True)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"kvm": False}, "no /dev/kvm"),
        ({"sev": False}, "no /dev/sev"),
        ({"parameter": "N"}, "sev_snp is N"),
        ({"parameter": None}, "sev_snp does not exist"),
    ],
)
def test_each_missing_part_is_named(tmp_path: Path, options: dict[str, bool], reason: str) -> None:
    host = probe(tree(tmp_path, **options), guest_runs=runs)  # type: ignore[arg-type]  # the parametrised keys
    assert not host.sev_snp
    assert reason in " ".join(host.why)


def test_kvm_that_executes_nothing_is_no_snp_host(tmp_path: Path) -> None:
    host = probe(tree(tmp_path), guest_runs=lambda: "KVM internal error")
    assert not host.sev_snp
    assert "KVM internal error" in " ".join(host.why)


def test_a_host_that_lacks_something_starts_no_probe_guest(tmp_path: Path) -> None:
    def never() -> str:
        raise AssertionError

    assert not probe(tree(tmp_path, kvm=False), guest_runs=never).sev_snp


def test_probe_image_has_its_code_at_the_reset_vector() -> None:
    image = kvm.image()
    assert len(image) == 64 * 1024
    assert image[-16:-11] == bytes.fromhex("b011e6f4f4")


def test_probe_reports_a_qemu_that_cannot_start(tmp_path: Path) -> None:
    assert "No such file" in kvm.guest_runs(tmp_path / "absent")


def test_auto_takes_hardware_where_it_is_and_says_so_in_the_name() -> None:
    assert resolver("auto", SNP_HOST)("snp") == "snp"
    assert resolver("auto", EMULATING)("snp") == "snp-emulated"
    assert resolver("auto", SNP_HOST)("snp-emulated") == "snp-emulated"
    assert resolver("snp-emulated", SNP_HOST)("snp") == "snp-emulated"
    assert resolver("auto", SNP_HOST)("plain") == "plain"


def test_hardware_that_is_not_there_is_an_error_not_a_fallback() -> None:
    with pytest.raises(HarnessError, match="no /dev/sev"):
        resolver("snp", EMULATING)


def test_wanted() -> None:
    assert wanted("auto", "plain")
    assert wanted("plain", "plain")
    assert not wanted("plain", "snp-emulated")


def test_real_and_emulated_command_lines_differ_in_object_and_accelerator_only() -> None:
    spec = MachineSpec(qemu=Path("/q"), firmware=Path("/f"), memory_mib=8192, accel="tcg")
    real = argv(configure(spec, "snp", SNP_HOST), ByHand())
    emulated = argv(configure(spec, "snp-emulated", EMULATING), ByHand())
    plain = argv(configure(spec, "plain", EMULATING), ByHand())
    differing = [(a, b) for a, b in zip(real, emulated, strict=True) if a != b]
    assert differing[0] == ("kvm", "tcg")
    assert (
        differing[1][0].replace("sev-snp-guest", "sev-snp-emulated") + ",ledger=ledger.jsonl"
        == (differing[1][1])
    )
    assert len(differing) == 2
    assert not any("sev0" in word for word in plain)
    assert accelerator("plain", EMULATING) == "tcg"


@pytest.mark.parametrize(
    ("gib", "bits"),
    [
        (8, None),
        (513, None),
        (970, None),
        (978, None),
        (979, 41),
        (985, 41),
        (994, 41),
        (995, 42),
        (1100, 42),
        (4000, 43),
    ],
)
def test_big_memory_gets_the_address_bits_that_qemu_asks_for(gib: int, bits: int | None) -> None:
    words = "EPYC-v4" if bits is None else f"EPYC-v4,phys-bits={bits}"
    assert cpu_with_addresses("EPYC-v4", gib * 1024) == words
    assert cpu_with_addresses("max,phys-bits=52", gib * 1024) == "max,phys-bits=52"


def test_every_platform_gets_them() -> None:
    spec = MachineSpec(qemu=Path("/q"), firmware=Path("/f"), memory_mib=1100 * 1024, accel="tcg")
    for platform in ("snp", "snp-emulated", "plain"):
        assert configure(spec, platform, EMULATING).cpu == "EPYC-v4,phys-bits=42"
