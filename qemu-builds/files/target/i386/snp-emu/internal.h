/*
 * SEV-SNP guest emulation for TCG: what its files share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef I386_SNP_EMU_INTERNAL_H
#define I386_SNP_EMU_INTERNAL_H

#include "qemu/bitops.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "exec/memory.h"
#include "hw/boards.h"
#include "qapi/qapi-types-qom.h"
#include "../confidential-guest.h"
#include "snp-emu.h"

#define SNP_MSR_GHCB        0xc0010130
#define SNP_MSR_SEV_STATUS  0xc0010131

/* State of one 4 KiB page in the RMP (APM volume 2, 15.36.3). */
enum {
    RMP_ASSIGNED  = 1 << 0, /* private: owned by the guest */
    RMP_VALIDATED = 1 << 1,
    RMP_VMSA      = 1 << 2,
    RMP_LARGE     = 1 << 3, /* part of a 2 MiB entry */
    RMP_TOUCHED   = 1 << 4, /* private, and in nested page tables since */
    RMP_CIPHER    = 1 << 5, /* without an RMP: plain, was encrypted before */
};

/* What rmp_get() says of an address that the RMP does not cover. */
#define RMP_NONE 0xff

/* What the host does wrong when it is asked to; names stand in faults.c. */
typedef enum SnpFault {
    SNP_FAULT_PSC_PARTIAL,      /* does some entries, and returns */
    SNP_FAULT_PSC_INTERRUPTED,  /* does nothing, or a part of an entry */
    SNP_FAULT_PSC_REFUSED,
    SNP_FAULT_SIZE_MISMATCH,    /* of a 2 MiB PVALIDATE */
    SNP_FAULT_IN_USE,           /* of a PVALIDATE */
    SNP_FAULT_BUSY,             /* guest requests are throttled */
    SNP_FAULT_AP_LATE,
    SNP_FAULT_SHARED,           /* a page in use becomes shared */
    SNP_FAULT_REMAPPED,         /* another page takes its place */
    SNP_FAULT_UNVALIDATED,      /* it loses its validation */
    SNP_FAULT__MAX,
} SnpFault;

/* Operations that a watcher hears of; the names stand in report.c. */
typedef enum SnpOp {
    SNP_OP_LAUNCH_PRIVATE,
    SNP_OP_PSC_PRIVATE,
    SNP_OP_PSC_SHARED,
    SNP_OP_VALIDATE,
    SNP_OP_RESCIND,
    SNP_OP_VALIDATE_AGAIN,
    SNP_OP_RESCIND_AGAIN,
    SNP_OP_SIZE_MISMATCH,
    SNP_OP_IMPLICIT_PRIVATE,
    SNP_OP_IMPLICIT_SHARED,
    SNP_OP_RMPADJUST,
    SNP_OP_VMSA,
    SNP_OP_GHCB_REGISTER,
    SNP_OP_PRIVATE_MMIO,
    SNP_OP_SHARED_READ,
    SNP_OP_HOST,        /* the host's faults: SNP_OP_HOST + SnpFault */
    SNP_OP__MAX = SNP_OP_HOST + SNP_FAULT__MAX,
} SnpOp;

/* The place in the guest that caused an event. */
typedef struct SnpOrigin {
    int vcpu;           /* -1: not a vCPU (launch) */
    uint64_t rip;
    int cpl;
    unsigned phase;     /* whose code it is, as the watcher counts; 0: launch */
} SnpOrigin;

/* AP reset hold, by how it was asked for and so is answered */
typedef enum SnpHold {
    SNP_HOLD_NONE,
    SNP_HOLD_MSR,
    SNP_HOLD_NAE,
} SnpHold;

/* What a vCPU's own thread is to do with it; the last request counts. */
typedef enum SnpRequest {
    SNP_REQUEST_NONE,
    SNP_REQUEST_RUN,
    SNP_REQUEST_STOP,
} SnpRequest;

