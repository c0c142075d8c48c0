/*
 * SEV-SNP guest emulation for TCG: what devices reach of guest memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With guest_memfd the hypervisor's user space maps shared memory only: where
 * a page is private, a device finds the page's unused shared side, which is
 * zero, and what it writes there nobody sees.  So all DMA goes through an
 * IOMMU that maps shared pages and what is not RAM (MSIs, other devices) one
 * to one, and private pages to a void: one page of zeros for all reads, and one
 * that takes all writes.  A device may hold on to them as to any memory, so a
 * guest that gives it many private pages costs QEMU nothing.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
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

/* One record a page and transfer: accesses of one page in a row are one. */
static void refused(hwaddr page, bool write)
{
    SnpEmu *s = snp_emu();
    hwaddr *last = &s->dma.last[write];

    QEMU_LOCK_GUARD(&s->lock);
    if (page != *last) {
        SnpOrigin o = snp_device_origin();

        s->dma_private[write]++;
        snp_fault(write ? "dma-private-write" : "dma-private-read", &o, page,
                  write ? "write" : "read");
    }
    *last = page;
}

static IOMMUTLBEntry filter_translate(IOMMUMemoryRegion *mr, hwaddr addr,
                                      IOMMUAccessFlags flag, int idx)
{
    hwaddr page = addr & TARGET_PAGE_MASK;
    uint8_t state = rmp_get(page);
    IOMMUTLBEntry entry = {
        .target_as = &address_space_memory,
        .iova = page,
        .translated_addr = page,
        .addr_mask = ~TARGET_PAGE_MASK,
        .perm = IOMMU_RW,
    };

    if (state == RMP_NONE) {
        return entry;
    }
    if (!snp_has_rmp()) {
        if (flag != IOMMU_NONE && !views_dma(page, flag & IOMMU_WO)) {
            refused(page, false);
            entry.translated_addr = contents_noise_page(page);
        }
        return entry;
    }
    if (!(state & RMP_ASSIGNED) ||
        snp_emu()->dma_mode == SEV_SNP_EMULATED_DMA_OPEN) {
        contents_settle(page);
        return entry;
    }
    if (flag != IOMMU_NONE) {
        refused(page, flag & IOMMU_WO);
    }
    entry.target_as = flag & IOMMU_WO ? &snp_emu()->dma.sink_as :
                                        &snp_emu()->dma.zeros_as;
    entry.translated_addr = 0;
    return entry;
}

static AddressSpace *filter_get(PCIBus *bus, void *opaque, int devfn)
{
    return &snp_emu()->dma.as;
}

static const PCIIOMMUOps filter_ops = {
    .get_address_space = filter_get,
};

void dma_init(void)
{
    ConfidentialGuestSupport *cgs = current_machine->cgs;
    SnpDma *dma = &snp_emu()->dma;
    Object *owner = OBJECT(cgs);

    dma->last[false] = dma->last[true] = -1;
    memory_region_init_rom_nomigrate(&dma->zeros_mr, owner,
                                     "sev-snp-emulated-zeros",
                                     TARGET_PAGE_SIZE, &error_fatal);
    address_space_init(&dma->zeros_as, &dma->zeros_mr,
                       "sev-snp-emulated-zeros");
    memory_region_init_ram_nomigrate(&dma->sink_mr, owner,
                                     "sev-snp-emulated-sink",
                                     TARGET_PAGE_SIZE, &error_fatal);
    address_space_init(&dma->sink_as, &dma->sink_mr, "sev-snp-emulated-sink");
    memory_region_init_iommu(&dma->filter, sizeof(dma->filter),
                             TYPE_SNP_EMU_DMA, owner, TYPE_SNP_EMU_DMA,
                             UINT64_MAX);
    address_space_init(&dma->as, MEMORY_REGION(&dma->filter),
                       TYPE_SNP_EMU_DMA);
    cgs->dma_as = &dma->as;
}

void snp_emu_filter_dma(PCIBus *bus)
{
    if (snp_emulated_object()) {
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
