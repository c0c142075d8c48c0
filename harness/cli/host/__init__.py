# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Commands about the host: what it can do, and who uses it."""