typedef struct SnpVcpu {
    uint64_t ghcb_msr;
    hwaddr ghcb_registered; /* -1: none */
    hwaddr vmsa;            /* of the AP creation that it runs; 0: none */
    hwaddr on_init;         /* VMSA to run on the next INIT; 0: none */
    SnpHold hold;           /* its last VMGEXIT was this */
    bool hypervisor_msr;    /* the next MSR access is the hypervisor's */
    bool held;              /* in AP reset hold, or destroyed */
    bool destroyed;         /* only another VMSA starts it */
    bool init_received;     /* KVM: stands until SIPI comes */
    bool started;           /* KVM: has had its first SIPI */
    int on_the_way;         /* INIT, SIPI that wait for its AP reset hold */
    int64_t waits_since;    /* for a VMSA page to be out of use; 0: no */
    SnpRequest asked;       /* by AP creation, and not done yet */
    hwaddr asked_vmsa;
} SnpVcpu;

#include "watcher.h"
#include "state.h"

/*
 * The emulation of this machine's guest: its state hangs on the machine's
 * confidential-guest object.  Only where there is one.
 */
static inline SnpEmu *snp_emu(void)
{
    return ((X86ConfidentialGuest *)current_machine->cgs)->emulation;
}

static inline SnpEmu *snp_emu_of(Object *obj)
{
    return X86_CONFIDENTIAL_GUEST(obj)->emulation;
}

/* Has the guest's memory an RMP, so that pages are validated? */
static inline bool snp_has_rmp(void)
{
    return snp_emu()->traits & SNP_EMU_RMP;
}

static inline void watch_event(SnpOp op, const SnpOrigin *o, hwaddr gpa,
                               uint64_t size)
{
    SnpEmu *s = snp_emu();

    if (s->watch) {
        s->watch->event(s->watcher, op, o, gpa, size);
    }
}

static inline void watch_fault(const char *op, const SnpOrigin *o, hwaddr gpa,
                               const char *access)
{
    SnpEmu *s = snp_emu();

    if (s->watch) {
        s->watch->fault(s->watcher, op, o, gpa, access);
    }
}

static inline void watch_terminate(const SnpOrigin *o, int set, int code,
                                   const char *text)
{
    SnpEmu *s = snp_emu();

    if (s->watch) {
        s->watch->terminate(s->watcher, o, set, code, text);
    }
}

/* Are the hypervisor's answers KVM's where they differ from the GHCB's? */
static inline bool snp_is_kvm(void)
{
    return snp_emu()->hypervisor == SEV_SNP_EMULATED_HYPERVISOR_KVM;
}

/* watcher.c */
SnpOrigin snp_origin(CPUX86State *env, uintptr_t ra);
/* The same of a device, which acts for whoever ran last. */
SnpOrigin snp_device_origin(void);
const char *snp_phase_name(unsigned phase);
void snp_add_watcher(SnpEmu *s, Object *guest);

/* attest.c: the guest starts anew */
void attest_reset(void);

/*
 * rmp.c: the caller holds SnpEmu::lock, except to look at one page's state:
 * say first that the block fills a TLB, so that one who changes the state
 * meanwhile flushes it.
 */
typedef struct RmpBlock RmpBlock;

RmpBlock *rmp_block(hwaddr gpa);
uint8_t block_get(const RmpBlock *block, hwaddr gpa);
void block_fills_tlb(RmpBlock *block);
void rmp_add_range(hwaddr base, uint64_t size);
/* As before any rmp_add_range(); no vCPU runs. */
void rmp_reset(void);
uint8_t rmp_get(hwaddr gpa);
void rmp_set(hwaddr gpa, uint64_t size, uint8_t state);
uint64_t rmp_validated_pages(void);
/* Blocks that take memory for each page, as their pages do not agree. */
uint64_t rmp_split_blocks(void);
bool rmp_block_is_large(hwaddr gpa);

