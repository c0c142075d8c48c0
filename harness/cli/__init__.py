# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness``: what pytest does not do."""
