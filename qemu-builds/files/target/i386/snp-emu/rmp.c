/*
 * SEV-SNP guest emulation for TCG: reverse map table, PVALIDATE, RMPADJUST
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The RMP is kept per 2 MiB block: one byte while all of its pages are in the
 * same state, 512 bytes otherwise.  A guest of 1 TiB costs 8 MiB until its
 * blocks are split.
 */

#include "qemu/osdep.h"
#include "qapi/qapi-events-misc-target.h"
#include "qemu/rcu.h"
#include "qemu/units.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/helper-proto.h"
#include "tcg/helper-tcg.h"
#include "internal.h"

#define BLOCK_SIZE  (2 * MiB)
#define BLOCK_PAGES (BLOCK_SIZE / 4096)

typedef struct RmpPages {
    struct rcu_head rcu;
    uint8_t state[BLOCK_PAGES];
} RmpPages;

/* Written under snp_emu->lock, read by any vCPU's TLB fill under RCU. */
typedef struct RmpBlock {
    RmpPages *pages;    /* NULL while uniform */
    uint8_t uniform;
} RmpBlock;

typedef struct RmpRange {
    hwaddr base;
    uint64_t size;
    RmpBlock *blocks;
} RmpRange;

static RmpRange ranges[8];
static int nr_ranges;
static uint64_t validated_pages;

/* Legacy video memory lies inside the RAM range but is never RAM. */
static bool is_vga_window(hwaddr gpa)
{
    return gpa >= 0xa0000 && gpa < 0xc0000;
}

/*
 * With a confidential guest QEMU gives KVM all memory as private from the
 * start (kvm_set_phys_mem()), so nothing needs a page state change before
 * PVALIDATE, and the first shared access is an implicit conversion.
 */
void rmp_add_range(hwaddr base, uint64_t size)
{
    uint64_t blocks = DIV_ROUND_UP(size, BLOCK_SIZE);
    RmpRange *range;

    if (!size) {
        return;
    }
    assert(nr_ranges < ARRAY_SIZE(ranges));
    assert(QEMU_IS_ALIGNED(base, 4096) && QEMU_IS_ALIGNED(size, 4096));
    range = &ranges[nr_ranges++];
    *range = (RmpRange) {
        .base = base,
        .size = size,
        .blocks = g_new0(RmpBlock, blocks),
    };
    for (uint64_t i = 0; i < blocks; i++) {
        range->blocks[i].uniform = RMP_ASSIGNED | RMP_LARGE;
    }
}

static RmpBlock *rmp_block(hwaddr gpa, unsigned *page)
{
    for (int i = 0; i < nr_ranges; i++) {
        hwaddr offset = gpa - ranges[i].base;

        if (offset < ranges[i].size) {
            *page = offset / 4096 % BLOCK_PAGES;
            return &ranges[i].blocks[offset / BLOCK_SIZE];
        }
    }
    return NULL;
}

uint8_t rmp_get(hwaddr gpa)
{
    unsigned page;
    RmpBlock *block = rmp_block(gpa, &page);
    RmpPages *pages;

    if (!block || is_vga_window(gpa)) {
        return RMP_NONE;
    }
    pages = qatomic_rcu_read(&block->pages);
    return pages ? pages->state[page] : qatomic_read(&block->uniform);
}

/* All 512 pages in one state, and that state a 2 MiB entry's. */
bool rmp_block_is_large(hwaddr gpa)
{
    unsigned page;
    RmpBlock *block = rmp_block(gpa, &page);

    return block && !block->pages && (block->uniform & RMP_LARGE);
}

static unsigned count_validated(const RmpBlock *block)
{
    unsigned n = 0;

    if (!block->pages) {
        return block->uniform & RMP_VALIDATED ? BLOCK_PAGES : 0;
    }
    for (unsigned i = 0; i < BLOCK_PAGES; i++) {
        n += !!(block->pages->state[i] & RMP_VALIDATED);
    }
    return n;
}

void rmp_set(hwaddr gpa, uint64_t size, uint8_t state)
{
    hwaddr end = gpa + size;

    while (gpa < end) {
        unsigned page;
        RmpBlock *block = rmp_block(gpa, &page);
        unsigned n = MIN(BLOCK_PAGES - page, (end - gpa) / 4096);

        assert(block);
        if (n == BLOCK_PAGES) {
            RmpPages *old = block->pages;

            validated_pages -= count_validated(block);
            qatomic_set(&block->uniform, state);
            qatomic_rcu_set(&block->pages, NULL);
            validated_pages += count_validated(block);
            if (old) {
                g_free_rcu(old, rcu);
            }
        } else {
            if (!block->pages) {
                /* what a hypervisor does with PSMASH before it splits */
                RmpPages *split = g_new0(RmpPages, 1);

                memset(split->state, block->uniform & ~RMP_LARGE, BLOCK_PAGES);
                qatomic_rcu_set(&block->pages, split);
            }
            for (unsigned i = page; i < page + n; i++) {
                validated_pages -= !!(block->pages->state[i] & RMP_VALIDATED);
                block->pages->state[i] = state & ~RMP_LARGE;
                validated_pages += !!(block->pages->state[i] & RMP_VALIDATED);
            }
        }
        gpa += n * 4096ULL;
    }
}

