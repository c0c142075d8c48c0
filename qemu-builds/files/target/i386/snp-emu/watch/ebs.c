/*
 * SEV-SNP guest emulation for TCG: calls of ExitBootServices
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The call that ends the firmware's rule is where it may accept memory, and
 * its status decides what the loader believes of the memory map.  It leaves
 * no trace of its own in page states, so it is watched: the firmware is asked
 * for the address of the service, and blocks that begin there, or where the
 * call returns to, call a helper.
 *
 * Every UEFI firmware can be asked while it runs: EFI_SYSTEM_TABLE_POINTER
 * (UEFI specification 18.4.2) lies on a 4 MiB boundary near the top of
 * memory, for debuggers to find.
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/exec-all.h"
#include "exec/helper-proto.h"
#include "hw/boards.h"
#include "hw/i386/x86.h"
#include "watch.h"

#define SYSTEM_TABLE_SIGNATURE  0x5453595320494249ULL /* "IBI SYST" */
#define BOOT_SERVICES_SIGNATURE 0x56524553544f4f42ULL /* "BOOTSERV" */

/* Offsets in the 64-bit tables, UEFI specification 4.3 and 4.4 */
#define SYSTEM_TABLE_BOOT_SERVICES       96
#define BOOT_SERVICES_EXIT_BOOT_SERVICES 232

#define POINTER_ALIGN (4 * MiB)
/* How far below the top of each RAM range the pointer is looked for. */
#define POINTER_REACH (4 * GiB)

/*
 * New code is a clock that stands still when nothing happens: a look every so
 * many translated blocks.  DxeCore makes the pointer before it loads its first
 * driver, and the drivers are tens of thousands of blocks.
 */
#define BLOCKS_PER_LOOK 512

static bool is_validated(hwaddr gpa)
{
    uint8_t state = rmp_get(gpa);

    return state != RMP_NONE &&
           state & (snp_has_rmp() ? RMP_VALIDATED : RMP_TOUCHED);
}

/*
 * 0 where no validated memory is: what is not validated holds nothing, and a
 * device's registers are not to be touched.
 */
static uint64_t read_u64(hwaddr gpa)
{
    if (!is_validated(gpa) || !is_validated(gpa + sizeof(uint64_t) - 1)) {
        return 0;
    }
    return address_space_ldq_le(&address_space_memory, gpa,
                                MEMTXATTRS_UNSPECIFIED, NULL);
}

static uint64_t entry_from_pointer(hwaddr pointer)
{
    hwaddr system_table, boot_services;

    if (read_u64(pointer) != SYSTEM_TABLE_SIGNATURE) {
        return 0;
    }
    system_table = read_u64(pointer + 8);
    if (read_u64(system_table) != SYSTEM_TABLE_SIGNATURE) {
        return 0;
    }
    boot_services = read_u64(system_table + SYSTEM_TABLE_BOOT_SERVICES);
    if (read_u64(boot_services) != BOOT_SERVICES_SIGNATURE) {
        return 0;
    }
    return read_u64(boot_services + BOOT_SERVICES_EXIT_BOOT_SERVICES);
}

static uint64_t entry_from_range(hwaddr base, uint64_t size)
{
    hwaddr end = QEMU_ALIGN_DOWN(base + size, POINTER_ALIGN);
    hwaddr lowest = size > POINTER_REACH ? end - POINTER_REACH : base;

    for (hwaddr at = end; at > lowest; at -= POINTER_ALIGN) {
        uint64_t found = entry_from_pointer(at - POINTER_ALIGN);

        if (found) {
            return found;
        }
    }
    return 0;
}

/* Have the block that begins at @addr translated anew, with its hook. */
static void forget_block(CPUState *cs, uint64_t addr)
{
    hwaddr gpa = cpu_get_phys_page_debug(cs, addr & TARGET_PAGE_MASK);
    hwaddr offset, len = 1;
    MemoryRegion *mr;

    if (gpa == -1) {
        return;
    }
    RCU_READ_LOCK_GUARD();
    mr = address_space_translate(&address_space_memory,
                                 gpa | (addr & ~TARGET_PAGE_MASK), &offset,
                                 &len, false, MEMTXATTRS_UNSPECIFIED);
    if (memory_region_is_ram(mr)) {
        ram_addr_t ram = memory_region_get_ram_addr(mr) + offset;

        tb_invalidate_phys_range(ram, ram);
    }
}

