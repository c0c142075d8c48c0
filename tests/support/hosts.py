# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Hosts as a survey finds them."""

from __future__ import annotations

from harness.platforms.host import Host

_ON = {"kvm_amd.sev_snp": "Y"}
WITHOUT_DEV_SEV = Host(_ON, frozenset({"kvm"}))
SNP_HOST = Host(_ON, frozenset({"kvm", "sev"}))
