/*
 * SEV-SNP guest emulation for TCG: VMGEXIT, the hypervisor's side of the GHCB
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * GHCB specification 2.0x, section 2.3.1 (MSR protocol); requests in the GHCB
 * page are in nae.c.
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/helper-proto.h"
#include "tcg/helper-tcg.h"
#include "../sev.h"
#include "ghcb.h"

/* MSR protocol, GHCBInfo in bits 11:0 */
enum {
    MSR_SEV_INFO_RESP = 0x001,
    MSR_SEV_INFO_REQ = 0x002,
    MSR_CPUID_REQ = 0x004,
    MSR_CPUID_RESP = 0x005,
    MSR_AP_RESET_HOLD_REQ = 0x006,
    MSR_AP_RESET_HOLD_RESP = 0x007,
    MSR_PREFERRED_GPA_REQ = 0x010,
    MSR_PREFERRED_GPA_RESP = 0x011,
    MSR_REGISTER_GPA_REQ = 0x012,
    MSR_REGISTER_GPA_RESP = 0x013,
    MSR_PSC_REQ = 0x014,
    MSR_PSC_RESP = 0x015,
    MSR_RUN_VMPL_REQ = 0x016,
    MSR_RUN_VMPL_RESP = 0x017,
    MSR_HV_FEATURES_REQ = 0x080,
    MSR_HV_FEATURES_RESP = 0x081,
    MSR_TERMINATE = 0x100,
};

/* SEV information is also what the MSR holds after reset. */
uint64_t snp_ghcb_msr_reset(void)
{
    return (uint64_t)GHCB_PROTOCOL_MAX << 48 |
           (uint64_t)GHCB_PROTOCOL_MIN << 32 |
           (uint64_t)sev_get_cbit_position() << 24 | MSR_SEV_INFO_RESP;
}

static bool is_of_snp(unsigned request)
{
    return !snp_has_rmp() && (request == MSR_PREFERRED_GPA_REQ ||
                                  request == MSR_REGISTER_GPA_REQ ||
                                  request == MSR_PSC_REQ);
}

static uint64_t msr_protocol(CPUX86State *env, const SnpOrigin *o,
                             uint64_t req)
{
    int cpu = env_cpu(env)->cpu_index;
    uint64_t data = req >> 12;

    if (is_of_snp(req & 0xfff)) {
        /* sev_handle_vmgexit_msr_protocol(): out_terminate */
        snp_stop(o, "GHCB MSR request 0x%x, which only SNP guests have",
                 (unsigned)(req & 0xfff));
        return req;
    }
    switch (req & 0xfff) {
    case MSR_SEV_INFO_REQ:
        return snp_ghcb_msr_reset();
    case MSR_CPUID_REQ: {
        uint32_t regs[4];
        int reg = extract64(req, 30, 2);

        cpu_x86_cpuid(env, req >> 32, 0, &regs[0], &regs[1], &regs[2],
                      &regs[3]);
        return (uint64_t)regs[reg] << 32 | (uint64_t)reg << 30 |
               MSR_CPUID_RESP;
    }
    case MSR_PREFERRED_GPA_REQ:
        return 0xfffffffffffffULL << 12 | MSR_PREFERRED_GPA_RESP;
    case MSR_REGISTER_GPA_REQ:
        if (rmp_get(data << 12) == RMP_NONE && !snp_is_kvm()) {
            return 0xfffffffffffffULL << 12 | MSR_REGISTER_GPA_RESP;
        }
        snp_emu()->vcpus[cpu].ghcb_registered = data << 12;
        watch_event(SNP_OP_GHCB_REGISTER, o, data << 12, 4096);
        return data << 12 | MSR_REGISTER_GPA_RESP;
    case MSR_PSC_REQ:
        return snp_psc_msr(env, o, req) | MSR_PSC_RESP;
    case MSR_RUN_VMPL_REQ:
        if (snp_is_kvm()) {
            return req;     /* unknown to it */
        }
        return 1ULL << 32 | MSR_RUN_VMPL_RESP;  /* only VMPL0 exists */
    case MSR_HV_FEATURES_REQ:
        return (uint64_t)hv_features() << 12 | MSR_HV_FEATURES_RESP;
    default:
        return req;     /* unknown: left as it was, the guest sees no answer */
    }
}

