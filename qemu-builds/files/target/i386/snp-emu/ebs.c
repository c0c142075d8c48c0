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
#include "internal.h"

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

static uint32_t blocks;
static bool given_up;           /* there is a kernel, and no table was found */
static bool over;               /* a call was granted, and there is a kernel */
static uint64_t entry;          /* of ExitBootServices, 0 while unknown */

/* The call that is under way; @resume is 0 when none is. */
static struct {
    uint64_t resume;            /* the caller's next instruction */
    uint64_t sp;                /* where that address stands */
    uint64_t map_key;
} call;

static bool is_validated(hwaddr gpa)
{
    uint8_t state = rmp_get(gpa);

    return state != RMP_NONE &&
           state & (snp_emu_has_rmp() ? RMP_VALIDATED : RMP_TOUCHED);
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

static void look_for_entry(CPUState *cs, run_on_cpu_data unused)
{
    X86MachineState *x86ms = X86_MACHINE(qdev_get_machine());
    uint64_t found;

    if (qatomic_read(&entry)) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&snp_emu->lock) {
        found = entry_from_range(0, x86ms->below_4g_mem_size) ?:
                entry_from_range(x86ms->above_4g_mem_start,
                                 x86ms->above_4g_mem_size);
    }
    if (found) {
        qatomic_set(&entry, found);
        forget_block(cs, found);
    }
}

bool snp_hook_wanted(CPUState *cs, uint64_t pc)
{
    if (!qatomic_read(&entry)) {
        if (!qatomic_read(&given_up) &&
            !(qatomic_fetch_inc(&blocks) % BLOCKS_PER_LOOK)) {
            /* not from here: the translator holds locks */
            async_run_on_cpu(cs, look_for_entry, RUN_ON_CPU_NULL);
        }
        if (pc >> 63) {
            qatomic_set(&given_up, true);
        }
        return false;
    }
    if (pc >> 63 && !snp_emu->ebs_status && snp_emu->ebs_returns) {
        /* the service's address is another program's now */
        qatomic_set(&over, true);
    }
    return !qatomic_read(&over) &&
           (pc == entry || pc == qatomic_read(&call.resume));
}

void ebs_reset(void)
{
    qatomic_set(&entry, 0);
    qatomic_set(&given_up, false);
    qatomic_set(&over, false);
    qatomic_set(&call.resume, 0);
    snp_emu->ebs_status = -1;   /* the new firmware has granted nothing yet */
}

bool snp_ebs_under_way(void)
{
    return qatomic_read(&call.resume);
}

static void called(CPUState *cs, CPUX86State *env, uint64_t resume)
{
    uint64_t sp = env->regs[R_ESP];
    SnpOrigin caller;

    if (call.resume == resume && call.sp == sp) {
        return;     /* its first instruction was interrupted */
    }
    caller = (SnpOrigin) {
        .vcpu = cs->cpu_index,
        .rip = resume,
        .cpl = env->hflags & HF_CPL_MASK,
        .phase = snp_phase(env, resume),
    };
    call.sp = sp;
    call.map_key = env->regs[R_EDX];
    qatomic_set(&call.resume, resume);
    snp_emu->ebs_calls++;
    ledger_ebs_call(&caller, call.map_key);
}

static void returned(CPUState *cs, CPUX86State *env)
{
    SnpOrigin caller = {
        .vcpu = cs->cpu_index,
        .rip = call.resume,
        .cpl = env->hflags & HF_CPL_MASK,
    };

    qatomic_set(&call.resume, 0);
    caller.phase = snp_phase(env, caller.rip);
    snp_emu->ebs_returns++;
    snp_emu->ebs_status = env->regs[R_EAX];
    ledger_ebs_return(&caller, call.map_key, snp_emu->ebs_status);
}

/* The guest stands before the first instruction of a block. */
void helper_snp_hook(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);
    uint64_t resume;

    if (qatomic_read(&over) || env->hflags & HF_CPL_MASK) {
        return;
    }
    if (env->eip == entry) {
        if (cpu_memory_rw_debug(cs, env->regs[R_ESP], &resume, sizeof(resume),
                                false)) {
            return;
        }
        resume = le64_to_cpu(resume);
        WITH_QEMU_LOCK_GUARD(&snp_emu->lock) {
            called(cs, env, resume);
        }
        /* not under our lock: a translator has the page's and may want ours */
        forget_block(cs, resume);
        return;
    }
    QEMU_LOCK_GUARD(&snp_emu->lock);
    if (call.resume && env->eip == call.resume &&
        env->regs[R_ESP] == call.sp + sizeof(uint64_t)) {
        returned(cs, env);
    }
}
