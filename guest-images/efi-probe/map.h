/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The EFI memory map, read with exactly the room that it needs and watched for writes beyond it. */
#ifndef MAP_H
#define MAP_H

#include "efi.h"

#define PAGE_SIZE 4096UL

struct map {
    efi_status status; /* of GetMemoryMap */
    u64 size, key, descriptor_size;
    u32 version;
    bool intact;       /* nothing was written outside of the room given */
    u8 *copy;          /* the entries, at most `room` bytes */
    u64 room;
};

/* Give the size of a buffer for the map that stays large enough for what is still to be allocated. */
u64 map_buffer_size(efi_boot_services *boot);

/* Read the map into `buffer` (of `size` bytes), then copy it to `map->copy`. */
void read_map(efi_boot_services *boot, u8 *buffer, u64 size, struct map *map);

/* Give entry `n`, NULL behind the last one. */
const efi_descriptor *map_entry(const struct map *map, u64 n);

/* Write it as a JSON object. */
void put_map(const struct map *map);

#endif
