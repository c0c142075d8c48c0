/*
 * SEV-SNP guest emulation for TCG: VMSAs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The page with a vCPU's register state that VMRUN loads (APM volume 2,
 * appendix B, table B-4), and what VMRUN refuses of it (15.5.1, 15.36.12).
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "tcg/helper-tcg.h"
#include "internal.h"

/* Offsets in the VMSA */
enum {
    V_ES = 0x000, V_CS = 0x010, V_SS = 0x020, V_DS = 0x030, V_FS = 0x040,
    V_GS = 0x050, V_GDTR = 0x060, V_LDTR = 0x070, V_IDTR = 0x080, V_TR = 0x090,
    V_VMPL = 0x0ca, V_CPL = 0x0cb,
    V_EFER = 0x0d0, V_XSS = 0x140,
    V_CR4 = 0x148, V_CR3 = 0x150, V_CR0 = 0x158, V_DR7 = 0x160, V_DR6 = 0x168,
    V_RFLAGS = 0x170, V_RIP = 0x178, V_DR0 = 0x180, V_RSP = 0x1d8,
    V_RAX = 0x1f8, V_STAR = 0x200, V_LSTAR = 0x208, V_CSTAR = 0x210,
    V_SFMASK = 0x218, V_KERNEL_GS_BASE = 0x220, V_SYSENTER_CS = 0x228,
    V_SYSENTER_ESP = 0x230, V_SYSENTER_EIP = 0x238, V_CR2 = 0x240,
    V_G_PAT = 0x268, V_PKRU = 0x2e8, V_TSC_AUX = 0x2ec,
    V_RCX = 0x308, V_RDX = 0x310, V_RBX = 0x318,
    V_RBP = 0x328, V_RSI = 0x330, V_RDI = 0x338, V_R8 = 0x340,
    V_SEV_FEATURES = 0x3b0, V_XCR0 = 0x3e8, V_MXCSR = 0x408, V_FCW = 0x410,
};

/* A segment's attributes in VMCB's packed form */
#define VMCB_SEG_L  (1 << 9)
#define VMCB_SEG_D  (1 << 10)

/* Of rFLAGS, what is a flag; bit 1 reads as one */
#define RFLAGS_KNOWN (CC_C | CC_P | CC_A | CC_Z | CC_S | TF_MASK | IF_MASK | \
                      DF_MASK | CC_O | IOPL_MASK | NT_MASK | RF_MASK | \
                      VM_MASK | AC_MASK | VIF_MASK | VIP_MASK | ID_MASK)

static uint32_t segment_flags(const uint8_t *p)
{
    uint16_t attributes = lduw_le_p(p + 2);

    return (attributes & 0xff) << 8 | (attributes & 0xf00) << 12;
}

static void load_segment(CPUX86State *env, const uint8_t *vmsa, int reg,
                         unsigned offset)
{
    const uint8_t *p = vmsa + offset;

    cpu_x86_load_seg_cache(env, reg, lduw_le_p(p), ldq_le_p(p + 8),
                           ldl_le_p(p + 4), segment_flags(p));
}

static void load_table(SegmentCache *table, const uint8_t *p)
{
    table->selector = lduw_le_p(p);
    table->flags = segment_flags(p);
    table->limit = ldl_le_p(p + 4);
    table->base = ldq_le_p(p + 8);
}

static void load_registers(CPUX86State *env, const uint8_t *vmsa)
{
    static const struct {
        int reg;
        unsigned offset;
    } gpr[] = {
        { R_EAX, V_RAX }, { R_ECX, V_RCX }, { R_EDX, V_RDX }, { R_EBX, V_RBX },
        { R_ESP, V_RSP }, { R_EBP, V_RBP }, { R_ESI, V_RSI }, { R_EDI, V_RDI },
    };

    for (int i = 0; i < ARRAY_SIZE(gpr); i++) {
        env->regs[gpr[i].reg] = ldq_le_p(vmsa + gpr[i].offset);
    }
    for (int i = 8; i < 16 && i < CPU_NB_REGS; i++) {
        env->regs[i] = ldq_le_p(vmsa + V_R8 + (i - 8) * 8);
    }
    cpu_load_eflags(env, (ldq_le_p(vmsa + V_RFLAGS) & RFLAGS_KNOWN) | 2, ~0);
    env->eip = ldq_le_p(vmsa + V_RIP);
}

