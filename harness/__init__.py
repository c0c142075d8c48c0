# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Does this confidential guest get all of its memory, safely?"""
