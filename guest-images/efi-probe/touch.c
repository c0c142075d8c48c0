/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Touching memory by type. It is done under page tables of our own, which map everything writable and private: those of the
 * firmware may protect code and may map single pages as shared. Ports are used under the firmware's alone, because its #VC
 * handler needs its own mapping of the GHCB.
 */
#include "touch.h"
#include "console.h"
#include "trap.h"

enum { ENTRIES = 512, TYPES = 16 };
#define PRESENT_WRITABLE 3UL
#define LARGE 0x80UL
#define GIB (1UL << 30)
#define CR4_LA57 (1UL << 12)

static u64 top_table;

static void cpuid(u32 leaf, u32 *a, u32 *b, u32 *d)
{
    u32 c = 0;

    __asm__ volatile("cpuid" : "=a"(*a), "=b"(*b), "+c"(c), "=d"(*d) : "0"(leaf));
}

void read_sev(struct sev *sev)
{
    u32 a, b, d, low, high;

    *sev = (struct sev){0, 0};
    cpuid(0x80000000, &a, &b, &d);
    if (a < 0x8000001f)
        return;
    cpuid(0x8000001f, &a, &b, &d);
    if (!(a & 2))
        return;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0xc0010131));
    sev->status = low | (u64)high << 32;
    if (sev->status & 1)
        sev->c_bit = 1UL << (b & 63);
}

bool make_page_tables(efi_boot_services *boot, const struct map *map, u64 c_bit)
{
    const efi_descriptor *entry;
    u64 end = 4 * GIB, count, address, cr4, *tables;
    u32 a, b, d;

    cpuid(0x80000001, &a, &b, &d);
    if (!(d & 1 << 26)) /* 1 GiB pages */
        return false;
    for (u64 n = 0; (entry = map_entry(map, n)); n++)
        if (entry->type == EFI_CONVENTIONAL || entry->type == EFI_UNACCEPTED)
            if (entry->physical + entry->pages * PAGE_SIZE > end)
                end = entry->physical + entry->pages * PAGE_SIZE;
    count = (end + ENTRIES * GIB - 1) / (ENTRIES * GIB);
    if (count > ENTRIES || boot->allocate_pages(ALLOCATE_ANY_PAGES, EFI_LOADER_DATA, count + 2, &address))
        return false;
    tables = (u64 *)address; /* two upper tables, then the ones with entries of 1 GiB */
    for (u64 n = 0; n < 2 * ENTRIES; n++)
        tables[n] = 0;
    tables[ENTRIES] = address | c_bit | PRESENT_WRITABLE; /* with 5 levels: the fourth's place in the fifth */
    for (u64 n = 0; n < count; n++)
        tables[n] = (address + (n + 2) * PAGE_SIZE) | c_bit | PRESENT_WRITABLE;
    for (u64 n = 0; n < count * ENTRIES; n++)
        tables[2 * ENTRIES + n] = n * GIB | c_bit | LARGE | PRESENT_WRITABLE;
    __asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
    top_table = cr4 & CR4_LA57 ? address + PAGE_SIZE : address;
    return true;
}

void use_tables(u64 tables)
{
    __asm__ volatile("movq %0, %%cr3" : : "r"(tables) : "memory");
}

u64 use_own_tables(void)
{
    u64 firmware;

    __asm__ volatile("movq %%cr3, %0" : "=r"(firmware));
    use_tables(top_table);
    return firmware;
}

/* Touch every `step`th page and the last one of each entry, until one faults; give the number of those that did not. */
static u64 touch_type(const struct map *map, u32 type, u64 step, bool *faulted)
{
    const efi_descriptor *entry;
    u64 touched = 0;

    for (u64 n = 0; (entry = map_entry(map, n)); n++) {
        if (entry->type != type)
            continue;
        for (u64 page = 0; page < entry->pages; touched++) {
            if (!touch_page(entry->physical + page * PAGE_SIZE)) {
                *faulted = true;
                return touched;
            }
            page = page + step < entry->pages || page + 1 == entry->pages ? page + step : entry->pages - 1;
        }
    }
    return touched;
}

void touch_types(const struct map *map, u64 types, u64 step)
{
    const char *comma = "";

    for (u32 type = 0; type < TYPES; type++) {
        bool faulted = false;
        u64 touched, firmware;

        if (!(types >> type & 1))
            continue;
        firmware = use_own_tables();
        touched = touch_type(map, type, step, &faulted);
        use_tables(firmware);
        put(comma);
        put("\r\n{\"type\":");
        put_decimal(type);
        put(",\"pages\":");
        put_decimal(touched);
        put(",\"fault\":");
        if (faulted) {
            put("{\"vector\":");
            put_decimal(last_fault.vector);
            put(",\"error\":");
            put_hex(last_fault.error);
            put(",\"address\":");
            put_hex(last_fault.address);
            put("}");
        } else {
            put("null");
        }
        put("}");
        comma = ",";
    }
}
