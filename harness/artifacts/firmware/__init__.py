# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Firmware: built from edk2's sources or fetched, with traits read from the image."""
