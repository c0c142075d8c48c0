/*
 * SEV-SNP guest emulation for TCG: VMGEXIT, the hypervisor's side of the GHCB
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * GHCB specification 2.0x: section 2.3.1 (MSR protocol), 2.6 (GHCB page) and
 * 4.1 (NAE events).
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/qapi-events-misc-target.h"
#include "qemu/units.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/helper-proto.h"
#include "hw/boards.h"
#include "system/runstate.h"
#include "tcg/helper-tcg.h"
#include "../sev.h"
#include "internal.h"

#define MSR_GHCB        0xc0010130
#define MSR_SEV_STATUS  0xc0010131

#define GHCB_PROTOCOL_MIN 1
#define GHCB_PROTOCOL_MAX 2

/* Hypervisor features (section 4.1.13) */
#define HV_FEATURE_SNP          (1 << 0)
#define HV_FEATURE_AP_CREATION  (1 << 1)
#define HV_FEATURE_APIC_ID_LIST (1 << 4)
#define HV_FEATURES (HV_FEATURE_SNP | HV_FEATURE_AP_CREATION | \
                     HV_FEATURE_APIC_ID_LIST)

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

/* Exit codes: AMD64 VMCB codes, then software-defined ones */
enum {
    EXIT_DR7_READ = 0x27,
    EXIT_DR7_WRITE = 0x37,
    EXIT_RDTSC = 0x6e,
    EXIT_RDPMC = 0x6f,
    EXIT_CPUID = 0x72,
    EXIT_INVD = 0x76,
    EXIT_IOIO = 0x7b,
    EXIT_MSR = 0x7c,
    EXIT_VMMCALL = 0x81,
    EXIT_RDTSCP = 0x87,
    EXIT_WBINVD = 0x89,
    EXIT_MONITOR = 0x8a,
    EXIT_MWAIT = 0x8b,
};
#define EXIT_MMIO_READ          0x80000001ULL
#define EXIT_MMIO_WRITE         0x80000002ULL
#define EXIT_NMI_COMPLETE       0x80000003ULL
#define EXIT_AP_RESET_HOLD      0x80000004ULL
#define EXIT_AP_JUMP_TABLE      0x80000005ULL
#define EXIT_PSC                0x80000010ULL
#define EXIT_GUEST_REQUEST      0x80000011ULL
#define EXIT_EXT_GUEST_REQUEST  0x80000012ULL
#define EXIT_AP_CREATION        0x80000013ULL
#define EXIT_APIC_IDS           0x80000017ULL
#define EXIT_HV_FEATURES        0x8000fffdULL
#define EXIT_TERMINATE          0x8000fffeULL

/* Page state change operations */
enum {
    PSC_PRIVATE = 1,
    PSC_SHARED = 2,
    PSC_PSMASH = 3,
    PSC_UNSMASH = 4,
};
#define PSC_MAX_ENTRY 253

/* SW_EXITINFO1 and, for a malformed request, SW_EXITINFO2 */
enum {
    RESP_NO_ACTION = 0,
    RESP_EXCEPTION = 1,
    RESP_MALFORMED = 2,
};
enum {
    ERR_NOT_REGISTERED = 1,
    ERR_INVALID_USAGE = 2,
    ERR_INVALID_SCRATCH = 3,
    ERR_MISSING_INPUT = 4,
    ERR_INVALID_INPUT = 5,
    ERR_INVALID_EVENT = 6,
};

#define GHCB_SHARED_BUFFER      0x800
#define GHCB_SHARED_BUFFER_SIZE 2032

/* Save area fields that requests and answers use, as offsets in the page */
enum {
    F_CPL = 0x0cb,
    F_XSS = 0x140,
    F_DR7 = 0x160,
    F_RAX = 0x1f8,
    F_RCX = 0x308,
    F_RDX = 0x310,
    F_RBX = 0x318,
    F_EXIT_CODE = 0x390,
    F_EXIT_INFO1 = 0x398,
    F_EXIT_INFO2 = 0x3a0,
    F_SCRATCH = 0x3a8,
    F_XCR0 = 0x3e8,
    F_VALID = 0x3f0,
    F_PROTOCOL = 0xffa,
    F_USAGE = 0xffc,
};

