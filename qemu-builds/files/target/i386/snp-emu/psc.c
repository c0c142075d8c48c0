/*
 * SEV-SNP guest emulation for TCG: page state change requests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * GHCB specification 2.0x, sections 2.3.1 (MSR protocol) and 4.1.6; where it
 * leaves a choice, the answers are those of KVM and of QEMU's
 * kvm_convert_memory().
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "cpu.h"
#include "ghcb.h"

#define BLOCK_PAGES (2 * MiB / 4096)
#define MAX_ENTRIES 253

/* Operations */
enum {
    PSC_PRIVATE = 1,
    PSC_SHARED = 2,
    PSC_PSMASH = 3,
    PSC_UNSMASH = 4,
};

/* Answers, in SW_EXITINFO2 */
typedef enum PscResult {
    PSC_OK = 0,
    PSC_INVALID_HEADER = 1,
    PSC_INVALID_ENTRY = 2,
    PSC_GENERIC,
} PscResult;

static uint64_t result_code(PscResult result)
{
    switch (result) {
    case PSC_OK:
        return 0;
    case PSC_GENERIC:
        return 0x100ULL << 32;
    default:
        return 1ULL << 32 | result;
    }
}

/* A block in one state may have its VMSAs anywhere; else it is one page. */
static bool may_be_in_use(hwaddr gpa, uint64_t size)
{
    return size > 4096 || rmp_get(gpa) & RMP_VMSA;
}

static PscResult change_pages(const SnpOrigin *o, hwaddr gpa, int operation,
                              unsigned pages)
{
    uint64_t size = pages * 4096ULL;

    switch (operation) {
    case PSC_PRIVATE:
    case PSC_SHARED:
        break;
    case PSC_PSMASH:
    case PSC_UNSMASH:
        return PSC_OK;  /* hints; entries split by themselves here */
    default:
        /* snp_begin_psc(): what is not known is done */
        return snp_is_kvm() ? PSC_OK : PSC_INVALID_ENTRY;
    }
    if (rmp_get(gpa) == RMP_NONE) {
        /* devices may be declared shared, never private */
        if (operation == PSC_SHARED) {
            return PSC_OK;
        }
        if (snp_is_kvm()) {
            /* kvm_convert_memory() fails, and with it KVM_EXIT_HYPERCALL */
            snp_stop(o, "page state change of 0x%" PRIx64 ", which is no "
                     "memory, to private", gpa);
        }
        return PSC_GENERIC;
    }
    if (fault_strikes(SNP_FAULT_PSC_REFUSED, o, gpa) ||
        (may_be_in_use(gpa, size) && snp_vmsa_in_use(gpa, size)) ||
        !rmp_page_state_change(o, gpa, size, operation == PSC_PRIVATE)) {
        return PSC_GENERIC;
    }
    return PSC_OK;
}

/* Change @pages pages from @gpa on, 1 or a whole aligned block. */
static PscResult change(const SnpOrigin *o, hwaddr gpa, int operation,
                        unsigned pages)
{
    PscResult result = change_pages(o, gpa, operation, pages);

    if (result == PSC_OK &&
        (operation == PSC_PRIVATE || operation == PSC_SHARED)) {
        host_psc(gpa, pages * 4096ULL, operation == PSC_PRIVATE);
    }
    return result;
}

/* One entry of a request; a started one goes on at its cur_page, as 4K. */
static PscResult do_entry(const SnpOrigin *o, uint64_t entry)
{
    hwaddr gpa = extract64(entry, 12, 40) << 12;
    unsigned done = extract64(entry, 0, 12);
    int operation = extract64(entry, 52, 4);
    unsigned pages = extract64(entry, 56, 1) ? BLOCK_PAGES : 1;
    PscResult result = PSC_OK;

    if (done > pages || !QEMU_IS_ALIGNED(gpa, pages * 4096ULL)) {
        return PSC_INVALID_ENTRY;
    }
    if (!done) {
        return change(o, gpa, operation, pages);
    }
    for (; done < pages && result == PSC_OK; done++) {
        result = change(o, gpa + done * 4096ULL, operation, 1);
    }
    return result;
}

/*
 * Does the host return before this entry, or in it?  Then it has done @entry's
 * first pages.
 */
static bool is_interrupted(const SnpOrigin *o, uint64_t *entry)
{
    hwaddr gpa = extract64(*entry, 12, 40) << 12;

    if (!fault_strikes(SNP_FAULT_PSC_INTERRUPTED, o, gpa)) {
        return false;
    }
    if (extract64(*entry, 56, 1) && !extract64(*entry, 0, 12) &&
        QEMU_IS_ALIGNED(gpa, 2 * MiB) && fault_random(2)) {
        unsigned pages = 1 + fault_random(BLOCK_PAGES - 1), done = 0;

        while (done < pages &&
               change(o, gpa + done * 4096ULL, extract64(*entry, 52, 4), 1) ==
               PSC_OK) {
            done++;
        }
        *entry = deposit64(*entry, 0, 12, done);
    }
    return true;
}

/* Entry before which the host returns, having done some */
static unsigned partial_end(const SnpOrigin *o, unsigned cur, unsigned end,
                            const uint8_t *entries)
{
    if (cur < end && fault_strikes(SNP_FAULT_PSC_PARTIAL, o,
                                   ldq_le_p(entries + cur * 8) &
                                   MAKE_64BIT_MASK(12, 40))) {
        return cur + 1 + fault_random(end - cur);
    }
    return end + 1;
}

void snp_psc(CPUX86State *env, const SnpOrigin *o, Ghcb *g)
{
    uint8_t *desc = ghcb_scratch(g, 8);
    PscResult result = PSC_OK;
    uint16_t cur, end, stop;

    if (!desc) {
        ghcb_malformed(g, ERR_INVALID_SCRATCH);
        return;
    }
    cur = lduw_le_p(desc);
    end = lduw_le_p(desc + 2);
    /* KVM does not mind cur > end: there is nothing to do */
    if ((cur > end && !snp_is_kvm()) || end >= MAX_ENTRIES ||
        !ghcb_scratch(g, 8 + (end + 1) * 8)) {
        ghcb_answer(g, RESP_NO_ACTION, result_code(PSC_INVALID_HEADER));
        return;
    }
    stop = partial_end(o, cur, end, desc + 8);
    for (; cur <= end && cur != stop; cur++) {
        uint8_t *p = desc + 8 + cur * 8;
        uint64_t entry = ldq_le_p(p);

        if (is_interrupted(o, &entry)) {
            stq_le_p(p, entry);
            break;
        }
        result = do_entry(o, entry);
        if (result != PSC_OK) {
            break;
        }
        stq_le_p(p, deposit64(entry, 0, 12,
                              extract64(entry, 56, 1) ? BLOCK_PAGES : 1));
    }
    host_flush_psc();
    stw_le_p(desc, cur);
    rmp_flush_stale(env);
    ghcb_answer(g, RESP_NO_ACTION, result_code(result));
}

uint64_t snp_psc_msr(CPUX86State *env, const SnpOrigin *o, uint64_t req)
{
    int operation = extract64(req, 52, 4);
    bool ok = (operation == PSC_PRIVATE || operation == PSC_SHARED) &&
              change(o, extract64(req, 12, 40) << 12, operation, 1) == PSC_OK;

    host_flush_psc();
    rmp_flush_stale(env);
    return ok ? 0 : 1ULL << 32;
}
