/*
 * SEV-SNP guest emulation for TCG: the acceptance ledger
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * JSON Lines, format "snp-ledger" version 2: a header, one line per run of
 * adjacent operations of one kind by the same code, faults, calls of
 * ExitBootServices, and an end line with the totals.  A ledger without its
 * end line is truncated; one that reached its limit says so, and then has no
 * more events, but still all totals.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "cpu.h"
#include "hw/i386/x86.h"
#include "watch.h"

static const char *const phase_names[SNP_PHASE__MAX] = {
    [SNP_PHASE_LAUNCH] = "launch",
    [SNP_PHASE_FIRMWARE] = "firmware",
    [SNP_PHASE_FIRMWARE_EBS] = "firmware-ebs",
    [SNP_PHASE_LOADER] = "loader",
    [SNP_PHASE_EFI_STUB] = "efi-stub",
    [SNP_PHASE_KERNEL] = "kernel",
};

const char *ledger_phase_name(unsigned phase)
{
    return phase_names[phase];
}

void ledger_open(SnpLedger *l, Error **errp)
{
    X86MachineState *x86ms = X86_MACHINE(current_machine);

    l->file = fopen(l->path, "w");
    if (!l->file) {
        error_setg_file_open(errp, errno, l->path);
        return;
    }
    setvbuf(l->file, NULL, _IOFBF, 256 * 1024);
    fprintf(l->file, "{\"type\":\"header\",\"format\":\"snp-ledger\","
            "\"version\":2,\"page-size\":4096,\"ram\":[[0,%" PRIu64 "]",
            x86ms->below_4g_mem_size);
    if (x86ms->above_4g_mem_size) {
        fprintf(l->file, ",[%" PRIu64 ",%" PRIu64 "]",
                x86ms->above_4g_mem_start, x86ms->above_4g_mem_size);
    }
    fputs("]}\n", l->file);
}

static int64_t now(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

/* Is there room for another line?  What ends the ledger is always written. */
static bool has_room(SnpLedger *l)
{
    if (!l->cut && l->limit && l->written >= l->limit) {
        l->cut = true;
        fprintf(l->file, "{\"type\":\"cut\",\"t\":%" PRId64
                ",\"limit\":%" PRIu64 "}\n", now(), l->limit);
        warn_report("sev-snp-emulated: the ledger has reached its limit of %"
                    PRIu64 " bytes; what comes is only counted", l->limit);
    }
    return !l->cut;
}

static void count_written(SnpLedger *l, int n)
{
    l->written += MAX(n, 0);
}

static void write_run(SnpLedger *l, LedgerRun *run)
{
    if (run->count && has_room(l)) {
        count_written(l, fprintf(l->file,
            "{\"type\":\"event\",\"t\":%" PRId64 ",\"vcpu\":%d,"
            "\"op\":\"%s\",\"gpa\":%" PRIu64 ",\"size\":%" PRIu64 ","
            "\"count\":%" PRIu64 ",\"entry\":%" PRIu64 ",\"rip\":%" PRIu64 ","
            "\"cpl\":%d,\"phase\":\"%s\"}\n",
            run->t, run->origin.vcpu, snp_op_name(run->op), run->gpa, run->size,
            run->count, run->entry, run->origin.rip, run->origin.cpl,
            phase_names[run->origin.phase]));
    }
    run->count = 0;
}

/* In the order in which they began. */
static void write_runs(SnpLedger *l)
{
    LedgerRun *runs = l->runs;
    int first = runs[REFUSALS].t < runs[CHANGES].t ? REFUSALS : CHANGES;

    write_run(l, &runs[first]);
    write_run(l, &runs[!first]);
}

static bool continues(const LedgerRun *run, SnpOp op, const SnpOrigin *o,
                      hwaddr gpa, uint64_t size)
{
    return run->count && run->op == op && run->entry == size &&
           run->origin.vcpu == o->vcpu && run->origin.rip == o->rip &&
           run->origin.cpl == o->cpl && run->origin.phase == o->phase &&
           (gpa == run->gpa + run->size || gpa + size == run->gpa);
}

void ledger_event(SnpWatcher *w, SnpOp op, const SnpOrigin *o, hwaddr gpa,
                  uint64_t size)
{
    SnpLedger *l = SNP_LEDGER(w);
    LedgerRun *run = &l->runs[op == SNP_OP_SIZE_MISMATCH ? REFUSALS : CHANGES];

    l->pages[op][o->phase] += size / 4096;
    if (!l->file) {
        return;
    }
    if (continues(run, op, o, gpa, size)) {
        run->gpa = MIN(run->gpa, gpa);
        run->size += size;
        run->count++;
        return;
    }
    write_run(l, run);
    *run = (LedgerRun) {
        .op = op, .origin = *o, .t = now(),
        .gpa = gpa, .size = size, .entry = size, .count = 1,
    };
}

