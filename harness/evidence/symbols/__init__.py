# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Addresses by name: which module of the firmware holds an instruction."""
