# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Whether a file is what it was when its entry was made: a disk that fails leaves no trace in times."""

from __future__ import annotations

import contextlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.errors import HostError
from harness.store.carried import CARRIED_KEY, DISTRIBUTION
from harness.store.entries import PROVENANCE

if TYPE_CHECKING:
    from pathlib import Path


@lru_cache(maxsize=256)
def vouch(path: Path, sha256: str) -> None:
    """Compare the digest of a file that is used with the provenance of the store's entry that holds it.

    HostError when they differ; the store then makes the entry anew for whoever wants it next. A file that
    is in no entry is not looked at.
    """
    found = next((folder for folder in path.parents if (folder / PROVENANCE).is_file()), None)
    if found is None:
        return
    provenance = _provenance(found)
    recorded = provenance.get("files", {}).get(str(path.relative_to(found)), {}).get("sha256")
    if recorded is None or recorded == sha256:
        return
    with contextlib.suppress(OSError):  # without its seal the store reads the entry's files again
        found.with_name(f".{found.name}.seal").unlink()
    what = f"{provenance.get('kind')} {provenance.get('name')}"
    mend = f"install {DISTRIBUTION} again" if CARRIED_KEY in provenance else "the next run makes it anew"
    raise HostError(
        f"{path} is damaged: it is not the file that was made for {what} (SHA-256 {sha256[:16]}…, not "
        f"{recorded[:16]}…)",
        f"{mend}; look at the disk, or at whatever copied it",
    )


def _provenance(folder: Path) -> dict[str, Any]:
    try:
        value = json.loads((folder / PROVENANCE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
