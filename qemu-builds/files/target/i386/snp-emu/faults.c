/*
 * SEV-SNP guest emulation for TCG: what the host does wrong on demand
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Hosts may do all of this: some is within the GHCB specification, and guests
 * must go on; some is what SEV-SNP protects from, and guests must end.  When it
 * happens follows from a seed, so that a run with one vCPU can be repeated.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "cpu.h"
#include "internal.h"

/*
 * A fault strikes @once, at one of the first @among occasions, or again and
 * again: at the first one and then at one of @among.
 */
static const struct {
    const char *name;
    unsigned among;
    bool once;
} kinds[SNP_FAULT__MAX] = {
    [SNP_FAULT_PSC_PARTIAL] = { "psc-partial", 2 },
    [SNP_FAULT_PSC_INTERRUPTED] = { "psc-interrupted", 2 },
    [SNP_FAULT_PSC_REFUSED] = { "psc-refused", 16, true },
    [SNP_FAULT_SIZE_MISMATCH] = { "size-mismatch", 4 },
    [SNP_FAULT_IN_USE] = { "in-use", 256, true },
    [SNP_FAULT_BUSY] = { "busy", 2 },
    [SNP_FAULT_AP_LATE] = { "ap-late", 1 },
    [SNP_FAULT_SHARED] = { "shared", 4096, true },
    [SNP_FAULT_REMAPPED] = { "remapped", 4096, true },
    [SNP_FAULT_UNVALIDATED] = { "unvalidated", 4096, true },
};

/* splitmix64 */
uint64_t fault_random(uint64_t below)
{
    uint64_t z = (snp_emu()->faulty.random += 0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % below;
}

static int fault_named(const char *name)
{
    for (int i = 0; i < SNP_FAULT__MAX; i++) {
        if (!strcmp(name, kinds[i].name)) {
            return i;
        }
    }
    return -1;
}

bool faults_parse(const char *names, uint32_t *faults, Error **errp)
{
    g_auto(GStrv) each = g_strsplit(names, "+", -1);

    *faults = 0;
    for (int i = 0; each[i]; i++) {
        int fault = fault_named(each[i]);

        if (fault < 0) {
            g_autoptr(GString) known = g_string_new("");

            for (int j = 0; j < SNP_FAULT__MAX; j++) {
                g_string_append_printf(known, "%s%s", j ? ", " : "",
                                       kinds[j].name);
            }
            error_setg(errp, "unknown fault '%s'; known are %s", each[i],
                       known->str);
            return false;
        }
        *faults |= 1U << fault;
    }
    return true;
}

void faults_arm(void)
{
    SnpFaults *f = &snp_emu()->faulty;

    f->random = snp_emu()->fault_seed;
    for (int i = 0; i < SNP_FAULT__MAX; i++) {
        f->left[i] = kinds[i].once ? fault_random(kinds[i].among) : 0;
    }
    f->armed = snp_emu()->host_faults;
}

static bool is_its_phase(unsigned phase)
{
    const SnpEmu *s = snp_emu();

    return s->fault_phase == SEV_SNP_EMULATED_FAULT_PHASE_ANY ||
           (s->watch && s->watch->phase_is(phase, s->fault_phase));
}

bool fault_strikes(SnpFault fault, const SnpOrigin *o, hwaddr gpa)
{
    SnpFaults *f = &snp_emu()->faulty;

    if (!(f->armed & (1U << fault)) || !is_its_phase(o->phase)) {
        return false;
    }
    if (f->left[fault]) {
        f->left[fault]--;
        return false;
    }
    if (kinds[fault].once) {
        qatomic_set(&f->armed, f->armed & ~(1U << fault));
    } else {
        f->left[fault] = fault_random(kinds[fault].among);
    }
    watch_event(SNP_OP_HOST + fault, o, gpa & TARGET_PAGE_MASK, 4096);
    return true;
}

bool faults_of_memory(void)
{
    return qatomic_read(&snp_emu()->faulty.armed) &
           (1U << SNP_FAULT_SHARED | 1U << SNP_FAULT_REMAPPED |
            1U << SNP_FAULT_UNVALIDATED);
}

void fault_at_access(CPUX86State *env, hwaddr page, uintptr_t ra)
{
    SnpOrigin o = snp_origin(env, ra);

    QEMU_LOCK_GUARD(&snp_emu()->lock);
    if (!(rmp_get(page) & RMP_VALIDATED)) {
        return;     /* another vCPU was faster */
    }
    if (fault_strikes(SNP_FAULT_SHARED, &o, page)) {
        rmp_change_owner(page, 4096, 0);
    } else if (fault_strikes(SNP_FAULT_REMAPPED, &o, page)) {
        rmp_change_owner(page, 4096, RMP_ASSIGNED);
    } else if (fault_strikes(SNP_FAULT_UNVALIDATED, &o, page)) {
        rmp_set(page, 4096, RMP_ASSIGNED | RMP_TOUCHED);
    }
    rmp_flush_stale(env);
}
