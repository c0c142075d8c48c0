/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "console.h"

enum { COM1 = 0x3f8, LINE_STATUS = COM1 + 5, TRANSMITTER_EMPTY = 0x20, DEBUG_PORT = 0x402 };

static void put_char(char c)
{
    /* A UART that never gets ready (there is none) must not hang the probe. */
    for (u32 tries = 0; !(in8(LINE_STATUS) & TRANSMITTER_EMPTY) && tries < 1000000; tries++)
        __asm__ volatile("pause");
    out8(COM1, c);
    out8(DEBUG_PORT, c);
}

void put(const char *text)
{
    for (; *text; text++)
        put_char(*text);
}

static void put_digits(u64 value, u32 base, u32 least)
{
    char digits[21];
    u32 n = sizeof(digits);

    digits[--n] = 0;
    do {
        digits[--n] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value || sizeof(digits) - 1 - n < least);
    put(digits + n);
}

void put_decimal(u64 value)
{
    put_digits(value, 10, 1);
}

void put_hex(u64 value)
{
    put("\"0x");
    put_digits(value, 16, 1);
    put("\"");
}

void put_guid(const efi_guid *guid)
{
    put("\"");
    put_digits(guid->a, 16, 8);
    put("-");
    put_digits(guid->b, 16, 4);
    put("-");
    put_digits(guid->c, 16, 4);
    for (u32 n = 0; n < 8; n++) {
        if (n == 0 || n == 2)
            put("-");
        put_digits(guid->d[n], 16, 2);
    }
    put("\"");
}

void put_word(const u16 *word, u64 length)
{
    put("\"");
    for (u64 n = 0; n < length; n++)
        put_char(word[n] < ' ' || word[n] > '~' || word[n] == '"' || word[n] == '\\' ? '?' : word[n]);
    put("\"");
}
