# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Whether a device of the host can be used by whoever runs this."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.platforms.leaf import failed, passed

if TYPE_CHECKING:
    from harness.platforms.host import Host
    from harness.platforms.leaf import Leaf


def device_leaf(host: Host, device: str, name: str, mend: str) -> Leaf:
    """Return whether ``/dev/DEVICE`` opens; ``mend`` is for one that is not there."""
    missing = host.lacks_device(device)
    if not missing:
        return passed(name, f"/dev/{device} opens")
    if device in host.answers.refused:
        mend = f"join the group that owns /dev/{device} (ls -l /dev/{device}), log in again; or be root"
    return failed(name, missing[0], mend)
