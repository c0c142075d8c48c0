/*
 * SEV-SNP guest emulation for TCG: what launch puts in memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/guest-random.h"
#include "qemu/units.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "exec/tb-flush.h"
#include "hw/boards.h"
#include "hw/i386/pc.h"
#include "hw/i386/x86.h"
#include "migration/blocker.h"
#include "system/reset.h"
#include "system/confidential-guest-support.h"
#include "system/runstate.h"
#include "system/system.h"
#include "system/tcg.h"
#include "../sev.h"
#include "internal.h"

static const SnpOrigin launch_origin = {
    .vcpu = -1,
};

/* SNP firmware ABI specification, CPUID page */
#define CPUID_PAGE_MAX 64

typedef struct QEMU_PACKED CpuidEntry {
    uint32_t eax_in, ecx_in;
    uint64_t xcr0_in, xss_in;
    uint32_t eax, ebx, ecx, edx;
    uint64_t reserved;
} CpuidEntry;

typedef struct QEMU_PACKED CpuidPage {
    uint32_t count;
    uint32_t reserved1;
    uint64_t reserved2;
    CpuidEntry entries[CPUID_PAGE_MAX];
} CpuidPage;

/* SNP firmware ABI specification, secrets page */
typedef struct QEMU_PACKED SecretsPage {
    uint32_t version;
    uint32_t imi_en;
    uint32_t fms;
    uint32_t reserved;
    uint8_t gosvw[16];
    uint8_t vmpck[4][32];
} SecretsPage;

QEMU_BUILD_BUG_ON(sizeof(CpuidPage) > 4096);
QEMU_BUILD_BUG_ON(offsetof(SecretsPage, vmpck) != 0x20);

static void cpuid_add(CpuidPage *page, CPUX86State *env, uint32_t leaf,
                      uint32_t subleaf)
{
    CpuidEntry *e = &page->entries[page->count];
    uint32_t eax, ebx, ecx, edx;

    if (page->count == CPUID_PAGE_MAX) {
        warn_report("sev-snp-emulated: CPUID page is full, leaf 0x%x.%u and "
                    "later ones are left out", leaf, subleaf);
        return;
    }
    cpu_x86_cpuid(env, leaf, subleaf, &eax, &ebx, &ecx, &edx);
    if (!eax && !ebx && !ecx && !edx) {
        return;     /* an absent leaf reads as zero anyway */
    }
    e->eax_in = cpu_to_le32(leaf);
    e->ecx_in = cpu_to_le32(subleaf);
    if (leaf == 0xd && subleaf <= 1) {
        /* sizes are computed by the guest; see sev_snp_cpuid_info_fill() */
        e->xcr0_in = cpu_to_le64(1);
        ebx = 0x240;
    }
    e->eax = cpu_to_le32(eax);
    e->ebx = cpu_to_le32(ebx);
    e->ecx = cpu_to_le32(ecx);
    e->edx = cpu_to_le32(edx);
    page->count++;
}

static void fill_cpuid_page(CpuidPage *page, CPUX86State *env)
{
    uint32_t level = env->cpuid_level, xlevel = env->cpuid_xlevel;

    for (uint32_t leaf = 0; leaf <= level; leaf++) {
        int subleaves = leaf == 0x7 ? 2 : leaf == 0xb ? 2 :
                        leaf == 0xd ? 12 : 1;

        for (int i = 0; i < subleaves; i++) {
            cpuid_add(page, env, leaf, i);
        }
    }
    for (uint32_t leaf = 0x80000000; leaf <= xlevel; leaf++) {
        for (int i = 0; i < (leaf == 0x8000001d ? 4 : 1); i++) {
            cpuid_add(page, env, leaf, i);
        }
    }
    page->count = cpu_to_le32(page->count);
}

