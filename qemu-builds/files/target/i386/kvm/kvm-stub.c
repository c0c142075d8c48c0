/*
 * What sev.c calls of KVM, in a QEMU without KVM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nothing of this is called: a SEV guest that needs KVM is refused before.
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "kvm_i386.h"

int kvm_vm_ioctl(KVMState *s, unsigned long type, ...)
{
    return -ENOSYS;
}

int kvm_vcpu_ioctl(CPUState *cpu, unsigned long type, ...)
{
    return -ENOSYS;
}

int kvm_set_memory_attributes_private(hwaddr start, uint64_t size)
{
    return -ENOSYS;
}

void kvm_mark_guest_state_protected(void)
{
    g_assert_not_reached();
}

bool kvm_kernel_irqchip_allowed(void)
{
    return false;
}

bool kvm_enable_hypercall(uint64_t enable_mask)
{
    return false;
}

bool kvm_is_vm_type_supported(int type)
{
    return false;
}
