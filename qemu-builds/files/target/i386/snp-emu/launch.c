/*
 * SEV-SNP guest emulation for TCG: the object and what launch puts in memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The object is a sev-snp-guest that never meets KVM: it takes the same
 * properties, so one command line serves both.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qemu/error-report.h"
#include "qemu/guest-random.h"
#include "qemu/units.h"
#include "qom/object_interfaces.h"
#include "cpu.h"
#include "hw/boards.h"
#include "hw/i386/pc.h"
#include "hw/i386/x86.h"
#include "system/runstate.h"
#include "system/system.h"
#include "system/tcg.h"
#include "confidential-guest.h"
#include "../sev.h"
#include "internal.h"

SnpEmu *snp_emu;
uint64_t snp_emu_c_bit;

static const SnpOrigin launch_origin = {
    .vcpu = -1, .phase = SNP_PHASE_LAUNCH,
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
}

static void populate(hwaddr gpa, const void *data, size_t len, size_t area)
{
    if (len) {
        address_space_write(&address_space_memory, gpa,
                            MEMTXATTRS_UNSPECIFIED, data, len);
    }
    ledger_event(SNP_OP_LAUNCH_PRIVATE, &launch_origin, gpa, area);
    rmp_set(gpa, area, RMP_ASSIGNED | RMP_VALIDATED);
}

/* What SNP_LAUNCH_UPDATE does with each section of the metadata. */
static void populate_metadata(Notifier *n, void *unused)
{
    OvmfSevMetadata *metadata = pc_system_get_ovmf_sev_metadata_ptr();
    CPUX86State *env = cpu_env(first_cpu);

    QEMU_LOCK_GUARD(&snp_emu->lock);
    for (int i = 0; i < metadata->num_desc; i++) {
        OvmfSevMetadataDesc *desc = &metadata->descs[i];
        union {
            CpuidPage cpuid;
            SecretsPage secrets;
            uint8_t bytes[4096];
        } page = {};
        size_t len = 0, hashes_len;
        uint32_t hashes_offset;
        void *hashes;

        if (!QEMU_IS_ALIGNED(desc->base | desc->len, 4096) || !desc->len ||
            rmp_get(desc->base) == RMP_NONE ||
            rmp_get(desc->base + desc->len - 1) == RMP_NONE) {
            error_report("sev-snp-emulated: firmware metadata section %d "
                         "(0x%x+0x%x) is not in guest memory", i, desc->base,
                         desc->len);
            exit(1);
        }
        switch (desc->type) {
        case SEV_DESC_TYPE_CPUID:
            fill_cpuid_page(&page.cpuid, env);
            len = sizeof(page);
            break;
        case SEV_DESC_TYPE_SNP_SECRETS:
            fill_secrets_page(&page.secrets, env);
            len = sizeof(page);
            break;
        case SEV_DESC_TYPE_SNP_KERNEL_HASHES:
            hashes = sev_snp_kernel_hashes(&hashes_offset, &hashes_len);
            if (hashes && hashes_offset + hashes_len <= sizeof(page)) {
                memcpy(page.bytes + hashes_offset, hashes, hashes_len);
                len = sizeof(page);
            }
            break;
        default:
            break;      /* zero pages; RAM starts out as zero */
        }
        populate(desc->base, &page, len, desc->len);
    }
}

static Notifier machine_done = { .notify = populate_metadata };

static void flush_on_stop(void *opaque, bool running, RunState state)
{
    if (!running) {
        QEMU_LOCK_GUARD(&snp_emu->lock);
        ledger_flush();
    }
}

static void close_ledger(Notifier *n, void *unused)
{
    QEMU_LOCK_GUARD(&snp_emu->lock);
    ledger_close();
}

static Notifier at_exit = { .notify = close_ledger };

static void add_ram(hwaddr base, uint64_t size)
{
    if (size) {
        rmp_add_range(base, size);
        ledger_ram_range(base, size);
    }
}

