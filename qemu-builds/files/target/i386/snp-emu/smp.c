/*
 * SEV-SNP guest emulation for TCG: starting, parking and stopping vCPUs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A guest starts an AP by giving the hypervisor a VMSA, the page with its
 * initial register state (GHCB specification, 4.1.9).  Before that, APs come up
 * by INIT and SIPI and park themselves with AP reset hold (4.1.7).
 *
 * A hypervisor cannot change the registers of a vCPU.  With KVM the first SIPI
 * therefore starts an AP where QEMU had its first state point to, the SEV-ES
 * reset block of the firmware, and later ones let it go on where it stood:
 * behind AP reset hold with an answer that says so (kvm_apic_accept_events(),
 * sev_vcpu_deliver_sipi_vector()).  In the other profile, they come up as on
 * any PC as long as they have no VMSA, and while held INIT is ignored.
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/cputlb.h"
#include "hw/i386/apic.h"
#include "tcg/helper-tcg.h"
#include "../sev.h"
#include "ghcb.h"

enum {
    AP_CREATE_ON_INIT = 0,
    AP_CREATE = 1,
    AP_DESTROY = 2,
};

static bool has_ghcb(CPUState *cs)
{
    return snp_emu_has(snp_emu_traits(cpu_env(cs)), SNP_EMU_GHCB);
}

/* The hypervisor cannot run the vCPU; the machine ends. */
static void cannot_run(CPUState *cs, const char *why)
{
    SnpVcpu *vcpu = &snp_emu()->vcpus[cs->cpu_index];
    SnpOrigin o = snp_origin(cpu_env(cs), 0);

    QEMU_LOCK_GUARD(&snp_emu()->lock);
    snp_stop(&o, "vCPU %d cannot run: VMSA 0x%" PRIx64 ": %s", cs->cpu_index,
             vcpu->vmsa, why);
    vcpu->held = vcpu->destroyed = true;
    cs->halted = 1;
}

/* On the target vCPU's own thread. */
static void run_vmsa(CPUState *cs, hwaddr gpa)
{
    SnpVcpu *vcpu = &snp_emu()->vcpus[cs->cpu_index];
    uint8_t vmsa[4096];
    const char *refused;

    WITH_QEMU_LOCK_GUARD(&snp_emu()->lock) {
        vcpu->vmsa = 0;         /* not in use by itself */
        vcpu->on_init = 0;
        refused = snp_vmsa_page_refused(gpa);
        vcpu->vmsa = gpa;
        if (!refused) {
            snp_read_vmsa(vcpu->vmsa, vmsa);
            refused = snp_vmsa_refused(cpu_env(cs), vmsa);
        }
    }
    if (refused) {
        cannot_run(cs, refused);
        return;
    }
    cpu_reset(cs);
    vcpu->held = vcpu->destroyed = false;
    vcpu->hold = SNP_HOLD_NONE;
    snp_load_vmsa(cpu_env(cs), vmsa);
    cs->exception_index = -1;
    cs->halted = 0;
}

/* The same.  A vCPU that was destroyed before it ran does not run. */
static void do_request(CPUState *cs, run_on_cpu_data unused)
{
    SnpVcpu *vcpu = &snp_emu()->vcpus[cs->cpu_index];
    SnpRequest asked;
    hwaddr vmsa;

    WITH_QEMU_LOCK_GUARD(&snp_emu()->lock) {
        asked = vcpu->asked;
        vmsa = vcpu->asked_vmsa;
        vcpu->asked = SNP_REQUEST_NONE;
    }
    switch (asked) {
    case SNP_REQUEST_RUN:
        run_vmsa(cs, vmsa);
        break;
    case SNP_REQUEST_STOP:
        vcpu->held = vcpu->destroyed = true;
        cs->halted = 1;
        break;
    default:
        break;      /* done with an earlier one */
    }
}

/* The caller holds SnpEmu::lock. */
static void request(CPUState *cs, SnpRequest asked, hwaddr vmsa)
{
    SnpVcpu *vcpu = &snp_emu()->vcpus[cs->cpu_index];

    vcpu->asked = asked;
    vcpu->asked_vmsa = vmsa;
}

/* A vCPU that comes late: its thread hears of it only then. */
typedef struct Late {
    QEMUTimer *timer;
    CPUState *cs;
    run_on_cpu_func todo;
} Late;

static void late_comes(void *opaque)
{
    Late *late = opaque;

    async_run_on_cpu(late->cs, late->todo, RUN_ON_CPU_NULL);
    timer_free(late->timer);
    g_free(late);
}

static void do_after(CPUState *cs, run_on_cpu_func todo, int64_t ms)
{
    Late *late = g_new(Late, 1);

    *late = (Late) { .cs = cs, .todo = todo };
    late->timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, late_comes, late);
    timer_mod(late->timer,
              qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + ms * SCALE_MS);
}

