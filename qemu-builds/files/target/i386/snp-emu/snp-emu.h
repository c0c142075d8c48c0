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
#include CONFIG_DEVICES /* CONFIG_SEV */
#endif

#define TYPE_SEV_SNP_EMULATED "sev-snp-emulated"
#define TYPE_SEV_EMULATED "sev-emulated"    /* SEV; by its policy SEV-ES */

/* Is the emulation part of this binary? */
#if !defined(CONFIG_USER_ONLY) && defined(CONFIG_SEV) && defined(CONFIG_TCG)
#define SNP_EMU
#endif

/* #VC error codes are exit codes; this one has no hypervisor involved */
#define SNP_VC_PAGE_NOT_VALIDATED 0x404
#define EXCP1D_VC 29

#ifndef SNP_EMU

#define snp_emu_c_bit 0ULL
#define snp_emu_reflect false
#define snp_emu_enabled() false
#define snp_emu_has_rmp() false
#define snp_emu_has_ghcb() false

#else

/* Mask of the C-bit in a page table entry; 0 when nothing is emulated. */
extern uint64_t snp_emu_c_bit;

/* Does what hardware would intercept raise #VC? */
extern bool snp_emu_reflect;

/* Since launch: an SNP guest; an SNP or a SEV-ES guest. */
extern bool snp_emu_rmp;
extern bool snp_emu_ghcb;

static inline bool snp_emu_enabled(void)
{
    return unlikely(snp_emu_c_bit);
}

/* Has the guest's memory an RMP, so that pages are validated? */
static inline bool snp_emu_has_rmp(void)
{
    return unlikely(snp_emu_rmp);
}

/* Does the guest leave by VMGEXIT, and get #VC? */
static inline bool snp_emu_has_ghcb(void)
{
    return unlikely(snp_emu_ghcb);
}

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

/* MMU: the same for a read of the page-table page at @gpa. */
bool snp_emu_access_ptw(CPUX86State *env, hwaddr gpa, uintptr_t ra);

/* Raise #VC if @exit_code is one that the hypervisor intercepts. */
void snp_emu_check_intercept(CPUX86State *env, uint32_t exit_code,
                             uintptr_t ra);
bool snp_emu_is_intercept(uint32_t exit_code);

/* Translator: does the instruction with this exit code need a check? */
static inline bool snp_emu_intercepts(uint32_t exit_code)
{
    return unlikely(snp_emu_reflect) && snp_emu_is_intercept(exit_code);
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

/* Translator: should a block that begins at @pc call helper_snp_hook()? */
#ifndef SNP_EMU
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
void snp_emu_cpuid_8000001f(uint32_t *ebx);

/*
 * Implemented by the MMU: walk for PVALIDATE and RMPADJUST.  Raises the
 * guest's fault when @addr is not mapped.  Returns the guest physical
 * address; sets @shared and @page_size of the leaf.
 */
hwaddr x86_translate_for_snp_emu(CPUX86State *env, vaddr addr, bool *shared,
                                 int *page_size, uintptr_t ra);

#endif
