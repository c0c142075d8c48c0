# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The console of a Debian 6.12 that could not accept a page outside of its direct map."""

from __future__ import annotations

LINE = "[    0.000000] BUG: unable to handle page fault for address: ffff8e8c40000000"
CONSOLE = f"""\
[    0.000000] before
{LINE}
[    0.000000] #PF: supervisor read access in kernel mode
[    0.000000] Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI
[    0.000000] RIP: 0010:pvalidate_pages+0xa2/0x230
[    0.000000] CR2: ffff8e8c40000000 CR3: 0008000003422000 CR4: 00000000000000f0
[    0.000000] Call Trace:
[    0.000000]  <TASK>
[    0.000000]  set_pages_state+0x444/0x490
[    0.000000]  accept_memory+0x28f/0x2c0
[    0.000000]  memblock_alloc_range_nid+0x165/0x180
[    0.000000]  ? sscanf+0x58/0x80
[    0.000000]  common_startup_64.part.0+0x13e/0x141
[    0.000000]  </TASK>
[    0.000000] Modules linked in:
[    0.000000]  later+0x1/0x2
"""
CALLS = (
    "set_pages_state+0x444",
    "accept_memory+0x28f",
    "memblock_alloc_range_nid+0x165",
    "common_startup_64.part.0+0x13e",
)
