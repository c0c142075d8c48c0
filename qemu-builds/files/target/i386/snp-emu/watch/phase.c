/*
 * SEV-SNP guest emulation for TCG: whose code is running?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The phase is read off the instruction pointer:
 *  - upper half of the address space: the kernel;
 *  - the firmware image below 4 GiB: firmware (SEC);
 *  - lower half, inside a PE image in memory: a bzImage's setup header behind
 *    the PE header means the EFI stub; another EFI application is a loader (or
 *    the firmware's own menu and shell, when they run); all other images, as
 *    drivers are, belong to the firmware (DXE);
 *  - lower half and in no PE image: firmware (PEI modules are TE images) until
 *    a loader or Linux was seen, then theirs: a loader's modules, the kernel's
 *    decompressor or its own early identity-mapped code.
 * Firmware and EFI stub run identity mapped, so the pointer is an address in
 * guest memory.  Firmware code is a phase of its own while a call of
 * ExitBootServices is under way, see ebs.c.
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "watch.h"

#define PAGE 4096ULL
/* A bzImage with its decompression buffer is one image of some 60 MiB. */
#define MAX_IMAGE (96 * MiB)
#define SUBSYSTEM_EFI_APPLICATION 10

/* Guest memory only: to read a device's registers may change it. */
static bool read_at(hwaddr gpa, void *buf, size_t len)
{
    return rmp_get(gpa) != RMP_NONE && rmp_get(gpa + len - 1) != RMP_NONE &&
           address_space_read(&address_space_memory, gpa,
                              MEMTXATTRS_UNSPECIFIED, buf, len) == MEMTX_OK;
}

typedef enum Image {
    IMAGE_NONE,
    IMAGE_DRIVER,
    IMAGE_APPLICATION,
    IMAGE_LINUX,
    IMAGE__MAX,
} Image;

static Image image_at(hwaddr base, uint64_t rip)
{
    uint8_t dos[0x40], pe[0x60], hdrs[4];
    uint32_t pe_offset, size;

    if (!read_at(base, dos, 2) || dos[0] != 'M' || dos[1] != 'Z' ||
        !read_at(base, dos, sizeof(dos))) {
        return IMAGE_NONE;
    }
    pe_offset = ldl_le_p(dos + 0x3c);
    if (pe_offset > PAGE || !read_at(base + pe_offset, pe, sizeof(pe)) ||
        memcmp(pe, "PE\0\0", 4)) {
        return IMAGE_NONE;
    }
    size = ldl_le_p(pe + 24 + 56); /* optional header: SizeOfImage */
    if (rip - base >= size) {
        return IMAGE_NONE;
    }
    if (read_at(base + 0x202, hdrs, 4) && !memcmp(hdrs, "HdrS", 4)) {
        return IMAGE_LINUX;
    }
    /* optional header: Subsystem */
    return lduw_le_p(pe + 24 + 68) == SUBSYSTEM_EFI_APPLICATION ?
           IMAGE_APPLICATION : IMAGE_DRIVER;
}

static Image find_image(uint64_t rip)
{
    hwaddr base = QEMU_ALIGN_DOWN(rip, PAGE);
    hwaddr lowest = base > MAX_IMAGE ? base - MAX_IMAGE : 0;

    for (; base > lowest; base -= PAGE) {
        Image image = image_at(base, rip);

        if (image != IMAGE_NONE) {
            return image;
        }
    }
    return IMAGE_NONE;
}

/*
 * A search reads up to MAX_IMAGE / PAGE pages, and the same few pages of code
 * ask again and again.  Images come and go, but not from under a loader that
 * is still running; a newcomer's arrival starts the cache anew.  vCPUs share
 * it without a lock, so an entry is one word: page number and image.  The
 * newcomer is whose code it is that lies in no image: the last to arrive.
 */
static void arrive(SnpLedger *l, SnpPhase phase)
{
    SnpPhase old = qatomic_read(&l->newcomer);

    while (old < phase) {
        SnpPhase seen = qatomic_cmpxchg(&l->newcomer, old, phase);

        if (seen == old) {
            for (int i = 0; i < ARRAY_SIZE(l->images); i++) {
                qatomic_set(&l->images[i], 0);
            }
        }
        old = seen;
    }
}

void phase_reset(SnpLedger *l)
{
    qatomic_set(&l->newcomer, SNP_PHASE_FIRMWARE);
    memset(l->images, 0, sizeof(l->images));
    snp_emu()->last_phase = SNP_PHASE_FIRMWARE;
}

static Image cached_image(SnpLedger *l, uint64_t rip)
{
    uint64_t page = rip / PAGE;
    uint64_t *entry = &l->images[page % ARRAY_SIZE(l->images)];
    uint64_t known = qatomic_read(entry);

    if (known / IMAGE__MAX != page) {
        known = page * IMAGE__MAX + find_image(rip);
        qatomic_set(entry, known);
    }
    return known % IMAGE__MAX;
}

unsigned phase_of(SnpWatcher *w, CPUX86State *env, uint64_t rip)
{
    SnpLedger *l = SNP_LEDGER(w);
    SnpPhase firmware = ebs_under_way(l) ? SNP_PHASE_FIRMWARE_EBS :
                                           SNP_PHASE_FIRMWARE;

    if (rip >> 63) {
        arrive(l, SNP_PHASE_KERNEL);
        return SNP_PHASE_KERNEL;
    }
    if (rip >= 4 * GiB - 16 * MiB && rip < 4 * GiB) {
        return firmware;
    }
    switch (cached_image(l, rip)) {
    case IMAGE_LINUX:
        arrive(l, SNP_PHASE_KERNEL);
        return SNP_PHASE_EFI_STUB;
    case IMAGE_APPLICATION:
        arrive(l, SNP_PHASE_LOADER);
        return SNP_PHASE_LOADER;
    case IMAGE_DRIVER:
        return firmware;
    default:
        /* who called ExitBootServices waits for it */
        return ebs_under_way(l) ? firmware : qatomic_read(&l->newcomer);
    }
}
