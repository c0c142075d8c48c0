# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Two sides of one axis, compared: what differs, and the page that says so."""
