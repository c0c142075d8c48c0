/*
 * SEV-SNP guest emulation for TCG: GHCB requests that stand for an instruction
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * GHCB specification 2.0x, section 4.1: what the guest's #VC handler asks for
 * in place of an instruction that the hypervisor intercepts.
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/helper-proto.h"
#include "hw/i386/apic.h"
#include "tcg/helper-tcg.h"
#include "ghcb.h"

/* Section 4.1: inject an exception, in VMCB EVENTINJ format */
void ghcb_inject(Ghcb *g, int vector, bool has_error)
{
    ghcb_answer(g, RESP_EXCEPTION,
                vector | 3 << 8 | has_error << 11 | 1U << 31);
}

static bool is_private_byte(hwaddr gpa)
{
    uint8_t state = rmp_get(gpa);

    return state != RMP_NONE && (state & RMP_ASSIGNED);
}

/* Is any of it memory that only the guest can reach?  At most two pages. */
static bool is_private(hwaddr gpa, uint64_t len)
{
    return is_private_byte(gpa) || is_private_byte(gpa + MAX(len, 1) - 1);
}

void nae_cpuid(CPUX86State *env, Ghcb *g)
{
    uint64_t xcr0 = env->xcr0;
    uint32_t eax, ebx, ecx, edx;

    if (ghcb_has(g, F_XCR0)) {
        env->xcr0 = ghcb_get(g, F_XCR0);    /* leaf 0xd depends on it */
    }
    cpu_x86_cpuid(env, ghcb_get(g, F_RAX), ghcb_get(g, F_RCX), &eax, &ebx,
                  &ecx, &edx);
    env->xcr0 = xcr0;
    ghcb_put(g, F_RAX, eax);
    ghcb_put(g, F_RBX, ebx);
    ghcb_put(g, F_RCX, ecx);
    ghcb_put(g, F_RDX, edx);
    ghcb_answer(g, RESP_NO_ACTION, 0);
}

/* Section 4.1.2: EXITINFO1 is as for a VMCB IOIO intercept. */
void nae_ioio(Ghcb *g, uint64_t info1, uint64_t info2)
{
    uint16_t port = info1 >> 16;
    bool in = info1 & IOIO_IN, string = info1 & IOIO_STRING;
    unsigned size = extract64(info1, 4, 3);
    uint64_t count = string ? info2 : 1;
    uint8_t value[8], *data = value;

    if (size != 1 && size != 2 && size != 4) {
        ghcb_malformed(g, ERR_INVALID_INPUT);
        return;
    }
    if (string) {
        data = count > GHCB_SHARED_BUFFER_SIZE ? NULL :
               ghcb_scratch(g, count * size);
        if (!data) {
            ghcb_malformed(g, ERR_INVALID_SCRATCH);
            return;
        }
    } else {
        stq_le_p(value, ghcb_get(g, F_RAX));
    }
    for (uint64_t i = 0; i < count; i++) {
        address_space_rw(&address_space_io, port, MEMTXATTRS_UNSPECIFIED,
                         data + i * size, size, !in);
    }
    if (in && !string) {
        ghcb_put(g, F_RAX, ldq_le_p(value) & MAKE_64BIT_MASK(0, size * 8));
    }
    ghcb_answer(g, RESP_NO_ACTION, 0);
}

/*
 * Register state that lies in the VMSA: the hypervisor cannot change it, and
 * KVM does not intercept these.
 */
static bool is_vmsa_msr(uint32_t msr)
{
    switch (msr) {
    case MSR_IA32_SYSENTER_CS ... MSR_IA32_SYSENTER_EIP:
    case MSR_PAT:
    case MSR_IA32_XSS:
    case MSR_EFER:
    case MSR_STAR ... MSR_FMASK:
    case MSR_FSBASE ... MSR_KERNELGSBASE:
    case MSR_TSC_AUX:
        return true;
    default:
        return false;
    }
}