static void fill_secrets_page(SecretsPage *page, CPUX86State *env)
{
    page->version = cpu_to_le32(3);
    page->fms = cpu_to_le32(env->cpuid_version);
    qemu_guest_getrandom_nofail(page->vmpck, sizeof(page->vmpck));
    memcpy(snp_emu()->attest.vmpck, page->vmpck, sizeof(page->vmpck));
}

/* SNP firmware ABI specification, SNP_LAUNCH_UPDATE: PAGE_TYPE */
enum {
    PAGE_TYPE_NORMAL = 1,
    PAGE_TYPE_VMSA = 2,
    PAGE_TYPE_ZERO = 3,
    PAGE_TYPE_SECRETS = 5,
    PAGE_TYPE_CPUID = 6,
};

/* As QEMU's snp_page_type_to_str() has them */
static const char *page_type_name(int page_type)
{
    switch (page_type) {
    case PAGE_TYPE_NORMAL:
        return "Normal";
    case PAGE_TYPE_SECRETS:
        return "Secrets";
    case PAGE_TYPE_CPUID:
        return "Cpuid";
    default:
        return "Zero";
    }
}

static void populate(hwaddr gpa, const void *data, size_t len, size_t area)
{
    if (len) {
        address_space_write(&address_space_memory, gpa,
                            MEMTXATTRS_UNSPECIFIED, data, len);
    }
    contents_keep(gpa, area);
    watch_event(SNP_OP_LAUNCH_PRIVATE, &launch_origin, gpa, area);
    rmp_set(gpa, area, RMP_ASSIGNED | RMP_VALIDATED);
}

static bool overlap(uint64_t base, uint64_t size, uint64_t other,
                    uint64_t other_size)
{
    return base < other + other_size && other < base + size;
}

/* SNP_LAUNCH_UPDATE refuses a page that it has launched already. */
static void check_overlaps(const OvmfSevMetadata *metadata, unsigned i)
{
    const OvmfSevMetadataDesc *desc = &metadata->descs[i];
    const SnpImage *image = &snp_emu()->image;

    if (overlap(desc->base, desc->len, image->base, image->size)) {
        error_report("sev-snp-emulated: firmware metadata section %u "
                     "(0x%x+0x%x) lies in the firmware image, whose pages are "
                     "launched already", i, desc->base, desc->len);
        exit(1);
    }
    for (unsigned j = 0; j < i; j++) {
        const OvmfSevMetadataDesc *other = &metadata->descs[j];

        if (overlap(desc->base, desc->len, other->base, other->len)) {
            error_report("sev-snp-emulated: firmware metadata sections %u "
                         "(0x%x+0x%x) and %u (0x%x+0x%x) overlap, and no page "
                         "can be launched twice", j, other->base, other->len,
                         i, desc->base, desc->len);
            exit(1);
        }
    }
}

/* Ends QEMU, so no lock that an exit notifier takes may be held. */
static void check_metadata(const OvmfSevMetadata *metadata)
{
    uint64_t room = metadata->len - sizeof(*metadata);

    if (metadata->num_desc > room / sizeof(metadata->descs[0])) {
        error_report("sev-snp-emulated: the firmware's SEV metadata is cut "
                     "short: %u sections in %u bytes", metadata->num_desc,
                     metadata->len);
        exit(1);
    }
    for (unsigned i = 0; i < metadata->num_desc; i++) {
        const OvmfSevMetadataDesc *desc = &metadata->descs[i];
        uint64_t last = (uint64_t)desc->base + desc->len - 1;

        if (!QEMU_IS_ALIGNED(desc->base | desc->len, 4096) || !desc->len ||
            rmp_get(desc->base) == RMP_NONE || rmp_get(last) == RMP_NONE) {
            error_report("sev-snp-emulated: firmware metadata section %u "
                         "(0x%x+0x%x) is not in guest memory", i, desc->base,
                         desc->len);
            exit(1);
        }
        check_overlaps(metadata, i);
    }
}

