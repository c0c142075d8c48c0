# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The door to pytest: options, scenario files as tests, and fixtures."""
