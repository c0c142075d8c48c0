# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How long a boot is waited for, and what the host has to do with it."""
