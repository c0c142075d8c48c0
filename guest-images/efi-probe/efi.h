/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The part of UEFI that the probe uses, written from the UEFI specification 2.10 (chapters 4, 7, 8 and 9); services that it
 * does not call are void pointers, which keep their place in the tables.
 */
#ifndef EFI_H
#define EFI_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef _Bool bool;

#define NULL ((void *)0)
#define true 1
#define false 0
#define EFIAPI __attribute__((ms_abi))

typedef u64 efi_status;
typedef void *efi_handle;

#define EFI_ERROR(code) (1UL << 63 | (code))
#define EFI_SUCCESS 0UL
#define EFI_INVALID_PARAMETER EFI_ERROR(2)
#define EFI_BUFFER_TOO_SMALL EFI_ERROR(5)
#define EFI_NOT_FOUND EFI_ERROR(14)

typedef struct {
    u32 a;
    u16 b, c;
    u8 d[8];
} efi_guid;

typedef struct {
    u64 signature;
    u32 revision, header_size, crc32, reserved;
} efi_table_header;

enum efi_memory_type {
    EFI_RESERVED,
    EFI_LOADER_CODE,
    EFI_LOADER_DATA,
    EFI_BOOT_SERVICES_CODE,
    EFI_BOOT_SERVICES_DATA,
    EFI_RUNTIME_SERVICES_CODE,
    EFI_RUNTIME_SERVICES_DATA,
    EFI_CONVENTIONAL,
    EFI_UNACCEPTED = 15,
};

typedef struct {
    u32 type;
    u64 physical, virtual, pages, attribute;
} efi_descriptor;

enum { ALLOCATE_ANY_PAGES };
enum { BY_PROTOCOL = 2 };
enum { RESET_SHUTDOWN = 2 };
#define TPL_CALLBACK 8
#define EVT_NOTIFY_SIGNAL 0x200

typedef EFIAPI void (*efi_notify)(void *event, void *context);

typedef struct {
    efi_table_header header;
    void *raise_tpl, *restore_tpl;
    EFIAPI efi_status (*allocate_pages)(u32 how, u32 type, u64 pages, u64 *address);
    EFIAPI efi_status (*free_pages)(u64 address, u64 pages);
    EFIAPI efi_status (*get_memory_map)(u64 *size, void *map, u64 *key, u64 *descriptor_size, u32 *version);
    EFIAPI efi_status (*allocate_pool)(u32 type, u64 size, void **buffer);
    void *free_pool;
    void *create_event, *set_timer, *wait_for_event, *signal_event, *close_event, *check_event;
    void *install_protocol, *reinstall_protocol, *uninstall_protocol;
    EFIAPI efi_status (*handle_protocol)(efi_handle handle, const efi_guid *guid, void **interface);
    void *reserved, *register_protocol_notify;
    EFIAPI efi_status (*locate_handle)(u32 how, const efi_guid *guid, void *key, u64 *size, efi_handle *handles);
    void *locate_device_path, *install_configuration_table;
    void *load_image, *start_image, *exit, *unload_image;
    EFIAPI efi_status (*exit_boot_services)(efi_handle image, u64 key);
    void *get_next_monotonic_count, *stall, *set_watchdog_timer;
    void *connect_controller, *disconnect_controller;
    void *open_protocol, *close_protocol, *open_protocol_information;
    void *protocols_per_handle, *locate_handle_buffer;
    EFIAPI efi_status (*locate_protocol)(const efi_guid *guid, void *registration, void **interface);
    void *install_multiple, *uninstall_multiple;
    void *calculate_crc32, *copy_mem, *set_mem;
    EFIAPI efi_status (*create_event_ex)(u32 type, u64 tpl, efi_notify notify, const void *context,
                                         const efi_guid *group, void **event);
} efi_boot_services;

typedef struct {
    efi_table_header header;
    void *get_time, *set_time, *get_wakeup_time, *set_wakeup_time;
    void *set_virtual_address_map, *convert_pointer;
    void *get_variable, *get_next_variable_name, *set_variable;
    void *get_next_high_monotonic_count;
    EFIAPI void (*reset_system)(u32 type, efi_status status, u64 size, void *data);
} efi_runtime_services;

typedef struct {
    efi_guid guid;
    void *table;
} efi_configuration_table;

typedef struct {
    efi_table_header header;
    u16 *firmware_vendor;
    u32 firmware_revision;
    void *console_in_handle, *console_in, *console_out_handle, *console_out, *error_handle, *error;
    efi_runtime_services *runtime;
    efi_boot_services *boot;
    u64 table_count;
    efi_configuration_table *tables;
} efi_system_table;

typedef struct {
    u32 revision;
    void *parent;
    efi_system_table *system;
    void *device, *file_path, *reserved;
    u32 options_size; /* bytes */
    u16 *options;
    void *base;
    u64 size;
} efi_loaded_image;

#define LOADED_IMAGE_GUID ((efi_guid){0x5b1b31a1, 0x9562, 0x11d2, {0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}})
#define EXIT_BOOT_SERVICES_GUID \
    ((efi_guid){0x27abf055, 0xb1b8, 0x4c26, {0x80, 0x48, 0x74, 0x8f, 0x37, 0xba, 0xa2, 0xdf}})
#define BEFORE_EXIT_BOOT_SERVICES_GUID \
    ((efi_guid){0x8be0e274, 0x3970, 0x4b44, {0x80, 0xc5, 0x1a, 0xb9, 0x50, 0x2f, 0x3b, 0xfc}})

/* OvmfPkg/Include/Guid/ConfidentialComputingSevSnpBlob.h: where the secrets and the CPUID page are. */
#define CC_BLOB_GUID ((efi_guid){0x067b1f5f, 0xcf26, 0x44c5, {0x85, 0x54, 0x93, 0xd7, 0x77, 0x91, 0x2d, 0x42}})

typedef struct {
    u32 signature;
    u16 version, reserved;
    u64 secrets;
    u32 secrets_size;
    u64 cpuid;
    u32 cpuid_size;
} cc_blob_location;

/* OvmfPkg/Include/Protocol/SevMemoryAcceptance.h: a kernel asks that memory stays unaccepted. */
#define SEV_MEMORY_ACCEPTANCE_GUID \
    ((efi_guid){0xc5a010fe, 0x38a7, 0x4531, {0x8a, 0x4a, 0x05, 0x00, 0xd2, 0xfd, 0x16, 0x49}})
typedef struct sev_memory_acceptance {
    EFIAPI efi_status (*allow_unaccepted_memory)(struct sev_memory_acceptance *this);
} sev_memory_acceptance;

/* MdePkg/Include/Protocol/MemoryAccept.h: accepts a range, without changing the memory map. */
#define MEMORY_ACCEPT_GUID ((efi_guid){0x38c74800, 0x5590, 0x4db4, {0xa0, 0xf3, 0x67, 0x5d, 0x9b, 0x8e, 0x80, 0x26}})
typedef struct memory_accept {
    EFIAPI efi_status (*accept)(struct memory_accept *this, u64 start, u64 size);
} memory_accept;

#endif
