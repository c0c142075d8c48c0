# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Loaders: fetched, with traits, on the disks from which they start kernels."""
