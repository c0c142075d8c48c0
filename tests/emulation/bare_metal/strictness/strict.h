/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * What strict.c and bus_masters.c share.
 */
#ifndef STRICT_H
#define STRICT_H

#include "guest.h"

#define SECRET 0x7465726365737365ULL

/* A page in a block of its own, validated or shared; 2 MiB of its kind of memory follow it. */
uint64_t new_private(void);
uint64_t new_shared(void);

void bus_masters(void);

#endif
