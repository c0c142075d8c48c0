/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "map.h"
#include "console.h"

enum { CANARY = 0xa5, CANARY_BYTES = 256, SLACK_BYTES = 4096 };

u64 map_buffer_size(efi_boot_services *boot)
{
    u64 size = 0, key, descriptor_size;
    u32 version;

    boot->get_memory_map(&size, NULL, &key, &descriptor_size, &version);
    return size + SLACK_BYTES + CANARY_BYTES;
}

static bool is_canary(const u8 *from, const u8 *to)
{
    while (from < to)
        if (*from++ != CANARY)
            return false;
    return true;
}

void read_map(efi_boot_services *boot, u8 *buffer, u64 size, struct map *map)
{
    u64 needed = 0;

    for (u64 n = 0; n < size; n++)
        buffer[n] = CANARY;
    map->size = 0;
    map->status = boot->get_memory_map(&needed, (void *)buffer, &map->key, &map->descriptor_size, &map->version);
    map->intact = is_canary(buffer, buffer + size);
    if (map->status != EFI_BUFFER_TOO_SMALL || needed > size - CANARY_BYTES || needed > map->room)
        return;
    map->size = needed;
    map->status = boot->get_memory_map(&map->size, (void *)buffer, &map->key, &map->descriptor_size, &map->version);
    map->intact = map->intact && is_canary(buffer + needed, buffer + size);
    if (map->status != EFI_SUCCESS || map->size > needed)
        map->size = 0;
    for (u64 n = 0; n < map->size; n++)
        map->copy[n] = buffer[n];
}

const efi_descriptor *map_entry(const struct map *map, u64 n)
{
    if (map->descriptor_size < sizeof(efi_descriptor) || (n + 1) * map->descriptor_size > map->size)
        return NULL;
    return (const efi_descriptor *)(map->copy + n * map->descriptor_size);
}

void put_map(const struct map *map)
{
    const efi_descriptor *entry;

    put("{\"status\":");
    put_hex(map->status);
    put(",\"key\":");
    put_hex(map->key);
    put(",\"descriptor_size\":");
    put_decimal(map->descriptor_size);
    put(",\"descriptor_version\":");
    put_decimal(map->version);
    put(",\"in_bounds\":");
    put(map->intact ? "true" : "false");
    put(",\"entries\":[");
    for (u64 n = 0; (entry = map_entry(map, n)); n++) {
        put(n ? ",\r\n[" : "\r\n[");
        put_decimal(entry->type);
        put(",");
        put_hex(entry->physical);
        put(",");
        put_decimal(entry->pages);
        put(",");
        put_hex(entry->attribute);
        put("]");
    }
    put("]}");
}
