/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "efi.h"

void *memset(void *to, int value, u64 size);
void *memcpy(void *to, const void *from, u64 size);

/* The compiler may call these. */
void *memset(void *to, int value, u64 size)
{
    for (u64 n = 0; n < size; n++)
        ((u8 *)to)[n] = value;
    return to;
}

void *memcpy(void *to, const void *from, u64 size)
{
    for (u64 n = 0; n < size; n++)
        ((u8 *)to)[n] = ((const u8 *)from)[n];
    return to;
}
