# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One boot by itself, without a scenario: made, and made again."""
