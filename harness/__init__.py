# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Show whether a confidential guest gets all of its memory, safely."""
