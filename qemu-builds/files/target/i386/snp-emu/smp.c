/*
 * SEV-SNP guest emulation for TCG: starting, parking and stopping vCPUs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A guest starts an AP by giving the hypervisor a VMSA, the page with its
 * initial register state (GHCB specification, 4.1.9; APM volume 2, appendix
 * B, table B-4).  Before that, APs come up by INIT and SIPI as on any PC and
 * park themselves with AP reset hold (4.1.7): while held, INIT is ignored and
 * SIPI lets them go on.
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/cputlb.h"
#include "hw/boards.h"
#include "hw/i386/apic.h"
#include "tcg/helper-tcg.h"
#include "internal.h"

/* Offsets in the VMSA */
enum {
    V_ES = 0x000, V_CS = 0x010, V_SS = 0x020, V_DS = 0x030, V_FS = 0x040,
    V_GS = 0x050, V_GDTR = 0x060, V_LDTR = 0x070, V_IDTR = 0x080, V_TR = 0x090,
    V_VMPL = 0x0ca,
    V_EFER = 0x0d0,
    V_CR4 = 0x148, V_CR3 = 0x150, V_CR0 = 0x158, V_DR7 = 0x160, V_DR6 = 0x168,
    V_RFLAGS = 0x170, V_RIP = 0x178, V_RSP = 0x1d8, V_RAX = 0x1f8,
    V_G_PAT = 0x268, V_RCX = 0x308, V_RDX = 0x310, V_RBX = 0x318,
    V_RBP = 0x328, V_RSI = 0x330, V_RDI = 0x338, V_R8 = 0x340,
    V_SEV_FEATURES = 0x3b0, V_XCR0 = 0x3e8, V_MXCSR = 0x408, V_FCW = 0x410,
};

#define SEV_FEATURE_SNP_ACTIVE 1

enum {
    AP_CREATE_ON_INIT = 0,
    AP_CREATE = 1,
    AP_DESTROY = 2,
};

static void load_segment(CPUX86State *env, const uint8_t *vmsa, int reg,
                         unsigned offset)
{
    const uint8_t *p = vmsa + offset;
    uint16_t attributes = lduw_le_p(p + 2);     /* VMCB's packed form */

    cpu_x86_load_seg_cache(env, reg, lduw_le_p(p), ldq_le_p(p + 8),
                           ldl_le_p(p + 4),
                           (attributes & 0xff) << 8 |
                           (attributes & 0xf00) << 12);
}

static void load_table(SegmentCache *table, const uint8_t *p)
{
    uint16_t attributes = lduw_le_p(p + 2);

    table->selector = lduw_le_p(p);
    table->flags = (attributes & 0xff) << 8 | (attributes & 0xf00) << 12;
    table->limit = ldl_le_p(p + 4);
    table->base = ldq_le_p(p + 8);
}

static void load_vmsa(CPUX86State *env, const uint8_t *vmsa)
{
    /* Hardware wants SVME in a VMSA; the guest has no use for it. */
    uint64_t efer = ldq_le_p(vmsa + V_EFER) & ~MSR_EFER_SVME;
    static const struct {
        int reg;
        unsigned offset;
    } gpr[] = {
        { R_EAX, V_RAX }, { R_ECX, V_RCX }, { R_EDX, V_RDX }, { R_EBX, V_RBX },
        { R_ESP, V_RSP }, { R_EBP, V_RBP }, { R_ESI, V_RSI }, { R_EDI, V_RDI },
    };

    cpu_load_efer(env, efer);
    cpu_x86_update_cr4(env, ldq_le_p(vmsa + V_CR4));
    env->cr[3] = ldq_le_p(vmsa + V_CR3);
    cpu_x86_update_cr0(env, ldq_le_p(vmsa + V_CR0));
    cpu_load_efer(env, efer);   /* LMA follows from CR0 and LME */
    env->dr[6] = ldq_le_p(vmsa + V_DR6);
    env->dr[7] = ldq_le_p(vmsa + V_DR7);
    env->pat = ldq_le_p(vmsa + V_G_PAT);
    env->xcr0 = ldq_le_p(vmsa + V_XCR0);
    cpu_sync_avx_hflag(env);
    cpu_set_mxcsr(env, ldl_le_p(vmsa + V_MXCSR));
    cpu_set_fpuc(env, lduw_le_p(vmsa + V_FCW));

    load_table(&env->gdt, vmsa + V_GDTR);
    load_table(&env->ldt, vmsa + V_LDTR);
    load_table(&env->idt, vmsa + V_IDTR);
    load_table(&env->tr, vmsa + V_TR);
    load_segment(env, vmsa, R_ES, V_ES);
    load_segment(env, vmsa, R_SS, V_SS);
    load_segment(env, vmsa, R_DS, V_DS);
    load_segment(env, vmsa, R_FS, V_FS);
    load_segment(env, vmsa, R_GS, V_GS);
    load_segment(env, vmsa, R_CS, V_CS);

    for (int i = 0; i < ARRAY_SIZE(gpr); i++) {
        env->regs[gpr[i].reg] = ldq_le_p(vmsa + gpr[i].offset);
    }
    for (int i = 8; i < 16 && i < CPU_NB_REGS; i++) {
        env->regs[i] = ldq_le_p(vmsa + V_R8 + (i - 8) * 8);
    }
    cpu_load_eflags(env, ldq_le_p(vmsa + V_RFLAGS), ~0);
    env->eip = ldq_le_p(vmsa + V_RIP);
}

