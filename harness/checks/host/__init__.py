# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Checks by what the host saw of a guest."""