void snp_emu_launch(hwaddr gpa, uint8_t *flash, size_t size)
{
    MachineState *machine = MACHINE(qdev_get_machine());
    X86MachineState *x86ms = X86_MACHINE(machine);

    if (!snp_emu || OBJECT(machine->cgs) !=
        object_dynamic_cast(OBJECT(machine->cgs), TYPE_SEV_SNP_EMULATED)) {
        return;
    }
    if (!tcg_enabled()) {
        error_report("sev-snp-emulated needs -accel tcg; with KVM use "
                     "sev-snp-guest");
        exit(1);
    }
    if (!pc_system_get_ovmf_sev_metadata_ptr()) {
        error_report("sev-snp-emulated: the firmware carries no SEV metadata "
                     "(OVMF GUIDed table entry "
                     "dc886566-984a-4798-a75e-5585a7bf67cc), so it cannot run "
                     "in an SNP guest");
        exit(1);
    }
    snp_emu->vcpus = g_new0(SnpVcpu, machine->smp.max_cpus);
    for (int i = 0; i < machine->smp.max_cpus; i++) {
        snp_emu->vcpus[i].ghcb_registered = -1;
    }

    add_ram(0, x86ms->below_4g_mem_size);
    add_ram(x86ms->above_4g_mem_start, x86ms->above_4g_mem_size);
    rmp_add_range(gpa, size);
    if (snp_emu->ledger_path) {
        ledger_open(snp_emu->ledger_path, &error_fatal);
    }
    WITH_QEMU_LOCK_GUARD(&snp_emu->lock) {
        populate(gpa, NULL, 0, size);
    }
    qemu_add_machine_init_done_notifier(&machine_done);
    qemu_add_exit_notifier(&at_exit);
    qemu_add_vm_change_state_handler(flush_on_stop, NULL);
    snp_emu_c_bit = 1ULL << sev_get_cbit_position();
    machine->cgs->ready = true;
}

void snp_emu_cpuid_8000001f(uint32_t *ebx)
{
    if (snp_emu) {
        /* COHERENCY_SFW_NO: no cache lines to evict after PVALIDATE */
        *ebx |= 1U << 31;
    }
}

static int emulated_kvm_init(ConfidentialGuestSupport *cgs, Error **errp)
{
    error_setg(errp, "sev-snp-emulated needs -accel tcg; with KVM use "
               "sev-snp-guest");
    return -1;
}

static char *get_ledger(Object *obj, Error **errp)
{
    return g_strdup(snp_emu->ledger_path);
}

static void set_ledger(Object *obj, const char *value, Error **errp)
{
    g_free(snp_emu->ledger_path);
    snp_emu->ledger_path = g_strdup(value);
}

static char *get_termination(Object *obj, Error **errp)
{
    return g_strdup(snp_emu->termination ?: "");
}

static void get_validated(Object *obj, Visitor *v, const char *name,
                          void *opaque, Error **errp)
{
    uint64_t value = rmp_validated_pages();

    visit_type_uint64(v, name, &value, errp);
}

static void emulated_instance_init(Object *obj)
{
    snp_emu = g_new0(SnpEmu, 1);
    qemu_mutex_init(&snp_emu->lock);
    CONFIDENTIAL_GUEST_SUPPORT(obj)->require_guest_memfd = false;

    /* counters, in 4 KiB pages: OPERATION-PHASE */
    for (int op = 0; op < SNP_OP__MAX; op++) {
        for (int p = 0; p < SNP_PHASE__MAX; p++) {
            g_autofree char *name = g_strdup_printf("%s-pages-%s",
                                                    snp_op_name(op),
                                                    snp_phase_name(p));

            object_property_add_uint64_ptr(obj, name, &snp_emu->pages[op][p],
                                           OBJ_PROP_FLAG_READ);
        }
    }
    object_property_add_uint64_ptr(obj, "vmgexits", &snp_emu->vmgexits,
                                   OBJ_PROP_FLAG_READ);
    object_property_add_uint64_ptr(obj, "faults", &snp_emu->faults,
                                   OBJ_PROP_FLAG_READ);
    object_property_add(obj, "validated-pages", "uint64", get_validated, NULL,
                        NULL, NULL);
}

static void emulated_class_init(ObjectClass *oc, void *data)
{
    ConfidentialGuestSupportClass *klass = CONFIDENTIAL_GUEST_SUPPORT_CLASS(oc);

    klass->kvm_init = emulated_kvm_init;
    object_class_property_add_str(oc, "ledger", get_ledger, set_ledger);
    object_class_property_set_description(oc, "ledger",
        "file that receives the acceptance ledger");
    object_class_property_add_str(oc, "termination", get_termination, NULL);
    object_class_property_set_description(oc, "termination",
        "why the guest asked to be terminated, empty while it did not");
}

static const TypeInfo emulated_info = {
    .name = TYPE_SEV_SNP_EMULATED,
    .parent = TYPE_SEV_SNP_GUEST,
    .instance_init = emulated_instance_init,
    .class_init = emulated_class_init,
};

static void register_types(void)
{
    type_register_static(&emulated_info);
}

type_init(register_types);
