/*
 * SEV-SNP guest emulation for TCG: the objects and their properties
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An object is a sev-snp-guest, or a sev-guest, that never meets KVM: it takes
 * the same properties, so one command line serves both.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-types-qom.h"
#include "qapi/visitor.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "qom/object_interfaces.h"
#include "cpu.h"
#include "hw/boards.h"
#include "confidential-guest.h"
#include "../sev.h"
#include "internal.h"

SnpEmu *snp_emu;

Object *snp_emulated_object(void)
{
    Object *cgs = OBJECT(MACHINE(qdev_get_machine())->cgs);

    return object_dynamic_cast(cgs, TYPE_SEV_SNP_EMULATED) ?:
           object_dynamic_cast(cgs, TYPE_SEV_EMULATED);
}

static int emulated_kvm_init(ConfidentialGuestSupport *cgs, Error **errp)
{
    bool snp = object_dynamic_cast(OBJECT(cgs), TYPE_SEV_SNP_EMULATED);

    error_setg(errp, "%s needs -accel tcg; with KVM use %s",
               object_get_typename(OBJECT(cgs)),
               snp ? "sev-snp-guest" : "sev-guest");
    return -1;
}

/* What launch made of the properties is not to be changed any more. */
static bool may_set(const char *name, Error **errp)
{
    if (snp_emu_enabled()) {
        error_setg(errp, "'%s' cannot change once the guest is launched", name);
        return false;
    }
    return true;
}

static char *get_ledger(Object *obj, Error **errp)
{
    return g_strdup(snp_emu->ledger_path);
}

static void set_ledger(Object *obj, const char *value, Error **errp)
{
    if (may_set("ledger", errp)) {
        g_free(snp_emu->ledger_path);
        snp_emu->ledger_path = g_strdup(value);
    }
}

static void get_ledger_limit(Object *obj, Visitor *v, const char *name,
                             void *opaque, Error **errp)
{
    visit_type_size(v, name, &snp_emu->ledger_limit, errp);
}

static void set_ledger_limit(Object *obj, Visitor *v, const char *name,
                             void *opaque, Error **errp)
{
    if (may_set(name, errp)) {
        visit_type_size(v, name, &snp_emu->ledger_limit, errp);
    }
}

static char *get_host_faults(Object *obj, Error **errp)
{
    return g_strdup(snp_emu->fault_names);
}

static void set_host_faults(Object *obj, const char *value, Error **errp)
{
    if (may_set("host-faults", errp) &&
        faults_parse(value, &snp_emu->host_faults, errp)) {
        g_free(snp_emu->fault_names);
        snp_emu->fault_names = g_strdup(value);
    }
}

static void get_fault_seed(Object *obj, Visitor *v, const char *name,
                           void *opaque, Error **errp)
{
    visit_type_uint32(v, name, &snp_emu->fault_seed, errp);
}

static void set_fault_seed(Object *obj, Visitor *v, const char *name,
                           void *opaque, Error **errp)
{
    if (may_set(name, errp)) {
        visit_type_uint32(v, name, &snp_emu->fault_seed, errp);
    }
}

#define BOOL_PROPERTY(name, field)                                        \
    static bool get_##field(Object *obj, Error **errp)                    \
    {                                                                     \
        return snp_emu->field;                                            \
    }                                                                     \
                                                                          \
    static void set_##field(Object *obj, bool value, Error **errp)        \
    {                                                                     \
        if (may_set(name, errp)) {                                        \
            snp_emu->field = value;                                       \
        }                                                                 \
    }

#define ENUM_PROPERTY(name, field)                                        \
    static int get_##field(Object *obj, Error **errp)                     \
    {                                                                     \
        return snp_emu->field;                                            \
    }                                                                     \
                                                                          \
    static void set_##field(Object *obj, int value, Error **errp)         \
    {                                                                     \
        if (may_set(name, errp)) {                                        \
            snp_emu->field = value;                                       \
        }                                                                 \
    }

BOOL_PROPERTY("reflect", reflect)
BOOL_PROPERTY("scramble", scramble)
ENUM_PROPERTY("dma", dma)
ENUM_PROPERTY("hypervisor", hypervisor)
ENUM_PROPERTY("rmp-entries", rmp_entries)
ENUM_PROPERTY("validate-twice", validate_twice)
ENUM_PROPERTY("implicit-conversion", implicit_conversion)
ENUM_PROPERTY("private-mmio", private_mmio)
ENUM_PROPERTY("fault-phase", fault_phase)
ENUM_PROPERTY("reset", reset)

