# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where packages come from: archive, suites, indexes, sources and the lock file."""
