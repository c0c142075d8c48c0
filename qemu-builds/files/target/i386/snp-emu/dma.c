/*
 * SEV-SNP guest emulation for TCG: what devices reach of guest memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With guest_memfd the hypervisor's user space maps shared memory only: where
 * a page is private, a device finds the page's unused shared side, which is
 * zero, and what it writes there nobody sees.  So all DMA goes through an
 * IOMMU that maps shared pages and what is not RAM (MSIs, other devices) one
 * to one, and private pages to a void.
 */

#include "qemu/osdep.h"
#include "qapi/qapi-types-qom.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "hw/boards.h"
#include "hw/pci/pci.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "system/confidential-guest-support.h"
#include "internal.h"

#define TYPE_SNP_EMU_DMA "sev-snp-emulated-dma"

AddressSpace snp_dma_as;

static IOMMUMemoryRegion filter;
static MemoryRegion void_mr;
static AddressSpace void_as;

/* One record a page and transfer: accesses that go on are the same one. */
static void refused(hwaddr addr, unsigned size, bool write)
{
    static hwaddr next[2];
    SnpOrigin o = { .vcpu = -1 };

    QEMU_LOCK_GUARD(&snp_emu->lock);
    if (addr != next[write] || !(addr & ~TARGET_PAGE_MASK)) {
        snp_emu->dma_private[write]++;
        o.phase = snp_emu->last_phase;
        snp_fault(write ? "dma-private-write" : "dma-private-read", &o,
                  addr & TARGET_PAGE_MASK, write ? "write" : "read");
    }
    next[write] = addr + size;
}

static uint64_t void_read(void *opaque, hwaddr addr, unsigned size)
{
    refused(addr, size, false);
    return 0;
}

static void void_write(void *opaque, hwaddr addr, uint64_t data, unsigned size)
{
    refused(addr, size, true);
}

static const MemoryRegionOps void_ops = {
    .read = void_read,
    .write = void_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

static IOMMUTLBEntry filter_translate(IOMMUMemoryRegion *mr, hwaddr addr,
                                      IOMMUAccessFlags flag, int idx)
{
    hwaddr page = addr & TARGET_PAGE_MASK;
    uint8_t state = rmp_get(page);
    AddressSpace *target = &address_space_memory;

    if (state != RMP_NONE) {
        if ((state & RMP_ASSIGNED) &&
            snp_emu->dma == SEV_SNP_EMULATED_DMA_STRICT) {
            target = &void_as;
        } else {
            contents_settle(page);
        }
    }
    return (IOMMUTLBEntry) {
        .target_as = target,
        .iova = page,
        .translated_addr = page,
        .addr_mask = ~TARGET_PAGE_MASK,
        .perm = IOMMU_RW,
    };
}

static AddressSpace *filter_get(PCIBus *bus, void *opaque, int devfn)
{
    return &snp_dma_as;
}

static const PCIIOMMUOps filter_ops = {
    .get_address_space = filter_get,
};

void dma_init(void)
{
    ConfidentialGuestSupport *cgs = MACHINE(qdev_get_machine())->cgs;
    Object *owner = OBJECT(cgs);

    memory_region_init_io(&void_mr, owner, &void_ops, NULL,
                          "sev-snp-emulated-void", UINT64_MAX);
    address_space_init(&void_as, &void_mr, "sev-snp-emulated-void");
    memory_region_init_iommu(&filter, sizeof(filter), TYPE_SNP_EMU_DMA, owner,
                             TYPE_SNP_EMU_DMA, UINT64_MAX);
    address_space_init(&snp_dma_as, MEMORY_REGION(&filter), TYPE_SNP_EMU_DMA);
    /* the void is reached through bounce buffers, and nothing limits it */
    snp_dma_as.max_bounce_buffer_size = SIZE_MAX;
    object_register_sugar_prop(TYPE_PCI_DEVICE, "x-max-bounce-buffer-size",
                               "0xffffffff", true);
    cgs->dma_as = &snp_dma_as;
}

void snp_emu_filter_dma(PCIBus *bus)
{
    if (snp_emu_enabled()) {
        pci_setup_iommu(bus, &filter_ops, NULL);
    }
}

static void filter_class_init(ObjectClass *oc, void *data)
{
    IOMMU_MEMORY_REGION_CLASS(oc)->translate = filter_translate;
}

static const TypeInfo filter_info = {
    .name = TYPE_SNP_EMU_DMA,
    .parent = TYPE_IOMMU_MEMORY_REGION,
    .class_init = filter_class_init,
};

static void register_types(void)
{
    type_register_static(&filter_info);
}

type_init(register_types);