#define MOST_LATE_MS 300

/* The caller holds SnpEmu::lock. */
static void do_or_be_late(const SnpOrigin *o, CPUState *cs,
                          run_on_cpu_func todo, hwaddr vmsa)
{
    if (fault_strikes(SNP_FAULT_AP_LATE, o, vmsa)) {
        do_after(cs, todo, 1 + fault_random(MOST_LATE_MS));
    } else {
        async_run_on_cpu(cs, todo, RUN_ON_CPU_NULL);
    }
}

static CPUState *find_vcpu(uint32_t apic_id)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (X86_CPU(cs)->apic_id == apic_id) {
            return cs;
        }
    }
    return NULL;
}

/* A vCPU that waits for something has left guest mode (KVM intercepts HLT). */
bool snp_vmsa_in_use(hwaddr gpa, uint64_t size)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        const SnpVcpu *vcpu = &snp_emu()->vcpus[cs->cpu_index];

        if (vcpu->vmsa && vcpu->vmsa - gpa < size && !vcpu->held &&
            !cs->halted) {
            return true;
        }
    }
    return false;
}

bool snp_vmsa_forbids(CPUX86State *env, hwaddr page, MMUAccessType access)
{
    const SnpVcpu *vcpu = &snp_emu()->vcpus[env_cpu(env)->cpu_index];

    return (vcpu->vmsa && vcpu->vmsa == page) ||
           (access == MMU_DATA_STORE && snp_vmsa_in_use(page, 4096));
}

/*
 * Is it one to try?  As KVM (sev_snp_ap_creation()), none on a 2 MiB boundary
 * (erratum).  KVM leaves the rest to VMRUN, and the machine then ends.
 */
static bool vmsa_is_acceptable(CPUX86State *env, hwaddr gpa,
                               uint64_t sev_features)
{
    uint8_t vmsa[4096];

    if (!QEMU_IS_ALIGNED(gpa, 4096) || QEMU_IS_ALIGNED(gpa, 2 * MiB) ||
        sev_features != SEV_FEATURE_SNP_ACTIVE ||
        gpa >> env_archcpu(env)->phys_bits) {
        return false;
    }
    if (snp_is_kvm()) {
        return true;
    }
    if (snp_vmsa_page_refused(gpa)) {
        return false;
    }
    snp_read_vmsa(gpa, vmsa);
    return !snp_vmsa_refused(env, vmsa);
}

bool snp_ap_is_destroy(uint64_t info1)
{
    return (uint32_t)info1 == AP_DESTROY;
}

/*
 * Section 4.1.9; false when an input is not acceptable.  EXITINFO1 is the
 * request, the VMPL (only 0 here) in bits 19:16, and the APIC id from bit 32.
 */
bool snp_ap_creation(CPUX86State *env, const SnpOrigin *o, uint64_t info1,
                     uint64_t vmsa, uint64_t sev_features)
{
    CPUState *target = find_vcpu(info1 >> 32);
    SnpVcpu *vcpu;

    if (!target) {
        return false;
    }
    QEMU_LOCK_GUARD(&snp_emu()->lock);
    vcpu = &snp_emu()->vcpus[target->cpu_index];
    switch ((uint32_t)info1) {
    case AP_DESTROY:
        vcpu->on_init = 0;
        vcpu->held = vcpu->destroyed = true;
        request(target, SNP_REQUEST_STOP, 0);
        async_run_on_cpu(target, do_request, RUN_ON_CPU_NULL);
        return true;
    case AP_CREATE_ON_INIT:
        if (!vmsa_is_acceptable(env, vmsa, sev_features)) {
            return false;
        }
        vcpu->on_init = vmsa;
        return true;
    case AP_CREATE:
        if (!vmsa_is_acceptable(env, vmsa, sev_features)) {
            return false;
        }
        vcpu->on_init = 0;
        if (vcpu->vmsa == vmsa && !vcpu->destroyed) {
            /* its state is that of its last exit: it goes on */
            vcpu->held = vcpu->init_received = false;
            return true;
        }
        if (!snp_vmsa_page_refused(vmsa)) {
            vcpu->vmsa = vmsa;
            vcpu->held = vcpu->init_received = false;
        }
        snp_flush_tlbs(env);    /* from now on accesses are checked */
        request(target, SNP_REQUEST_RUN, vmsa);
        do_or_be_late(o, target, do_request, vmsa);
        return true;
    default:
        return false;
    }
}

static uint32_t count_vcpus(void)
{
    CPUState *cs;
    uint32_t n = 0;

    CPU_FOREACH(cs) {
        n++;
    }
    return n;
}

