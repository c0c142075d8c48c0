# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Fixtures and options are in the installed plugin, harness/pytest_plugin/plugin.py."""
