/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Output by port I/O alone: it works before and after ExitBootServices and leaves the firmware's state as it is. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include "efi.h"

void put(const char *text);
void put_decimal(u64 value);
void put_hex(u64 value);        /* with 0x and quotes, a JSON string */
void put_guid(const efi_guid *guid);
void put_word(const u16 *word, u64 length); /* UCS-2 as a JSON string; what is not plain ASCII becomes '?' */

static inline void out8(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out16(u16 port, u16 value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline u8 in8(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

#endif
