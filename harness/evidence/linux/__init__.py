# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What Linux was told, and what follows from it for its memory."""