/*
 * SNP firmware ABI specification, 4.3: GUEST_POLICY, as KVM's
 * snp_launch_start() and firmware take it: here on a host with SMT and several
 * sockets.
 */
#define POLICY_ABI          0xffff
#define POLICY_SMT          (1ULL << 16)
#define POLICY_MUST_BE_ONE  (1ULL << 17)
#define POLICY_DEBUG        (1ULL << 19)
#define POLICY_ONE_SOCKET   (1ULL << 20)
#define POLICY_KNOWN        (POLICY_ABI | POLICY_SMT | POLICY_MUST_BE_ONE | \
                             POLICY_DEBUG | POLICY_ONE_SOCKET)
/* Of the firmware whose answers are copied */
#define FIRMWARE_ABI        (1 << 8 | 54)

static const char *policy_refused(uint64_t policy)
{
    if (!(policy & POLICY_MUST_BE_ONE)) {
        return "bit 17 must be 1";
    }
    if (policy & ~POLICY_KNOWN) {
        return "bit 18 or a bit above 20 is not known to KVM";
    }
    if (!(policy & POLICY_SMT)) {
        return "bit 16 forbids SMT, which the host has";
    }
    if (policy & POLICY_ONE_SOCKET) {
        return "bit 20 asks for a host of one socket";
    }
    if ((policy & POLICY_ABI) > FIRMWARE_ABI) {
        return "it wants a firmware ABI above 1.54";
    }
    return NULL;
}

static void check_snp(Object *cgs)
{
    uint64_t policy = object_property_get_uint(cgs, "policy", &error_abort);
    const char *refused = policy_refused(policy);

    if (!pc_system_get_ovmf_sev_metadata_ptr()) {
        error_report("sev-snp-emulated: the firmware carries no SEV metadata "
                     "(OVMF GUIDed table entry "
                     "dc886566-984a-4798-a75e-5585a7bf67cc), so it cannot run "
                     "in an SNP guest");
        exit(1);
    }
    if (refused) {
        error_report("sev-snp-emulated: policy 0x%" PRIx64 " is refused: %s",
                     policy, refused);
        exit(1);
    }
}

static void check_object(Object *cgs)
{
    const char *name = object_get_typename(cgs);
    bool two_snp = false, two_sev = false;
    Object *snp = object_resolve_path_type("", TYPE_SEV_SNP_EMULATED, &two_snp);
    Object *sev = object_resolve_path_type("", TYPE_SEV_EMULATED, &two_sev);

    if (!tcg_enabled()) {
        error_report("%s needs -accel tcg; with KVM use %s", name,
                     snp ? "sev-snp-guest" : "sev-guest");
        exit(1);
    }
    if (two_snp || two_sev || (snp && sev)) {
        error_report("%s: there can be one such object, and two were given",
                     name);
        exit(1);
    }
    if (snp) {
        check_snp(cgs);
    } else if (snp_emu()->reflect && !sev_es_enabled()) {
        error_report("%s: reflect=on needs a SEV-ES guest (policy bit 2); "
                     "others get no #VC", name);
        exit(1);
    }
}

static void check_hashes(void)
{
    uint32_t offset;
    size_t len;

    if (sev_snp_kernel_hashes(&offset, &len) && offset + len > 4096) {
        error_report("sev-snp-emulated: the table of kernel hashes does not "
                     "fit its page at offset 0x%x", offset);
        exit(1);
    }
}

/* Where the firmware hides VMSAs in the digest */
#define VMSA_GPA 0xfffffffff000ULL
#define RESET_VECTOR 0xfffffff0

/* sev_es_find_reset_vector() has found it in the image already. */
static uint32_t reset_block(void)
{
    uint8_t *data;

    return pc_system_ovmf_table_find("00f771de-1a7e-4fcb-890e-68c77e2fb44e",
                                     &data, NULL) ? ldl_le_p(data) :
                                                    RESET_VECTOR;
}

