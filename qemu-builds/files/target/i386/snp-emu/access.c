/*
 * SEV-SNP guest emulation for TCG: what the RMP says of an access
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * APM volume 2, 15.36.10; what the hypervisor then does is KVM's and QEMU's
 * (kvm_mmu_faultin_pfn(), kvm_convert_memory()).
 */

#include "qemu/osdep.h"
#include "qapi/qapi-events-misc-target.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/page-protection.h"
#include "internal.h"

/* The same fault may come for ever: the first ones of a kind tell. */
#define MOST_FAULTS_TOLD 16

static bool is_news(const char *op)
{
    GHashTable *told = snp_emu()->faults_told;
    unsigned n = GPOINTER_TO_UINT(g_hash_table_lookup(told, op));

    g_hash_table_insert(told, (char *)op, GUINT_TO_POINTER(n + 1));
    return n < MOST_FAULTS_TOLD;
}

void snp_fault(const char *op, const SnpOrigin *o, hwaddr gpa,
               const char *access)
{
    snp_emu()->faults++;
    if (is_news(op)) {
        watch_fault(op, o, gpa, access);
        qapi_event_send_sev_snp_emulated_fault(op, access, gpa, o->vcpu,
                                               o->rip,
                                               snp_phase_name(o->phase));
    }
}

/* The hypervisor cannot resolve it; on hardware the vCPU hangs here. */
static G_NORETURN void snp_vmsa_fault(CPUX86State *env, const SnpOrigin *o,
                                      hwaddr gpa, const char *access,
                                      uintptr_t ra)
{
    WITH_QEMU_LOCK_GUARD(&snp_emu()->lock) {
        snp_fault("vmsa-access", o, gpa, access);
        snp_stop(o, "%s of 0x%" PRIx64 ", the VMSA of a vCPU that runs",
                 access, gpa);
    }
    cpu_loop_exit_restore(env_cpu(env), ra);
}

/*
 * Emulated hardware, or nothing, mapped with the C-bit: KVM asks QEMU to make
 * it private, which kvm_convert_memory() cannot.
 */
static void private_mmio(CPUX86State *env, hwaddr page, uintptr_t ra)
{
    SnpOrigin o = snp_origin(env, ra);

    QEMU_LOCK_GUARD(&snp_emu()->lock);
    watch_event(SNP_OP_PRIVATE_MMIO, &o, page, 4096);
    snp_report(SNP_OP_PRIVATE_MMIO, &o, page);
}

/*
 * A read without the C-bit of a page that is private, and mapped by nested page
 * tables since the guest touched it: nothing checks it (APM volume 2, table
 * 15-39), and it gives ciphertext.  In its place comes a page of noise.
 */
void snp_shared_read(CPUX86State *env, hwaddr *gpa, int *prot, bool probe,
                     uintptr_t ra)
{
    hwaddr page = *gpa & TARGET_PAGE_MASK;

    if (!probe) {
        SnpOrigin o = snp_origin(env, ra);

        QEMU_LOCK_GUARD(&snp_emu()->lock);
        watch_event(SNP_OP_SHARED_READ, &o, page, 4096);
        snp_report(SNP_OP_SHARED_READ, &o, page);
    }
    *gpa = contents_noise_page(page) | (*gpa & ~TARGET_PAGE_MASK);
    *prot &= PAGE_READ;
}

static const char *const access_names[] = {
    [MMU_DATA_LOAD] = "read",
    [MMU_DATA_STORE] = "write",
    [MMU_INST_FETCH] = "exec",
};

/* The C-bit is not set. */
static void shared_access(CPUX86State *env, RmpBlock *block, hwaddr *gpa,
                          MMUAccessType access, int *prot, bool probe,
                          uintptr_t ra)
{
    hwaddr page = *gpa & TARGET_PAGE_MASK;
    uint8_t state = block_get(block, page);
    SnpOrigin o;

    if (state & RMP_TOUCHED && access == MMU_DATA_LOAD) {
        snp_shared_read(env, gpa, prot, probe, ra);
        return;
    }
    o = snp_origin(env, ra);
    if (state & RMP_VMSA && snp_vmsa_forbids(env, page, access)) {
        snp_vmsa_fault(env, &o, *gpa, access_names[access], ra);
    }
    QEMU_LOCK_GUARD(&snp_emu()->lock);
    /* another vCPU may have converted the page meanwhile */
    if (block_get(block, page) & RMP_ASSIGNED) {
        rmp_implicit_conversion(env, &o, page, false);
    }
    block_fills_tlb(block);
    contents_settle(page);
}

