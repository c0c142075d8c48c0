# SPDX-License-Identifier: BSD-2-Clause-Patent
"""YAML read strictly: what a file says, and where it is wrong."""
