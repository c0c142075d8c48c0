/*
 * SEV-SNP guest emulation for TCG: the state of one guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All of it hangs on the confidential-guest object (X86ConfidentialGuest).  A
 * part belongs to the file that it is named after.
 */

#ifndef I386_SNP_EMU_STATE_H
#define I386_SNP_EMU_STATE_H

typedef struct SnpRmp {
    /* From address 0 to the end of the highest range, holes included. */
    struct RmpBlock *blocks;
    uint64_t nr_blocks;
    uint64_t validated_pages;
    uint32_t flush_epoch;       /* see rmp.c */
    bool stale;                 /* a TLB may hold a page that changed since */
} SnpRmp;

typedef struct SnpContents {
    /*
     * A set bit stands for a page that holds what the guest put there; NULL
     * when nothing is scrambled.
     */
    unsigned long *settled_map;
    unsigned long settled_pages;    /* bits in it */
    QemuMutex lock;     /* held for short; taken inside SnpEmu::lock */
    uint64_t random;
    uint64_t noise[2048];
    MemoryRegion noise_mr;
} SnpContents;

typedef struct SnpDma {
    AddressSpace as;    /* what devices and QEMU itself see of memory */
    IOMMUMemoryRegion filter;
    MemoryRegion zeros_mr, sink_mr;
    AddressSpace zeros_as, sink_as;
    hwaddr last[2];     /* page of the last refused transfer: read, write */
} SnpDma;

typedef struct SnpFaults {
    uint32_t armed;                 /* bits by SnpFault */
    uint64_t left[SNP_FAULT__MAX];  /* occasions up to the next one */
    uint64_t random;
} SnpFaults;

/* The firmware image, as launched, and where it lies */
typedef struct SnpImage {
    hwaddr base;
    uint64_t size;
    const uint8_t *launched;
    uint8_t *ram;
} SnpImage;

#define SNP_DIGEST_SIZE 48      /* SHA-384 */

typedef struct SnpAttest {
    GArray *launched;           /* all that is measured, in order */
    bool has_digest;
    uint8_t digest[SNP_DIGEST_SIZE];
    uint8_t vmpck[4][32];       /* keys of the guest messages, by VMPL */
    uint64_t sequence[4];       /* of the last message, by key */
} SnpAttest;

/* Adjacent pages of one request that no trace event has told yet */
typedef struct SnpTraced {
    hwaddr gpa;
    uint64_t size;      /* 0 while there are none */
    uint64_t entry;     /* by which the guest asked: 4 KiB or 2 MiB */
    bool private;
} SnpTraced;

#define SNP_INTERCEPTS 12

struct SnpEmu {
    /* Properties; strings belong to the object */
    SevSnpEmulatedStrictness validate_twice;
    SevSnpEmulatedStrictness implicit_conversion;
    SevSnpEmulatedStrictness private_mmio;
    SevSnpEmulatedRmpEntries rmp_entries;
    SevSnpEmulatedHypervisor hypervisor;
    SevSnpEmulatedReset reset;
    char *fault_names;
    uint32_t host_faults;       /* bits by SnpFault */
    uint32_t fault_seed;
    SevSnpEmulatedFaultPhase fault_phase;
    int dma_mode;               /* SevSnpEmulatedDma */
    bool reflect;               /* intercepted instructions raise #VC */
    bool scramble;              /* page state changes change contents */

    /* Since launch */
    uint32_t traits;            /* SNP_EMU_*, 0 before */
    uint64_t c_bit;             /* its mask */
    SnpVcpu *vcpus;             /* by cpu_index */
    unsigned nr_vcpus;
    bool was_reset;             /* the machine's first reset is over */
    SnpImage image;
    Notifier machine_done, at_exit;
    Error *migration_blocker;

    QemuMutex lock;             /* RMP, watcher and counters */
    SnpRmp rmp;
    SnpContents contents;
    SnpDma dma;
    SnpFaults faulty;
    SnpAttest attest;
    SnpTraced traced;
    uint64_t ap_jump_table;

    /* Who watches, or NULL */
    SnpWatcher *watcher;
    const SnpWatcherClass *watch;
    unsigned last_phase;        /* of the guest's last act */

    /* What happened so far */
    uint64_t reports[SNP_OP__MAX];  /* operations told as reports */
    GHashTable *faults_told;        /* how many, by operation */
    uint64_t vmgexits;
    uint64_t faults;
    uint64_t dma_private[2];    /* transfers per page: reads, writes */
    uint64_t reflected[SNP_INTERCEPTS];
    char *termination;          /* in words, NULL while none */
};

#endif
