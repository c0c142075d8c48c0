# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The launch digest of an SNP guest, part by part, and what explains another one.

The rules are those of SNP_LAUNCH_UPDATE (SEV-SNP firmware ABI, 8.17), and sev-snp-measure knows what QEMU
launches. An emulated guest has the same digest: a test compares.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sevsnpmeasure.gctx import GCTX
from sevsnpmeasure.guest import snp_update_section
from sevsnpmeasure.ovmf import OVMF, SectionType
from sevsnpmeasure.sev_hashes import SevHashes
from sevsnpmeasure.sev_mode import SevMode
from sevsnpmeasure.vcpu_types import CPU_SIGS
from sevsnpmeasure.vmm_types import VMMType
from sevsnpmeasure.vmsa import VMSA

from harness.documents.document import near
from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.machine.spec import MachineSpec

PAGE = 4096
MOST_VCPUS = 512
"""How many vCPUs an explanation tries."""
_SNP_ACTIVE = 1
_MODELS = {signature: name for name, signature in sorted(CPU_SIGS.items(), reverse=True)}
"""The shortest name of each signature."""
_TO_SAY = {
    SectionType.SNP_SEC_MEM: "zero pages",
    SectionType.SNP_SECRETS: "secrets page",
    SectionType.CPUID: "CPUID page",
    SectionType.SNP_KERNEL_HASHES: "kernel hashes",
    SectionType.SVSM_CAA: "calling area",
}


@dataclass(frozen=True)
class Launch:
    """What is measured. ``kernel`` None: none is; the pages for its hashes, if there are any, hold zeros."""

    firmware: Path
    cpu: str
    vcpus: int = 1
    kernel: Path | None = None
    initrd: Path | None = None
    cmdline: str = ""


@dataclass(frozen=True)
class Part:
    """Pages that are launched together, and the digest after them; ``gpa`` None for a vCPU's first state."""

    name: str
    gpa: int | None
    pages: int
    digest: str


def launch_of(spec: MachineSpec) -> Launch:
    """Return what is measured of a machine; HarnessError for a plain one, and for an unknown CPU model."""
    if spec.confidential is None:
        raise HarnessError("nobody measures a plain guest", "name another platform, such as platform=snp")
    model = spec.cpu.partition(",")[0]
    if model not in CPU_SIGS:
        raise HarnessError(f"the CPU model {model!r} has no signature known", near(model, CPU_SIGS))
    launch = Launch(spec.firmware, model, spec.vcpus)
    if not spec.measured_kernel or spec.kernel is None:
        return launch
    return replace(launch, kernel=spec.kernel, initrd=spec.initrd, cmdline=spec.cmdline)


def launch_parts(launch: Launch) -> tuple[Part, ...]:
    """Return the parts in the order of their launch; the last one's digest is the guest's.

    HarnessError for a firmware that cannot be launched so.
    """
    image = _image(launch.firmware)
    made = [*_before_vcpus(image, launch)]
    digest = GCTX(bytes.fromhex(made[-1].digest))
    for number, page in enumerate(_vmsa(image, launch.cpu).pages(launch.vcpus)):
        digest.update_vmsa_page(page)
        made.append(Part(f"vCPU {number}", None, 1, digest.hex_ld()))
    return tuple(made)


def differences(launch: Launch, digest: str) -> tuple[str, ...]:
    """Return in what a guest differs that has another digest: a sentence each, none when nothing does.

    Tried are up to ``MOST_VCPUS`` vCPUs, each CPU model, and launches without hashes, initramfs or command
    line.
    """
    image = _image(launch.firmware)
    for words, other in _variants(launch):
        before = bytes.fromhex(list(_before_vcpus(image, other))[-1].digest)
        for model in _MODELS.values():
            running = GCTX(before)
            for number, page in enumerate(_vmsa(image, model).pages(MOST_VCPUS), start=1):
                running.update_vmsa_page(page)
                if running.hex_ld() == digest:
                    return tuple(_told(launch, number, model, words))
    tried = f"with up to {MOST_VCPUS} vCPUs, and any CPU model known"
    return (f"it is no digest of these files, {tried}: another file was launched",)


def _told(launch: Launch, vcpus: int, model: str, words: str) -> Iterator[str]:
    if vcpus != launch.vcpus:
        yield f"it has {vcpus} vCPUs, not {launch.vcpus}"
    if CPU_SIGS[model] != CPU_SIGS[launch.cpu]:
        yield f"its CPU model has the signature of {model}, not of {launch.cpu}"
    if words:
        yield words


def _variants(launch: Launch) -> Iterator[tuple[str, Launch]]:
    yield "", launch
    if launch.kernel is None:
        return
    if launch.cmdline:
        yield "it has no command line", replace(launch, cmdline="")
    if launch.initrd is not None:
        yield "it has no initramfs", replace(launch, initrd=None)
    yield "no kernel is measured", replace(launch, kernel=None)


def _before_vcpus(image: Any, launch: Launch) -> Iterator[Part]:
    digest = GCTX()
    digest.update_normal_pages(image.gpa(), image.data())
    yield Part("firmware image", image.gpa(), image.size() // PAGE, digest.hex_ld())
    hashes = None
    if launch.kernel is not None:
        if not image.has_metadata_section(SectionType.SNP_KERNEL_HASHES):
            raise HarnessError(f"{launch.firmware}: it has no page for the hashes of a kernel")
        initrd = str(launch.initrd) if launch.initrd is not None else ""
        hashes = SevHashes(str(launch.kernel), initrd, launch.cmdline)
    for section in image.metadata_items():
        snp_update_section(section, digest, image, hashes, VMMType.QEMU)
        name = _TO_SAY[section.section_type()]
        yield Part(name, section.gpa, section.size // PAGE, digest.hex_ld())


def _image(path: Path) -> Any:
    try:
        image = OVMF(str(path))
        image.sev_es_reset_eip()
    except (ValueError, RuntimeError, KeyError) as error:
        raise HarnessError(f"{path}: no firmware of SNP guests ({error})") from None
    if not image.metadata_items():
        raise HarnessError(f"{path}: it does not say what the hypervisor must prepare for an SNP guest")
    return image


def _vmsa(image: Any, model: str) -> Any:
    return VMSA(SevMode.SEV_SNP, image.sev_es_reset_eip(), CPU_SIGS[model], _SNP_ACTIVE)