static bool is_vmsa_page(hwaddr gpa)
{
    uint8_t state = rmp_get(gpa);

    return state != RMP_NONE && (state & RMP_VMSA) && (state & RMP_VALIDATED);
}

/* On the target vCPU's own thread. */
static void run_vmsa(CPUState *cs, run_on_cpu_data data)
{
    SnpVcpu *vcpu = &snp_emu->vcpus[cs->cpu_index];
    uint8_t vmsa[4096];

    WITH_QEMU_LOCK_GUARD(&snp_emu->lock) {
        vcpu->vmsa = data.target_ptr;
        vcpu->on_init = 0;
        if (!is_vmsa_page(data.target_ptr)) {
            SnpOrigin o = snp_origin(cpu_env(cs), 0);

            snp_stop(&o, "vCPU %d cannot run: 0x%" PRIx64 " is no VMSA page "
                     "any more", cs->cpu_index, vcpu->vmsa);
            vcpu->held = true;
            cs->halted = 1;
            return;
        }
    }
    address_space_read(&address_space_memory, data.target_ptr,
                       MEMTXATTRS_UNSPECIFIED, vmsa, sizeof(vmsa));
    cpu_reset(cs);
    vcpu->held = vcpu->destroyed = false;
    load_vmsa(cpu_env(cs), vmsa);
    cs->exception_index = -1;
    cs->halted = 0;
}

static void stop_vcpu(CPUState *cs, run_on_cpu_data data)
{
    SnpVcpu *vcpu = &snp_emu->vcpus[cs->cpu_index];

    vcpu->held = vcpu->destroyed = true;
    cs->halted = 1;
}

static CPUState *find_vcpu(uint32_t apic_id)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (X86_CPU(cs)->apic_id == apic_id) {
            return cs;
        }
    }
    return NULL;
}

/* A vCPU that waits for something has left guest mode (KVM intercepts HLT). */
bool snp_vmsa_in_use(hwaddr gpa, uint64_t size)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        const SnpVcpu *vcpu = &snp_emu->vcpus[cs->cpu_index];

        if (vcpu->vmsa && vcpu->vmsa - gpa < size && !vcpu->held &&
            !cs->halted) {
            return true;
        }
    }
    return false;
}

bool snp_vmsa_forbids(CPUX86State *env, hwaddr page, MMUAccessType access)
{
    const SnpVcpu *vcpu = &snp_emu->vcpus[env_cpu(env)->cpu_index];

    return (vcpu->vmsa && vcpu->vmsa == page) ||
           (access == MMU_DATA_STORE && snp_vmsa_in_use(page, 4096));
}

/* Would VMRUN take the page?  As KVM, none on a 2 MiB boundary (erratum). */
static bool vmsa_is_usable(hwaddr vmsa, uint64_t sev_features)
{
    uint8_t features[8];

    if (!QEMU_IS_ALIGNED(vmsa, 4096) || QEMU_IS_ALIGNED(vmsa, 2 * MiB) ||
        !is_vmsa_page(vmsa) || snp_vmsa_in_use(vmsa, 4096)) {
        return false;
    }
    address_space_read(&address_space_memory, vmsa + V_SEV_FEATURES,
                       MEMTXATTRS_UNSPECIFIED, features, sizeof(features));
    return ldq_le_p(features) == sev_features &&
           (sev_features & SEV_FEATURE_SNP_ACTIVE);
}

