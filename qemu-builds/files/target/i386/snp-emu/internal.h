/*
 * SEV-SNP guest emulation for TCG: what its files share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef I386_SNP_EMU_INTERNAL_H
#define I386_SNP_EMU_INTERNAL_H

#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "snp-emu.h"

/* State of one 4 KiB page in the RMP (APM volume 2, 15.36.3). */
enum {
    RMP_ASSIGNED  = 1 << 0, /* private: owned by the guest */
    RMP_VALIDATED = 1 << 1,
    RMP_VMSA      = 1 << 2,
    RMP_LARGE     = 1 << 3, /* part of a 2 MiB entry */
};

/* What rmp_get() says of an address that the RMP does not cover. */
#define RMP_NONE 0xff

/* Who runs: attributed to each ledger event, see phase.c. */
typedef enum SnpPhase {
    SNP_PHASE_LAUNCH,
    SNP_PHASE_FIRMWARE,
    SNP_PHASE_EFI_STUB,
    SNP_PHASE_KERNEL,
    SNP_PHASE__MAX,
} SnpPhase;

/* Ledger operations; the names stand in ledger.c. */
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
    SNP_OP_GHCB_REGISTER,
    SNP_OP__MAX,
} SnpOp;

/* The place in the guest that caused an event. */
typedef struct SnpOrigin {
    int vcpu;           /* -1: not a vCPU (launch) */
    uint64_t rip;
    int cpl;
    SnpPhase phase;
} SnpOrigin;

typedef struct SnpVcpu {
    uint64_t ghcb_msr;
    hwaddr ghcb_registered; /* -1: none */
    hwaddr vmsa;            /* of the AP creation that it runs; 0: none */
    hwaddr on_init;         /* VMSA to run on the next INIT; 0: none */
    bool held;              /* in AP reset hold, or destroyed */
} SnpVcpu;

typedef struct SnpEmu {
    char *ledger_path;
    SnpVcpu *vcpus;             /* by cpu_index */
    QemuMutex lock;             /* RMP, ledger and counters */
    uint64_t pages[SNP_OP__MAX][SNP_PHASE__MAX]; /* 4 KiB pages per op */
    uint64_t vmgexits;
    uint64_t faults;
    char *termination;          /* in words, NULL while none */
} SnpEmu;

extern SnpEmu *snp_emu;

SnpOrigin snp_origin(CPUX86State *env, uintptr_t ra);
SnpPhase snp_phase(CPUX86State *env, uint64_t rip);

/* rmp.c: the caller holds snp_emu->lock */
void rmp_add_range(hwaddr base, uint64_t size);
uint8_t rmp_get(hwaddr gpa);
void rmp_set(hwaddr gpa, uint64_t size, uint8_t state);
uint64_t rmp_validated_pages(void);
bool rmp_block_is_large(hwaddr gpa);

/*
 * A page state change asked for by the guest: @size is 4 KiB or 2 MiB.
 * Returns false when the range is not guest memory.
 */
bool rmp_page_state_change(const SnpOrigin *o, hwaddr gpa, uint64_t size,
                           bool private);
void snp_flush_tlbs(CPUX86State *env);

/* Count a refused use of memory and tell it to ledger and QMP. */
void snp_fault(const char *op, const SnpOrigin *o, hwaddr gpa,
               const char *access);

/* ledger.c: the caller holds snp_emu->lock */
void ledger_open(const char *path, Error **errp);
void ledger_event(SnpOp op, const SnpOrigin *o, hwaddr gpa, uint64_t size);
void ledger_fault(const char *op, const SnpOrigin *o, hwaddr gpa,
                  const char *access);
void ledger_terminate(const SnpOrigin *o, int set, int code, const char *text);
void ledger_flush(void);
void ledger_close(void);
void ledger_ram_range(hwaddr base, uint64_t size);
const char *snp_op_name(SnpOp op);
const char *snp_phase_name(SnpPhase phase);

/* smp.c */
bool snp_ap_creation(CPUX86State *env, uint64_t info1, uint64_t vmsa,
                     uint64_t sev_features);
uint64_t snp_apic_ids(hwaddr gpa, uint64_t pages);
/* The guest's EIP must be that of the next instruction. */
G_NORETURN void snp_ap_reset_hold(CPUX86State *env);

/* ghcb.c */
void snp_terminate(const SnpOrigin *o, int set, int code);

#endif
