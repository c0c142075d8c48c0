/*
 * SEV-SNP guest emulation for TCG: PVALIDATE and RMPADJUST
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * APM volume 3, general-purpose and system instruction reference.
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "cpu.h"
#include "exec/helper-proto.h"
#include "tcg/helper-tcg.h"
#include "internal.h"

#define BLOCK_SIZE (2 * MiB)

/* What the instructions leave in EAX and rFLAGS. */
enum {
    SNP_SUCCESS = 0,
    SNP_FAIL_INPUT = 1,
    SNP_FAIL_PERMISSION = 2,
    SNP_FAIL_INUSE = 3,
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

/*
 * Nested page fault of an instruction on a page that the hypervisor owns: it
 * makes the page private.  The caller holds the lock; returns the first page's
 * state.
 */
static uint8_t make_private(CPUX86State *env, const SnpOrigin *o, hwaddr gpa,
                            uint64_t size)
{
    if (!(rmp_get(gpa) & RMP_ASSIGNED)) {
        for (hwaddr a = gpa; a < gpa + size; a += 4096) {
            if (!(rmp_get(a) & RMP_ASSIGNED)) {
                rmp_implicit_conversion(env, o, a, true);
            }
        }
    }
    return rmp_get(gpa);
}

/* Only a VMSA is ever in use; with many vCPUs, asking costs. */
static bool in_use(uint8_t state, hwaddr gpa, uint64_t size)
{
    return state & RMP_VMSA && snp_vmsa_in_use(gpa, size);
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
    QEMU_LOCK_GUARD(&snp_emu()->lock);
    state = make_private(env, &o, gpa, size);
    if (size == BLOCK_SIZE && !rmp_block_is_large(gpa)) {
        watch_event(SNP_OP_SIZE_MISMATCH, &o, gpa, size);
        set_result(env, SNP_FAIL_SIZEMISMATCH, false);
        return;
    }
    if (size == BLOCK_SIZE &&
        fault_strikes(SNP_FAULT_SIZE_MISMATCH, &o, gpa)) {
        set_result(env, SNP_FAIL_SIZEMISMATCH, false);
        return;
    }
    if (fault_strikes(SNP_FAULT_IN_USE, &o, gpa) || in_use(state, gpa, size)) {
        set_result(env, SNP_FAIL_INUSE, false);
        return;
    }
    if ((state & RMP_VALIDATED) == want) {
        SnpOp op = validate ? SNP_OP_VALIDATE_AGAIN : SNP_OP_RESCIND_AGAIN;

        watch_event(op, &o, gpa, size);
        snp_report(op, &o, gpa);
        set_result(env, SNP_SUCCESS, true);
        return;
    }
    watch_event(validate ? SNP_OP_VALIDATE : SNP_OP_RESCIND, &o, gpa, size);
    rmp_set(gpa, size, (state & ~RMP_VALIDATED) | want | RMP_TOUCHED);
    if (!validate) {
        rmp_flush_stale(env);
    }
    set_result(env, SNP_SUCCESS, false);
}

/*
 * RMPADJUST gives a less privileged VMPL rights on a page.  There is only
 * VMPL0 here, so permissions are accepted and have no effect; the VMSA bit
 * is kept.  RDX: target VMPL in bits 7:0, permissions in 15:8 (read, write,
 * user and supervisor execute, supervisor shadow stack), VMSA in 16.
 */
#define ADJUST_PERMISSIONS 0x1f00
#define ADJUST_VMSA (1 << 16)

/*
 * A VMSA page is in use while its vCPU is in guest mode.  On hardware a vCPU
 * whose thread the host puts aside has left it; here it still counts.  So
 * RMPADJUST is tried again for a while before it fails.
 */
#define VMSA_PATIENCE_NS (10 * SCALE_MS)

static void wait_for_vmsa(CPUX86State *env, hwaddr gpa, uint64_t size,
                          uintptr_t ra)
{
    CPUState *cs = env_cpu(env);
    int64_t *since = &snp_emu()->vcpus[cs->cpu_index].waits_since;
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    bool in_use;

    WITH_QEMU_LOCK_GUARD(&snp_emu()->lock) {
        in_use = snp_vmsa_in_use(gpa, size);
    }
    if (!in_use || (*since && now - *since > VMSA_PATIENCE_NS)) {
        *since = 0;
        return;
    }
    if (!*since) {
        *since = now;
    }
    cs->exception_index = EXCP_INTERRUPT;   /* others may run */
    cpu_loop_exit_restore(cs, ra);
}

void helper_rmpadjust(CPUX86State *env)
{
    uintptr_t ra = GETPC();
    uint64_t rdx = env->regs[R_EDX];
    uint8_t vmpl = rdx;
    SnpOrigin o;
    hwaddr gpa;
    uint64_t size;
    uint8_t state;

    if (!page_operand(env, &gpa, &size, ra)) {
        return;
    }
    if (vmpl > 3 || (rdx & ~0xffULL & ~ADJUST_PERMISSIONS & ~ADJUST_VMSA)) {
        set_result(env, SNP_FAIL_INPUT, false);
        return;
    }
    if (vmpl == 0) {
        /* the target VMPL must be less privileged than the current one */
        set_result(env, SNP_FAIL_PERMISSION, false);
        return;
    }
    wait_for_vmsa(env, gpa, size, ra);
    o = snp_origin(env, 0);
    QEMU_LOCK_GUARD(&snp_emu()->lock);
    state = make_private(env, &o, gpa, size);
    if (size == BLOCK_SIZE && !rmp_block_is_large(gpa)) {
        set_result(env, SNP_FAIL_SIZEMISMATCH, false);
        return;
    }
    if (!(state & RMP_VALIDATED)) {
        set_result(env, SNP_FAIL_INPUT, false);
        return;
    }
    if (in_use(state, gpa, size)) {
        set_result(env, SNP_FAIL_INUSE, false);
        return;
    }
    watch_event(rdx & ADJUST_VMSA ? SNP_OP_VMSA : SNP_OP_RMPADJUST, &o, gpa,
                 size);
    rmp_set(gpa, size, (state & ~RMP_VMSA) | RMP_TOUCHED |
                       (rdx & ADJUST_VMSA ? RMP_VMSA : 0));
    set_result(env, SNP_SUCCESS, false);
}