uint64_t snp_apic_id_pages(void)
{
    return DIV_ROUND_UP((count_vcpus() + 1) * 4, 4096);
}

/*
 * Section 4.1.14 (GHCB 2.02): a count and that many APIC ids, in shared
 * memory of the guest.
 */
void snp_write_apic_ids(hwaddr gpa)
{
    CPUState *cs;

    address_space_stl_le(&snp_emu()->dma.as, gpa, count_vcpus(),
                         MEMTXATTRS_UNSPECIFIED, NULL);
    CPU_FOREACH(cs) {
        gpa += 4;
        address_space_stl_le(&snp_emu()->dma.as, gpa, X86_CPU(cs)->apic_id,
                             MEMTXATTRS_UNSPECIFIED, NULL);
    }
}

static void arrive(CPUState *cs, run_on_cpu_data unused);

/* The answer at first is that something else than SIPI ended it. */
void snp_ap_reset_hold(CPUX86State *env, SnpHold hold)
{
    CPUState *cs = env_cpu(env);
    SnpVcpu *vcpu = &snp_emu()->vcpus[cs->cpu_index];

    vcpu->hold = hold;
    vcpu->held = true;
    if (vcpu->on_the_way) {
        async_run_on_cpu(cs, arrive, RUN_ON_CPU_NULL);
    }
    cs->halted = 1;
    cs->exception_index = EXCP_HLT;
    cpu_loop_exit(cs);
}

/* SIPI ends AP reset hold with an answer other than 0. */
static void answer_hold(SnpVcpu *vcpu)
{
    switch (vcpu->hold) {
    case SNP_HOLD_MSR:
        vcpu->ghcb_msr = deposit64(vcpu->ghcb_msr, 12, 52, 1);
        break;
    case SNP_HOLD_NAE:
        /* to a GHCB that became private it is lost */
        address_space_stq_le(&snp_emu()->dma.as,
                             vcpu->ghcb_msr + F_EXIT_INFO2, 1,
                             MEMTXATTRS_UNSPECIFIED, NULL);
        break;
    default:
        break;
    }
    vcpu->hold = SNP_HOLD_NONE;
}

/* KVM_MP_STATE_UNINITIALIZED */
static bool is_uninitialized(CPUState *cs, const SnpVcpu *vcpu)
{
    return cs->cpu_index && !vcpu->init_received && !vcpu->started &&
           !vcpu->vmsa && !vcpu->destroyed;
}

bool snp_emu_sleeps(CPUState *cs)
{
    const SnpVcpu *vcpu;
    int wakes;

    if (!has_ghcb(cs)) {
        return false;
    }
    vcpu = &snp_emu()->vcpus[cs->cpu_index];
    if (snp_is_kvm()) {
        /* AP reset hold is another HLT to KVM */
        wakes = vcpu->init_received || is_uninitialized(cs, vcpu) ?
                CPU_INTERRUPT_INIT | CPU_INTERRUPT_SIPI : ~0;
    } else {
        wakes = !vcpu->held ? ~0 :
                vcpu->destroyed ? CPU_INTERRUPT_INIT :
                CPU_INTERRUPT_INIT | CPU_INTERRUPT_SIPI;
    }
    return !(cs->interrupt_request & wakes);
}

bool snp_emu_wakes(CPUState *cs)
{
    const int ours = CPU_INTERRUPT_INIT | CPU_INTERRUPT_SIPI;
    SnpVcpu *vcpu;

    if (!has_ghcb(cs) || !snp_is_kvm()) {
        return true;
    }
    vcpu = &snp_emu()->vcpus[cs->cpu_index];
    if (is_uninitialized(cs, vcpu) &&
        !(cs->interrupt_request & CPU_INTERRUPT_INIT)) {
        cpu_reset_interrupt(cs, CPU_INTERRUPT_SIPI);
        return false;
    }
    if (cs->interrupt_request & ours) {
        return true;
    }
    if (vcpu->destroyed) {
        /* vcpu_block() makes it runnable, pre_sev_run() finds no VMSA */
        cannot_run(cs, "it was destroyed, and an interrupt woke it");
        return false;
    }
    vcpu->held = false;
    vcpu->hold = SNP_HOLD_NONE;
    return true;
}

/* kvm_apic_accept_events(), KVM_APIC_INIT */
static void kvm_init(CPUState *cs, SnpVcpu *vcpu)
{
    cpu_reset_interrupt(cs, ~CPU_INTERRUPT_SIPI);
    apic_init_reset(X86_CPU(cs)->apic_state);
    if (vcpu->on_init) {
        int sipi = cs->interrupt_request & CPU_INTERRUPT_SIPI;

        run_vmsa(cs, vcpu->on_init);
        cs->interrupt_request |= sipi;
    }
    if (cs->cpu_index) {
        vcpu->init_received = true;
        vcpu->held = vcpu->destroyed;
        cs->halted = 1;
    }
}

