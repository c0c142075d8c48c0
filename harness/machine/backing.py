# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a guest's memory is made of on the host: the setting ``HARNESS_GUEST_MEMORY``.

The words are for hosts with hardware: page by page from a memfd, as without the setting, is right for
emulation, and for guest_memfd, whose private side these words do not touch.
"""

from __future__ import annotations

import os
import re

from harness.errors import HarnessError

SETTING = "HARNESS_GUEST_MEMORY"
_HUGE = re.compile(r"hugetlb(?:=(?P<size>2M|1G))?")
_NODE = re.compile(r"node=(?P<node>\d+)")

Options = tuple[tuple[str, str], ...]


def backing(text: str) -> Options:
    """Return the options of QEMU's memory backend for words such as ``prealloc hugetlb=2M node=0``.

    ``prealloc``: all of it is there before the guest starts. ``hugetlb``: its shared side is of huge pages
    that the administrator has reserved, of 2M or 1G. ``node``: from this NUMA node. HarnessError for others.
    """
    found: list[tuple[str, str]] = []
    for word in text.replace(",", " ").split():
        if word == "prealloc":
            found.append(("prealloc", "on"))
        elif huge := _HUGE.fullmatch(word):
            found += [("hugetlb", "on"), ("hugetlbsize", huge["size"] or "2M")]
        elif node := _NODE.fullmatch(word):
            found += [("host-nodes", node["node"]), ("policy", "bind")]
        else:
            raise HarnessError(
                f"{SETTING}: unknown word {word!r}", "it takes prealloc, hugetlb, hugetlb=2M|1G and node=N"
            )
    return tuple(found)


def chosen() -> Options:
    """Return the options of the setting."""
    return backing(os.environ.get(SETTING, ""))


def sides(options: Options) -> int:
    """Return how often a confidential guest's memory is there: twice where its shared side is never freed.

    QEMU gives shared pages back that became private, except huge ones (``kvm_convert_memory()``).
    """
    return 2 if ("hugetlb", "on") in options or ("prealloc", "on") in options else 1
