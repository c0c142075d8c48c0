/*
 * SEV-SNP guest emulation for TCG: the reverse map table
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The RMP is kept per 2 MiB block: one byte while all of its pages are in the
 * same state, 512 bytes otherwise.  A guest of 1 TiB costs 8 MiB until its
 * blocks are split.
 */

#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "qemu/units.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "internal.h"

#define BLOCK_SIZE  (2 * MiB)
#define BLOCK_PAGES (BLOCK_SIZE / 4096)

typedef struct RmpPages {
    struct rcu_head rcu;
    uint8_t state[BLOCK_PAGES];
} RmpPages;

/* Written under SnpEmu::lock, read by any vCPU's TLB fill under RCU. */
struct RmpBlock {
    RmpPages *pages;    /* NULL while uniform */
    uint32_t filled;    /* flush_epoch when a page last entered a TLB */
    uint8_t uniform;
};

/*
 * May the hypervisor make this block one 2 MiB entry?  KVM's guest_memfd hands
 * out 4 KiB pages (kvm_gmem_get_folio()), and sev_gmem_prepare() makes entries
 * of that size.  A host with huge pages has both sizes, side by side.
 */
static uint8_t block_size(hwaddr gpa)
{
    switch (snp_emu()->rmp_entries) {
    case SEV_SNP_EMULATED_RMP_ENTRIES_2M:
        return RMP_LARGE;
    case SEV_SNP_EMULATED_RMP_ENTRIES_MIXED:
        /* Fibonacci hashing: no pattern that a guest could have, too */
        return gpa / BLOCK_SIZE * 0x9e3779b97f4a7c15 >> 63 ? RMP_LARGE : 0;
    default:
        return 0;
    }
}

/*
 * flush_epoch counts full TLB flushes.  A block that no TLB was filled from
 * since the last one needs none when its pages change: guests rescind and
 * convert many pages in a row, and full flushes would be most of what that
 * costs.
 */
RmpBlock *rmp_block(hwaddr gpa)
{
    const SnpRmp *rmp = &snp_emu()->rmp;

    return gpa / BLOCK_SIZE < rmp->nr_blocks ? &rmp->blocks[gpa / BLOCK_SIZE] :
                                               NULL;
}

uint8_t block_get(const RmpBlock *block, hwaddr gpa)
{
    RmpPages *pages = qatomic_rcu_read(&block->pages);

    return pages ? pages->state[gpa / 4096 % BLOCK_PAGES] :
                   qatomic_read(&block->uniform);
}

uint8_t rmp_get(hwaddr gpa)
{
    RmpBlock *block = rmp_block(gpa);

    return block ? block_get(block, gpa) : RMP_NONE;
}

/* What a hypervisor does with PSMASH before it changes a part. */
static void split(RmpBlock *block)
{
    RmpPages *pages = g_new0(RmpPages, 1);
    uint8_t state = block->uniform;

    memset(pages->state, state == RMP_NONE ? state : state & ~RMP_LARGE,
           BLOCK_PAGES);
    qatomic_rcu_set(&block->pages, pages);
}

/* At launch: set pages whatever they were. */
static void init_pages(hwaddr gpa, hwaddr end, uint8_t state)
{
    while (gpa < end) {
        RmpBlock *block = rmp_block(gpa);
        unsigned page = gpa / 4096 % BLOCK_PAGES;
        unsigned n = MIN(BLOCK_PAGES - page, (end - gpa) / 4096);

        if (n == BLOCK_PAGES) {
            block->uniform = state | block_size(gpa);
        } else {
            if (!block->pages) {
                split(block);
            }
            memset(block->pages->state + page, state, n);
        }
        gpa += n * 4096ULL;
    }
}

/* Legacy video memory lies inside the RAM range but is never RAM. */
#define VGA_WINDOW      0xa0000
#define VGA_WINDOW_END  0xc0000

/*
 * With a confidential guest QEMU gives KVM all memory as private from the
 * start (kvm_set_phys_mem()), so nothing needs a page state change before
 * PVALIDATE, and the first shared access is an implicit conversion.
 */
