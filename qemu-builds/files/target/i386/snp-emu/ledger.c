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
#include "internal.h"

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

static const char *const phase_names[SNP_PHASE__MAX] = {
    [SNP_PHASE_LAUNCH] = "launch",
    [SNP_PHASE_FIRMWARE] = "firmware",
    [SNP_PHASE_FIRMWARE_EBS] = "firmware-ebs",
    [SNP_PHASE_LOADER] = "loader",
    [SNP_PHASE_EFI_STUB] = "efi-stub",
    [SNP_PHASE_KERNEL] = "kernel",
};

/* Adjacent operations by the same code, not yet written. */
typedef struct Run {
    SnpOp op;
    SnpOrigin origin;
    int64_t t;
    hwaddr gpa;
    uint64_t size;
    uint64_t entry;
    uint64_t count;
} Run;

/*
 * A refused 2 MiB PVALIDATE changes nothing, and 512 of 4 KiB follow it: such
 * events do not end the run of the others.
 */
enum { CHANGES, REFUSALS, RUNS };

static FILE *file;
static Run runs[RUNS];
static GString *ram;
static uint64_t written;    /* bytes of events and faults */
static bool cut;            /* the limit was reached */

const char *snp_op_name(SnpOp op)
{
    return op_names[op];
}

const char *snp_phase_name(SnpPhase phase)
{
    return phase_names[phase];
}

void ledger_ram_range(hwaddr base, uint64_t size)
{
    if (!size) {
        return;
    }
    if (!ram) {
        ram = g_string_new("");
    }
    g_string_append_printf(ram, "%s[%" PRIu64 ",%" PRIu64 "]",
                           ram->len ? "," : "", base, size);
}

void ledger_open(const char *path, Error **errp)
{
    file = fopen(path, "w");
    if (!file) {
        error_setg_file_open(errp, errno, path);
        return;
    }
    setvbuf(file, NULL, _IOFBF, 256 * 1024);
    fprintf(file, "{\"type\":\"header\",\"format\":\"snp-ledger\","
            "\"version\":2,\"page-size\":4096,\"ram\":[%s]}\n",
            ram ? ram->str : "");
}

