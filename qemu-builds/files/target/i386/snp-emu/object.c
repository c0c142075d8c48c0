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
#include "qom/object_interfaces.h"
#include "cpu.h"
#include "hw/boards.h"
#include "confidential-guest.h"
#include "../sev.h"
#include "internal.h"

Object *snp_emulated_object(void)
{
    Object *cgs = current_machine ? OBJECT(current_machine->cgs) : NULL;

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

bool snp_may_set(Object *obj, const char *name, Error **errp)
{
    if (snp_emu_of(obj)->traits) {
        error_setg(errp, "'%s' cannot change once the guest is launched", name);
        return false;
    }
    return true;
}

static char *get_host_faults(Object *obj, Error **errp)
{
    return g_strdup(snp_emu_of(obj)->fault_names);
}

static void set_host_faults(Object *obj, const char *value, Error **errp)
{
    if (snp_may_set(obj, "host-faults", errp) &&
        faults_parse(value, &snp_emu_of(obj)->host_faults, errp)) {
        g_free(snp_emu_of(obj)->fault_names);
        snp_emu_of(obj)->fault_names = g_strdup(value);
    }
}

static void get_fault_seed(Object *obj, Visitor *v, const char *name,
                           void *opaque, Error **errp)
{
    visit_type_uint32(v, name, &snp_emu_of(obj)->fault_seed, errp);
}

static void set_fault_seed(Object *obj, Visitor *v, const char *name,
                           void *opaque, Error **errp)
{
    if (snp_may_set(obj, name, errp)) {
        visit_type_uint32(v, name, &snp_emu_of(obj)->fault_seed, errp);
    }
}

#define BOOL_PROPERTY(name, field)                                        \
    static bool get_##field(Object *obj, Error **errp)                    \
    {                                                                     \
        return snp_emu_of(obj)->field;                                    \
    }                                                                     \
                                                                          \
    static void set_##field(Object *obj, bool value, Error **errp)        \
    {                                                                     \
        if (snp_may_set(obj, name, errp)) {                               \
            snp_emu_of(obj)->field = value;                               \
        }                                                                 \
    }

#define ENUM_PROPERTY(name, field)                                        \
    static int get_##field(Object *obj, Error **errp)                     \
    {                                                                     \
        return snp_emu_of(obj)->field;                                    \
    }                                                                     \
                                                                          \
    static void set_##field(Object *obj, int value, Error **errp)         \
    {                                                                     \
        if (snp_may_set(obj, name, errp)) {                               \
            snp_emu_of(obj)->field = value;                               \
        }                                                                 \
    }

BOOL_PROPERTY("reflect", reflect)
BOOL_PROPERTY("scramble", scramble)
ENUM_PROPERTY("dma", dma_mode)
ENUM_PROPERTY("hypervisor", hypervisor)
ENUM_PROPERTY("rmp-entries", rmp_entries)
ENUM_PROPERTY("validate-twice", validate_twice)
ENUM_PROPERTY("implicit-conversion", implicit_conversion)
ENUM_PROPERTY("private-mmio", private_mmio)
ENUM_PROPERTY("fault-phase", fault_phase)
ENUM_PROPERTY("reset", reset)

void snp_resolve_profile(void)
{
    SnpEmu *s = snp_emu();

    if (s->rmp_entries == SEV_SNP_EMULATED_RMP_ENTRIES_AUTO) {
        s->rmp_entries = snp_is_kvm() ? SEV_SNP_EMULATED_RMP_ENTRIES_4K :
                                        SEV_SNP_EMULATED_RMP_ENTRIES_2M;
    }
    if (s->private_mmio == SEV_SNP_EMULATED_STRICTNESS_AUTO) {
        s->private_mmio = snp_is_kvm() ? SEV_SNP_EMULATED_STRICTNESS_FATAL :
                                         SEV_SNP_EMULATED_STRICTNESS_REPORT;
    }
    if (s->host_faults & (1U << SNP_FAULT_SIZE_MISMATCH) &&
        s->rmp_entries == SEV_SNP_EMULATED_RMP_ENTRIES_4K) {
        error_report("sev-snp-emulated: the fault 'size-mismatch' needs "
                     "rmp-entries=2m or mixed: with 4k every PVALIDATE of "
                     "2 MiB is one");
        exit(1);
    }
    if (s->fault_phase != SEV_SNP_EMULATED_FAULT_PHASE_ANY && !s->watch) {
        error_report("sev-snp-emulated: this QEMU does not know whose code "
                     "runs, as 'fault-phase' needs");
        exit(1);
    }
}

static char *get_termination(Object *obj, Error **errp)
{
    return g_strdup(snp_emu_of(obj)->termination ?: "");
}

static char *get_launch_digest(Object *obj, Error **errp)
{
    GString *hex = g_string_new("");
    uint8_t digest[SNP_DIGEST_SIZE];

    if (!snp_emu_of(obj)->traits) {
        error_setg(errp, "nothing is launched yet");
        return NULL;
    }
    WITH_QEMU_LOCK_GUARD(&snp_emu_of(obj)->lock) {
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
    uint64_t value = snp_emu_of(obj)->rmp.validated_pages;

    visit_type_uint64(v, name, &value, errp);
}

static void add_counter(Object *obj, const char *name, const uint64_t *value)
{
    object_property_add_uint64_ptr(obj, name, value, OBJ_PROP_FLAG_READ);
}

static void emulated_instance_init(Object *obj)
{
    SnpEmu *s = g_new0(SnpEmu, 1);

    X86_CONFIDENTIAL_GUEST(obj)->emulation = s;
    CONFIDENTIAL_GUEST_SUPPORT(obj)->require_guest_memfd = false;
    s->scramble = true;
    s->fault_seed = 1;
    s->hypervisor = SEV_SNP_EMULATED_HYPERVISOR_KVM;
    s->rmp_entries = SEV_SNP_EMULATED_RMP_ENTRIES_AUTO;
    s->private_mmio = SEV_SNP_EMULATED_STRICTNESS_AUTO;
    s->rmp.flush_epoch = 1;
    s->faults_told = g_hash_table_new(g_str_hash, g_str_equal);
    qemu_mutex_init(&s->lock);
    snp_add_watcher(s, obj);

    add_counter(obj, "vmgexits", &s->vmgexits);
    add_counter(obj, "faults", &s->faults);
    add_counter(obj, "dma-private-reads", &s->dma_private[0]);
    add_counter(obj, "dma-private-writes", &s->dma_private[1]);
    reflect_add_properties(obj);
    object_property_add(obj, "validated-pages", "uint64", get_validated, NULL,
                        NULL, NULL);
}

/* A guest that ran stays until QEMU ends; this is an object beside it. */
static void emulated_instance_finalize(Object *obj)
{
    SnpEmu *s = snp_emu_of(obj);

    if (!s->traits) {
        g_hash_table_destroy(s->faults_told);
        g_free(s->fault_names);
        qemu_mutex_destroy(&s->lock);
        g_free(s);
    }
}

/* What the objects have in common */
static void common_class_init(ObjectClass *oc, void *data)
{
    ConfidentialGuestSupportClass *klass = CONFIDENTIAL_GUEST_SUPPORT_CLASS(oc);

    klass->kvm_init = emulated_kvm_init;
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
                                   &SevSnpEmulatedDma_lookup, get_dma_mode,
                                   set_dma_mode);
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
    .instance_finalize = emulated_instance_finalize,
    .class_init = emulated_class_init,
};

static const TypeInfo sev_emulated_info = {
    .name = TYPE_SEV_EMULATED,
    .parent = TYPE_SEV_GUEST,
    .instance_init = emulated_instance_init,
    .instance_finalize = emulated_instance_finalize,
    .class_init = common_class_init,
};

static void register_types(void)
{
    type_register_static(&emulated_info);
    type_register_static(&sev_emulated_info);
}

type_init(register_types);