typedef struct Ghcb {
    hwaddr gpa;
    uint8_t asked[16];  /* valid bitmap of the request */
    uint8_t page[4096]; /* its own valid bitmap is the answer's */
} Ghcb;

static uint64_t ghcb_get(const Ghcb *g, unsigned field)
{
    return ldq_le_p(g->page + field);
}

static bool ghcb_has(const Ghcb *g, unsigned field)
{
    unsigned bit = field / 8;

    return g->asked[bit / 8] & (1 << bit % 8);
}

/* Set a field of the answer and mark it valid. */
static void ghcb_put(Ghcb *g, unsigned field, uint64_t value)
{
    unsigned bit = field / 8;

    stq_le_p(g->page + field, value);
    g->page[F_VALID + bit / 8] |= 1 << bit % 8;
}

static void ghcb_answer(Ghcb *g, uint64_t info1, uint64_t info2)
{
    ghcb_put(g, F_EXIT_INFO1, info1);
    ghcb_put(g, F_EXIT_INFO2, info2);
}

static void ghcb_malformed(Ghcb *g, unsigned reason)
{
    ghcb_answer(g, RESP_MALFORMED, reason);
}

/* Section 4.1: inject an exception, in VMCB EVENTINJ format */
static void ghcb_exception(Ghcb *g, int vector, bool has_error, uint32_t error)
{
    ghcb_answer(g, RESP_EXCEPTION, vector | 3 << 8 | has_error << 11 |
                                   1U << 31 | (uint64_t)error << 32);
}

static const char *terminate_reason(int set, int code)
{
    static const char *const general[] = {
        "general termination request",
        "SEV-ES / GHCB protocol version not supported",
        "SEV-SNP features not supported by the hypervisor",
    };
    static const char *const linux_set[] = {
        "GHCB registration failed",
        "page state change failed",
        "PVALIDATE failed",
        "not running at VMPL0",
        "CPUID page or table invalid",
        "CPUID values from the hypervisor refused",
        "secrets page problem",
        "no SVSM",
        "SVSM is at VMPL0",
        "SVSM calling area page problem",
        "Secure TSC setup failed",
        "SVSM calling area remap failed",
        "Secure AVIC failed",
    };

    if (set == 0 && code < ARRAY_SIZE(general)) {
        return general[code];
    }
    if (set == 1 && code < ARRAY_SIZE(linux_set)) {
        return linux_set[code];
    }
    return "unknown reason";
}

void snp_terminate(const SnpOrigin *o, int set, int code)
{
    const char *reason = terminate_reason(set, code);

    WITH_QEMU_LOCK_GUARD(&snp_emu->lock) {
        if (snp_emu->termination) {
            return;
        }
        snp_emu->termination =
            g_strdup_printf("0x%x:0x%x %s", set, code, reason);
        ledger_terminate(o, set, code, reason);
    }
    error_report("SNP guest requested termination: 0x%x:0x%x %s "
                 "(vCPU %d, RIP 0x%" PRIx64 ", %s)", set, code, reason,
                 o->vcpu, o->rip, snp_phase_name(o->phase));
    qapi_event_send_sev_snp_emulated_termination(set, code, reason, o->vcpu,
                                                 o->rip,
                                                 snp_phase_name(o->phase));
    bql_lock();
    qemu_system_guest_panicked(NULL);
    bql_unlock();
}

static bool psc_entry(CPUX86State *env, const SnpOrigin *o, hwaddr gpa,
                      int operation, uint64_t size)
{
    if (!QEMU_IS_ALIGNED(gpa, size) || rmp_get(gpa) == RMP_NONE) {
        return false;
    }
    switch (operation) {
    case PSC_PRIVATE:
    case PSC_SHARED:
        return rmp_page_state_change(o, gpa, size, operation == PSC_PRIVATE);
    case PSC_PSMASH:
    case PSC_UNSMASH:
        return true;    /* hints; entries split by themselves here */
    default:
        return false;
    }
}

