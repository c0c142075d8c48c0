/*
 * SEV-SNP guest emulation for TCG: who watches a guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The emulation works without a watcher.  If QEMU has a class of this type,
 * each emulated guest gets one object of it, which hears of all that happens
 * to the guest's pages and says whose code does it.  What it makes of that is
 * its own affair: it changes nothing in the guest.
 */

#ifndef I386_SNP_EMU_WATCHER_H
#define I386_SNP_EMU_WATCHER_H

#define TYPE_SNP_WATCHER "sev-emulated-watcher"

OBJECT_DECLARE_TYPE(SnpWatcher, SnpWatcherClass, SNP_WATCHER)

struct SnpWatcher {
    Object parent_obj;

    Object *guest;      /* NULL while there is none */
};

/* Whoever calls holds SnpEmu::lock, unless it says otherwise. */
struct SnpWatcherClass {
    ObjectClass parent_class;

    /* Give @guest properties, before its own are set.  Without the lock. */
    void (*attach)(SnpWatcher *w, Object *guest);
    /* Memory is there, and nothing is launched yet.  Without the lock. */
    void (*launch)(SnpWatcher *w, Error **errp);
    /* The guest was reset, QEMU stops, QEMU ends. */
    void (*reset)(SnpWatcher *w);
    void (*stop)(SnpWatcher *w);
    void (*end)(SnpWatcher *w);

    /* Whose code is at @rip?  With or without the lock. */
    unsigned (*phase)(SnpWatcher *w, CPUX86State *env, uint64_t rip);
    const char *(*phase_name)(unsigned phase);
    bool (*phase_is)(unsigned phase, SevSnpEmulatedFaultPhase which);

    /* Something was done to pages. */
    void (*event)(SnpWatcher *w, SnpOp op, const SnpOrigin *o, hwaddr gpa,
                  uint64_t size);
    /* The guest used memory as it may not. */
    void (*fault)(SnpWatcher *w, const char *op, const SnpOrigin *o,
                  hwaddr gpa, const char *access);
    /* The guest ends. */
    void (*terminate)(SnpWatcher *w, const SnpOrigin *o, int set, int code,
                      const char *text);
};

#endif
