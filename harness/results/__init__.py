# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What came out: verdicts as data, runs and their history, comparison, reports and exports."""