/* What KVM's SNP_LAUNCH_FINISH does first: a VMSA for each vCPU. */
static void measure_vmsas(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        uint8_t *vmsa = g_malloc(4096);

        snp_initial_vmsa(cpu_env(cs), cs->cpu_index ? reset_block() :
                                                      RESET_VECTOR, vmsa);
        snp_measure(VMSA_GPA, 4096, PAGE_TYPE_VMSA, vmsa);
    }
}

/* Ends QEMU, so no lock that an exit notifier takes may be held. */
static void check_id_block(void)
{
    const char *refused;

    WITH_QEMU_LOCK_GUARD(&snp_emu()->lock) {
        refused = snp_id_block_refused();
    }
    if (refused) {
        error_report("sev-snp-emulated: the ID block is refused: %s", refused);
        exit(1);
    }
}

/* What SNP_LAUNCH_UPDATE does with each section of the metadata. */
static void populate_metadata(const OvmfSevMetadata *metadata, bool measure)
{
    CPUX86State *env = cpu_env(first_cpu);

    QEMU_LOCK_GUARD(&snp_emu()->lock);
    for (int i = 0; i < metadata->num_desc; i++) {
        const OvmfSevMetadataDesc *desc = &metadata->descs[i];
        union {
            CpuidPage cpuid;
            SecretsPage secrets;
            uint8_t bytes[4096];
        } page = {};
        int page_type = PAGE_TYPE_ZERO;
        void *measured = NULL, *hashes;
        size_t len = 0, hashes_len;
        uint32_t hashes_offset;

        switch (desc->type) {
        case SEV_DESC_TYPE_CPUID:
            fill_cpuid_page(&page.cpuid, env);
            len = sizeof(page);
            page_type = PAGE_TYPE_CPUID;
            break;
        case SEV_DESC_TYPE_SNP_SECRETS:
            fill_secrets_page(&page.secrets, env);
            len = sizeof(page);
            page_type = PAGE_TYPE_SECRETS;
            break;
        case SEV_DESC_TYPE_SNP_KERNEL_HASHES:
            hashes = sev_snp_kernel_hashes(&hashes_offset, &hashes_len);
            if (hashes) {
                memcpy(page.bytes + hashes_offset, hashes, hashes_len);
                len = sizeof(page);
                page_type = PAGE_TYPE_NORMAL;
                measured = g_memdup2(&page, len);
            }
            break;
        default:
            /* zero pages; RAM is zero at first, but not after a reset */
            address_space_set(&address_space_memory, desc->base, 0, desc->len,
                              MEMTXATTRS_UNSPECIFIED);
            break;
        }
        if (measure) {
            snp_measure(desc->base, desc->len, page_type, measured);
        } else {
            g_free(measured);
        }
        host_launch(desc->base, desc->len, page_type_name(page_type));
        populate(desc->base, &page, len, desc->len);
    }
}

static void finish_launch(Notifier *n, void *unused)
{
    OvmfSevMetadata *metadata = pc_system_get_ovmf_sev_metadata_ptr();

    check_metadata(metadata);
    check_hashes();
    populate_metadata(metadata, true);
    measure_vmsas();
    check_id_block();
}

static void tell_stop(void *opaque, bool running, RunState state)
{
    SnpEmu *s = opaque;

    if (!running && s->watch) {
        QEMU_LOCK_GUARD(&s->lock);
        s->watch->stop(s->watcher);
    }
}

static void end_watch(Notifier *n, void *unused)
{
    SnpEmu *s = container_of(n, SnpEmu, at_exit);

    if (s->watch) {
        QEMU_LOCK_GUARD(&s->lock);
        s->watch->end(s->watcher);
    }
}

static void reset_vcpus(void)
{
    for (unsigned i = 0; i < snp_emu()->nr_vcpus; i++) {
        snp_emu()->vcpus[i] = (SnpVcpu) {
            .ghcb_msr = snp_ghcb_msr_reset(), .ghcb_registered = -1,
        };
    }
    snp_emu()->ap_jump_table = 0;
}

