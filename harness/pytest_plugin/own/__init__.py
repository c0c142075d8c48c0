# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Tests of somebody's own: dimensions, the ladder from a cell to its checks, guests at work."""
