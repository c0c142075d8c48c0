/*
 * SEV-SNP guest emulation for TCG: the hooks that the rest of QEMU calls
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An SNP guest sees a C-bit in its page tables, page ownership that it must
 * validate before use (RMP, PVALIDATE) and a hypervisor that it reaches only
 * through VMGEXIT (GHCB).  See AMD64 Architecture Programmer's Manual,
 * volume 2, section 15.36, and the GHCB specification, revision 2.0x.
 */

#ifndef I386_SNP_EMU_H
#define I386_SNP_EMU_H

#include "cpu.h"

#ifndef CONFIG_USER_ONLY
#include CONFIG_DEVICES /* CONFIG_SEV_EMULATED */
#endif

#define TYPE_SEV_SNP_EMULATED "sev-snp-emulated"
#define TYPE_SEV_EMULATED "sev-emulated"    /* SEV; by its policy SEV-ES */

/* Is the emulation part of this binary? */
#if !defined(CONFIG_USER_ONLY) && defined(CONFIG_SEV_EMULATED)
#define SNP_EMU
#endif

/* #VC error codes are exit codes; this one has no hypervisor involved */
#define SNP_VC_PAGE_NOT_VALIDATED 0x404
#define EXCP1D_VC 29

/*
 * What guest it is, from launch on (CPUX86State::snp_traits, of which the
 * translator has a copy); none of them with a guest that is not emulated.
 */
#define SNP_EMU_ON      (1 << 0)
#define SNP_EMU_GHCB    (1 << 1)    /* SEV-ES, SNP: it leaves by VMGEXIT */
#define SNP_EMU_RMP     (1 << 2)    /* SNP: its pages are validated */
#define SNP_EMU_REFLECT (1 << 3)    /* what is intercepted raises #VC */

typedef struct SnpEmu SnpEmu;

#ifdef SNP_EMU
#define snp_emu_traits(env) ((env)->snp_traits)
#define snp_emu_c_bit(env)  ((env)->snp_c_bit)
#else
#define snp_emu_traits(env) 0U
#define snp_emu_c_bit(env)  0ULL
#endif

static inline bool snp_emu_has(uint32_t traits, uint32_t which)
{
    return unlikely(traits & which);
}

static inline bool snp_emu_enabled(CPUX86State *env)
{
    return snp_emu_has(snp_emu_traits(env), SNP_EMU_ON);
}

/* vCPU: it is made, maybe after launch. */
#ifndef SNP_EMU
static inline void snp_emu_add_vcpu(CPUX86State *env)
{
}
#else
void snp_emu_add_vcpu(CPUX86State *env);
#endif

/* Machine: will the guest's memory have an RMP? */
#ifndef SNP_EMU
static inline bool snp_emu_machine_has_rmp(MachineState *machine)
{
    return false;
}
#else
bool snp_emu_machine_has_rmp(MachineState *machine);
#endif

/* Machine: called once with the firmware image, before the first reset. */
#ifndef SNP_EMU
static inline void snp_emu_launch(hwaddr gpa, uint8_t *flash, size_t size)
{
}
#else
void snp_emu_launch(hwaddr gpa, uint8_t *flash, size_t size);
#endif

/*
 * Machine: from now on the bus masters of @bus reach shared memory only, if
 * the guest is an emulated SNP guest.
 */
#ifndef SNP_EMU
static inline void snp_emu_filter_dma(PCIBus *bus)
{
}
#else
void snp_emu_filter_dma(PCIBus *bus);
#endif

/*
 * MMU: may this access go on?  False means #VC PAGE_NOT_VALIDATED.  @shared
 * is the complement of the leaf's C-bit.  A refused @probe leaves no record.
 * The access may go to another page, and only as @prot then says.
 */
bool snp_emu_access(CPUX86State *env, hwaddr *gpa, MMUAccessType access,
                    bool shared, int *prot, bool probe, uintptr_t ra);

/*
 * MMU: may the page-table page at @gpa enter the TLB?  True only where the
 * access would leave no record; all others are for snp_emu_access_ptw().
 */
bool snp_emu_fills_ptw(CPUX86State *env, hwaddr gpa);

/* MMU: snp_emu_access() for a read of the page-table page at @gpa. */
bool snp_emu_access_ptw(CPUX86State *env, hwaddr gpa, uintptr_t ra);

/* Raise #VC if @exit_code is one that the hypervisor intercepts. */
void snp_emu_check_intercept(CPUX86State *env, uint32_t exit_code,
                             uintptr_t ra);
bool snp_emu_is_intercept(uint32_t exit_code);

/* Translator: does the instruction with this exit code need a check? */
static inline bool snp_emu_intercepts(uint32_t traits, uint32_t exit_code)
{
    return snp_emu_has(traits, SNP_EMU_REFLECT) &&
           snp_emu_is_intercept(exit_code);
}

/*
 * MMU: is this access one to emulated hardware, and so #VC?  Takes away from
 * @prot what would be one.
 */
bool snp_emu_check_mmio(hwaddr gpa, MMUAccessType access, bool probe,
                        int *prot);

/* Is the vCPU one that no interrupt wakes, but INIT, or SIPI out of a hold? */
#ifndef SNP_EMU
static inline bool snp_emu_sleeps(CPUState *cs)
{
    return false;
}
#else
bool snp_emu_sleeps(CPUState *cs);
#endif

/* INIT and SIPI: true when the vCPU is one that they do not reset. */
#ifndef SNP_EMU
static inline bool snp_emu_init(CPUState *cs)
{
    return false;
}

static inline bool snp_emu_sipi(CPUState *cs)
{
    return false;
}
#else
bool snp_emu_init(CPUState *cs);
bool snp_emu_sipi(CPUState *cs);
#endif

/* A halted vCPU has work: true when it wakes, false when it cannot. */
#ifndef SNP_EMU
static inline bool snp_emu_wakes(CPUState *cs)
{
    return true;
}
#else
bool snp_emu_wakes(CPUState *cs);
#endif

/*
 * Translator: should a block that begins at @pc call helper_snp_hook()?  This
 * is the ledger's (watch/), which watches ExitBootServices.
 */
#if !defined(SNP_EMU) || !defined(CONFIG_SEV_EMULATED_LEDGER)
static inline bool snp_hook_wanted(CPUState *cs, uint64_t pc)
{
    return false;
}
#else
bool snp_hook_wanted(CPUState *cs, uint64_t pc);
#endif

/* MSRs: true when @msr is one of ours and the access was done. */
bool snp_emu_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *val);
bool snp_emu_wrmsr(CPUX86State *env, uint32_t msr, uint64_t val);

/* CPUID leaf 1: what KVM does not offer to a guest. */
void snp_emu_cpuid_1(uint32_t *ecx);

/* CPUID leaf 0x8000001f, on top of what sev.c answers. */
void snp_emu_cpuid_8000001f(CPUX86State *env, uint32_t *ebx);

/*
 * Implemented by the MMU: walk for PVALIDATE and RMPADJUST.  Raises the
 * guest's fault when @addr is not mapped.  Returns the guest physical
 * address; sets @shared and @page_size of the leaf.
 */
hwaddr x86_translate_for_snp_emu(CPUX86State *env, vaddr addr, bool *shared,
                                 int *page_size, uintptr_t ra);

#endif
