# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What processor, secure processor, KVM and other programs answer about SEV; no platform's rules."""
