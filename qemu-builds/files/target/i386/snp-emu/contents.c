/*
 * SEV-SNP guest emulation for TCG: what a page holds after a state change
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * On hardware a page that becomes private is read through the guest's key:
 * whatever was there before, and be it zeros, decrypts to garbage.  A page
 * that becomes shared is another page of the host (guest_memfd keeps private
 * memory apart, and QEMU discards the side that is no longer used): it reads
 * as zero.  Nothing is encrypted here, so a page whose state changed is filled
 * with noise or with zeros at its first access, by whomever.  Until then it
 * costs one bit, and accepting memory touches none of it.
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/madvise.h"
#include "qemu/rcu.h"
#include "qemu/units.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/exec-all.h"
#include "exec/ram_addr.h"
#include "hw/boards.h"
#include "qapi/error.h"
#include "system/confidential-guest-support.h"
#include "internal.h"

/*
 * What a read finds that goes by the C-bit's complement: pages right above all
 * that page tables reach, because the C-bit is no address bit.
 */
#define NOISE_PAGES 16

/* splitmix64: from a fixed seed, so that a run can be repeated */
static uint64_t next_random(SnpContents *c)
{
    uint64_t z = (c->random += 0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

void contents_init(hwaddr end)
{
    SnpEmu *s = snp_emu();
    SnpContents *c = &s->contents;
    uint64_t *page;

    qemu_mutex_init(&c->lock);
    for (int i = 0; i < ARRAY_SIZE(c->noise); i++) {
        c->noise[i] = next_random(c);
    }
    memory_region_init_rom_nomigrate(&c->noise_mr, OBJECT(current_machine->cgs),
                                     "sev-snp-emulated-noise",
                                     NOISE_PAGES * TARGET_PAGE_SIZE,
                                     &error_fatal);
    page = memory_region_get_ram_ptr(&c->noise_mr);
    for (int i = 0; i < NOISE_PAGES * TARGET_PAGE_SIZE / 8; i++) {
        stq_le_p(page + i, next_random(c));
    }
    memory_region_add_subregion(get_system_memory(), s->c_bit, &c->noise_mr);
    if (s->scramble) {
        /* from calloc(): the host backs only what is used */
        c->settled_pages = end / TARGET_PAGE_SIZE;
        c->settled_map = bitmap_new(c->settled_pages);
    }
}

hwaddr contents_noise_page(hwaddr gpa)
{
    return snp_emu()->c_bit | (gpa / TARGET_PAGE_SIZE % NOISE_PAGES *
                               TARGET_PAGE_SIZE);
}

static MemoryRegion *ram_at(hwaddr gpa, hwaddr len, ram_addr_t *offset)
{
    hwaddr xlat;
    MemoryRegion *mr = address_space_translate(&address_space_memory, gpa,
                                               &xlat, &len, true,
                                               MEMTXATTRS_UNSPECIFIED);

    *offset = xlat;
    return memory_region_is_ram(mr) && !mr->readonly ? mr : NULL;
}

/*
 * Guests go through memory upwards: Linux zeroes its bounce buffers, and the
 * memory that it hands out.  The host then backs what comes next at once, where
 * each of its page faults would cost more than the page's contents.
 */
#define AHEAD (64 * KiB)

static void back_what_comes_next(MemoryRegion *mr, hwaddr page,
                                 ram_addr_t offset, void *host)
{
    uint64_t room = memory_region_size(mr) - offset;

    if (page && QEMU_IS_ALIGNED(page, AHEAD) && room >= AHEAD &&
        contents_settled(page - TARGET_PAGE_SIZE)) {
        /* a host that cannot does so page by page */
        qemu_madvise(host, AHEAD, QEMU_MADV_POPULATE_WRITE);
    }
}

void contents_fill(hwaddr gpa)
{
    SnpContents *c = &snp_emu()->contents;
    hwaddr page = gpa & TARGET_PAGE_MASK;
    unsigned long pfn = page / TARGET_PAGE_SIZE;
    unsigned long *word = &c->settled_map[BIT_WORD(pfn)];
    ram_addr_t offset;
    MemoryRegion *mr;

    QEMU_LOCK_GUARD(&c->lock);
    if (contents_settled(page)) {
        return;     /* another vCPU or device was faster */
    }
    WITH_RCU_READ_LOCK_GUARD() {
        mr = ram_at(page, TARGET_PAGE_SIZE, &offset);
        if (mr) {
            /* No code of this page is translated: see forget_code(). */
            void *host = qemu_map_ram_ptr(mr->ram_block, offset);

            back_what_comes_next(mr, page, offset, host);
            if (rmp_get(page) & (RMP_ASSIGNED | RMP_CIPHER)) {
                size_t from = next_random(c) % (ARRAY_SIZE(c->noise) -
                                                TARGET_PAGE_SIZE / 8);

                memcpy(host, c->noise + from, TARGET_PAGE_SIZE);
            } else {
                memset(host, 0, TARGET_PAGE_SIZE);
            }
        }
    }
    qatomic_store_release(word, *word | BIT_MASK(pfn));
}

/* Runs between two translation blocks, with the BQL and no lock of ours. */
static void drop_code(CPUState *cs, run_on_cpu_data data)
{
    tb_invalidate_phys_range(data.target_ptr,
                             data.target_ptr + TARGET_PAGE_SIZE - 1);
}

/*
 * Code that was translated from a page is not what the page holds now.  The
 * caller may hold locks that a translating vCPU waits for, so this is left
 * for later; nothing can run from the page before that.
 */
static void forget_code(hwaddr gpa, uint64_t size)
{
    const uint8_t code = 1 << DIRTY_MEMORY_CODE;
    ram_addr_t offset, start;
    MemoryRegion *mr;

    RCU_READ_LOCK_GUARD();
    mr = ram_at(gpa, size, &offset);
    if (!mr) {
        return;
    }
    start = memory_region_get_ram_addr(mr) + offset;
    if (!cpu_physical_memory_range_includes_clean(start, size, code)) {
        return;
    }
    for (ram_addr_t a = start; a < start + size; a += TARGET_PAGE_SIZE) {
        if (!cpu_physical_memory_get_dirty_flag(a, DIRTY_MEMORY_CODE)) {
            async_run_on_cpu(current_cpu ?: first_cpu, drop_code,
                             RUN_ON_CPU_TARGET_PTR(a));
        }
    }
}

void contents_begin_change(hwaddr gpa, uint64_t size)
{
    SnpContents *c = &snp_emu()->contents;

    if (c->settled_map) {
        forget_code(gpa, size);
        qemu_mutex_lock(&c->lock);
        bitmap_clear(c->settled_map, gpa / TARGET_PAGE_SIZE,
                     size / TARGET_PAGE_SIZE);
        smp_wmb();  /* who sees the new state sees this, too */
    }
}

void contents_end_change(void)
{
    SnpContents *c = &snp_emu()->contents;

    if (c->settled_map) {
        qemu_mutex_unlock(&c->lock);
    }
}

void contents_forget(void)
{
    SnpContents *c = &snp_emu()->contents;

    if (c->settled_map) {
        QEMU_LOCK_GUARD(&c->lock);
        bitmap_clear(c->settled_map, 0, c->settled_pages);
    }
}

void contents_keep(hwaddr gpa, uint64_t size)
{
    SnpContents *c = &snp_emu()->contents;

    if (c->settled_map) {
        QEMU_LOCK_GUARD(&c->lock);
        bitmap_set(c->settled_map, gpa / TARGET_PAGE_SIZE,
                   size / TARGET_PAGE_SIZE);
    }
}
