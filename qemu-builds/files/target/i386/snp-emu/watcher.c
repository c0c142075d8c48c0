/*
 * SEV-SNP guest emulation for TCG: whoever watches a guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "internal.h"

void snp_add_watcher(SnpEmu *s, Object *guest)
{
    GSList *classes = object_class_get_list(TYPE_SNP_WATCHER, false);

    if (classes) {
        s->watcher = SNP_WATCHER(object_new_with_class(classes->data));
        s->watcher->guest = guest;
        s->watch = SNP_WATCHER_GET_CLASS(s->watcher);
        s->watch->attach(s->watcher, guest);
        object_property_add_child(guest, "watcher", OBJECT(s->watcher));
        object_unref(OBJECT(s->watcher));
    }
    g_slist_free(classes);
}

const char *snp_phase_name(unsigned phase)
{
    const SnpEmu *s = snp_emu();

    return s->watch ? s->watch->phase_name(phase) : "unknown";
}

/*
 * @ra is the host return address of a helper or TLB fill in mid-block, or 0
 * when the guest's EIP is up to date.  The block may go on afterwards, and
 * then its translation relies on EIP and the flags state being as they were.
 */
SnpOrigin snp_origin(CPUX86State *env, uintptr_t ra)
{
    SnpEmu *s = snp_emu();
    CPUState *cs = env_cpu(env);
    target_ulong eip = env->eip;
    uint32_t cc_op = env->cc_op;
    SnpOrigin o;

    if (ra) {
        cpu_restore_state(cs, ra);
    }
    o = (SnpOrigin) {
        .vcpu = cs->cpu_index,
        .rip = env->eip + env->segs[R_CS].base,
        .cpl = env->hflags & HF_CPL_MASK,
    };
    env->eip = eip;
    env->cc_op = cc_op;
    if (s->watch) {
        o.phase = s->last_phase = s->watch->phase(s->watcher, env, o.rip);
    }
    return o;
}

SnpOrigin snp_device_origin(void)
{
    return (SnpOrigin) { .vcpu = -1, .phase = snp_emu()->last_phase };
}

static const TypeInfo watcher_info = {
    .name = TYPE_SNP_WATCHER,
    .parent = TYPE_OBJECT,
    .abstract = true,
    .instance_size = sizeof(SnpWatcher),
    .class_size = sizeof(SnpWatcherClass),
};

static void register_types(void)
{
    type_register_static(&watcher_info);
}

type_init(register_types);
