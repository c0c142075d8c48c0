/*
 * SEV-SNP guest emulation for TCG: requests in the GHCB page
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * GHCB specification 2.0x, section 4.1: non-automatic exits (NAE).  Which
 * inputs a request must mark valid follows KVM's sev_es_validate_vmgexit().
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "ghcb.h"

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
#define EXIT_AP_JUMP_TABLE      0x80000005ULL
#define EXIT_PSC                0x80000010ULL
#define EXIT_GUEST_REQUEST      0x80000011ULL
#define EXIT_EXT_GUEST_REQUEST  0x80000012ULL
#define EXIT_AP_CREATION        0x80000013ULL
#define EXIT_APIC_IDS           0x80000017ULL
#define EXIT_HV_FEATURES        0x8000fffdULL
#define EXIT_TERMINATE          0x8000fffeULL
#define EXIT_UNSUPPORTED_EVENT  0x8000ffffULL

/* SW_EXITINFO2 of an extended guest request with too few pages */
#define EXT_GUEST_REQUEST_INVALID_LEN (1ULL << 32)
/* The same of a guest request that is throttled */
#define GUEST_REQUEST_BUSY            (2ULL << 32)

static bool is_of_snp(uint64_t code)
{
    return code == EXIT_PSC || code == EXIT_GUEST_REQUEST ||
           code == EXIT_EXT_GUEST_REQUEST || code == EXIT_AP_CREATION;
}

/* Are all fields that the request needs marked valid? */
static bool has_inputs(const Ghcb *g, uint64_t code, uint64_t info1,
                       uint64_t info2)
{
    if (!snp_has_rmp() && is_of_snp(code)) {
        return false;   /* KVM reckons it among the missing, too */
    }
    switch (code) {
    case EXIT_DR7_WRITE:
        return ghcb_has(g, F_RAX);
    case EXIT_APIC_IDS:
        return snp_is_kvm() || ghcb_has(g, F_RAX);
    case EXIT_RDPMC:
        return ghcb_has(g, F_RCX);
    case EXIT_CPUID:
        return ghcb_has(g, F_RAX) && ghcb_has(g, F_RCX) &&
               ((uint32_t)ghcb_get(g, F_RAX) != 0xd || ghcb_has(g, F_XCR0));
    case EXIT_IOIO:
        if (info1 & IOIO_STRING) {
            return ghcb_has(g, F_SCRATCH);
        }
        return (info1 & IOIO_IN) || ghcb_has(g, F_RAX);
    case EXIT_MSR:
        return ghcb_has(g, F_RCX) &&
               (!info1 || (ghcb_has(g, F_RAX) && ghcb_has(g, F_RDX)));
    case EXIT_VMMCALL:
        return ghcb_has(g, F_RAX) && ghcb_has(g, F_CPL);
    case EXIT_MONITOR:
        return ghcb_has(g, F_RAX) && ghcb_has(g, F_RCX) && ghcb_has(g, F_RDX);
    case EXIT_MWAIT:
        return ghcb_has(g, F_RAX) && ghcb_has(g, F_RCX);
    case EXIT_MMIO_READ:
    case EXIT_MMIO_WRITE:
    case EXIT_PSC:
        return ghcb_has(g, F_SCRATCH);
    case EXIT_AP_CREATION:
        return snp_ap_is_destroy(info1) || ghcb_has(g, F_RAX);
    case EXIT_GUEST_REQUEST:
    case EXIT_EXT_GUEST_REQUEST:
        /* KVM reckons these among the missing; the GHCB's reason is below */
        return !snp_is_kvm() ||
               (QEMU_IS_ALIGNED(info1 | info2, 4096) && info1 != info2);
    default:
        return true;
    }
}

uint8_t *ghcb_scratch(Ghcb *g, uint64_t len)
{
    uint64_t offset = ghcb_get(g, F_SCRATCH) - g->gpa;

    if (len > GHCB_SHARED_BUFFER_SIZE || offset < GHCB_SHARED_BUFFER ||
        offset > GHCB_SHARED_BUFFER + GHCB_SHARED_BUFFER_SIZE - len) {
        return NULL;
    }
    return g->page + offset;
}

/*
 * A page that the guest gives to the hypervisor for data.  KVM does not look
 * whether it is shared: it reads zeros, and what it writes is lost.
 */
static bool is_data_page(hwaddr gpa)
{
    return QEMU_IS_ALIGNED(gpa, 4096) &&
           (snp_is_kvm() || !(rmp_get(gpa) & RMP_ASSIGNED));
}

