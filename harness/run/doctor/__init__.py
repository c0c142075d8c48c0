# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What this host can do: questions, each with an answer and what mends it."""