void helper_vmgexit(CPUX86State *env, int next_eip_addend)
{
    uint64_t *msr = &snp_emu()->vcpus[env_cpu(env)->cpu_index].ghcb_msr;
    SnpOrigin o = snp_origin(env, 0);
    uint64_t exit_code;
    Ghcb g;

    qatomic_inc(&snp_emu()->vmgexits);
    if ((*msr & 0xfff) == MSR_TERMINATE) {
        snp_terminate(&o, extract64(*msr, 12, 4), extract64(*msr, 16, 8));
        return;
    }
    if ((*msr & 0xfff) == MSR_AP_RESET_HOLD_REQ) {
        *msr = MSR_AP_RESET_HOLD_RESP;
        env->eip += next_eip_addend;
        snp_ap_reset_hold(env, SNP_HOLD_MSR);
    }
    if (*msr & 0xfff) {
        QEMU_LOCK_GUARD(&snp_emu()->lock);
        *msr = msr_protocol(env, &o, *msr);
        return;
    }
    g.gpa = *msr;
    if (rmp_get(g.gpa) & RMP_ASSIGNED ||
        address_space_read(&snp_emu()->dma.as, g.gpa,
                           MEMTXATTRS_UNSPECIFIED, g.page, sizeof(g.page))) {
        WITH_QEMU_LOCK_GUARD(&snp_emu()->lock) {
            snp_fault("ghcb-not-shared", &o, g.gpa, "read");
            snp_stop(&o, "VMGEXIT with a GHCB at 0x%" PRIx64 " that is not "
                     "shared memory", g.gpa);
        }
        return;
    }
    if (snp_has_rmp() && snp_is_kvm() &&
        snp_emu()->vcpus[o.vcpu].ghcb_registered != g.gpa) {
        /* sev_handle_vmgexit(): -EINVAL, KVM_RUN fails */
        WITH_QEMU_LOCK_GUARD(&snp_emu()->lock) {
            snp_stop(&o, "VMGEXIT with a GHCB at 0x%" PRIx64 " that is not "
                     "registered", g.gpa);
        }
        return;
    }
    exit_code = ghcb_get(&g, F_EXIT_CODE);
    snp_nae(env, &o, &g);
    if (!(rmp_get(g.gpa) & RMP_ASSIGNED)) {
        address_space_write(&snp_emu()->dma.as, g.gpa,
                            MEMTXATTRS_UNSPECIFIED, g.page, sizeof(g.page));
    }
    if (exit_code == EXIT_AP_RESET_HOLD &&
        ldl_le_p(g.page + F_EXIT_INFO1) == RESP_NO_ACTION) {
        env->eip += next_eip_addend;
        snp_ap_reset_hold(env, SNP_HOLD_NAE);
    }
}

bool snp_emu_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *val)
{
    uint32_t traits = snp_emu_traits(env);

    if (!traits) {
        return false;
    }
    switch (msr) {
    case SNP_MSR_GHCB:
        if (!(traits & SNP_EMU_GHCB)) {
            return false;
        }
        *val = snp_emu()->vcpus[env_cpu(env)->cpu_index].ghcb_msr;
        return true;
    case SNP_MSR_SEV_STATUS:
        *val = 1 | (traits & SNP_EMU_GHCB ? 1 << 1 : 0) |
               (traits & SNP_EMU_RMP ? 1 << 2 : 0);
        return true;
    }
    return false;
}

bool snp_emu_wrmsr(CPUX86State *env, uint32_t msr, uint64_t val)
{
    if (msr != SNP_MSR_GHCB ||
        !snp_emu_has(snp_emu_traits(env), SNP_EMU_GHCB)) {
        return false;
    }
    snp_emu()->vcpus[env_cpu(env)->cpu_index].ghcb_msr = val;
    return true;
}
