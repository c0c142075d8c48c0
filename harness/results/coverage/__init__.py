# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which code of a firmware boots executed, for people and for other programs."""