/*
 * A page state change asked for by the guest: @size is 4 KiB or 2 MiB.
 * Returns false when the range is not guest memory.
 */
bool rmp_page_state_change(const SnpOrigin *o, hwaddr gpa, uint64_t size,
                           bool private);

/*
 * An access whose C-bit contradicts the page's owner is a nested page fault
 * to the hypervisor, which converts the page (KVM_EXIT_MEMORY_FAULT).
 */
void rmp_implicit_conversion(CPUX86State *env, const SnpOrigin *o, hwaddr page,
                             bool private);

/* A page loses its contents, and becomes @state. */
void rmp_change_owner(hwaddr gpa, uint64_t size, uint8_t state);

/* All TLBs; and the same only if one may hold a page that rmp_set() changed. */
void snp_flush_tlbs(CPUX86State *env);
void rmp_flush_stale(CPUX86State *env);

/* faults.c */
bool faults_parse(const char *names, uint32_t *faults, Error **errp);
void faults_arm(void);
/*
 * Here is an occasion for @fault: does it come?  If so it is in the ledger.
 * The caller of both holds SnpEmu::lock.
 */
bool fault_strikes(SnpFault fault, const SnpOrigin *o, hwaddr gpa);
uint64_t fault_random(uint64_t below);
/* Is there one that comes as the guest uses a page?  It may then be this. */
bool faults_of_memory(void);
void fault_at_access(CPUX86State *env, hwaddr page, uintptr_t ra);

/*
 * views.c: memory of a guest without an RMP, see there.  views_dma() is an
 * access of a device: true when it goes to the page itself.
 */
bool views_access(CPUX86State *env, hwaddr *gpa, MMUAccessType access,
                  bool shared, int *prot, bool probe, uintptr_t ra);
bool views_dma(hwaddr page, bool write);
/* The page holds what launch encrypted. */
void views_launch(hwaddr gpa, uint64_t size);

/* access.c: a read that finds noise in place of the page at @gpa */
void snp_shared_read(CPUX86State *env, hwaddr *gpa, int *prot, bool probe,
                     uintptr_t ra);

/* access.c: count a refused use of memory and tell it to ledger and QMP */
void snp_fault(const char *op, const SnpOrigin *o, hwaddr gpa,
               const char *access);

/* contents.c: pages whose contents were lost in a state change */
void contents_init(hwaddr end);
/*
 * Guest memory changes between private and shared.  Its state is set between
 * the two, so that nobody uses or fills a page by one and finds the other.
 */
void contents_begin_change(hwaddr gpa, uint64_t size);
void contents_end_change(void);
/* What is there now is what the guest shall find. */
void contents_keep(hwaddr gpa, uint64_t size);
void contents_fill(hwaddr gpa);
/* All of it is lost. */
void contents_forget(void);
/* Where a page of noise lies that no page table reaches; the same for @gpa. */
hwaddr contents_noise_page(hwaddr gpa);

static inline bool contents_settled(hwaddr gpa)
{
    const unsigned long *map = snp_emu()->contents.settled_map;
    unsigned long pfn = gpa / 4096;

    return !map ||
           (qatomic_load_acquire(&map[BIT_WORD(pfn)]) & BIT_MASK(pfn));
}

/* Before an access: fill the page as its state wants it. */
static inline void contents_settle(hwaddr gpa)
{
    smp_rmb();  /* the page's state was read before */
    if (unlikely(!contents_settled(gpa))) {
        contents_fill(gpa);
    }
}

/* reflect.c */
void reflect_add_properties(Object *obj);

/* dma.c: what devices and the hypervisor's user space see of memory */
void dma_init(void);

/* report.c */
const char *snp_op_name(SnpOp op);

/*
 * trace.c: what a host with KVM would see, as trace events.  The caller holds
 * SnpEmu::lock.
 */