/* The C-bit is set; false is #VC. */
static bool private_access(CPUX86State *env, RmpBlock *block, hwaddr gpa,
                           MMUAccessType access, bool probe, uintptr_t ra)
{
    hwaddr page = gpa & TARGET_PAGE_MASK;
    uint8_t state = block_get(block, gpa);
    SnpOrigin o;

    if (state & RMP_VMSA && state & RMP_VALIDATED &&
        !snp_vmsa_forbids(env, page, access)) {
        return true;
    }
    if (probe && (state & (RMP_VMSA | RMP_VALIDATED)) != RMP_VALIDATED) {
        return false;
    }
    o = snp_origin(env, ra);
    if (state & RMP_VMSA && snp_vmsa_forbids(env, page, access)) {
        snp_vmsa_fault(env, &o, gpa, access_names[access], ra);
    }
    QEMU_LOCK_GUARD(&snp_emu()->lock);
    /* another vCPU may have converted or validated the page meanwhile */
    state = block_get(block, gpa);
    if (!(state & RMP_VALIDATED)) {
        if (!(state & RMP_ASSIGNED)) {
            rmp_implicit_conversion(env, &o, page, true);
        }
        snp_fault("unvalidated-access", &o, gpa, access_names[access]);
        return false;
    }
    rmp_set(page, 4096, state | RMP_TOUCHED);
    block_fills_tlb(block);
    contents_settle(page);
    return true;
}

/* What a private page is that the guest may use, and has used before. */
#define USABLE (RMP_ASSIGNED | RMP_VALIDATED | RMP_TOUCHED)

bool snp_emu_access(CPUX86State *env, hwaddr *gpa, MMUAccessType access,
                    bool shared, int *prot, bool probe, uintptr_t ra)
{
    RmpBlock *block = rmp_block(*gpa);
    uint8_t state = RMP_NONE;

    if (!snp_has_rmp()) {
        return views_access(env, gpa, access, shared, prot, probe, ra);
    }
    if (block) {
        block_fills_tlb(block);
        state = block_get(block, *gpa);
    }
    if (state == RMP_NONE) {
        if (!shared && !probe) {
            private_mmio(env, *gpa & TARGET_PAGE_MASK, ra);
        }
        return shared || !probe;
    }
    if (shared ? !(state & RMP_ASSIGNED) :
                 (state & (USABLE | RMP_VMSA)) == USABLE) {
        if (likely(shared || probe || !prot || access == MMU_INST_FETCH ||
                   !faults_of_memory())) {
            contents_settle(*gpa & TARGET_PAGE_MASK);
            return true;
        }
        fault_at_access(env, *gpa & TARGET_PAGE_MASK, ra);
    }
    if (!shared) {
        return private_access(env, block, *gpa, access, probe, ra);
    }
    shared_access(env, block, gpa, access, prot, probe, ra);
    return true;
}

bool snp_emu_fills_ptw(CPUX86State *env, hwaddr gpa)
{
    RmpBlock *block = rmp_block(gpa);

    if (!snp_has_rmp()) {
        return views_access(env, &gpa, MMU_DATA_LOAD, false, NULL, true, 0);
    }
    if (!block) {
        return false;
    }
    block_fills_tlb(block);
    if ((block_get(block, gpa) & (USABLE | RMP_VMSA)) != USABLE) {
        return false;
    }
    contents_settle(gpa & TARGET_PAGE_MASK);
    return true;
}

bool snp_emu_access_ptw(CPUX86State *env, hwaddr gpa, uintptr_t ra)
{
    return snp_emu_access(env, &gpa, MMU_DATA_LOAD, false, NULL, false, ra);
}
