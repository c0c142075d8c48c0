# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How bytes are laid out: bytes in, bytes out, without store, network and QEMU."""
