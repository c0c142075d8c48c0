/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * An OS loader without an OS: it looks at what the firmware offers, leaves boot services as its options say, and reports all
 * of it as one JSON document (schema 1, see docs/reference/efi-probe.md and harness/evidence/efi_probe.py). Between reading a memory map
 * and calling ExitBootServices it prints nothing: a firmware timer that fires in the meantime may change the map.
 */
#include "console.h"
#include "map.h"
#include "options.h"
#include "own.h"
#include "pool.h"
#include "touch.h"
#include "trap.h"

#define MIB (1UL << 20)

struct attempt {
    struct map map;
    bool stale;
    efi_status status;
    u64 before_events, exit_events; /* signalled so far */
};

static efi_handle image;
static efi_boot_services *boot;
static efi_runtime_services *runtime;
static struct options options;
static struct map start;
static struct attempt attempts[MOST_EXITS];
static u64 attempt_count;
static efi_status allow_status[2];
static volatile u64 before_events, exit_events;

static EFIAPI void count_event(void *event, void *context)
{
    (void)event;
    ++*(volatile u64 *)context;
}

static void count_group(efi_guid group, volatile u64 *counter)
{
    void *event;

    boot->create_event_ex(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, count_event, (void *)counter, &group, &event);
}

static void power_off(void)
{
    runtime->reset_system(RESET_SHUTDOWN, EFI_SUCCESS, 0, NULL);
    /* The firmware did not: PM1a_CNT where OVMF puts it on QEMU's q35, SLP_EN with SLP_TYP of S5. */
    out16(0x604, 0x2000);
    for (;;)
        __asm__ volatile("cli; hlt");
}

static void *allocate(u64 bytes)
{
    u64 address;

    if (boot->allocate_pages(ALLOCATE_ANY_PAGES, EFI_LOADER_DATA, (bytes + PAGE_SIZE - 1) / PAGE_SIZE, &address)) {
        put("\r\nefi-probe: out of memory\r\n");
        power_off();
    }
    return (void *)address;
}

/* Write on how many handles a protocol is; the first one goes to `handle`. Its interface is not looked at. */
static void put_presence(efi_guid guid, efi_handle *handle)
{
    efi_handle handles[8];
    u64 size = sizeof(handles);
    efi_status status = boot->locate_handle(BY_PROTOCOL, &guid, NULL, &size, handles);

    *handle = status == EFI_SUCCESS ? handles[0] : NULL;
    put_decimal(status == EFI_SUCCESS || status == EFI_BUFFER_TOO_SMALL ? size / sizeof(efi_handle) : 0);
}

/* Write what the confidential computing blob holds. */
static void put_blob(const cc_blob_location *blob)
{
    const char *comma = "{\"secrets\":";
    const u64 places[] = {blob->secrets, blob->secrets_size, blob->cpuid, blob->cpuid_size};

    for (u64 n = 0; n < 4; n += 2) {
        put(comma);
        put("{\"start\":");
        put_hex(places[n]);
        put(",\"size\":");
        put_decimal(places[n + 1]);
        put("}");
        comma = ",\"cpuid\":";
    }
    put("}");
}

/* Where the confidential computing blob is; 0 when there is none. */
static u64 cc_blob(const efi_system_table *system)
{
    const efi_guid guid = CC_BLOB_GUID;

    for (u64 n = 0; n < system->table_count; n++) {
        const u8 *name = (const u8 *)&system->tables[n].guid;
        u64 same = 0;

        while (same < sizeof(guid) && name[same] == ((const u8 *)&guid)[same])
            same++;
        if (same == sizeof(guid))
            return (u64)system->tables[n].table;
    }
    return 0;
}

static void put_firmware(const efi_system_table *system)
{
    const u16 *vendor = system->firmware_vendor;
    efi_handle acceptance, accept;
    struct sev sev;
    u64 length = 0;

    read_sev(&sev);
    while (vendor && vendor[length] && length < 64)
        length++;
    put("\"firmware\":{\"vendor\":");
    put_word(vendor, length);
    put(",\"revision\":");
    put_hex(system->firmware_revision);
    put(",\"uefi\":");
    put_hex(system->header.revision);
    put("},\r\n\"sev\":{\"status\":");
    put_hex(sev.status);
    put(",\"c_bit\":");
    put_hex(sev.c_bit);
    put(",\"cc_blob\":");
    put_hex(cc_blob(system));
    put(",\"blob\":");
    if (cc_blob(system))
        put_blob((const cc_blob_location *)cc_blob(system));
    else
        put("null");
    put("},\r\n\"tables\":[");
    for (u64 n = 0; n < system->table_count; n++) {
        put(n ? ",\r\n" : "\r\n");
        put_guid(&system->tables[n].guid);
    }
    put("],\r\n\"protocols\":{\"sev_memory_acceptance\":");
    put_presence(SEV_MEMORY_ACCEPTANCE_GUID, &acceptance);
    put(",\"memory_accept\":");
    put_presence(MEMORY_ACCEPT_GUID, &accept);
    put(",\"one_handle\":");
    put(acceptance == accept ? "true" : "false");
    put("},\r\n");
}

static void put_options(const efi_loaded_image *loaded)
{
    u64 length = loaded->options ? loaded->options_size / 2 : 0;

    while (length && !loaded->options[length - 1])
        length--;
    put("\"cmdline\":");
    put_word(loaded->options, length);
    put(",\r\n\"not_understood\":[");
    parse_options(&options, loaded->options, length);
    put("],\r\n");
}

static void put_status(const char *comma, efi_status status)
{
    put(comma);
    put_hex(status);
}