void rmp_add_range(hwaddr base, uint64_t size)
{
    SnpRmp *rmp = &snp_emu()->rmp;
    uint64_t need = DIV_ROUND_UP(base + size, BLOCK_SIZE);

    assert(QEMU_IS_ALIGNED(base, 4096) && QEMU_IS_ALIGNED(size, 4096));
    if (!size) {
        return;
    }
    if (need > rmp->nr_blocks) {
        rmp->blocks = g_renew(RmpBlock, rmp->blocks, need);
        for (uint64_t i = rmp->nr_blocks; i < need; i++) {
            rmp->blocks[i] = (RmpBlock) { .uniform = RMP_NONE };
        }
        rmp->nr_blocks = need;
    }
    if (base < VGA_WINDOW_END && base + size > VGA_WINDOW) {
        init_pages(base, MAX(base, VGA_WINDOW), RMP_ASSIGNED);
        size = base + size - MIN(base + size, VGA_WINDOW_END);
        base = VGA_WINDOW_END;
    }
    init_pages(base, base + size, RMP_ASSIGNED);
}

void rmp_reset(void)
{
    SnpRmp *rmp = &snp_emu()->rmp;

    for (uint64_t i = 0; i < rmp->nr_blocks; i++) {
        RmpPages *pages = rmp->blocks[i].pages;

        qatomic_set(&rmp->blocks[i].uniform, RMP_NONE);
        qatomic_rcu_set(&rmp->blocks[i].pages, NULL);
        if (pages) {
            g_free_rcu(pages, rcu);
        }
    }
    rmp->validated_pages = 0;
}

/* All 512 pages in one state, and that state a 2 MiB entry's. */
bool rmp_block_is_large(hwaddr gpa)
{
    RmpBlock *block = rmp_block(gpa);

    return block && !block->pages && block->uniform != RMP_NONE &&
           (block->uniform & RMP_LARGE);
}

/* @n pages change state; true when a TLB might hold them as they were. */
static bool account(uint8_t old, uint8_t new, int n)
{
    bool was_usable = !(old & RMP_ASSIGNED) || (old & RMP_VALIDATED) ||
                      ((old & RMP_TOUCHED) && !(new & RMP_ASSIGNED));

    snp_emu()->rmp.validated_pages += n * (!!(new & RMP_VALIDATED) -
                                           !!(old & RMP_VALIDATED));
    return was_usable && ((old ^ new) & ~(RMP_LARGE | RMP_TOUCHED));
}

/* Pages of @block that a TLB might hold are no longer as they were. */
static void block_changed(const RmpBlock *block)
{
    SnpRmp *rmp = &snp_emu()->rmp;

    smp_mb();   /* new state before filled, see block_fills_tlb() */
    rmp->stale |= qatomic_read(&block->filled) == rmp->flush_epoch;
}

/*
 * A TLB is about to be filled from @block: say so before the state is read,
 * so that one of the two sees the other when it changes meanwhile.
 */
void block_fills_tlb(RmpBlock *block)
{
    uint32_t epoch = qatomic_read(&snp_emu()->rmp.flush_epoch);
    uint32_t old = qatomic_read(&block->filled);

    if (unlikely(old != epoch)) {
        /* fails when another vCPU has a newer number: that one counts */
        qatomic_cmpxchg(&block->filled, old, epoch);
    }
}

/* A block whose pages agree costs one byte again. */
static void merge(RmpBlock *block)
{
    RmpPages *old = block->pages;

    if (old->state[0] != RMP_NONE &&
        !memcmp(old->state, old->state + 1, BLOCK_PAGES - 1)) {
        qatomic_set(&block->uniform, old->state[0]);
        qatomic_rcu_set(&block->pages, NULL);
        g_free_rcu(old, rcu);
    }
}

