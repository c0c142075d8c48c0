# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What has been made already: content-addressed entries, locks and build steps."""