/* Ask that memory stays unaccepted, as often as the options say. */
static void allow(void)
{
    efi_guid guid = SEV_MEMORY_ACCEPTANCE_GUID;
    sev_memory_acceptance *protocol = NULL;
    efi_status status;

    if (!options.allow && !options.lookup)
        return;
    status = boot->locate_protocol(&guid, NULL, (void **)&protocol);
    for (u64 n = 0; n < options.allow; n++)
        allow_status[n] = status == EFI_SUCCESS ? protocol->allow_unaccepted_memory(protocol) : status;
}

/* Accept the first `accept_mib` MiB of the unaccepted memory through the firmware's protocol. */
static void accept_some(void)
{
    efi_guid guid = MEMORY_ACCEPT_GUID;
    memory_accept *protocol = NULL;
    const efi_descriptor *entry;
    const char *comma = "";
    u64 left = options.accept_mib * MIB;
    efi_status status = boot->locate_protocol(&guid, NULL, (void **)&protocol);

    for (u64 n = 0; left && (entry = map_entry(&start, n)); n++) {
        u64 size = entry->pages * PAGE_SIZE;

        if (entry->type != EFI_UNACCEPTED)
            continue;
        size = size < left ? size : left;
        left -= size;
        if (protocol)
            status = protocol->accept(protocol, entry->physical, size);
        put(comma);
        put("\r\n{\"start\":");
        put_hex(entry->physical);
        put(",\"size\":");
        put_decimal(size);
        put(",\"status\":");
        put_hex(status);
        put("}");
        comma = ",";
    }
}

/* Make the key of the map that was just read a wrong one, and leave the map itself as it is. */
static void make_stale(void)
{
    u64 page;

    if (!boot->allocate_pages(ALLOCATE_ANY_PAGES, EFI_LOADER_DATA, 1, &page))
        boot->free_pages(page, 1);
}

/* Call ExitBootServices until it is granted or the options forbid one more call; true when it was granted. */
static bool leave_boot_services(u8 *buffer, u64 size)
{
    for (u64 n = 0; n < options.exits; n++) {
        struct attempt *attempt = &attempts[n];

        if (n && options.full)
            fill_pool(boot);
        if (n && options.fresh)
            buffer = allocate(size);
        read_map(boot, buffer, size, &attempt->map);
        if (!n && options.late)
            allow();
        attempt->stale = n < options.stale;
        if (attempt->stale)
            make_stale();
        attempt->status = boot->exit_boot_services(image, attempt->map.key);
        attempt->before_events = before_events;
        attempt->exit_events = exit_events;
        attempt_count++;
        if (attempt->status == EFI_SUCCESS)
            return true;
    }
    return false;
}

static void put_attempts(void)
{
    put("\"allow\":[");
    for (u64 n = 0; n < options.allow; n++)
        put_status(n ? "," : "", allow_status[n]);
    put("],\r\n\"attempts\":[");
    for (u64 n = 0; n < attempt_count; n++) {
        put(n ? ",\r\n" : "\r\n");
        put("{\"stale\":");
        put(attempts[n].stale ? "true" : "false");
        put(",\"status\":");
        put_hex(attempts[n].status);
        put(",\"before_exit_events\":");
        put_decimal(attempts[n].before_events);
        put(",\"exit_events\":");
        put_decimal(attempts[n].exit_events);
        put(",\"map\":");
        put_map(&attempts[n].map);
        put("}");
    }
    put("],\r\n");
}

EFIAPI efi_status probe(efi_handle handle, efi_system_table *system)
{
    efi_guid guid = LOADED_IMAGE_GUID;
    efi_loaded_image *loaded = NULL;
    bool out = false, can_touch = false;
    struct own own = {0, 0};
    struct sev sev;
    u64 size;
    u8 *buffer;

    image = handle;
    boot = system->boot;
    runtime = system->runtime;
    put("\r\n=====HARNESS-JSON-BEGIN=====\r\n{\"schema\":1,\"program\":\"efi-probe\",\r\n");
    boot->handle_protocol(image, &guid, (void **)&loaded);
    put_options(loaded);
    put_firmware(system);
    count_group(BEFORE_EXIT_BOOT_SERVICES_GUID, &before_events);
    count_group(EXIT_BOOT_SERVICES_GUID, &exit_events);

    size = map_buffer_size(boot);
    buffer = allocate(size);
    start.room = size;
    start.copy = allocate(size);
    for (u64 n = 0; n < options.exits; n++) {
        attempts[n].map.room = size;
        attempts[n].map.copy = allocate(size);
    }
    if (options.touch || options.own || options.wrong) {
        struct map now = {.room = size, .copy = start.copy};

        read_sev(&sev);
        read_map(boot, buffer, size, &now);
        can_touch = make_page_tables(boot, &now, sev.c_bit);
    }
    if (options.full)
        fill_pool(boot);
    read_map(boot, buffer, size, &start);
    put("\"start\":");
    put_map(&start);
    put(",\r\n\"accepted\":[");
    if (options.accept_mib)
        accept_some();
    put("],\r\n");
    if (!options.late)
        allow();
    out = leave_boot_services(buffer, size);
    if (out)
        take_exceptions();
    put_attempts();
    if (out && can_touch && sev.status && (options.own || options.wrong))
        own = accept_own(&attempts[attempt_count - 1].map, &options);
    put("\"own\":{\"start\":");
    put_hex(own.start);
    put(",\"size\":");
    put_decimal(own.size);
    put("},\r\n\"touched\":[");
    if (out && can_touch)
        touch_types(&attempts[attempt_count - 1].map, options.touch, options.step);
    put("]}\r\n=====HARNESS-JSON-END=====\r\n");
    power_off();
    return EFI_SUCCESS;
}
