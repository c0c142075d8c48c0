/*
 * SEV-SNP guest emulation for TCG: evidence, and how a guest is ended
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What hardware would let pass but no guest should do (validating a page
 * twice, relying on implicit conversions) is a report; properties of the
 * object make it fatal.  The guest's own request to be terminated, and what
 * cannot go on, end the machine as a panic of the guest.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/qapi-events-misc-target.h"
#include "cpu.h"
#include "system/runstate.h"
#include "internal.h"

/* A guest may do the same thing for ever: the first ones tell. */
#define MOST_REPORTS_TOLD 16

static const char *const op_names[SNP_OP__MAX] = {
    [SNP_OP_LAUNCH_PRIVATE] = "launch-private",
    [SNP_OP_PSC_PRIVATE] = "psc-private",
    [SNP_OP_PSC_SHARED] = "psc-shared",
    [SNP_OP_VALIDATE] = "validate",
    [SNP_OP_RESCIND] = "rescind",
    [SNP_OP_VALIDATE_AGAIN] = "validate-again",
    [SNP_OP_RESCIND_AGAIN] = "rescind-again",
    [SNP_OP_SIZE_MISMATCH] = "size-mismatch",
    [SNP_OP_IMPLICIT_PRIVATE] = "implicit-private",
    [SNP_OP_IMPLICIT_SHARED] = "implicit-shared",
    [SNP_OP_RMPADJUST] = "rmpadjust",
    [SNP_OP_VMSA] = "vmsa",
    [SNP_OP_GHCB_REGISTER] = "ghcb-register",
    [SNP_OP_PRIVATE_MMIO] = "private-mmio",
    [SNP_OP_SHARED_READ] = "shared-read",
    [SNP_OP_HOST + SNP_FAULT_PSC_PARTIAL] = "host-psc-partial",
    [SNP_OP_HOST + SNP_FAULT_PSC_INTERRUPTED] = "host-psc-interrupted",
    [SNP_OP_HOST + SNP_FAULT_PSC_REFUSED] = "host-psc-refused",
    [SNP_OP_HOST + SNP_FAULT_SIZE_MISMATCH] = "host-size-mismatch",
    [SNP_OP_HOST + SNP_FAULT_IN_USE] = "host-in-use",
    [SNP_OP_HOST + SNP_FAULT_BUSY] = "host-busy",
    [SNP_OP_HOST + SNP_FAULT_AP_LATE] = "host-ap-late",
    [SNP_OP_HOST + SNP_FAULT_SHARED] = "host-shared",
    [SNP_OP_HOST + SNP_FAULT_REMAPPED] = "host-remapped",
    [SNP_OP_HOST + SNP_FAULT_UNVALIDATED] = "host-unvalidated",
};

const char *snp_op_name(SnpOp op)
{
    return op_names[op];
}

static const char *terminate_reason(int set, int code)
{
    static const char *const general[] = {
        "general termination request",
        "SEV-ES / GHCB protocol version not supported",
        "SEV-SNP features not supported by the hypervisor",
    };
    static const char *const linux_set[] = {
        "GHCB registration failed",
        "page state change failed",
        "PVALIDATE failed",
        "not running at VMPL0",
        "CPUID page or table invalid",
        "CPUID values from the hypervisor refused",
        "secrets page problem",
        "no SVSM",
        "SVSM is at VMPL0",
        "SVSM calling area page problem",
        "Secure TSC setup failed",
        "SVSM calling area remap failed",
        "Secure AVIC failed",
    };

    if (set == 0 && code < ARRAY_SIZE(general)) {
        return general[code];
    }
    if (set == 1 && code < ARRAY_SIZE(linux_set)) {
        return linux_set[code];
    }
    return "unknown reason";
}

/* Right after the current block of guest code, under the BQL. */
static void panic(CPUState *cs, run_on_cpu_data unused)
{
    qemu_system_guest_panicked(NULL);
}

/* The caller holds SnpEmu::lock; the first end is the one that counts. */
static bool end_guest(const SnpOrigin *o, int set, int code, const char *text,
                      char *words)
{
    if (snp_emu()->termination) {
        g_free(words);
        return false;
    }
    snp_emu()->termination = words;
    watch_terminate(o, set, code, text);
    qapi_event_send_sev_snp_emulated_termination(set, code, text, o->vcpu,
                                                 o->rip,
                                                 snp_phase_name(o->phase));
    async_run_on_cpu(qemu_get_cpu(o->vcpu), panic, RUN_ON_CPU_NULL);
    return true;
}

void snp_terminate(const SnpOrigin *o, int set, int code)
{
    const char *reason = terminate_reason(set, code);

    QEMU_LOCK_GUARD(&snp_emu()->lock);
    if (end_guest(o, set, code, reason,
                  g_strdup_printf("0x%x:0x%x %s", set, code, reason))) {
        error_report("SNP guest requested termination: 0x%x:0x%x %s "
                     "(vCPU %d, RIP 0x%" PRIx64 ", %s)", set, code, reason,
                     o->vcpu, o->rip, snp_phase_name(o->phase));
    }
}

void snp_stop(const SnpOrigin *o, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (end_guest(o, SNP_STOP, SNP_STOP, text, g_strdup(text))) {
        error_report("SNP guest stopped: %s (vCPU %d, RIP 0x%" PRIx64 ", %s)",
                     text, o->vcpu, o->rip, snp_phase_name(o->phase));
    }
}

void snp_report(SnpOp op, const SnpOrigin *o, hwaddr gpa)
{
    bool conversion = op == SNP_OP_IMPLICIT_PRIVATE ||
                      op == SNP_OP_IMPLICIT_SHARED;

    if (snp_emu()->reports[op]++ < MOST_REPORTS_TOLD) {
        qapi_event_send_sev_snp_emulated_report(snp_op_name(op), gpa, o->vcpu,
                                                o->rip,
                                                snp_phase_name(o->phase));
    }
    if (op == SNP_OP_VALIDATE_AGAIN &&
        snp_emu()->validate_twice == SEV_SNP_EMULATED_STRICTNESS_FATAL) {
        snp_stop(o, "page 0x%" PRIx64 " was validated twice", gpa);
    }
    if (conversion && snp_emu()->implicit_conversion ==
        SEV_SNP_EMULATED_STRICTNESS_FATAL) {
        snp_stop(o, "page 0x%" PRIx64 " was used as %s without a page state "
                 "change", gpa,
                 op == SNP_OP_IMPLICIT_PRIVATE ? "private" : "shared");
    }
    if (op == SNP_OP_PRIVATE_MMIO &&
        snp_emu()->private_mmio == SEV_SNP_EMULATED_STRICTNESS_FATAL) {
        snp_stop(o, "page 0x%" PRIx64 " is no memory, and was used with the "
                 "C-bit", gpa);
    }
}
