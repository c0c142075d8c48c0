/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "pool.h"

/*
 * Use up the free blocks of the pool that holds the firmware's data, so that whatever it allocates next takes a page and changes
 * the memory map: what a loader may meet by chance. edk2 cuts pages into blocks of fixed sizes (MdeModulePkg, Core/Dxe/Mem,
 * Pool.c). It takes a new page once no block is left, seen by the key; that page's other blocks are used up by their sizes.
 */
void fill_pool(efi_boot_services *boot)
{
    static const u16 rest[] = {2600, 980, 200};
    void *block;
    u64 key = 0, before = 0, size, descriptor_size;
    u32 version;

    for (u32 n = 0; n < 100000 && (n < 2 || key == before); n++) {
        before = key;
        boot->allocate_pool(EFI_BOOT_SERVICES_DATA, 64, &block);
        size = 0;
        boot->get_memory_map(&size, NULL, &key, &descriptor_size, &version);
    }
    for (u32 n = 0; n < sizeof(rest) / sizeof(*rest); n++)
        boot->allocate_pool(EFI_BOOT_SERVICES_DATA, rest[n], &block);
}
