/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef TRAP_H
#define TRAP_H

#include "efi.h"

struct fault {
    u64 vector, error, address; /* address: CR2 */
};

/* Take over the CPU's exceptions, from the firmware, which keeps all #VC but 0x404; with interrupts off. */
void take_exceptions(void);

/* Read and write one byte of the page, leaving it as it is; on a fault give false and fill `last_fault`. */
bool touch_page(u64 address);
extern struct fault last_fault;

#endif
