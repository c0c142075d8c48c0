/*
 * SEV guest emulation for TCG: the encrypted and the plain view of memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Without SNP there is no RMP: no page has an owner, no access faults for one,
 * and the hypervisor hears of none.  A page is read and written through the
 * guest's key with the C-bit, and as it is without (APM volume 2, 15.34.4).
 * What was written by one view reads as noise by the other.
 *
 * Here a page belongs to the view that wrote to it last, and a write by the
 * other one takes it over, contents lost; hardware would lose 16 bytes around
 * each.  RMP states serve: RMP_ASSIGNED is a page that nobody used yet, with
 * RMP_TOUCHED it is an encrypted one, without both a plain one.
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "exec/page-protection.h"
#include "internal.h"

#define ENCRYPTED (RMP_ASSIGNED | RMP_TOUCHED)

static bool is_encrypted(uint8_t state)
{
    return (state & ENCRYPTED) == ENCRYPTED;
}

static bool is_unused(uint8_t state)
{
    return (state & ENCRYPTED) == RMP_ASSIGNED;
}

static bool belongs_to(uint8_t state, bool shared)
{
    return shared ? !(state & RMP_ASSIGNED) : is_encrypted(state);
}

/* The caller holds SnpEmu::lock. */
static void take_over(hwaddr page, bool shared)
{
    uint8_t state = rmp_get(page);

    if (!belongs_to(state, shared)) {
        rmp_change_owner(page, 4096, !shared ? ENCRYPTED :
                                     is_encrypted(state) ? RMP_CIPHER : 0);
    }
}

bool views_access(CPUX86State *env, hwaddr *gpa, MMUAccessType access,
                  bool shared, int *prot, bool probe, uintptr_t ra)
{
    hwaddr page = *gpa & TARGET_PAGE_MASK;
    RmpBlock *block = rmp_block(page);
    uint8_t state = RMP_NONE;

    if (block) {
        block_fills_tlb(block);
        state = block_get(block, page);
    }
    if (state == RMP_NONE) {
        return true;    /* no memory: the C-bit means nothing there */
    }
    if (likely(belongs_to(state, shared))) {
        contents_settle(page);
        return true;
    }
    if (access == MMU_DATA_LOAD && prot && !is_unused(state)) {
        if (shared) {
            snp_shared_read(env, gpa, prot, probe, ra);
        } else {
            *gpa = contents_noise_page(page) | (*gpa & ~TARGET_PAGE_MASK);
            *prot &= PAGE_READ;
        }
        return true;
    }
    QEMU_LOCK_GUARD(&snp_emu()->lock);
    take_over(page, shared);
    rmp_flush_stale(env);
    block_fills_tlb(block);
    contents_settle(page);
    return true;
}

bool views_dma(hwaddr page, bool write)
{
    uint8_t state = rmp_get(page);

    if (is_encrypted(state) && !write) {
        return false;
    }
    if (!belongs_to(state, true)) {
        QEMU_LOCK_GUARD(&snp_emu()->lock);
        take_over(page, true);
        rmp_flush_stale(cpu_env(current_cpu ?: first_cpu));
    }
    contents_settle(page);
    return true;
}

void views_launch(hwaddr gpa, uint64_t size)
{
    contents_keep(gpa, size);
    rmp_set(gpa, size, ENCRYPTED);
}