/* What VMLOAD loads besides, and what SEV-ES adds. */
static void load_msrs(CPUX86State *env, const uint8_t *vmsa)
{
    env->star = ldq_le_p(vmsa + V_STAR);
#ifdef TARGET_X86_64
    env->lstar = ldq_le_p(vmsa + V_LSTAR);
    env->cstar = ldq_le_p(vmsa + V_CSTAR);
    env->fmask = ldq_le_p(vmsa + V_SFMASK);
    env->kernelgsbase = ldq_le_p(vmsa + V_KERNEL_GS_BASE);
#endif
    env->sysenter_cs = ldq_le_p(vmsa + V_SYSENTER_CS);
    env->sysenter_esp = ldq_le_p(vmsa + V_SYSENTER_ESP);
    env->sysenter_eip = ldq_le_p(vmsa + V_SYSENTER_EIP);
    env->pat = ldq_le_p(vmsa + V_G_PAT);
    env->pkru = ldl_le_p(vmsa + V_PKRU);
    env->tsc_aux = ldl_le_p(vmsa + V_TSC_AUX);
    env->xss = ldq_le_p(vmsa + V_XSS);
}

void snp_load_vmsa(CPUX86State *env, const uint8_t *vmsa)
{
    /*
     * Hardware wants SVME in a VMSA; the guest has no use for it.  LMA follows
     * from CR0 and LME.
     */
    cpu_load_efer(env, ldq_le_p(vmsa + V_EFER) &
                       ~(MSR_EFER_SVME | MSR_EFER_LMA));
    cpu_x86_update_cr4(env, ldq_le_p(vmsa + V_CR4));
    env->cr[2] = ldq_le_p(vmsa + V_CR2);
    env->cr[3] = ldq_le_p(vmsa + V_CR3);
    cpu_x86_update_cr0(env, ldq_le_p(vmsa + V_CR0));
    for (int i = 0; i < 4; i++) {
        env->dr[i] = ldq_le_p(vmsa + V_DR0 + i * 8);
    }
    env->dr[6] = ldq_le_p(vmsa + V_DR6);
    env->dr[7] = ldq_le_p(vmsa + V_DR7);
    load_msrs(env, vmsa);
    env->xcr0 = ldq_le_p(vmsa + V_XCR0);
    cpu_sync_bndcs_hflags(env);
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
    load_registers(env, vmsa);
}

static void put_segment(uint8_t *vmsa, unsigned offset, uint16_t selector,
                        uint16_t attributes, uint64_t base)
{
    uint8_t *p = vmsa + offset;

    stw_le_p(p, selector);
    stw_le_p(p + 2, attributes);
    stl_le_p(p + 4, 0xffff);
    stq_le_p(p + 8, base);
}

/*
 * A vCPU's first state, which the firmware measures (SNP_LAUNCH_UPDATE, page
 * type VMSA): QEMU's reset values, as KVM's sev_es_sync_vmsa() stores them.
 */
void snp_initial_vmsa(CPUX86State *env, uint32_t eip, uint8_t vmsa[4096])
{
    static const unsigned data[] = { V_ES, V_SS, V_DS, V_FS, V_GS };
    const struct {
        unsigned offset;
        uint64_t value;
    } registers[] = {
        { V_EFER, MSR_EFER_SVME }, { V_CR4, CR4_MCE_MASK },
        { V_CR0, CR0_ET_MASK }, { V_DR7, DR7_FIXED_1 },
        { V_DR6, 0xffff0ff0 }, { V_RFLAGS, 2 }, { V_RIP, eip & 0xffff },
        { V_G_PAT, 0x0007040600070406 }, { V_RDX, env->cpuid_version },
        { V_SEV_FEATURES, SEV_FEATURE_SNP_ACTIVE }, { V_XCR0, XSTATE_FP_MASK },
        { V_MXCSR, 0x1f80 }, { V_FCW, 0x37f },
    };

    memset(vmsa, 0, 4096);
    for (int i = 0; i < ARRAY_SIZE(data); i++) {
        put_segment(vmsa, data[i], 0, 0x93, 0);
    }
    put_segment(vmsa, V_CS, 0xf000, 0x9b, eip & 0xffff0000);
    put_segment(vmsa, V_GDTR, 0, 0, 0);
    put_segment(vmsa, V_IDTR, 0, 0, 0);
    put_segment(vmsa, V_LDTR, 0, 0x82, 0);
    put_segment(vmsa, V_TR, 0, 0x8b, 0);
    for (int i = 0; i < ARRAY_SIZE(registers); i++) {
        stq_le_p(vmsa + registers[i].offset, registers[i].value);
    }
}