/* All memory, as hosts give it to a guest; returns its end. */
static hwaddr cover_memory(void)
{
    MachineState *machine = current_machine;
    X86MachineState *x86ms = X86_MACHINE(machine);
    const SnpImage *image = &snp_emu()->image;
    hwaddr top = MAX(image->base + image->size, x86ms->above_4g_mem_start +
                                                x86ms->above_4g_mem_size);

    rmp_add_range(0, x86ms->below_4g_mem_size);
    rmp_add_range(x86ms->above_4g_mem_start, x86ms->above_4g_mem_size);
    rmp_add_range(image->base, image->size);
    if (machine->device_memory) {
        /* memory that is plugged in later is private as well */
        hwaddr base = machine->device_memory->base;
        uint64_t room = memory_region_size(&machine->device_memory->mr);

        rmp_add_range(base, room);
        top = MAX(top, base + room);
    }
    return top;
}

/* What SNP_LAUNCH_UPDATE does with the image.  The caller holds the lock. */
static void launch_image(void)
{
    const SnpImage *image = &snp_emu()->image;

    host_launch(image->base, image->size, page_type_name(PAGE_TYPE_NORMAL));
    populate(image->base, NULL, 0, image->size);
}

/*
 * From version 11 on QEMU closes the guest's KVM context on reset, makes
 * another one and launches the same again: nothing is left of what the guest
 * had accepted, or said to the firmware.  The machine's first reset is part of
 * its launch.  No vCPU runs.
 */
static void rebuild(void *opaque)
{
    SnpEmu *s = opaque;

    if (!s->was_reset) {
        s->was_reset = true;
        return;
    }
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (s->watch) {
            s->watch->reset(s->watcher);
        }
        if (!snp_has_rmp()) {
            return;     /* the same context and memory go on */
        }
        rmp_reset();
        contents_forget();
        cover_memory();
        reset_vcpus();
        attest_reset();
        memcpy(s->image.ram, s->image.launched, s->image.size);
        launch_image();
    }
    populate_metadata(pc_system_get_ovmf_sev_metadata_ptr(), false);
    tb_flush(first_cpu);
}

/* Of a page table entry's address field */
#define HIGHEST_C_BIT 51

/* Table of kernel hashes (GUIDed table entry), as QEMU found it in the image */
typedef struct QEMU_PACKED HashTableArea {
    uint32_t base, size;
} HashTableArea;

/* The same for the hashes, which QEMU puts in memory after the image. */
static void encrypt_hashes(Notifier *n, void *unused)
{
    Object *cgs = snp_emulated_object();
    HashTableArea *area;
    uint8_t *data;

    if (object_property_get_bool(cgs, "kernel-hashes", &error_abort) &&
        pc_system_ovmf_table_find("7255371f-3a3b-4b04-927b-1da6efa8d454",
                                  &data, NULL)) {
        area = (HashTableArea *)data;
        QEMU_LOCK_GUARD(&snp_emu()->lock);
        for (hwaddr page = QEMU_ALIGN_DOWN(area->base, 4096);
             page < (hwaddr)area->base + area->size; page += 4096) {
            if (rmp_get(page) != RMP_NONE) {
                views_launch(page, 4096);
            }
        }
    }
}

/* What happens to the image, and later to what else is launched */
static void launch(SnpEmu *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    if (snp_has_rmp()) {
        s->machine_done.notify = finish_launch;
        snp_measure(s->image.base, s->image.size, PAGE_TYPE_NORMAL,
                    s->image.launched);
        launch_image();
    } else {
        /* LAUNCH_UPDATE_DATA */
        s->machine_done.notify = encrypt_hashes;
        views_launch(s->image.base, s->image.size);
    }
}