void snp_resolve_profile(void)
{
    if (snp_emu->rmp_entries == SEV_SNP_EMULATED_RMP_ENTRIES_AUTO) {
        snp_emu->rmp_entries = snp_is_kvm() ? SEV_SNP_EMULATED_RMP_ENTRIES_4K :
                                              SEV_SNP_EMULATED_RMP_ENTRIES_2M;
    }
    if (snp_emu->private_mmio == SEV_SNP_EMULATED_STRICTNESS_AUTO) {
        snp_emu->private_mmio = snp_is_kvm() ?
                                SEV_SNP_EMULATED_STRICTNESS_FATAL :
                                SEV_SNP_EMULATED_STRICTNESS_REPORT;
    }
    if (snp_emu->host_faults & (1U << SNP_FAULT_SIZE_MISMATCH) &&
        snp_emu->rmp_entries == SEV_SNP_EMULATED_RMP_ENTRIES_4K) {
        error_report("sev-snp-emulated: the fault 'size-mismatch' needs "
                     "rmp-entries=2m or mixed: with 4k every PVALIDATE of "
                     "2 MiB is one");
        exit(1);
    }
}

static char *get_termination(Object *obj, Error **errp)
{
    return g_strdup(snp_emu->termination ?: "");
}

static char *get_launch_digest(Object *obj, Error **errp)
{
    GString *hex = g_string_new("");
    uint8_t digest[SNP_DIGEST_SIZE];

    if (!snp_emu_enabled()) {
        error_setg(errp, "nothing is launched yet");
        return NULL;
    }
    WITH_QEMU_LOCK_GUARD(&snp_emu->lock) {
        snp_launch_digest(digest);
    }
    for (int i = 0; i < sizeof(digest); i++) {
        g_string_append_printf(hex, "%02x", digest[i]);
    }
    return g_string_free(hex, false);
}

static void get_validated(Object *obj, Visitor *v, const char *name,
                          void *opaque, Error **errp)
{
    uint64_t value = rmp_validated_pages();

    visit_type_uint64(v, name, &value, errp);
}

static void emulated_instance_init(Object *obj)
{
    /* QEMU makes another object to list its properties, and drops it again. */
    if (!snp_emu) {
        snp_emu = g_new0(SnpEmu, 1);
        snp_emu->scramble = true;
        snp_emu->ledger_limit = 256 * MiB;
        snp_emu->fault_seed = 1;
        snp_emu->hypervisor = SEV_SNP_EMULATED_HYPERVISOR_KVM;
        snp_emu->rmp_entries = SEV_SNP_EMULATED_RMP_ENTRIES_AUTO;
        snp_emu->private_mmio = SEV_SNP_EMULATED_STRICTNESS_AUTO;
        qemu_mutex_init(&snp_emu->lock);
    }
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
    object_property_add_uint64_ptr(obj, "dma-private-reads",
                                   &snp_emu->dma_private[0],
                                   OBJ_PROP_FLAG_READ);
    object_property_add_uint64_ptr(obj, "dma-private-writes",
                                   &snp_emu->dma_private[1],
                                   OBJ_PROP_FLAG_READ);
    reflect_add_properties(obj);
    object_property_add_uint64_ptr(obj, "ebs-calls", &snp_emu->ebs_calls,
                                   OBJ_PROP_FLAG_READ);
    object_property_add_uint64_ptr(obj, "ebs-returns", &snp_emu->ebs_returns,
                                   OBJ_PROP_FLAG_READ);
    object_property_add_uint64_ptr(obj, "ebs-status", &snp_emu->ebs_status,
                                   OBJ_PROP_FLAG_READ);
    object_property_add(obj, "validated-pages", "uint64", get_validated, NULL,
                        NULL, NULL);
}

/* What the objects have in common */
static void common_class_init(ObjectClass *oc, void *data)
{
    ConfidentialGuestSupportClass *klass = CONFIDENTIAL_GUEST_SUPPORT_CLASS(oc);

    klass->kvm_init = emulated_kvm_init;
    object_class_property_add_str(oc, "ledger", get_ledger, set_ledger);
    object_class_property_set_description(oc, "ledger",
        "file that receives the acceptance ledger");
    object_class_property_add(oc, "ledger-limit", "size", get_ledger_limit,
                              set_ledger_limit, NULL, NULL);
    object_class_property_set_description(oc, "ledger-limit",
        "bytes after which the ledger holds no more events, 0: none");
    object_class_property_add_bool(oc, "reflect", get_reflect, set_reflect);
    object_class_property_set_description(oc, "reflect",
        "whether intercepted instructions raise #VC");
    object_class_property_add_str(oc, "termination", get_termination, NULL);
    object_class_property_set_description(oc, "termination",
        "why the guest was terminated, empty while it was not");
}

