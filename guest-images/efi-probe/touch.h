/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef TOUCH_H
#define TOUCH_H

#include "map.h"

/* What CPUID and the SEV_STATUS MSR say; all 0 in a guest that is not confidential. */
struct sev {
    u64 status, c_bit; /* c_bit: as a mask */
};

void read_sev(struct sev *sev);

/* Allocate page tables that map everything up to the end of RAM privately, by 1 GiB pages; false when that cannot be. */
bool make_page_tables(efi_boot_services *boot, const struct map *map, u64 c_bit);

/* Go over to them, and give the firmware's; go back. What touches a page or validates it needs them. */
u64 use_own_tables(void);
void use_tables(u64 tables);

/* Touch memory of the types in `types` (bit n: type n), and write the results as items of a JSON list. */
void touch_types(const struct map *map, u64 types, u64 step);

#endif
