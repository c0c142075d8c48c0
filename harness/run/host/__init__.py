# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One host for the runs of several users."""
