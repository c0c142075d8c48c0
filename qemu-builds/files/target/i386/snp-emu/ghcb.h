/*
 * SEV-SNP guest emulation for TCG: the GHCB page
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * GHCB specification 2.0x, section 2.6 (format) and 4.1 (NAE events).
 */

#ifndef I386_SNP_EMU_GHCB_H
#define I386_SNP_EMU_GHCB_H

#include "internal.h"

#define GHCB_PROTOCOL_MIN 1
#define GHCB_PROTOCOL_MAX 2

/* Hypervisor features (section 4.1.13) */
#define HV_FEATURE_SNP          (1 << 0)
#define HV_FEATURE_AP_CREATION  (1 << 1)
#define HV_FEATURE_APIC_ID_LIST (1 << 4)

/* KVM's are GHCB_HV_FT_SUPPORTED. */
static inline uint32_t hv_features(void)
{
    return HV_FEATURE_SNP | HV_FEATURE_AP_CREATION |
           (snp_is_kvm() ? 0 : HV_FEATURE_APIC_ID_LIST);
}

#define EXIT_AP_RESET_HOLD      0x80000004ULL

#define GHCB_SHARED_BUFFER      0x800
#define GHCB_SHARED_BUFFER_SIZE 2032

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

/* Save area fields that requests and answers use, as offsets in the page */
enum {
    F_CPL = 0x0cb,
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

static inline uint64_t ghcb_get(const Ghcb *g, unsigned field)
{
    return ldq_le_p(g->page + field);
}

static inline bool ghcb_has(const Ghcb *g, unsigned field)
{
    unsigned bit = field / 8;

    return g->asked[bit / 8] & (1 << bit % 8);
}

static inline bool ghcb_answers(const Ghcb *g, unsigned field)
{
    unsigned bit = field / 8;

    return g->page[F_VALID + bit / 8] & (1 << bit % 8);
}

/* Set a field of the answer and mark it valid. */
static inline void ghcb_put(Ghcb *g, unsigned field, uint64_t value)
{
    unsigned bit = field / 8;

    stq_le_p(g->page + field, value);
    g->page[F_VALID + bit / 8] |= 1 << bit % 8;
}

static inline void ghcb_answer(Ghcb *g, uint64_t info1, uint64_t info2)
{
    ghcb_put(g, F_EXIT_INFO1, info1);
    ghcb_put(g, F_EXIT_INFO2, info2);
}

static inline void ghcb_malformed(Ghcb *g, unsigned reason)
{
    ghcb_answer(g, RESP_MALFORMED, reason);
}

/*
 * What SW_SCRATCH points to: protocol version 2 wants it in the GHCB's own
 * shared buffer.  NULL when it is anywhere else.
 */
uint8_t *ghcb_scratch(Ghcb *g, uint64_t len);

/* psc.c: the caller holds SnpEmu::lock */
uint64_t snp_psc_msr(CPUX86State *env, const SnpOrigin *o, uint64_t req);
void snp_psc(CPUX86State *env, const SnpOrigin *o, Ghcb *g);

/* EXITINFO1 of an IOIO intercept (APM volume 2, 15.10.2) */
#define IOIO_IN     (1 << 0)
#define IOIO_STRING (1 << 2)

/*
 * exits.c: @info1 and @info2 are the request's.  ghcb_inject() has the guest
 * raise an exception.
 */
void ghcb_inject(Ghcb *g, int vector, bool has_error);
void nae_cpuid(CPUX86State *env, Ghcb *g);
void nae_ioio(Ghcb *g, uint64_t info1, uint64_t info2);
void nae_msr(CPUX86State *env, Ghcb *g, uint64_t info1);
void nae_mmio(Ghcb *g, bool write, uint64_t gpa, uint64_t len);
void nae_tsc(CPUX86State *env, Ghcb *g, bool aux);

/* nae.c: answers the request in @g */
void snp_nae(CPUX86State *env, const SnpOrigin *o, Ghcb *g);

#endif