uint64_t rmp_validated_pages(void)
{
    return validated_pages;
}

void snp_flush_tlbs(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);

    if (CPU_NEXT(first_cpu)) {
        tlb_flush_all_cpus_synced(cs);
    } else {
        tlb_flush(cs);
    }
}

bool rmp_page_state_change(const SnpOrigin *o, hwaddr gpa, uint64_t size,
                           bool private)
{
    uint8_t want = private ? RMP_ASSIGNED : 0;
    unsigned page;

    for (hwaddr a = gpa; a < gpa + size; a += BLOCK_SIZE) {
        if (!rmp_block(a, &page) || !rmp_block(MIN(a + BLOCK_SIZE,
                                                   gpa + size) - 1, &page)) {
            return false;
        }
    }
    ledger_event(private ? SNP_OP_PSC_PRIVATE : SNP_OP_PSC_SHARED, o, gpa,
                 size);
    if (size == BLOCK_SIZE) {
        RmpBlock *block = rmp_block(gpa, &page);

        if (!block->pages && !(block->uniform & RMP_ASSIGNED) == !private) {
            return true;        /* as KVM: nothing to convert */
        }
        if (!block->pages) {
            rmp_set(gpa, size, want | (private ? RMP_LARGE : 0));
            return true;
        }
    }
    /* Pages that are already as wanted keep their validation. */
    for (hwaddr a = gpa; a < gpa + size; a += 4096) {
        if ((rmp_get(a) & RMP_ASSIGNED) != want) {
            rmp_set(a, 4096, want);
        }
    }
    return true;
}

/*
 * An access whose C-bit contradicts the page's owner is a nested page fault
 * to the hypervisor, which converts the page (KVM_EXIT_MEMORY_FAULT).
 */
static void implicit_conversion(CPUX86State *env, const SnpOrigin *o,
                                hwaddr page, bool private)
{
    ledger_event(private ? SNP_OP_IMPLICIT_PRIVATE : SNP_OP_IMPLICIT_SHARED,
                 o, page, 4096);
    rmp_set(page, 4096, private ? RMP_ASSIGNED : 0);
    snp_flush_tlbs(env);
}

/* A guest may run into the same fault for ever: the first ones tell. */
#define MOST_FAULTS_TOLD 16

void snp_fault(const char *op, const SnpOrigin *o, hwaddr gpa,
               const char *access)
{
    if (snp_emu->faults++ < MOST_FAULTS_TOLD) {
        ledger_fault(op, o, gpa, access);
        qapi_event_send_sev_snp_emulated_fault(op, access, gpa, o->vcpu,
                                               o->rip,
                                               snp_phase_name(o->phase));
    }
}

bool snp_emu_access(CPUX86State *env, hwaddr gpa, MMUAccessType access,
                    bool shared, bool probe, uintptr_t ra)
{
    static const char *const names[] = {
        [MMU_DATA_LOAD] = "read",
        [MMU_DATA_STORE] = "write",
        [MMU_INST_FETCH] = "exec",
    };
    hwaddr page = gpa & TARGET_PAGE_MASK;
    uint8_t state = rmp_get(page);
    SnpOrigin o;

    if (state == RMP_NONE) {
        return true;
    }
    if (shared ? !(state & RMP_ASSIGNED) :
        (state & (RMP_ASSIGNED | RMP_VALIDATED)) ==
        (RMP_ASSIGNED | RMP_VALIDATED)) {
        return true;
    }
    if (probe && !shared) {
        return false;
    }

    o = snp_origin(env, ra);
    QEMU_LOCK_GUARD(&snp_emu->lock);
    if (shared) {
        implicit_conversion(env, &o, page, false);
        return true;
    }
    if (!(state & RMP_ASSIGNED)) {
        implicit_conversion(env, &o, page, true);
    }
    snp_fault("unvalidated-access", &o, gpa, names[access]);
    return false;
}

bool snp_emu_access_ptw(CPUX86State *env, hwaddr gpa, uintptr_t ra)
{
    return snp_emu_access(env, gpa, MMU_DATA_LOAD, false, false, ra);
}

/* What the instructions leave in EAX and rFLAGS. */
enum {
    SNP_SUCCESS = 0,
    SNP_FAIL_INPUT = 1,
    SNP_FAIL_PERMISSION = 2,
    SNP_FAIL_SIZEMISMATCH = 6,
};

static void set_result(CPUX86State *env, uint32_t eax, bool carry)
{
    env->regs[R_EAX] = eax;
    env->cc_src = (carry ? CC_C : 0) | (eax == 0 ? CC_Z : 0) |
                  (ctpop8(eax) & 1 ? 0 : CC_P);
    env->cc_op = CC_OP_EFLAGS;
}

