# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where modules are that had another name before the rooms, for the message of an import that fails."""

from __future__ import annotations

_MOVED = """
artifacts.apt debian.archive
artifacts.aptconf debian.apt_config
artifacts.aptsuite debian.suite
artifacts.catalog recipes.catalog
artifacts.command store.build_steps
artifacts.debian_disk artifacts.guest.debian_disk
artifacts.debian_guest artifacts.guest.debian_initramfs
artifacts.debindex debian.index
artifacts.debsource debian.source
artifacts.edk2_build artifacts.firmware.edk2_build
artifacts.edk2_source artifacts.firmware.edk2_source
artifacts.efi_probe artifacts.probe
artifacts.efi_probe_options recipes.probe_options
artifacts.ext4 artifacts.guest.ext4
artifacts.extends recipes.extends
artifacts.fat32 formats.fat32
artifacts.filelock store.locks
artifacts.firmware_build artifacts.firmware.build
artifacts.firmware_choice artifacts.firmware.choice
artifacts.firmware_recipes recipes.firmware
artifacts.firmware_traits artifacts.firmware.traits
artifacts.firmware_volume formats.firmware_volume
artifacts.gpt formats.gpt
artifacts.groups recipes.groups
artifacts.guest_recipes recipes.guest
artifacts.initramfs artifacts.guest.initramfs_files
artifacts.inputs store.inputs
artifacts.kernel_choice artifacts.kernel.choice
artifacts.kernel_config formats.ikconfig
artifacts.kernel_files artifacts.kernel.files
artifacts.kernel_modules artifacts.kernel.modules
artifacts.kernel_recipes recipes.kernel
artifacts.kernel_traits artifacts.kernel.traits
artifacts.leftovers store.leftovers
artifacts.loader_files artifacts.loader.files
artifacts.loader_recipes recipes.loader
artifacts.loader_traits artifacts.loader.traits
artifacts.lock debian.lock_file
artifacts.package_set artifacts.guest.package_set
artifacts.patch_files formats.patches
artifacts.recipe_types documents.strict
artifacts.source_tree store.source_files
artifacts.store store.entries
artifacts.tree store.file_tree
artifacts.uki formats.uki
artifacts.unified_diff formats.unified_diff
artifacts.versions recipes.versions
artifacts.work_tree store.build_tree
axis_options run.axis_options
boot.budget run.budget
boot.cell boot.cell_machine
boot.estimate run.estimate
boot.patterns evidence.signatures.signatures
boot.pool run.pool
boot.verdict boot.ending
cell_run run.cell_run
checks.at_exit checks.exit_acceptance
checks.kept checks.reserved_pages
checks.names checks.asked
checks.probe_model checks.protocol
checks.view evidence.evidence
cli_firmware cli.firmware
cli_image cli.loader
cli_kernel cli.kernel
cli_shell cli.boot
evidence.guest evidence.guest_report
evidence.intervals intervals
evidence.memmap evidence.memory_map
evidence.ram machine.memory_layout
keywords run.keywords
machine.expect machine.serial
matrix.names matrix.choices
platforms.kvm_probe platforms.kvm
pytest_items pytest_plugin.items
selection run.options
session run.session
yamlfile documents.document
yamlnodes documents.nodes
"""


def moved(module: str) -> str:
    """Return the name that a module, ``harness.x``, has now; "" for one that has not moved."""
    names = dict(line.split() for line in _MOVED.strip().splitlines())
    now = names.get(module.removeprefix("harness."), "")
    return f"harness.{now}" if now else ""
