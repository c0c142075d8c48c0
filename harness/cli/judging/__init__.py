# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Commands about what judges a boot."""