/*
 * The operand that PVALIDATE and RMPADJUST share: RAX is the linear address,
 * ECX the page size.  False when EAX already holds the failure.
 */
static bool page_operand(CPUX86State *env, hwaddr *gpa, uint64_t *size,
                         uintptr_t ra)
{
    vaddr addr = env->regs[R_EAX];
    uint32_t rcx = env->regs[R_ECX];
    bool shared;
    int page_size;

    if ((env->hflags & HF_CPL_MASK) != 0) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
    if (!(env->hflags & HF_CS64_MASK)) {
        addr = (uint32_t)addr;
    }
    if (rcx > 1) {
        set_result(env, SNP_FAIL_INPUT, false);
        return false;
    }
    *size = rcx ? BLOCK_SIZE : 4096;
    if (rcx && !QEMU_IS_ALIGNED(addr, BLOCK_SIZE)) {
        set_result(env, SNP_FAIL_INPUT, false);
        return false;
    }
    *gpa = x86_translate_for_snp_emu(env, addr & TARGET_PAGE_MASK, &shared,
                                     &page_size, ra);
    if (shared || rmp_get(*gpa) == RMP_NONE ||
        rmp_get(*gpa + *size - 1) == RMP_NONE) {
        set_result(env, SNP_FAIL_INPUT, false);
        return false;
    }
    if (rcx && (page_size < BLOCK_SIZE || !QEMU_IS_ALIGNED(*gpa, BLOCK_SIZE))) {
        set_result(env, SNP_FAIL_SIZEMISMATCH, false);
        return false;
    }
    return true;
}

void helper_pvalidate(CPUX86State *env)
{
    uintptr_t ra = GETPC();
    bool validate = env->regs[R_EDX] & 1;
    uint8_t want = validate ? RMP_VALIDATED : 0;
    SnpOrigin o;
    hwaddr gpa;
    uint64_t size;
    uint8_t state;

    if (!page_operand(env, &gpa, &size, ra)) {
        return;
    }
    o = snp_origin(env, 0);
    QEMU_LOCK_GUARD(&snp_emu->lock);
    state = rmp_get(gpa);
    if (!(state & RMP_ASSIGNED)) {
        /* nested page fault: the hypervisor makes the page private */
        for (hwaddr a = gpa; a < gpa + size; a += 4096) {
            if (!(rmp_get(a) & RMP_ASSIGNED)) {
                implicit_conversion(env, &o, a, true);
            }
        }
        state = rmp_get(gpa);
    }
    if (size == BLOCK_SIZE && !rmp_block_is_large(gpa)) {
        ledger_event(SNP_OP_SIZE_MISMATCH, &o, gpa, size);
        set_result(env, SNP_FAIL_SIZEMISMATCH, false);
        return;
    }
    if ((state & RMP_VALIDATED) == want) {
        ledger_event(validate ? SNP_OP_VALIDATE_AGAIN : SNP_OP_RESCIND_AGAIN,
                     &o, gpa, size);
        set_result(env, SNP_SUCCESS, true);
        return;
    }
    ledger_event(validate ? SNP_OP_VALIDATE : SNP_OP_RESCIND, &o, gpa, size);
    rmp_set(gpa, size, (state & ~RMP_VALIDATED) | want);
    if (!validate) {
        snp_flush_tlbs(env);
    }
    set_result(env, SNP_SUCCESS, false);
}

/*
 * RMPADJUST gives a less privileged VMPL rights on a page.  There is only
 * VMPL0 here, so permissions are accepted and have no effect; the VMSA bit
 * is kept.
 */
void helper_rmpadjust(CPUX86State *env)
{
    uintptr_t ra = GETPC();
    uint64_t rdx = env->regs[R_EDX];
    SnpOrigin o;
    hwaddr gpa;
    uint64_t size;
    uint8_t state;

    if (!page_operand(env, &gpa, &size, ra)) {
        return;
    }
    if ((rdx & 0xff) == 0 || (rdx & 0xff) > 3) {
        /* the target VMPL must be less privileged than the current one */
        set_result(env, SNP_FAIL_PERMISSION, false);
        return;
    }
    o = snp_origin(env, 0);
    QEMU_LOCK_GUARD(&snp_emu->lock);
    state = rmp_get(gpa);
    if (size == BLOCK_SIZE && !rmp_block_is_large(gpa)) {
        set_result(env, SNP_FAIL_SIZEMISMATCH, false);
        return;
    }
    if (!(state & RMP_VALIDATED)) {
        set_result(env, SNP_FAIL_INPUT, false);
        return;
    }
    ledger_event(SNP_OP_RMPADJUST, &o, gpa, size);
    rmp_set(gpa, size, (state & ~RMP_VMSA) |
                       (rdx & (1 << 16) ? RMP_VMSA : 0));
    set_result(env, SNP_SUCCESS, false);
}
