# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Commands about what is stored: runs, and the cache."""