/* False where the access is #GP; @value is read or written. */
static bool msr_access(CPUX86State *env, uint32_t msr, bool write,
                       uint64_t *value)
{
    target_ulong rax = env->regs[R_EAX], rcx = env->regs[R_ECX],
                 rdx = env->regs[R_EDX];

    /* What the helpers answer with an exception is tried here. */
    switch (msr) {
    case MSR_APIC_START ... MSR_APIC_END: {
        BQL_LOCK_GUARD();

        return (write ? apic_msr_write(msr - MSR_APIC_START, *value) :
                        apic_msr_read(msr - MSR_APIC_START, value)) >= 0;
    }
    case MSR_IA32_APICBASE:
        if (write) {
            BQL_LOCK_GUARD();

            return !(*value & MSR_IA32_APICBASE_RESERVED) &&
                   cpu_set_apic_base(env_archcpu(env)->apic_state,
                                     *value) >= 0;
        }
        break;
    case MSR_IA32_PKRS:
    case MSR_VM_HSAVE_PA:
        return false;
    }
    if (write && is_vmsa_msr(msr)) {
        return true;
    }

    snp_emu()->vcpus[env_cpu(env)->cpu_index].hypervisor_msr =
        snp_emu_has(snp_emu_traits(env), SNP_EMU_REFLECT);
    env->regs[R_ECX] = msr;
    if (write) {
        env->regs[R_EAX] = (uint32_t)*value;
        env->regs[R_EDX] = *value >> 32;
        helper_wrmsr(env);
    } else {
        helper_rdmsr(env);
        *value = (uint32_t)env->regs[R_EAX] |
                 (uint64_t)env->regs[R_EDX] << 32;
    }
    env->regs[R_EAX] = rax;
    env->regs[R_ECX] = rcx;
    env->regs[R_EDX] = rdx;
    return true;
}

/* Section 4.1.4: RDMSR (EXITINFO1 = 0) and WRMSR (1). */
void nae_msr(CPUX86State *env, Ghcb *g, uint64_t info1)
{
    uint64_t value = 0;

    if (info1) {
        value = (uint32_t)ghcb_get(g, F_RAX) | ghcb_get(g, F_RDX) << 32;
    }
    if (!msr_access(env, ghcb_get(g, F_RCX), info1, &value)) {
        ghcb_inject(g, EXCP0D_GPF, true);
        return;
    }
    if (!info1) {
        ghcb_put(g, F_RAX, (uint32_t)value);
        ghcb_put(g, F_RDX, value >> 32);
    }
    ghcb_answer(g, RESP_NO_ACTION, 0);
}

/* Section 4.1.5: EXITINFO1 is the GPA, EXITINFO2 the length. */
void nae_mmio(Ghcb *g, bool write, uint64_t gpa, uint64_t len)
{
    uint8_t *data = ghcb_scratch(g, len);

    if (!data) {
        ghcb_malformed(g, ERR_INVALID_SCRATCH);
        return;
    }
    if (gpa > UINT64_MAX - len) {
        ghcb_malformed(g, ERR_INVALID_INPUT);
        return;
    }
    if (!is_private(gpa, len)) {
        address_space_rw(&snp_emu()->dma.as, gpa, MEMTXATTRS_UNSPECIFIED,
                         data, len, write);
    } else if (!write) {
        memset(data, 0, len);   /* not the guest's own memory */
    }
    ghcb_answer(g, RESP_NO_ACTION, 0);
}

void nae_tsc(CPUX86State *env, Ghcb *g, bool aux)
{
    uint64_t tsc = cpu_get_tsc(env) + env->tsc_offset;

    ghcb_put(g, F_RAX, (uint32_t)tsc);
    ghcb_put(g, F_RDX, tsc >> 32);
    if (aux) {
        ghcb_put(g, F_RCX, env->tsc_aux);
    }
    ghcb_answer(g, RESP_NO_ACTION, 0);
}