static void emulated_class_init(ObjectClass *oc, void *data)
{
    common_class_init(oc, data);
    object_class_property_add_enum(oc, "reset", "SevSnpEmulatedReset",
                                   &SevSnpEmulatedReset_lookup, get_reset,
                                   set_reset);
    object_class_property_set_description(oc, "reset",
        "what a reset does: end (default) the machine, or rebuild the guest");
    object_class_property_add_str(oc, "host-faults", get_host_faults,
                                  set_host_faults);
    object_class_property_set_description(oc, "host-faults",
        "what the host does wrong, names with + between them");
    object_class_property_add(oc, "fault-seed", "uint32", get_fault_seed,
                              set_fault_seed, NULL, NULL);
    object_class_property_set_description(oc, "fault-seed",
        "number from which it follows when the faults come");
    object_class_property_add_enum(oc, "fault-phase",
                                   "SevSnpEmulatedFaultPhase",
                                   &SevSnpEmulatedFaultPhase_lookup,
                                   get_fault_phase, set_fault_phase);
    object_class_property_set_description(oc, "fault-phase",
        "whose code the faults come to: any (default), firmware or kernel");
    object_class_property_add_enum(oc, "hypervisor",
                                   "SevSnpEmulatedHypervisor",
                                   &SevSnpEmulatedHypervisor_lookup,
                                   get_hypervisor, set_hypervisor);
    object_class_property_set_description(oc, "hypervisor",
        "whose answers the guest gets: kvm (default) or spec");
    object_class_property_add_enum(oc, "rmp-entries",
                                   "SevSnpEmulatedRmpEntries",
                                   &SevSnpEmulatedRmpEntries_lookup,
                                   get_rmp_entries, set_rmp_entries);
    object_class_property_set_description(oc, "rmp-entries",
        "sizes of RMP entries: 4k, 2m or mixed (default: auto, the "
        "hypervisor's: kvm 4k, spec 2m)");
    object_class_property_add_enum(oc, "dma", "SevSnpEmulatedDma",
                                   &SevSnpEmulatedDma_lookup, get_dma,
                                   set_dma);
    object_class_property_set_description(oc, "dma",
        "what devices reach of private memory");
    object_class_property_add_bool(oc, "scramble", get_scramble, set_scramble);
    object_class_property_set_description(oc, "scramble",
        "whether a page loses its contents when it becomes private or shared");
    object_class_property_add_enum(oc, "validate-twice",
                                   "SevSnpEmulatedStrictness",
                                   &SevSnpEmulatedStrictness_lookup,
                                   get_validate_twice, set_validate_twice);
    object_class_property_set_description(oc, "validate-twice",
        "what validating a validated page is: report (default) or fatal");
    object_class_property_add_enum(oc, "implicit-conversion",
                                   "SevSnpEmulatedStrictness",
                                   &SevSnpEmulatedStrictness_lookup,
                                   get_implicit_conversion,
                                   set_implicit_conversion);
    object_class_property_set_description(oc, "implicit-conversion",
        "what using a page as private or shared without a page state change "
        "is: report (default) or fatal");
    object_class_property_add_enum(oc, "private-mmio",
                                   "SevSnpEmulatedStrictness",
                                   &SevSnpEmulatedStrictness_lookup,
                                   get_private_mmio, set_private_mmio);
    object_class_property_set_description(oc, "private-mmio",
        "what an access with the C-bit to what is no memory is: report or "
        "fatal (default: auto, the hypervisor's: kvm fatal, spec report)");
    object_class_property_add_str(oc, "launch-digest", get_launch_digest, NULL);
    object_class_property_set_description(oc, "launch-digest",
        "SHA-384 of all that was launched, as the SEV firmware measures it");
}

static const TypeInfo emulated_info = {
    .name = TYPE_SEV_SNP_EMULATED,
    .parent = TYPE_SEV_SNP_GUEST,
    .instance_init = emulated_instance_init,
    .class_init = emulated_class_init,
};

static const TypeInfo sev_emulated_info = {
    .name = TYPE_SEV_EMULATED,
    .parent = TYPE_SEV_GUEST,
    .instance_init = emulated_instance_init,
    .class_init = common_class_init,
};

static void register_types(void)
{
    type_register_static(&emulated_info);
    type_register_static(&sev_emulated_info);
}

type_init(register_types);
