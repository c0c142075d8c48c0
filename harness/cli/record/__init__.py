# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands about one record."""
