# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Kernels: fetched or a developer's, with traits read from the image and its config."""
