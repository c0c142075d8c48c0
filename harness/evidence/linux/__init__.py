# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the command line tells Linux, and what follows from it for its memory."""