static uint32_t guest_traits(const SnpEmu *s)
{
    return SNP_EMU_ON | (sev_es_enabled() ? SNP_EMU_GHCB : 0) |
           (sev_snp_enabled() ? SNP_EMU_RMP : 0) |
           (s->reflect ? SNP_EMU_REFLECT : 0);
}

static void check_c_bit(Object *cgs, uint32_t c_bit, hwaddr top)
{
    if (c_bit > HIGHEST_C_BIT || (top - 1) >> c_bit) {
        error_report("%s: cbitpos=%u is no free address bit of page tables: "
                     "memory ends at 0x%" PRIx64, object_get_typename(cgs),
                     c_bit, top);
        exit(1);
    }
}

static void add_vcpus(SnpEmu *s)
{
    CPUState *cs;

    s->nr_vcpus = current_machine->smp.max_cpus;
    s->vcpus = g_new0(SnpVcpu, s->nr_vcpus);
    reset_vcpus();
    CPU_FOREACH(cs) {
        snp_emu_add_vcpu(cpu_env(cs));
    }
}

void snp_emu_launch(hwaddr gpa, uint8_t *flash, size_t size)
{
    MachineState *machine = current_machine;
    Object *cgs = snp_emulated_object();
    SnpEmu *s;
    hwaddr top;

    if (!cgs) {
        return;
    }
    s = snp_emu_of(cgs);
    check_object(cgs);
    snp_resolve_profile();
    faults_arm();
    s->image = (SnpImage) {
        .base = gpa, .size = size, .ram = flash,
        /* a copy: the guest may write to it before it asks for a report */
        .launched = g_memdup2(flash, size),
    };
    top = cover_memory();
    check_c_bit(cgs, sev_get_cbit_position(), top);
    s->c_bit = 1ULL << sev_get_cbit_position();
    s->traits = guest_traits(s);
    add_vcpus(s);
    contents_init(top);
    if (s->watch) {
        s->watch->launch(s->watcher, &error_fatal);
    }
    launch(s);
    qemu_add_machine_init_done_notifier(&s->machine_done);
    s->at_exit.notify = end_watch;
    qemu_add_exit_notifier(&s->at_exit);
    qemu_register_reset(rebuild, s);
    qemu_add_vm_change_state_handler(tell_stop, s);
    /* kvm_cpus_are_resettable(), before QEMU 11 */
    machine->cgs->reset_ends = s->traits & SNP_EMU_GHCB &&
                               s->reset == SEV_SNP_EMULATED_RESET_END;
    dma_init();
    machine->cgs->ready = true;

    error_setg(&s->migration_blocker, "%s: the guest cannot be migrated, and "
               "neither saved nor loaded", object_get_typename(cgs));
    migrate_add_blocker(&s->migration_blocker, &error_fatal);
}

void snp_emu_add_vcpu(CPUX86State *env)
{
    if (snp_emulated_object()) {
        env->snp_traits = snp_emu()->traits;
        env->snp_c_bit = snp_emu()->c_bit;
    }
}

bool snp_emu_machine_has_rmp(MachineState *machine)
{
    return object_dynamic_cast(OBJECT(machine->cgs), TYPE_SEV_SNP_EMULATED);
}

void snp_emu_cpuid_1(uint32_t *ecx)
{
    /*
     * KVM intercepts MONITOR and MWAIT and does not announce them.  A guest
     * that believed TCG would use them where it can take no #VC any more, as
     * OVMF's APs do in their last loop.
     */
    *ecx &= ~CPUID_EXT_MONITOR;
}

void snp_emu_cpuid_8000001f(CPUX86State *env, uint32_t *ebx)
{
    /* COHERENCY_SFW_NO: no cache lines to evict after PVALIDATE */
    if (snp_emu_has(snp_emu_traits(env), SNP_EMU_RMP)) {
        *ebx |= 1U << 31;
    }
}
