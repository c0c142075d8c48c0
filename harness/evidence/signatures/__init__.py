# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Signatures: lines that machines print when something goes wrong, and what each means."""
