# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the host saw of a guest, whatever the guest says."""