static uint64_t msr_protocol(CPUX86State *env, const SnpOrigin *o,
                             uint64_t req)
{
    int cpu = env_cpu(env)->cpu_index;
    uint64_t data = req >> 12;

    switch (req & 0xfff) {
    case MSR_SEV_INFO_REQ:
        return (uint64_t)GHCB_PROTOCOL_MAX << 48 |
               (uint64_t)GHCB_PROTOCOL_MIN << 32 |
               (uint64_t)sev_get_cbit_position() << 24 | MSR_SEV_INFO_RESP;
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
        if (rmp_get(data << 12) == RMP_NONE) {
            return 0xfffffffffffffULL << 12 | MSR_REGISTER_GPA_RESP;
        }
        snp_emu->vcpus[cpu].ghcb_registered = data << 12;
        ledger_event(SNP_OP_GHCB_REGISTER, o, data << 12, 4096);
        return data << 12 | MSR_REGISTER_GPA_RESP;
    case MSR_PSC_REQ: {
        hwaddr gpa = extract64(req, 12, 40) << 12;
        int operation = extract64(req, 52, 4);
        bool ok = (operation == PSC_PRIVATE || operation == PSC_SHARED) &&
                  psc_entry(env, o, gpa, operation, 4096);

        snp_flush_tlbs(env);
        return (ok ? 0 : 1ULL << 32) | MSR_PSC_RESP;
    }
    case MSR_RUN_VMPL_REQ:
        return 1ULL << 32 | MSR_RUN_VMPL_RESP;  /* only VMPL0 exists */
    case MSR_HV_FEATURES_REQ:
        return (uint64_t)HV_FEATURES << 12 | MSR_HV_FEATURES_RESP;
    default:
        return req;     /* unknown: left as it was, the guest sees no answer */
    }
}

/*
 * What SW_SCRATCH points to: protocol version 2 wants it in the GHCB's own
 * shared buffer.  NULL when it is anywhere else.
 */
static uint8_t *ghcb_scratch(Ghcb *g, uint64_t len)
{
    uint64_t offset = ghcb_get(g, F_SCRATCH) - g->gpa;

    if (!ghcb_has(g, F_SCRATCH) || len > GHCB_SHARED_BUFFER_SIZE ||
        offset < GHCB_SHARED_BUFFER ||
        offset > GHCB_SHARED_BUFFER + GHCB_SHARED_BUFFER_SIZE - len) {
        return NULL;
    }
    return g->page + offset;
}

/* Section 4.1.6 */
static void nae_psc(CPUX86State *env, const SnpOrigin *o, Ghcb *g)
{
    uint8_t *desc = ghcb_scratch(g, 8);
    uint16_t cur, end;

    if (!desc) {
        ghcb_malformed(g, ERR_INVALID_SCRATCH);
        return;
    }
    cur = lduw_le_p(desc);
    end = lduw_le_p(desc + 2);
    if (cur > end || end >= PSC_MAX_ENTRY ||
        !ghcb_scratch(g, 8 + (end + 1) * 8)) {
        ghcb_answer(g, RESP_NO_ACTION, 1ULL << 32 | 1);
        return;
    }
    for (; cur <= end; cur++) {
        uint64_t entry = ldq_le_p(desc + 8 + cur * 8);
        hwaddr gpa = extract64(entry, 12, 40) << 12;
        uint64_t size = extract64(entry, 56, 1) ? 2 * MiB : 4 * KiB;
        uint64_t done = extract64(entry, 0, 12) * 4 * KiB;

        if (done >= size || !psc_entry(env, o, gpa, extract64(entry, 52, 4),
                                       size)) {
            stw_le_p(desc, cur);
            snp_flush_tlbs(env);
            ghcb_answer(g, RESP_NO_ACTION, 1ULL << 32 | 2);
            return;
        }
    }
    stw_le_p(desc, cur);
    snp_flush_tlbs(env);
    ghcb_answer(g, RESP_NO_ACTION, 0);
}

static void nae_cpuid(CPUX86State *env, Ghcb *g)
{
    uint32_t eax, ebx, ecx, edx;

    cpu_x86_cpuid(env, ghcb_get(g, F_RAX), ghcb_get(g, F_RCX), &eax, &ebx,
                  &ecx, &edx);
    ghcb_put(g, F_RAX, eax);
    ghcb_put(g, F_RBX, ebx);
    ghcb_put(g, F_RCX, ecx);
    ghcb_put(g, F_RDX, edx);
    ghcb_answer(g, RESP_NO_ACTION, 0);
}