void rmp_set(hwaddr gpa, uint64_t size, uint8_t state)
{
    hwaddr end = gpa + size;

    while (gpa < end) {
        RmpBlock *block = rmp_block(gpa);
        unsigned page = gpa / 4096 % BLOCK_PAGES;
        unsigned n = MIN(BLOCK_PAGES - page, (end - gpa) / 4096);
        bool changed = false;

        assert(block);
        if (n == BLOCK_PAGES && !block->pages && block->uniform != RMP_NONE) {
            changed = account(block->uniform, state, n);
            qatomic_set(&block->uniform, state);
        } else {
            uint8_t *pages;

            if (!block->pages) {
                split(block);
            }
            pages = block->pages->state;
            for (unsigned i = page; i < page + n; i++) {
                if (pages[i] != RMP_NONE) {
                    changed |= account(pages[i], state, 1);
                    qatomic_set(&pages[i], state & ~RMP_LARGE);
                }
            }
            merge(block);
        }
        if (changed) {
            block_changed(block);
        }
        gpa += n * 4096ULL;
    }
}

uint64_t rmp_validated_pages(void)
{
    return snp_emu()->rmp.validated_pages;
}

uint64_t rmp_split_blocks(void)
{
    const SnpRmp *rmp = &snp_emu()->rmp;
    uint64_t n = 0;

    for (uint64_t i = 0; i < rmp->nr_blocks; i++) {
        n += rmp->blocks[i].pages != NULL;
    }
    return n;
}

void snp_flush_tlbs(CPUX86State *env)
{
    SnpRmp *rmp = &snp_emu()->rmp;

    /* before the flush: a fill that still has the old number is flushed */
    qatomic_set(&rmp->flush_epoch, rmp->flush_epoch + 1);
    /* the number before the flush, as the comment above wants it */
    smp_mb();
    rmp->stale = false;
    /* never at once: a TLB fill may be under way in this vCPU */
    tlb_flush_all_cpus_synced(env_cpu(env));
}

void rmp_flush_stale(CPUX86State *env)
{
    if (snp_emu()->rmp.stale) {
        snp_flush_tlbs(env);
    }
}

void rmp_change_owner(hwaddr gpa, uint64_t size, uint8_t state)
{
    contents_begin_change(gpa, size);
    rmp_set(gpa, size, state);
    contents_end_change();
}

bool rmp_page_state_change(const SnpOrigin *o, hwaddr gpa, uint64_t size,
                           bool private)
{
    uint8_t want = private ? RMP_ASSIGNED : 0;
    uint8_t state;

    if (rmp_get(gpa) == RMP_NONE || rmp_get(gpa + size - 1) == RMP_NONE) {
        return false;
    }
    watch_event(private ? SNP_OP_PSC_PRIVATE : SNP_OP_PSC_SHARED, o, gpa,
                 size);
    if (size == BLOCK_SIZE) {
        RmpBlock *block = rmp_block(gpa);

        if (!block->pages && !(block->uniform & RMP_ASSIGNED) == !private) {
            return true;        /* as KVM: nothing to convert */
        }
        if (!block->pages) {
            rmp_change_owner(gpa, size, want | (private ? block_size(gpa) : 0));
            return true;
        }
    }
    /* Pages that are already as wanted keep their validation. */
    for (hwaddr a = gpa; a < gpa + size; a += 4096) {
        state = rmp_get(a);
        if (state != RMP_NONE && (state & RMP_ASSIGNED) != want) {
            rmp_change_owner(a, 4096, want);
        }
    }
    return true;
}

void rmp_implicit_conversion(CPUX86State *env, const SnpOrigin *o, hwaddr page,
                             bool private)
{
    watch_event(private ? SNP_OP_IMPLICIT_PRIVATE : SNP_OP_IMPLICIT_SHARED,
                 o, page, 4096);
    host_implicit_conversion(page, private);
    rmp_change_owner(page, 4096, private ? RMP_ASSIGNED : 0);
    rmp_flush_stale(env);
    snp_report(private ? SNP_OP_IMPLICIT_PRIVATE : SNP_OP_IMPLICIT_SHARED, o,
               page);
}
