# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where the rooms meet: options, session, cell runs, and the pool in which boots share a host."""