/* Section 4.1.2: EXITINFO1 is as for a VMCB IOIO intercept. */
static void nae_ioio(Ghcb *g, uint64_t info1, uint64_t info2)
{
    uint16_t port = info1 >> 16;
    bool in = info1 & 1, string = info1 & 4;
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

/* Section 4.1.4: RDMSR (EXITINFO1 = 0) and WRMSR (1). */
static void nae_msr(CPUX86State *env, Ghcb *g, uint64_t info1)
{
    target_ulong rax = env->regs[R_EAX], rcx = env->regs[R_ECX],
                 rdx = env->regs[R_EDX];

    env->regs[R_ECX] = (uint32_t)ghcb_get(g, F_RCX);
    if (info1) {
        env->regs[R_EAX] = (uint32_t)ghcb_get(g, F_RAX);
        env->regs[R_EDX] = (uint32_t)ghcb_get(g, F_RDX);
        helper_wrmsr(env);
    } else {
        helper_rdmsr(env);
        ghcb_put(g, F_RAX, (uint32_t)env->regs[R_EAX]);
        ghcb_put(g, F_RDX, (uint32_t)env->regs[R_EDX]);
    }
    env->regs[R_EAX] = rax;
    env->regs[R_ECX] = rcx;
    env->regs[R_EDX] = rdx;
    ghcb_answer(g, RESP_NO_ACTION, 0);
}

/* Section 4.1.5: EXITINFO1 is the GPA, EXITINFO2 the length. */
static void nae_mmio(Ghcb *g, bool write, uint64_t gpa, uint64_t len)
{
    uint8_t *data = ghcb_scratch(g, len);

    if (!data) {
        ghcb_malformed(g, ERR_INVALID_SCRATCH);
        return;
    }
    address_space_rw(&address_space_memory, gpa, MEMTXATTRS_UNSPECIFIED,
                     data, len, write);
    ghcb_answer(g, RESP_NO_ACTION, 0);
}

static void nae(CPUX86State *env, const SnpOrigin *o, Ghcb *g)
{
    uint64_t code = ghcb_get(g, F_EXIT_CODE);
    uint64_t info1 = ghcb_get(g, F_EXIT_INFO1);
    uint64_t info2 = ghcb_get(g, F_EXIT_INFO2);
    uint64_t tsc;

    memcpy(g->asked, g->page + F_VALID, sizeof(g->asked));
    memset(g->page + F_VALID, 0, sizeof(g->asked));
    if (!ghcb_has(g, F_EXIT_CODE) || !ghcb_has(g, F_EXIT_INFO1) ||
        !ghcb_has(g, F_EXIT_INFO2)) {
        ghcb_malformed(g, ERR_MISSING_INPUT);
        return;
    }
    if (ldl_le_p(g->page + F_USAGE) != 0) {
        ghcb_malformed(g, ERR_INVALID_USAGE);
        return;
    }
    switch (code) {
    case EXIT_PSC:
        WITH_QEMU_LOCK_GUARD(&snp_emu->lock) {
            nae_psc(env, o, g);
        }
        break;
    case EXIT_CPUID:
        nae_cpuid(env, g);
        break;
    case EXIT_IOIO:
        nae_ioio(g, info1, info2);
        break;
    case EXIT_MSR:
        nae_msr(env, g, info1);
        break;
    case EXIT_MMIO_READ:
    case EXIT_MMIO_WRITE:
        nae_mmio(g, code == EXIT_MMIO_WRITE, info1, info2);
        break;
    case EXIT_HV_FEATURES:
        ghcb_answer(g, RESP_NO_ACTION, HV_FEATURES);
        break;
    case EXIT_RDTSC:
    case EXIT_RDTSCP:
        tsc = cpu_get_tsc(env) + env->tsc_offset;
        ghcb_put(g, F_RAX, (uint32_t)tsc);
        ghcb_put(g, F_RDX, tsc >> 32);
        if (code == EXIT_RDTSCP) {
            ghcb_put(g, F_RCX, env->tsc_aux);
        }
        ghcb_answer(g, RESP_NO_ACTION, 0);
        break;
    case EXIT_DR7_READ:
        ghcb_put(g, F_RAX, env->dr[7]);
        ghcb_answer(g, RESP_NO_ACTION, 0);
        break;
    case EXIT_DR7_WRITE:
    case EXIT_WBINVD:
    case EXIT_INVD:
    case EXIT_MONITOR:
    case EXIT_MWAIT:
    case EXIT_NMI_COMPLETE:
        ghcb_answer(g, RESP_NO_ACTION, 0);
        break;
    case EXIT_RDPMC:
    case EXIT_VMMCALL:
        /* no performance counters and no hypercalls: #GP, as TCG does */
        ghcb_exception(g, EXCP0D_GPF, true, 0);
        break;
    case EXIT_AP_RESET_HOLD:
        /* seen when SIPI has come; non-zero says that it did */
        ghcb_answer(g, RESP_NO_ACTION, 1);
        break;
    case EXIT_AP_CREATION:
        if (snp_ap_creation(env, info1, info2, ghcb_get(g, F_RAX))) {
            ghcb_answer(g, RESP_NO_ACTION, 0);
        } else {
            ghcb_malformed(g, ERR_INVALID_INPUT);
        }
        break;
    case EXIT_APIC_IDS:
        ghcb_put(g, F_RAX, snp_apic_ids(info1, ghcb_get(g, F_RAX)));
        ghcb_answer(g, RESP_NO_ACTION, 0);
        break;
    case EXIT_GUEST_REQUEST:
    case EXIT_EXT_GUEST_REQUEST:
        /* no attestation device: SEV firmware error INVALID_PLATFORM_STATE */
        ghcb_answer(g, RESP_NO_ACTION, 1);
        break;
    case EXIT_TERMINATE:
        snp_terminate(o, info1 & 0xf, info1 >> 4 & 0xff);
        ghcb_answer(g, RESP_NO_ACTION, 0);
        break;
    case EXIT_AP_JUMP_TABLE:    /* superseded by AP creation under SNP */
    default:
        ghcb_malformed(g, ERR_INVALID_EVENT);
        break;
    }
}

void helper_vmgexit(CPUX86State *env, int next_eip_addend)
{
    uint64_t *msr = &snp_emu->vcpus[env_cpu(env)->cpu_index].ghcb_msr;
    SnpOrigin o = snp_origin(env, 0);
    uint64_t exit_code;
    Ghcb g;

    qatomic_inc(&snp_emu->vmgexits);
    if ((*msr & 0xfff) == MSR_TERMINATE) {
        snp_terminate(&o, extract64(*msr, 12, 4), extract64(*msr, 16, 8));
        return;
    }
    if ((*msr & 0xfff) == MSR_AP_RESET_HOLD_REQ) {
        *msr = 1ULL << 12 | MSR_AP_RESET_HOLD_RESP;
        env->eip += next_eip_addend;
        snp_ap_reset_hold(env);
    }
    if (*msr & 0xfff) {
        QEMU_LOCK_GUARD(&snp_emu->lock);
        *msr = msr_protocol(env, &o, *msr);
        return;
    }
    g.gpa = *msr;
    if (rmp_get(g.gpa) & RMP_ASSIGNED ||
        address_space_read(&address_space_memory, g.gpa,
                           MEMTXATTRS_UNSPECIFIED, g.page, sizeof(g.page))) {
        WITH_QEMU_LOCK_GUARD(&snp_emu->lock) {
            snp_fault("ghcb-not-shared", &o, g.gpa, "read");
        }
        snp_terminate(&o, 0, 0);
        return;
    }
    exit_code = ghcb_get(&g, F_EXIT_CODE);
    nae(env, &o, &g);
    address_space_write(&address_space_memory, g.gpa, MEMTXATTRS_UNSPECIFIED,
                        g.page, sizeof(g.page));
    if (exit_code == EXIT_AP_RESET_HOLD) {
        env->eip += next_eip_addend;
        snp_ap_reset_hold(env);
    }
}

bool snp_emu_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *val)
{
    if (!snp_emu_enabled()) {
        return false;
    }
    switch (msr) {
    case MSR_GHCB:
        *val = snp_emu->vcpus[env_cpu(env)->cpu_index].ghcb_msr;
        return true;
    case MSR_SEV_STATUS:
        *val = 0x7; /* SEV, SEV-ES, SEV-SNP */
        return true;
    }
    return false;
}

bool snp_emu_wrmsr(CPUX86State *env, uint32_t msr, uint64_t val)
{
    if (!snp_emu_enabled() || msr != MSR_GHCB) {
        return false;
    }
    snp_emu->vcpus[env_cpu(env)->cpu_index].ghcb_msr = val;
    return true;
}
