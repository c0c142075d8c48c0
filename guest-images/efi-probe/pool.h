/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef POOL_H
#define POOL_H

#include "efi.h"

/* Leave no free block in the pool of boot services data. */
void fill_pool(efi_boot_services *boot);

#endif