static void look_for_entry(CPUState *cs, run_on_cpu_data data)
{
    SnpEbs *ebs = &((SnpLedger *)data.host_ptr)->ebs;
    X86MachineState *x86ms = X86_MACHINE(current_machine);
    uint64_t found;

    if (qatomic_read(&ebs->entry)) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&snp_emu()->lock) {
        found = entry_from_range(0, x86ms->below_4g_mem_size) ?:
                entry_from_range(x86ms->above_4g_mem_start,
                                 x86ms->above_4g_mem_size);
    }
    if (found) {
        qatomic_set(&ebs->entry, found);
        forget_block(cs, found);
    }
}

bool snp_hook_wanted(CPUState *cs, uint64_t pc)
{
    SnpLedger *l = SNP_LEDGER(snp_emu()->watcher);
    SnpEbs *ebs = &l->ebs;

    if (!qatomic_read(&ebs->entry)) {
        if (!qatomic_read(&ebs->given_up) &&
            !(qatomic_fetch_inc(&ebs->blocks) % BLOCKS_PER_LOOK)) {
            /* not from here: the translator holds locks */
            async_run_on_cpu(cs, look_for_entry, RUN_ON_CPU_HOST_PTR(l));
        }
        if (pc >> 63) {
            qatomic_set(&ebs->given_up, true);
        }
        return false;
    }
    if (pc >> 63 && !ebs->status && ebs->returns) {
        /* the service's address is another program's now */
        qatomic_set(&ebs->over, true);
    }
    return !qatomic_read(&ebs->over) &&
           (pc == ebs->entry || pc == qatomic_read(&ebs->resume));
}

void ebs_reset(SnpLedger *l)
{
    SnpEbs *ebs = &l->ebs;

    qatomic_set(&ebs->entry, 0);
    qatomic_set(&ebs->given_up, false);
    qatomic_set(&ebs->over, false);
    qatomic_set(&ebs->resume, 0);
    ebs->status = -1;   /* the new firmware has granted nothing yet */
}

bool ebs_under_way(SnpLedger *l)
{
    return qatomic_read(&l->ebs.resume);
}

static SnpOrigin caller_at(SnpLedger *l, CPUX86State *env, uint64_t resume)
{
    return (SnpOrigin) {
        .vcpu = env_cpu(env)->cpu_index,
        .rip = resume,
        .cpl = env->hflags & HF_CPL_MASK,
        .phase = phase_of(&l->parent_obj, env, resume),
    };
}

static void called(SnpLedger *l, CPUX86State *env, uint64_t resume)
{
    SnpEbs *ebs = &l->ebs;
    uint64_t sp = env->regs[R_ESP];
    SnpOrigin caller;

    if (ebs->resume == resume && ebs->sp == sp) {
        return;     /* its first instruction was interrupted */
    }
    caller = caller_at(l, env, resume);
    ebs->sp = sp;
    ebs->map_key = env->regs[R_EDX];
    qatomic_set(&ebs->resume, resume);
    ebs->calls++;
    ledger_ebs_call(l, &caller);
}

static void returned(SnpLedger *l, CPUX86State *env)
{
    SnpEbs *ebs = &l->ebs;
    uint64_t resume = ebs->resume;
    SnpOrigin caller;

    qatomic_set(&ebs->resume, 0);
    caller = caller_at(l, env, resume);
    ebs->returns++;
    ebs->status = env->regs[R_EAX];
    ledger_ebs_return(l, &caller);
}

/* The guest stands before the first instruction of a block. */
void helper_snp_hook(CPUX86State *env)
{
    SnpLedger *l = SNP_LEDGER(snp_emu()->watcher);
    SnpEbs *ebs = &l->ebs;
    CPUState *cs = env_cpu(env);
    uint64_t resume;

    if (qatomic_read(&ebs->over) || env->hflags & HF_CPL_MASK) {
        return;
    }
    if (env->eip == ebs->entry) {
        if (cpu_memory_rw_debug(cs, env->regs[R_ESP], &resume, sizeof(resume),
                                false)) {
            return;
        }
        resume = le64_to_cpu(resume);
        WITH_QEMU_LOCK_GUARD(&snp_emu()->lock) {
            called(l, env, resume);
        }
        /* not under our lock: a translator has the page's and may want ours */
        forget_block(cs, resume);
        return;
    }
    QEMU_LOCK_GUARD(&snp_emu()->lock);
    if (ebs->resume && env->eip == ebs->resume &&
        env->regs[R_ESP] == ebs->sp + sizeof(uint64_t)) {
        returned(l, env);
    }
}
