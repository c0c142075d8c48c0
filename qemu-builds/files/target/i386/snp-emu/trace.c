/*
 * SEV-SNP guest emulation for TCG: the trace events of QEMU with KVM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a host sees of a guest's page states are QEMU's trace events for KVM's
 * exits.  The same events, with the same fields, come from here, so that who
 * reads them on hardware reads them of every emulated guest.
 */

#include "qemu/osdep.h"
#include "standard-headers/asm-x86/kvm_para.h"
#include "cpu.h"
#include "trace/trace-accel_kvm.h"
#include "trace/trace-target_i386.h"
#include "trace/trace-target_i386_kvm.h"
#include "internal.h"

/* linux/kvm.h, which only a build for KVM may include */
#define MEMORY_EXIT_FLAG_PRIVATE    (1ULL << 3)
#define EXIT_HYPERCALL_LONG_MODE    (1ULL << 0)

static void convert(hwaddr gpa, uint64_t size, bool private)
{
    trace_kvm_convert_memory(gpa, size, private ? "shared_to_private" :
                                                  "private_to_shared");
}

void host_flush_psc(void)
{
    SnpTraced *range = &snp_emu()->traced;

    if (range->size) {
        uint64_t attributes =
            (range->private ? KVM_MAP_GPA_RANGE_ENCRYPTED :
                             KVM_MAP_GPA_RANGE_DECRYPTED) |
            (range->entry > 4096 ? KVM_MAP_GPA_RANGE_PAGE_SZ_2M :
                                  KVM_MAP_GPA_RANGE_PAGE_SZ_4K);

        trace_kvm_hc_map_gpa_range(range->gpa, range->size, attributes,
                                   EXIT_HYPERCALL_LONG_MODE);
        convert(range->gpa, range->size, range->private);
    }
    range->size = 0;
}

/* snp_begin_psc(): adjacent entries of one kind are one exit */
void host_psc(hwaddr gpa, uint64_t size, bool private)
{
    SnpTraced *range = &snp_emu()->traced;

    if (gpa != range->gpa + range->size || range->private != private ||
        range->entry != size) {
        host_flush_psc();
    }
    if (!range->size) {
        range->gpa = gpa;
        range->entry = size;
        range->private = private;
    }
    range->size += size;
}

void host_implicit_conversion(hwaddr gpa, bool private)
{
    trace_kvm_memory_fault(gpa, 4096, private ? MEMORY_EXIT_FLAG_PRIVATE : 0);
    convert(gpa, 4096, private);
}

void host_launch(hwaddr gpa, uint64_t size, const char *type)
{
    /* The source is QEMU's own address, which says nothing here. */
    trace_kvm_sev_snp_launch_update(0, gpa, size, type);
}
