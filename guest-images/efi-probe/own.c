/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "own.h"
#include "touch.h"
#include "trap.h"

#define GHCB_MSR 0xc0010130
enum { REQUEST = 0x014, RESPONSE = 0x015, PRIVATE = 1, SHARED = 2 }; /* GHCB specification, 2.3.1 */

static u64 read_ghcb_msr(void)
{
    u32 low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(GHCB_MSR));
    return low | (u64)high << 32;
}

static void write_ghcb_msr(u64 value)
{
    __asm__ volatile("wrmsr" : : "a"((u32)value), "d"((u32)(value >> 32)), "c"(GHCB_MSR));
}

/* Ask the hypervisor for the state of one page, by the MSR protocol: that needs no GHCB. */
static bool ask(u64 page, u64 state)
{
    u64 before = read_ghcb_msr(), answer;

    write_ghcb_msr(REQUEST | page | state << 52);
    __asm__ volatile("rep; vmmcall" : : : "memory");
    answer = read_ghcb_msr();
    write_ghcb_msr(before);
    return answer == RESPONSE;
}

static bool validate(u64 page, bool valid)
{
    u64 result = page;

    __asm__ volatile(".byte 0xf2, 0x0f, 0x01, 0xff" /* PVALIDATE */
                     : "+a"(result)
                     : "c"(0UL), "d"((u64)valid)
                     : "cc", "memory");
    return (u32)result == 0;
}

/* Go wrong in the one way that is asked for; nothing of it is reported. */
static void go_wrong(u64 wrong, u64 start, u64 end)
{
    switch (wrong) {
    case WRONG_TWICE:
        validate(start, true);
        break;
    case WRONG_BEYOND:
        if (ask(end, PRIVATE))
            validate(end, true);
        break;
    case WRONG_TRESPASS:
        touch_page(end);
        break;
    case WRONG_RESCIND:
        validate(start, false);
        touch_page(start);
        validate(start, true);
        break;
    case WRONG_SHARE:
        ask(start, SHARED);
        touch_page(start);
        if (ask(start, PRIVATE))
            validate(start, true);
        break;
    }
}

struct own accept_own(const struct map *map, const struct options *options)
{
    const efi_descriptor *entry;
    struct own own = {0, 0};
    u64 firmware, pages, done;

    for (u64 n = 0; (entry = map_entry(map, n)); n++)
        if (entry->type == EFI_UNACCEPTED)
            break;
    if (!entry)
        return own;
    pages = options->own < entry->pages ? options->own : entry->pages;
    own = (struct own){entry->physical, pages * PAGE_SIZE};
    done = options->wrong == WRONG_SHORT && pages ? pages - 1 : pages;
    firmware = use_own_tables();
    for (u64 n = 0; n < done; n++) {
        u64 page = own.start + n * PAGE_SIZE;

        if (options->wrong == WRONG_UNASKED || ask(page, PRIVATE))
            validate(page, true);
    }
    go_wrong(options->wrong, own.start, own.start + own.size);
    use_tables(firmware);
    return own;
}