bool snp_ap_is_destroy(uint64_t info1)
{
    return (uint32_t)info1 == AP_DESTROY;
}

/*
 * Section 4.1.9; false when an input is not acceptable.  EXITINFO1 is the
 * request, the VMPL (only 0 here) in bits 19:16, and the APIC id from bit 32.
 */
bool snp_ap_creation(CPUX86State *env, uint64_t info1, uint64_t vmsa,
                     uint64_t sev_features)
{
    CPUState *target = find_vcpu(info1 >> 32);
    SnpVcpu *vcpu;

    if (!target) {
        return false;
    }
    QEMU_LOCK_GUARD(&snp_emu->lock);
    vcpu = &snp_emu->vcpus[target->cpu_index];
    switch ((uint32_t)info1) {
    case AP_DESTROY:
        vcpu->on_init = 0;
        vcpu->held = vcpu->destroyed = true;
        async_run_on_cpu(target, stop_vcpu, RUN_ON_CPU_NULL);
        return true;
    case AP_CREATE_ON_INIT:
        if (!vmsa_is_usable(vmsa, sev_features)) {
            return false;
        }
        vcpu->on_init = vmsa;
        return true;
    case AP_CREATE:
        if (!vmsa_is_usable(vmsa, sev_features)) {
            return false;
        }
        vcpu->on_init = 0;
        vcpu->vmsa = vmsa;
        vcpu->held = false;
        snp_flush_tlbs(env);    /* from now on accesses are checked */
        async_run_on_cpu(target, run_vmsa, RUN_ON_CPU_TARGET_PTR(vmsa));
        return true;
    default:
        return false;
    }
}

uint64_t snp_apic_id_pages(void)
{
    MachineState *machine = MACHINE(qdev_get_machine());

    return DIV_ROUND_UP((machine->smp.cpus + 1) * 4, 4096);
}

/*
 * Section 4.1.14 (GHCB 2.02): a count and that many APIC ids, in shared
 * memory of the guest.
 */
void snp_write_apic_ids(hwaddr gpa)
{
    MachineState *machine = MACHINE(qdev_get_machine());
    CPUState *cs;

    address_space_stl_le(&snp_dma_as, gpa, machine->smp.cpus,
                         MEMTXATTRS_UNSPECIFIED, NULL);
    CPU_FOREACH(cs) {
        gpa += 4;
        address_space_stl_le(&snp_dma_as, gpa, X86_CPU(cs)->apic_id,
                             MEMTXATTRS_UNSPECIFIED, NULL);
    }
}

void snp_ap_reset_hold(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);

    snp_emu->vcpus[cs->cpu_index].held = true;
    cs->halted = 1;
    cs->exception_index = EXCP_HLT;
    cpu_loop_exit(cs);
}

bool snp_emu_sleeps(CPUState *cs)
{
    const SnpVcpu *vcpu;

    if (!snp_emu_enabled()) {
        return false;
    }
    vcpu = &snp_emu->vcpus[cs->cpu_index];
    return vcpu->held && !(cs->interrupt_request &
                           (vcpu->destroyed ? CPU_INTERRUPT_INIT :
                            CPU_INTERRUPT_INIT | CPU_INTERRUPT_SIPI));
}

bool snp_emu_init(CPUState *cs)
{
    SnpVcpu *vcpu;

    if (!snp_emu_enabled()) {
        return false;
    }
    vcpu = &snp_emu->vcpus[cs->cpu_index];
    if (vcpu->on_init) {
        cpu_reset_interrupt(cs, CPU_INTERRUPT_INIT);
        run_vmsa(cs, RUN_ON_CPU_TARGET_PTR(vcpu->on_init));
        return true;
    }
    if (vcpu->held || vcpu->vmsa) {
        cpu_reset_interrupt(cs, CPU_INTERRUPT_INIT);
        cs->halted = vcpu->held;
        return true;
    }
    return false;
}

bool snp_emu_sipi(CPUState *cs)
{
    SnpVcpu *vcpu;

    if (!snp_emu_enabled()) {
        return false;
    }
    vcpu = &snp_emu->vcpus[cs->cpu_index];
    if (vcpu->held && !vcpu->destroyed) {
        vcpu->held = false;
        cs->halted = 0;
        return true;
    }
    return vcpu->held || vcpu->vmsa;
}
