# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Guest images: initramfs and Debian disks."""
