/*
 * SEV-SNP guest emulation for TCG: intercepted instructions raise #VC
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What KVM intercepts in an SEV-ES or SNP guest and hardware turns into #VC
 * because the hypervisor needs the guest's registers for it (APM volume 2,
 * 15.35.4 and 15.35.5: non-automatic exits).  The guest's handler then asks
 * for the exit itself, with VMGEXIT.  KVM's choice of intercepts is that of
 * init_vmcb(), sev_es_init_vmcb() and its MSR permission map.  HLT, PAUSE and
 * control register writes are automatic exits or none; RDTSC(P) and XSETBV
 * are not intercepted.
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "tcg/helper-tcg.h"
#include "internal.h"

static const struct {
    uint32_t exit_code;
    const char *name;
} kinds[] = {
    { SVM_EXIT_CPUID, "cpuid" },
    { SVM_EXIT_IOIO, "ioio" },
    { SVM_EXIT_MSR, "msr" },
    { SVM_EXIT_NPF, "mmio" },
    { SVM_EXIT_RDPMC, "rdpmc" },
    { SVM_EXIT_WBINVD, "wbinvd" },
    { SVM_EXIT_INVD, "invd" },
    { SVM_EXIT_MONITOR, "monitor" },
    { SVM_EXIT_MWAIT, "mwait" },
    { SVM_EXIT_VMMCALL, "vmmcall" },
    { SVM_EXIT_READ_DR0 + 7, "dr7-read" },
    { SVM_EXIT_WRITE_DR0 + 7, "dr7-write" },
};

QEMU_BUILD_BUG_ON(ARRAY_SIZE(kinds) != SNP_INTERCEPTS);

void reflect_add_properties(Object *obj)
{
    for (int i = 0; i < ARRAY_SIZE(kinds); i++) {
        g_autofree char *name = g_strdup_printf("reflected-%s", kinds[i].name);

        object_property_add_uint64_ptr(obj, name,
                                       &snp_emu_of(obj)->reflected[i],
                                       OBJ_PROP_FLAG_READ);
    }
}

static int find_kind(uint32_t exit_code)
{
    for (int i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (kinds[i].exit_code == exit_code) {
            return i;
        }
    }
    return -1;
}

bool snp_emu_is_intercept(uint32_t exit_code)
{
    return find_kind(exit_code) >= 0;
}

/* MSRs that KVM lets an SNP guest read and write by itself. */
static bool is_passed_through(uint32_t msr)
{
    switch (msr) {
    case MSR_EFER:
    case MSR_PAT:
    case MSR_STAR:
    case MSR_LSTAR:
    case MSR_CSTAR:
    case MSR_FMASK:
    case MSR_FSBASE:
    case MSR_GSBASE:
    case MSR_KERNELGSBASE:
    case MSR_IA32_SYSENTER_CS:
    case MSR_IA32_SYSENTER_ESP:
    case MSR_IA32_SYSENTER_EIP:
    case MSR_IA32_SPEC_CTRL:
    case MSR_IA32_PRED_CMD:
    case MSR_TSC_AUX:
    case SNP_MSR_GHCB:
    case SNP_MSR_SEV_STATUS:
        return true;
    default:
        return false;
    }
}

void snp_emu_check_intercept(CPUX86State *env, uint32_t exit_code,
                             uintptr_t ra)
{
    SnpVcpu *vcpu = &snp_emu()->vcpus[env_cpu(env)->cpu_index];
    int kind = find_kind(exit_code);

    if (kind < 0) {
        return;
    }
    if (exit_code == SVM_EXIT_MSR) {
        bool by_hypervisor = vcpu->hypervisor_msr;

        vcpu->hypervisor_msr = false;
        if (by_hypervisor || is_passed_through(env->regs[R_ECX])) {
            return;
        }
    }
    qatomic_inc(&snp_emu()->reflected[kind]);
    raise_exception_err_ra(env, EXCP1D_VC, exit_code, ra);
}

/*
 * Nested page fault on what the hypervisor has no memory for.  A ROM device
 * that reads as memory has memory for reads only, so a translation made for a
 * read must not serve writes.
 */
bool snp_emu_check_mmio(hwaddr gpa, MMUAccessType access, bool probe,
                        int *prot)
{
    hwaddr xlat, len = 1;
    MemoryRegion *mr;

    if (access == MMU_INST_FETCH || rmp_get(gpa) != RMP_NONE) {
        return false;
    }
    RCU_READ_LOCK_GUARD();
    mr = address_space_translate(&address_space_memory, gpa, &xlat, &len,
                                 access == MMU_DATA_STORE,
                                 MEMTXATTRS_UNSPECIFIED);
    if (memory_access_is_direct(mr, access == MMU_DATA_STORE,
                                MEMTXATTRS_UNSPECIFIED)) {
        if (!memory_access_is_direct(mr, true, MEMTXATTRS_UNSPECIFIED)) {
            *prot &= ~PAGE_WRITE;
        }
        return false;
    }
    if (!probe) {
        qatomic_inc(&snp_emu()->reflected[find_kind(SVM_EXIT_NPF)]);
    }
    return true;
}
