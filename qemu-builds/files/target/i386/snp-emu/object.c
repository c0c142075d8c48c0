/*
 * SEV-SNP guest emulation for TCG: the object and its properties
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The object is a sev-snp-guest that never meets KVM: it takes the same
 * properties, so one command line serves both.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-types-qom.h"
#include "qapi/visitor.h"
#include "qom/object_interfaces.h"
#include "cpu.h"
#include "confidential-guest.h"
#include "../sev.h"
#include "internal.h"

SnpEmu *snp_emu;

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

static int get_dma(Object *obj, Error **errp)
{
    return snp_emu->dma;
}

static void set_dma(Object *obj, int value, Error **errp)
{
    snp_emu->dma = value;
}

static bool get_reflect(Object *obj, Error **errp)
{
    return snp_emu->reflect;
}

static void set_reflect(Object *obj, bool value, Error **errp)
{
    snp_emu->reflect = value;
}

static bool get_scramble(Object *obj, Error **errp)
{
    return snp_emu->scramble;
}

static void set_scramble(Object *obj, bool value, Error **errp)
{
    snp_emu->scramble = value;
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

static int get_validate_twice(Object *obj, Error **errp)
{
    return snp_emu->validate_twice;
}

static void set_validate_twice(Object *obj, int value, Error **errp)
{
    snp_emu->validate_twice = value;
}

static int get_private_mmio(Object *obj, Error **errp)
{
    return snp_emu->private_mmio;
}

static void set_private_mmio(Object *obj, int value, Error **errp)
{
    snp_emu->private_mmio = value;
}

static int get_implicit_conversion(Object *obj, Error **errp)
{
    return snp_emu->implicit_conversion;
}

static void set_implicit_conversion(Object *obj, int value, Error **errp)
{
    snp_emu->implicit_conversion = value;
}

static void emulated_instance_init(Object *obj)
{
    /* QEMU makes another object to list its properties, and drops it again. */
    if (!snp_emu) {
        snp_emu = g_new0(SnpEmu, 1);
        snp_emu->scramble = true;
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

static void emulated_class_init(ObjectClass *oc, void *data)
{
    ConfidentialGuestSupportClass *klass = CONFIDENTIAL_GUEST_SUPPORT_CLASS(oc);

    klass->kvm_init = emulated_kvm_init;
    object_class_property_add_str(oc, "ledger", get_ledger, set_ledger);
    object_class_property_set_description(oc, "ledger",
        "file that receives the acceptance ledger");
    object_class_property_add_enum(oc, "dma", "SevSnpEmulatedDma",
                                   &SevSnpEmulatedDma_lookup, get_dma,
                                   set_dma);
    object_class_property_set_description(oc, "dma",
        "what devices reach of private memory");
    object_class_property_add_bool(oc, "reflect", get_reflect, set_reflect);
    object_class_property_set_description(oc, "reflect",
        "whether intercepted instructions raise #VC");
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
        "what an access with the C-bit to what is no memory is: report "
        "(default) or fatal");
    object_class_property_add_str(oc, "termination", get_termination, NULL);
    object_class_property_set_description(oc, "termination",
        "why the guest was terminated, empty while it was not");
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