static void let_go(CPUState *cs, run_on_cpu_data unused)
{
    cs->halted = 0;
}

/* The same, KVM_APIC_SIPI */
static void kvm_sipi(CPUState *cs, SnpVcpu *vcpu)
{
    bool first = !vcpu->started;

    if (!vcpu->init_received) {
        if (vcpu->destroyed) {
            cannot_run(cs, "it was destroyed, and SIPI woke it");
            return;
        }
        /* a wake-up like any other */
        vcpu->held = false;
        vcpu->hold = SNP_HOLD_NONE;
        cs->halted = 0;
        return;
    }
    vcpu->init_received = false;
    vcpu->started = true;
    if (vcpu->destroyed) {
        cannot_run(cs, "it was destroyed, and INIT and SIPI woke it");
        return;
    }
    if (!first) {
        answer_hold(vcpu);
    } else if (!vcpu->vmsa) {
        sev_es_set_reset_vector(cs);
    }
    vcpu->held = false;
    vcpu->hold = SNP_HOLD_NONE;
    if (first && snp_emu()->host_faults) {
        SnpOrigin o = snp_origin(cpu_env(cs), 0);

        QEMU_LOCK_GUARD(&snp_emu()->lock);
        do_or_be_late(&o, cs, let_go, vcpu->vmsa);
        return;
    }
    cs->halted = 0;
}

/* Those that waited for the AP reset hold, or waited long enough. */
static void arrive(CPUState *cs, run_on_cpu_data unused)
{
    SnpVcpu *vcpu = &snp_emu()->vcpus[cs->cpu_index];
    int came = vcpu->on_the_way;

    vcpu->on_the_way = 0;
    if (came & CPU_INTERRUPT_INIT) {
        kvm_init(cs, vcpu);
    }
    if (came & CPU_INTERRUPT_SIPI) {
        kvm_sipi(cs, vcpu);
    }
}

/*
 * KVM stops a vCPU at INIT wherever it is, and SIPI lets it go on there: an AP
 * reset hold that it enters only then has lost its SIPI.  An AP of OVMF tells
 * the BSP that it is done some instructions before its hold, and the BSP, when
 * it has more to do, sends INIT at once and SIPI 10 ms later.  With a processor
 * for each vCPU the AP is there in time; here its thread may have to wait for
 * one.  So INIT and SIPI wait for the hold, for this long at most.
 */
#define TO_HOLD_MS 200

static bool waits_for_hold(CPUState *cs, SnpVcpu *vcpu, int interrupt)
{
    bool midway = vcpu->started && !vcpu->held && !vcpu->init_received &&
                  !vcpu->vmsa && !vcpu->destroyed;

    if (interrupt == CPU_INTERRUPT_INIT && midway && !vcpu->on_the_way) {
        do_after(cs, arrive, TO_HOLD_MS);
    } else if (!vcpu->on_the_way) {
        return false;
    }
    vcpu->on_the_way |= interrupt;
    return true;
}

bool snp_emu_init(CPUState *cs)
{
    SnpVcpu *vcpu;

    if (!has_ghcb(cs)) {
        return false;
    }
    vcpu = &snp_emu()->vcpus[cs->cpu_index];
    if (snp_is_kvm()) {
        cpu_reset_interrupt(cs, CPU_INTERRUPT_INIT);
        if (!waits_for_hold(cs, vcpu, CPU_INTERRUPT_INIT)) {
            kvm_init(cs, vcpu);
        }
        return true;
    }
    if (vcpu->on_init) {
        cpu_reset_interrupt(cs, CPU_INTERRUPT_INIT);
        run_vmsa(cs, vcpu->on_init);
        return true;
    }
    if (vcpu->held || vcpu->vmsa) {
        cpu_reset_interrupt(cs, CPU_INTERRUPT_INIT);
        cs->halted = vcpu->held;
        return true;
    }
    return false;
}

bool snp_emu_sipi(CPUState *cs)
{
    SnpVcpu *vcpu;

    if (!has_ghcb(cs)) {
        return false;
    }
    vcpu = &snp_emu()->vcpus[cs->cpu_index];
    if (snp_is_kvm()) {
        if (!waits_for_hold(cs, vcpu, CPU_INTERRUPT_SIPI)) {
            kvm_sipi(cs, vcpu);
        }
        return true;
    }
    if (vcpu->held && !vcpu->destroyed) {
        answer_hold(vcpu);
        vcpu->held = false;
        cs->halted = 0;
        return true;
    }
    return vcpu->held || vcpu->vmsa;
}