static int64_t now(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

/* Is there room for another line?  What ends the ledger is always written. */
static bool has_room(void)
{
    if (!cut && snp_emu->ledger_limit && written >= snp_emu->ledger_limit) {
        cut = true;
        fprintf(file, "{\"type\":\"cut\",\"t\":%" PRId64 ",\"limit\":%" PRIu64
                "}\n", now(), snp_emu->ledger_limit);
        warn_report("sev-snp-emulated: the ledger has reached its limit of %"
                    PRIu64 " bytes; what comes is only counted",
                    snp_emu->ledger_limit);
    }
    return !cut;
}

static void count_written(int n)
{
    written += MAX(n, 0);
}

static void write_run(Run *run)
{
    if (run->count && has_room()) {
        count_written(fprintf(file,
            "{\"type\":\"event\",\"t\":%" PRId64 ",\"vcpu\":%d,"
            "\"op\":\"%s\",\"gpa\":%" PRIu64 ",\"size\":%" PRIu64 ","
            "\"count\":%" PRIu64 ",\"entry\":%" PRIu64 ",\"rip\":%" PRIu64 ","
            "\"cpl\":%d,\"phase\":\"%s\"}\n",
            run->t, run->origin.vcpu, op_names[run->op], run->gpa, run->size,
            run->count, run->entry, run->origin.rip, run->origin.cpl,
            phase_names[run->origin.phase]));
    }
    run->count = 0;
}

/* In the order in which they began. */
static void write_runs(void)
{
    int first = runs[REFUSALS].t < runs[CHANGES].t ? REFUSALS : CHANGES;

    write_run(&runs[first]);
    write_run(&runs[!first]);
}

static bool continues(const Run *run, SnpOp op, const SnpOrigin *o, hwaddr gpa,
                      uint64_t size)
{
    return run->count && run->op == op && run->entry == size &&
           run->origin.vcpu == o->vcpu && run->origin.rip == o->rip &&
           run->origin.cpl == o->cpl && run->origin.phase == o->phase &&
           (gpa == run->gpa + run->size || gpa + size == run->gpa);
}

void ledger_event(SnpOp op, const SnpOrigin *o, hwaddr gpa, uint64_t size)
{
    Run *run = &runs[op == SNP_OP_SIZE_MISMATCH ? REFUSALS : CHANGES];

    snp_emu->pages[op][o->phase] += size / 4096;
    if (!file) {
        return;
    }
    if (continues(run, op, o, gpa, size)) {
        run->gpa = MIN(run->gpa, gpa);
        run->size += size;
        run->count++;
        return;
    }
    write_run(run);
    *run = (Run) {
        .op = op, .origin = *o, .t = now(),
        .gpa = gpa, .size = size, .entry = size, .count = 1,
    };
}

void ledger_fault(const char *op, const SnpOrigin *o, hwaddr gpa,
                  const char *access)
{
    if (!file) {
        return;
    }
    write_runs();
    if (!has_room()) {
        return;
    }
    count_written(fprintf(file, "{\"type\":\"fault\",\"t\":%" PRId64 ",\"vcpu\":%d,"
            "\"op\":\"%s\",\"gpa\":%" PRIu64 ",\"rip\":%" PRIu64 ","
            "\"cpl\":%d,\"access\":\"%s\",\"phase\":\"%s\"}\n",
            now(), o->vcpu, op, gpa, o->rip, o->cpl, access,
            phase_names[o->phase]));
    fflush(file);
}

void ledger_terminate(const SnpOrigin *o, int set, int code, const char *text)
{
    if (!file) {
        return;
    }
    write_runs();
    fprintf(file, "{\"type\":\"terminate\",\"t\":%" PRId64 ",\"vcpu\":%d,"
            "\"set\":%d,\"code\":%d,\"text\":\"%s\",\"rip\":%" PRIu64 ","
            "\"phase\":\"%s\"}\n",
            now(), o->vcpu, set, code, text, o->rip, phase_names[o->phase]);
    fflush(file);
}

static void write_ebs(const char *event, const SnpOrigin *o, uint64_t map_key)
{
    write_runs();
    count_written(fprintf(file, "{\"type\":\"ebs\",\"event\":\"%s\",\"t\":%" PRId64
            ",\"vcpu\":%d,\"map-key\":%" PRIu64 ",\"rip\":%" PRIu64
            ",\"cpl\":%d,\"phase\":\"%s\"", event, now(), o->vcpu, map_key,
            o->rip, o->cpl, phase_names[o->phase]));
}

void ledger_ebs_call(const SnpOrigin *caller, uint64_t map_key)
{
    if (file && has_room()) {
        write_ebs("call", caller, map_key);
        fputs("}\n", file);
    }
}

void ledger_ebs_return(const SnpOrigin *caller, uint64_t map_key,
                       uint64_t status)
{
    if (file && has_room()) {
        write_ebs("return", caller, map_key);
        fprintf(file, ",\"status\":%" PRIu64 "}\n", status);
    }
}

void ledger_reset(void)
{
    if (file) {
        write_runs();
        fprintf(file, "{\"type\":\"reset\",\"t\":%" PRId64 "}\n", now());
        fflush(file);
    }
}

void ledger_flush(void)
{
    if (file) {
        write_runs();
        fflush(file);
    }
}

void ledger_close(void)
{
    bool lost;

    if (!file) {
        return;
    }
    write_runs();
    fprintf(file, "{\"type\":\"end\",\"t\":%" PRId64 ",\"vmgexits\":%" PRIu64
            ",\"faults\":%" PRIu64 ",\"ebs-calls\":%" PRIu64
            ",\"ebs-returns\":%" PRIu64 ",\"validated-pages\":%" PRIu64
            ",\"split-blocks\":%" PRIu64 ",\"pages\":{", now(),
            snp_emu->vmgexits, snp_emu->faults, snp_emu->ebs_calls,
            snp_emu->ebs_returns, rmp_validated_pages(), rmp_split_blocks());
    for (int op = 0; op < SNP_OP__MAX; op++) {
        fprintf(file, "%s\"%s\":{", op ? "," : "", op_names[op]);
        for (int p = 0; p < SNP_PHASE__MAX; p++) {
            fprintf(file, "%s\"%s\":%" PRIu64, p ? "," : "", phase_names[p],
                    snp_emu->pages[op][p]);
        }
        fputc('}', file);
    }
    fputs("}}\n", file);
    lost = ferror(file);
    if (fclose(file) || lost) {
        error_report("sev-snp-emulated: ledger '%s' could not be written and "
                     "is not whole", snp_emu->ledger_path);
    }
    file = NULL;
}
