/*
 * SEV-SNP guest emulation for TCG: the acceptance ledger, which watches a guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The only watcher (../watcher.h): it writes down what happens to the guest's
 * pages, by whose code, and what ExitBootServices answers.
 */

#ifndef I386_SNP_EMU_WATCH_H
#define I386_SNP_EMU_WATCH_H

#include "../internal.h"

#define TYPE_SNP_LEDGER "sev-emulated-ledger"

OBJECT_DECLARE_SIMPLE_TYPE(SnpLedger, SNP_LEDGER)

/* Who runs: attributed to each event, see phase.c. */
typedef enum SnpPhase {
    SNP_PHASE_LAUNCH,
    SNP_PHASE_FIRMWARE,
    SNP_PHASE_FIRMWARE_EBS, /* in a call of ExitBootServices */
    SNP_PHASE_LOADER,
    SNP_PHASE_EFI_STUB,
    SNP_PHASE_KERNEL,
    SNP_PHASE__MAX,
} SnpPhase;

/* Adjacent operations by the same code, not yet written. */
typedef struct LedgerRun {
    SnpOp op;
    SnpOrigin origin;
    int64_t t;
    hwaddr gpa;
    uint64_t size;
    uint64_t entry;
    uint64_t count;
} LedgerRun;

/*
 * A refused 2 MiB PVALIDATE changes nothing, and 512 of 4 KiB follow it: such
 * events do not end the run of the others.
 */
enum { CHANGES, REFUSALS, RUNS };

/* Calls of ExitBootServices, see ebs.c */
typedef struct SnpEbs {
    uint32_t blocks;            /* translated so far */
    bool given_up;              /* there is a kernel, and no table was found */
    bool over;                  /* a call was granted, and there is a kernel */
    uint64_t entry;             /* of the service, 0 while unknown */
    /* The call that is under way; @resume is 0 when none is. */
    uint64_t resume;            /* the caller's next instruction */
    uint64_t sp;                /* where that address stands */
    uint64_t map_key;
    uint64_t calls;
    uint64_t returns;
    uint64_t status;            /* EFI_STATUS of the last return */
} SnpEbs;

struct SnpLedger {
    SnpWatcher parent_obj;

    char *path;
    uint64_t limit;             /* bytes; 0: none */
    uint64_t pages[SNP_OP__MAX][SNP_PHASE__MAX]; /* 4 KiB pages per op */

    FILE *file;
    LedgerRun runs[RUNS];
    uint64_t written;           /* bytes of events and faults */
    bool cut;                   /* the limit was reached */

    SnpPhase newcomer;          /* see phase.c */
    uint64_t images[64];        /* the same */

    SnpEbs ebs;
};

/* ledger.c: the caller holds SnpEmu::lock */
const char *ledger_phase_name(unsigned phase);
void ledger_open(SnpLedger *l, Error **errp);
void ledger_event(SnpWatcher *w, SnpOp op, const SnpOrigin *o, hwaddr gpa,
                  uint64_t size);
void ledger_fault(SnpWatcher *w, const char *op, const SnpOrigin *o,
                  hwaddr gpa, const char *access);
void ledger_terminate(SnpWatcher *w, const SnpOrigin *o, int set, int code,
                      const char *text);
/* ExitBootServices: @caller's RIP is where the call returns to. */
void ledger_ebs_call(SnpLedger *l, const SnpOrigin *caller);
void ledger_ebs_return(SnpLedger *l, const SnpOrigin *caller);
void ledger_reset(SnpLedger *l);
void ledger_flush(SnpWatcher *w);
void ledger_close(SnpWatcher *w);

/* phase.c */
unsigned phase_of(SnpWatcher *w, CPUX86State *env, uint64_t rip);
void phase_reset(SnpLedger *l);

/* ebs.c, with snp_hook_wanted() and helper_snp_hook() */
bool ebs_under_way(SnpLedger *l);
void ebs_reset(SnpLedger *l);

#endif
