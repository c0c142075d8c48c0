# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One record by itself: read as far as it can be read, shown, and compared with another."""