/* Section 4.1.8; SEV-ES guests start their APs by it, nothing here reads it. */
static void nae_ap_jump_table(Ghcb *g, uint64_t info1, uint64_t info2)
{
    switch (info1) {
    case 0:
        qatomic_set(&snp_emu()->ap_jump_table, info2);
        ghcb_answer(g, RESP_NO_ACTION, 0);
        break;
    case 1:
        ghcb_answer(g, RESP_NO_ACTION, qatomic_read(&snp_emu()->ap_jump_table));
        break;
    default:
        ghcb_malformed(g, ERR_INVALID_INPUT);
        break;
    }
}

static void nae_apic_ids(Ghcb *g, hwaddr gpa)
{
    uint64_t pages = ghcb_get(g, F_RAX), needed = snp_apic_id_pages();

    if (pages >= needed) {
        for (uint64_t i = 0; i < needed; i++) {
            if (!is_data_page(gpa + i * 4096)) {
                ghcb_malformed(g, ERR_INVALID_INPUT);
                return;
            }
        }
        snp_write_apic_ids(gpa);
    }
    ghcb_put(g, F_RAX, needed);
    ghcb_answer(g, RESP_NO_ACTION, 0);
}

/*
 * An extended request for a report (attest.c) has in RAX and RBX the address
 * and number of pages for certificates; there are none, which is one page with
 * a table's end mark.  False when the request is answered.
 */
static bool give_certificates(Ghcb *g)
{
    hwaddr data = ghcb_get(g, F_RAX);
    uint64_t pages = ghcb_get(g, F_RBX);
    static const uint8_t end_mark[24];

    if (!ghcb_has(g, F_RAX) || !ghcb_has(g, F_RBX)) {
        ghcb_malformed(g, snp_is_kvm() ? ERR_INVALID_INPUT :
                                         ERR_MISSING_INPUT);
        return false;
    }
    if (pages < 1 && !snp_is_kvm()) {
        ghcb_put(g, F_RBX, 1);
        ghcb_answer(g, RESP_NO_ACTION, EXT_GUEST_REQUEST_INVALID_LEN);
        return false;
    }
    if (!is_data_page(data)) {
        ghcb_malformed(g, ERR_INVALID_INPUT);
        return false;
    }
    if (pages) {
        address_space_write(&snp_emu()->dma.as, data, MEMTXATTRS_UNSPECIFIED,
                            end_mark, sizeof(end_mark));
    }
    return true;
}

/*
 * Sections 4.1.11 and 4.1.12: EXITINFO1 is the request page, EXITINFO2 the
 * response page.
 */
static void nae_guest_request(const SnpOrigin *o, Ghcb *g, hwaddr request,
                              hwaddr response, bool extended)
{
    uint8_t in[4096] = {}, out[4096] = {};
    uint32_t error;
    bool busy;

    if (request == response || !is_data_page(request) ||
        !is_data_page(response)) {
        ghcb_malformed(g, ERR_INVALID_INPUT);
        return;
    }
    WITH_QEMU_LOCK_GUARD(&snp_emu()->lock) {
        busy = fault_strikes(SNP_FAULT_BUSY, o, request);
    }
    if (busy) {
        ghcb_answer(g, RESP_NO_ACTION, GUEST_REQUEST_BUSY);
        return;
    }
    address_space_read(&snp_emu()->dma.as, request, MEMTXATTRS_UNSPECIFIED,
                       in, sizeof(in));
    if (extended && snp_is_report_request(in) && !give_certificates(g)) {
        return;
    }
    error = snp_guest_request(in, out);
    if (!error) {
        address_space_write(&snp_emu()->dma.as, response,
                            MEMTXATTRS_UNSPECIFIED, out, sizeof(out));
    }
    ghcb_answer(g, RESP_NO_ACTION, error);
}

/* KVM_ENOSYS and EPERM, as kvm_emulate_hypercall() gives them */
#define HYPERCALL_UNKNOWN (-1000LL)
#define HYPERCALL_REFUSED (-1LL)
#define HYPERCALL_VAPIC_POLL_IRQ 1

static void nae_vmmcall(Ghcb *g)
{
    if (!snp_is_kvm()) {
        ghcb_inject(g, EXCP06_ILLOP, false);    /* no hypercalls */
        return;
    }
    ghcb_put(g, F_RAX, g->page[F_CPL] ? HYPERCALL_REFUSED :
                       ghcb_get(g, F_RAX) == HYPERCALL_VAPIC_POLL_IRQ ? 0 :
                       HYPERCALL_UNKNOWN);
    ghcb_answer(g, RESP_NO_ACTION, 0);
}

