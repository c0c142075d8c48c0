/*
 * SEV-SNP guest emulation for TCG: the ledger's object and its properties
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qemu/units.h"
#include "cpu.h"
#include "watch.h"

static char *get_path(Object *obj, Error **errp)
{
    return g_strdup(SNP_LEDGER(obj)->path);
}

static void set_path(Object *obj, const char *value, Error **errp)
{
    SnpLedger *l = SNP_LEDGER(obj);

    if (!l->parent_obj.guest || snp_may_set(l->parent_obj.guest, "ledger",
                                            errp)) {
        g_free(l->path);
        l->path = g_strdup(value);
    }
}

static void get_limit(Object *obj, Visitor *v, const char *name, void *opaque,
                      Error **errp)
{
    visit_type_size(v, name, &SNP_LEDGER(obj)->limit, errp);
}

static void set_limit(Object *obj, Visitor *v, const char *name, void *opaque,
                      Error **errp)
{
    SnpLedger *l = SNP_LEDGER(obj);

    if (!l->parent_obj.guest || snp_may_set(l->parent_obj.guest, name, errp)) {
        visit_type_size(v, name, &l->limit, errp);
    }
}

static void add_counter(Object *guest, const char *name, const uint64_t *value)
{
    object_property_add_uint64_ptr(guest, name, value, OBJ_PROP_FLAG_READ);
}

/* Counters, in 4 KiB pages: OPERATION-pages-PHASE */
static void attach(SnpWatcher *w, Object *guest)
{
    SnpLedger *l = SNP_LEDGER(w);

    object_property_add_alias(guest, "ledger", OBJECT(l), "ledger");
    object_property_add_alias(guest, "ledger-limit", OBJECT(l),
                              "ledger-limit");
    for (int op = 0; op < SNP_OP__MAX; op++) {
        for (int p = 0; p < SNP_PHASE__MAX; p++) {
            g_autofree char *name = g_strdup_printf("%s-pages-%s",
                                                    snp_op_name(op),
                                                    ledger_phase_name(p));

            add_counter(guest, name, &l->pages[op][p]);
        }
    }
    add_counter(guest, "ebs-calls", &l->ebs.calls);
    add_counter(guest, "ebs-returns", &l->ebs.returns);
    add_counter(guest, "ebs-status", &l->ebs.status);
}

static void launch(SnpWatcher *w, Error **errp)
{
    SnpLedger *l = SNP_LEDGER(w);

    if (l->path) {
        ledger_open(l, errp);
    }
}

static void reset(SnpWatcher *w)
{
    SnpLedger *l = SNP_LEDGER(w);

    ledger_reset(l);
    phase_reset(l);
    ebs_reset(l);
}

static bool phase_is(unsigned phase, SevSnpEmulatedFaultPhase which)
{
    switch (which) {
    case SEV_SNP_EMULATED_FAULT_PHASE_FIRMWARE:
        return phase == SNP_PHASE_FIRMWARE || phase == SNP_PHASE_FIRMWARE_EBS;
    case SEV_SNP_EMULATED_FAULT_PHASE_KERNEL:
        return phase == SNP_PHASE_KERNEL;
    default:
        return true;
    }
}

static void ledger_instance_init(Object *obj)
{
    SnpLedger *l = SNP_LEDGER(obj);

    l->limit = 256 * MiB;
    l->newcomer = SNP_PHASE_FIRMWARE;
}

static void ledger_class_init(ObjectClass *oc, void *data)
{
    SnpWatcherClass *klass = SNP_WATCHER_CLASS(oc);

    klass->attach = attach;
    klass->launch = launch;
    klass->reset = reset;
    klass->stop = ledger_flush;
    klass->end = ledger_close;
    klass->phase = phase_of;
    klass->phase_name = ledger_phase_name;
    klass->phase_is = phase_is;
    klass->event = ledger_event;
    klass->fault = ledger_fault;
    klass->terminate = ledger_terminate;

    object_class_property_add_str(oc, "ledger", get_path, set_path);
    object_class_property_set_description(oc, "ledger",
        "file that receives the acceptance ledger");
    object_class_property_add(oc, "ledger-limit", "size", get_limit,
                              set_limit, NULL, NULL);
    object_class_property_set_description(oc, "ledger-limit",
        "bytes after which the ledger holds no more events, 0: none");
}

static const TypeInfo ledger_info = {
    .name = TYPE_SNP_LEDGER,
    .parent = TYPE_SNP_WATCHER,
    .instance_size = sizeof(SnpLedger),
    .instance_init = ledger_instance_init,
    .class_init = ledger_class_init,
};

static void register_types(void)
{
    type_register_static(&ledger_info);
}

type_init(register_types);