void ledger_fault(SnpWatcher *w, const char *op, const SnpOrigin *o,
                  hwaddr gpa, const char *access)
{
    SnpLedger *l = SNP_LEDGER(w);

    if (!l->file) {
        return;
    }
    write_runs(l);
    if (!has_room(l)) {
        return;
    }
    count_written(l, fprintf(l->file,
            "{\"type\":\"fault\",\"t\":%" PRId64 ",\"vcpu\":%d,"
            "\"op\":\"%s\",\"gpa\":%" PRIu64 ",\"rip\":%" PRIu64 ","
            "\"cpl\":%d,\"access\":\"%s\",\"phase\":\"%s\"}\n",
            now(), o->vcpu, op, gpa, o->rip, o->cpl, access,
            phase_names[o->phase]));
    fflush(l->file);
}

void ledger_terminate(SnpWatcher *w, const SnpOrigin *o, int set, int code,
                      const char *text)
{
    SnpLedger *l = SNP_LEDGER(w);

    if (!l->file) {
        return;
    }
    write_runs(l);
    fprintf(l->file, "{\"type\":\"terminate\",\"t\":%" PRId64 ",\"vcpu\":%d,"
            "\"set\":%d,\"code\":%d,\"text\":\"%s\",\"rip\":%" PRIu64 ","
            "\"phase\":\"%s\"}\n",
            now(), o->vcpu, set, code, text, o->rip, phase_names[o->phase]);
    fflush(l->file);
}

static void write_ebs(SnpLedger *l, const char *event, const SnpOrigin *o)
{
    write_runs(l);
    count_written(l, fprintf(l->file,
            "{\"type\":\"ebs\",\"event\":\"%s\",\"t\":%" PRId64
            ",\"vcpu\":%d,\"map-key\":%" PRIu64 ",\"rip\":%" PRIu64
            ",\"cpl\":%d,\"phase\":\"%s\"", event, now(), o->vcpu,
            l->ebs.map_key, o->rip, o->cpl, phase_names[o->phase]));
}

void ledger_ebs_call(SnpLedger *l, const SnpOrigin *caller)
{
    if (l->file && has_room(l)) {
        write_ebs(l, "call", caller);
        fputs("}\n", l->file);
    }
}

void ledger_ebs_return(SnpLedger *l, const SnpOrigin *caller)
{
    if (l->file && has_room(l)) {
        write_ebs(l, "return", caller);
        fprintf(l->file, ",\"status\":%" PRIu64 "}\n", l->ebs.status);
    }
}

void ledger_reset(SnpLedger *l)
{
    if (l->file) {
        write_runs(l);
        fprintf(l->file, "{\"type\":\"reset\",\"t\":%" PRId64 "}\n", now());
        fflush(l->file);
    }
}

void ledger_flush(SnpWatcher *w)
{
    SnpLedger *l = SNP_LEDGER(w);

    if (l->file) {
        write_runs(l);
        fflush(l->file);
    }
}

void ledger_close(SnpWatcher *w)
{
    SnpLedger *l = SNP_LEDGER(w);
    bool lost;

    if (!l->file) {
        return;
    }
    write_runs(l);
    fprintf(l->file, "{\"type\":\"end\",\"t\":%" PRId64 ",\"vmgexits\":%" PRIu64
            ",\"faults\":%" PRIu64 ",\"ebs-calls\":%" PRIu64
            ",\"ebs-returns\":%" PRIu64 ",\"validated-pages\":%" PRIu64
            ",\"split-blocks\":%" PRIu64 ",\"pages\":{", now(),
            snp_emu()->vmgexits, snp_emu()->faults, l->ebs.calls,
            l->ebs.returns, rmp_validated_pages(), rmp_split_blocks());
    for (int op = 0; op < SNP_OP__MAX; op++) {
        fprintf(l->file, "%s\"%s\":{", op ? "," : "", snp_op_name(op));
        for (int p = 0; p < SNP_PHASE__MAX; p++) {
            fprintf(l->file, "%s\"%s\":%" PRIu64, p ? "," : "", phase_names[p],
                    l->pages[op][p]);
        }
        fputc('}', l->file);
    }
    fputs("}}\n", l->file);
    lost = ferror(l->file);
    if (fclose(l->file) || lost) {
        error_report("sev-snp-emulated: ledger '%s' could not be written and "
                     "is not whole", l->path);
    }
    l->file = NULL;
}
