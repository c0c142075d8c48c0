# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An empty qcow2 overlay: what the guest writes goes there, its base stays as it was.

Format: QEMU ``docs/interop/qcow2.rst``, version 3. Four clusters are written: header, refcount table,
refcount block, L1 table; QEMU adds the rest as the guest writes. By hand because the QEMU that we build has
no ``qemu-img``; the test lets QEMU itself read the result.
"""

from __future__ import annotations

import struct

from harness.errors import HarnessError

_CLUSTER_BITS = 16


_CLUSTER = 1 << _CLUSTER_BITS


_L2_COVERS = _CLUSTER // 8 * _CLUSTER


_HEADER = 104


_BACKING_FORMAT = 0xE2792ACA


_LONGEST_NAME = 1023

_MAGIC = b"QFI\xfb"
_FIRST = struct.Struct(">4sIQIIQ")
"""The header up to the size: magic, version, backing file's offset and length, cluster bits, size."""


def virtual_size(start: bytes) -> int | None:
    """Return the bytes that a guest sees of an image that begins with ``start``; None for no qcow2."""
    if not start.startswith(_MAGIC) or len(start) < _FIRST.size:
        return None
    return int(_FIRST.unpack_from(start)[-1])


def overlay_bytes(base: str, size: int, base_format: str = "raw") -> bytes:
    """Make the overlay of a disk of ``size`` bytes whose contents are in the file ``base``."""
    name, kind = base.encode(), base_format.encode()
    extension = struct.pack(">II", _BACKING_FORMAT, len(kind)) + kind.ljust(-(-len(kind) // 8) * 8, b"\0")
    end = struct.pack(">II", 0, 0)
    l1_entries = -(-size // _L2_COVERS)
    if len(name) > _LONGEST_NAME or l1_entries * 8 > _CLUSTER:
        raise HarnessError(f"{base}: no overlay can be made: its name is too long, or the disk too large")
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        *(_MAGIC, 3, _HEADER + len(extension) + len(end), len(name), _CLUSTER_BITS, size, 0),
        *(l1_entries, 3 * _CLUSTER, _CLUSTER, 1, 0, 0),
        *(0, 0, 0, 4, _HEADER),
    )
    counts = struct.pack(">4H", 1, 1, 1, 1)
    clusters = (header + extension + end + name, struct.pack(">Q", 2 * _CLUSTER), counts, b"")
    return b"".join(cluster.ljust(_CLUSTER, b"\0") for cluster in clusters)
