# SPDX-License-Identifier: BSD-2-Clause-Patent
"""SEV: what processor, secure processor, KVM and other programs answer; a launch and its digest; no rules."""