/*
 * KVM (sev_es_sync_to_ghcb()) gives these registers with every answer: as they
 * were in the request, or zero, unless the answer has them.
 */
static void give_all_registers(Ghcb *g)
{
    static const unsigned fields[] = { F_RAX, F_RBX, F_RCX, F_RDX };

    for (int i = 0; i < ARRAY_SIZE(fields); i++) {
        if (!ghcb_answers(g, fields[i])) {
            ghcb_put(g, fields[i],
                     ghcb_has(g, fields[i]) ? ghcb_get(g, fields[i]) : 0);
        }
    }
}

static void answer(CPUX86State *env, const SnpOrigin *o, Ghcb *g)
{
    uint64_t code = ghcb_get(g, F_EXIT_CODE);
    uint64_t info1 = ghcb_get(g, F_EXIT_INFO1);
    uint64_t info2 = ghcb_get(g, F_EXIT_INFO2);

    if (snp_has_rmp() &&
        snp_emu()->vcpus[o->vcpu].ghcb_registered != g->gpa) {
        ghcb_malformed(g, ERR_NOT_REGISTERED);
        return;
    }
    if (ldl_le_p(g->page + F_USAGE) != 0) {
        ghcb_malformed(g, ERR_INVALID_USAGE);
        return;
    }
    if (!ghcb_has(g, F_EXIT_CODE) || !ghcb_has(g, F_EXIT_INFO1) ||
        !ghcb_has(g, F_EXIT_INFO2) || !has_inputs(g, code, info1, info2)) {
        ghcb_malformed(g, ERR_MISSING_INPUT);
        return;
    }
    switch (code) {
    case EXIT_PSC:
        WITH_QEMU_LOCK_GUARD(&snp_emu()->lock) {
            snp_psc(env, o, g);
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
        ghcb_answer(g, RESP_NO_ACTION, hv_features());
        break;
    case EXIT_RDTSC:
    case EXIT_RDTSCP:
        nae_tsc(env, g, code == EXIT_RDTSCP);
        break;
    case EXIT_DR7_READ:
        if (!snp_is_kvm()) {    /* dr_interception() does nothing */
            ghcb_put(g, F_RAX, env->dr[7]);
        }
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
        ghcb_inject(g, EXCP0D_GPF, true);    /* no performance counters */
        break;
    case EXIT_VMMCALL:
        nae_vmmcall(g);
        break;
    case EXIT_AP_RESET_HOLD:
        ghcb_answer(g, RESP_NO_ACTION, 0);  /* SIPI makes it 1 */
        break;
    case EXIT_AP_JUMP_TABLE:
        nae_ap_jump_table(g, info1, info2);
        break;
    case EXIT_AP_CREATION:
        if (snp_ap_creation(env, o, info1, info2, ghcb_get(g, F_RAX))) {
            ghcb_answer(g, RESP_NO_ACTION, 0);
        } else {
            ghcb_malformed(g, ERR_INVALID_INPUT);
        }
        break;
    case EXIT_APIC_IDS:
        if (snp_is_kvm()) {
            ghcb_malformed(g, ERR_INVALID_EVENT);
        } else {
            nae_apic_ids(g, info1);
        }
        break;
    case EXIT_GUEST_REQUEST:
    case EXIT_EXT_GUEST_REQUEST:
        nae_guest_request(o, g, info1, info2,
                          code == EXIT_EXT_GUEST_REQUEST);
        break;
    case EXIT_TERMINATE:
        snp_terminate(o, info1 & 0xf, info1 >> 4 & 0xff);
        ghcb_answer(g, RESP_NO_ACTION, 0);
        break;
    case EXIT_UNSUPPORTED_EVENT:
        WITH_QEMU_LOCK_GUARD(&snp_emu()->lock) {
            snp_stop(o, "the guest met #VC 0x%" PRIx64 " (0x%" PRIx64
                     ") and does not support it", info1, info2);
        }
        ghcb_answer(g, RESP_NO_ACTION, 0);
        break;
    default:
        ghcb_malformed(g, ERR_INVALID_EVENT);
        break;
    }
}

void snp_nae(CPUX86State *env, const SnpOrigin *o, Ghcb *g)
{
    memcpy(g->asked, g->page + F_VALID, sizeof(g->asked));
    memset(g->page + F_VALID, 0, sizeof(g->asked));
    answer(env, o, g);
    if (snp_is_kvm()) {
        give_all_registers(g);
    }
}
