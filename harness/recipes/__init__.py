# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What may be named: recipes of all ingredients, their groups and the catalog."""