/* Done of a request, in order; host_flush_psc() after the last one. */
void host_psc(hwaddr gpa, uint64_t size, bool private);
void host_flush_psc(void);
void host_implicit_conversion(hwaddr gpa, bool private);
void host_launch(hwaddr gpa, uint64_t size, const char *type);

/* vmsa.c */
bool snp_is_vmsa_page(hwaddr gpa);
/*
 * Would VMRUN take it?  NULL, or what it would not.  The caller of the first
 * holds SnpEmu::lock.
 */
const char *snp_vmsa_page_refused(hwaddr gpa);
const char *snp_vmsa_refused(CPUX86State *env, const uint8_t *vmsa);
void snp_read_vmsa(hwaddr gpa, uint8_t vmsa[4096]);
void snp_load_vmsa(CPUX86State *env, const uint8_t *vmsa);
uint64_t snp_vmsa_features(const uint8_t *vmsa);
void snp_initial_vmsa(CPUX86State *env, uint32_t eip, uint8_t vmsa[4096]);
#define SEV_FEATURE_SNP_ACTIVE 1

/* smp.c */
bool snp_ap_is_destroy(uint64_t info1);
bool snp_ap_creation(CPUX86State *env, const SnpOrigin *o, uint64_t info1,
                     uint64_t vmsa, uint64_t sev_features);
/* The list of APIC ids: how many pages it takes, and writing it. */
uint64_t snp_apic_id_pages(void);
void snp_write_apic_ids(hwaddr gpa);
/* The guest's EIP must be that of the next instruction. */
G_NORETURN void snp_ap_reset_hold(CPUX86State *env, SnpHold hold);
/* Does a vCPU run on a VMSA in this range? */
bool snp_vmsa_in_use(hwaddr gpa, uint64_t size);
/*
 * Would this access of a VMSA page never end?  While a vCPU runs on it, any
 * access is a nested page fault (APM volume 2, 15.36.12).  The vCPU itself is
 * in it for ever; another one is through as soon as the first leaves guest
 * mode, which OVMF relies on to read, but writing is nobody's business then.
 */
bool snp_vmsa_forbids(CPUX86State *env, hwaddr page, MMUAccessType access);

/* ghcb.c */
uint64_t snp_ghcb_msr_reset(void);

/* attest.c */
void snp_measure(hwaddr gpa, uint64_t size, int page_type,
                 const void *contents);
/* The caller holds SnpEmu::lock; all is launched. */
void snp_launch_digest(uint8_t digest[SNP_DIGEST_SIZE]);
/* NULL, or why SNP_LAUNCH_FINISH would refuse the ID block */
const char *snp_id_block_refused(void);
bool snp_is_report_request(const uint8_t *message);
/* Both are pages; returns the SEV firmware's error, 0 with an answer. */
uint32_t snp_guest_request(const uint8_t *message, uint8_t *answer);

/* gcm.c: AES-256-GCM in place, with a 12 byte nonce and a 16 byte tag */
void aes_gcm_encrypt(const uint8_t key[32], const uint8_t nonce[12],
                     const void *aad, size_t aad_len, void *data, size_t len,
                     uint8_t tag[16]);
bool aes_gcm_decrypt(const uint8_t key[32], const uint8_t nonce[12],
                     const void *aad, size_t aad_len, void *data, size_t len,
                     const uint8_t tag[16]);

/* object.c: what the profile decides where no property does */
void snp_resolve_profile(void);
/* What launch made of the properties is not to be changed any more. */
bool snp_may_set(Object *obj, const char *name, Error **errp);
/* The machine's object, if it is one that is emulated; else NULL. */
Object *snp_emulated_object(void);

/* report.c */
#define SNP_STOP (-1)   /* reason set and code of what is not the guest's */
void snp_terminate(const SnpOrigin *o, int set, int code);
/* The caller holds SnpEmu::lock. */
void snp_stop(const SnpOrigin *o, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
void snp_report(SnpOp op, const SnpOrigin *o, hwaddr gpa);

#endif
