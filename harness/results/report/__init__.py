# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A run as pages that people like to open: static, self-contained, without network."""