uint64_t snp_vmsa_features(const uint8_t *vmsa)
{
    return ldq_le_p(vmsa + V_SEV_FEATURES);
}

bool snp_is_vmsa_page(hwaddr gpa)
{
    uint8_t state = rmp_get(gpa);

    return state != RMP_NONE && (state & RMP_VMSA) && (state & RMP_VALIDATED);
}

const char *snp_vmsa_page_refused(hwaddr gpa)
{
    if (!snp_is_vmsa_page(gpa)) {
        return "it is no VMSA page";
    }
    return snp_vmsa_in_use(gpa, 4096) ? "another vCPU runs on it" : NULL;
}

/* The page is read as the guest would read it. */
void snp_read_vmsa(hwaddr gpa, uint8_t vmsa[4096])
{
    contents_settle(gpa);
    address_space_read(&address_space_memory, gpa, MEMTXATTRS_UNSPECIFIED,
                       vmsa, 4096);
}

/* As XSETBV has it */
static bool xcr0_is_valid(CPUX86State *env, uint64_t xcr0)
{
    uint32_t low, high, unused;

    cpu_x86_cpuid(env, 0xd, 0, &low, &unused, &unused, &high);
    return (xcr0 & XSTATE_FP_MASK) && !(xcr0 & ~((uint64_t)high << 32 | low)) &&
           (xcr0 & (XSTATE_SSE_MASK | XSTATE_YMM_MASK)) != XSTATE_YMM_MASK &&
           !(xcr0 & XSTATE_BNDREGS_MASK) == !(xcr0 & XSTATE_BNDCSR_MASK);
}

static const char *long_mode_refused(const uint8_t *vmsa)
{
    uint64_t efer = ldq_le_p(vmsa + V_EFER);
    uint64_t cr0 = ldq_le_p(vmsa + V_CR0), cr4 = ldq_le_p(vmsa + V_CR4);
    uint16_t cs = lduw_le_p(vmsa + V_CS + 2);
    bool active = efer & MSR_EFER_LME && cr0 & CR0_PG_MASK;

    if (cr0 & CR0_PG_MASK && !(cr0 & CR0_PE_MASK)) {
        return "CR0.PG without CR0.PE";     /* the emulation's, if not LME */
    }
    if (active && !(cr4 & CR4_PAE_MASK)) {
        return "long mode without CR4.PAE";
    }
    if (active && cs & VMCB_SEG_L && cs & VMCB_SEG_D) {
        return "CS.L and CS.D in long mode";
    }
    if (active && ldq_le_p(vmsa + V_RFLAGS) & VM_MASK) {
        return "virtual 8086 mode in long mode";
    }
    return NULL;
}

/* Reserved bits */
static const char *bits_refused(CPUX86State *env, const uint8_t *vmsa)
{
    const uint64_t cr3_reserved =
        MAKE_64BIT_MASK(env_archcpu(env)->phys_bits, 64) & ~snp_emu_c_bit(env);
    uint64_t cr0 = ldq_le_p(vmsa + V_CR0);

    if (cr0 >> 32 || (cr0 & CR0_NW_MASK && !(cr0 & CR0_CD_MASK))) {
        return "CR0";
    }
    if (ldq_le_p(vmsa + V_CR3) & cr3_reserved) {
        return "CR3";
    }
    if (ldq_le_p(vmsa + V_CR4) & cr4_reserved_bits(env)) {
        return "CR4";
    }
    if (ldq_le_p(vmsa + V_DR6) >> 32) {
        return "DR6";
    }
    if (ldq_le_p(vmsa + V_DR7) >> 32) {
        return "DR7";
    }
    if (ldq_le_p(vmsa + V_EFER) & efer_reserved_bits(env)) {
        return "EFER";
    }
    if (ldl_le_p(vmsa + V_MXCSR) & ~0xffff) {
        return "MXCSR";
    }
    return xcr0_is_valid(env, ldq_le_p(vmsa + V_XCR0)) ? NULL : "XCR0";
}

const char *snp_vmsa_refused(CPUX86State *env, const uint8_t *vmsa)
{
    const char *bits = bits_refused(env, vmsa);

    if (snp_vmsa_features(vmsa) != SEV_FEATURE_SNP_ACTIVE) {
        return "SEV_FEATURES are not SNPActive alone";
    }
    if (vmsa[V_VMPL]) {
        return "it is of a VMPL that has no permissions";
    }
    if (!(ldq_le_p(vmsa + V_EFER) & MSR_EFER_SVME)) {
        return "EFER.SVME is clear";
    }
    return bits ?: long_mode_refused(vmsa);
}
