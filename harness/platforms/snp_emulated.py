# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Platform ``snp-emulated``: an SEV-SNP guest under the project's QEMU, on any host.

QEMU writes every change of a page's state down: the ledger.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.platforms import examination, qemu_answers
from harness.platforms.snp import TRACED, snp_guest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.machine.spec import MachineSpec
    from harness.platforms.examination import Means
    from harness.platforms.host import Host
    from harness.platforms.leaf import Leaf
    from harness.platforms.platform import Acceptance, Technology, Tier

GUEST = "sev-snp-emulated"
"""The object of the project's QEMU."""
LEDGER = "ledger.jsonl"
"""File in the run's folder."""


class SnpEmulated:
    """What TCG with the project's patches makes of a guest."""

    name = "snp-emulated"
    technology: Technology = "snp"
    tier: Tier = "emulated"
    acceptance: Acceptance = "exact"
    deadline_factor = 1.0
    falls_back_to = None

    def lacking(self, host: Host) -> tuple[str, ...]:
        """Return nothing: emulation runs on every host."""
        del host
        return ()

    def offered(self, host: Host) -> bool:
        """Return true: every processor emulates."""
        del host
        return True

    def examine(self, host: Host, means: Means) -> Iterator[Leaf]:
        """Return QEMU's own answer and a launch."""
        if means.qemu is None:
            found = examination.no_qemu("qemu", means)
        else:
            mended = "the project's own (harness build qemu): leave HARNESS_QEMU out"
            found = qemu_answers.leaf(qemu_answers.ask(means.qemu, GUEST), GUEST, mended)
        yield found
        yield examination.launched(means, self.configure(examination.spec(means), host), (found,))

    def configure(self, spec: MachineSpec, host: Host) -> MachineSpec:
        """Return the machine with TCG and the emulation's object, which writes the ledger."""
        del host
        return replace(spec, accel="tcg", confidential=snp_guest(spec, GUEST, ledger=LEDGER), trace=TRACED)


PLATFORM = SnpEmulated()
