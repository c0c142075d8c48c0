/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "trap.h"
#include "console.h"

enum { VECTORS = 32, VC = 29, ENTRY_BYTES = 32, INTERRUPT_GATE = 0x8e };

struct gate {
    u16 low, selector;
    u8 ist, type;
    u16 middle;
    u32 high, reserved;
};

struct table {
    u16 limit;
    u64 base;
} __attribute__((packed));

struct frame {
    u64 saved[15], vector, error, rip, cs, rflags, rsp, ss;
};

extern u8 trap_entries[], touch_instruction[], touch_faulted[];
u64 firmware_vc, firmware_cr3;
struct fault last_fault;
static struct gate gates[256];

void trap(struct frame *frame);

void take_exceptions(void)
{
    struct table table;
    u16 cs;

    __asm__ volatile("cli");
    __asm__ volatile("sidt %0" : "=m"(table));
    __asm__ volatile("movw %%cs, %0" : "=r"(cs));
    __asm__ volatile("movq %%cr3, %0" : "=r"(firmware_cr3));
    for (u64 n = 0; n < 256 && (n + 1) * sizeof(struct gate) <= table.limit + 1UL; n++)
        gates[n] = ((struct gate *)table.base)[n];
    firmware_vc = gates[VC].low | (u64)gates[VC].middle << 16 | (u64)gates[VC].high << 32;
    for (u64 n = 0; n < VECTORS; n++) {
        u64 entry = (u64)trap_entries + n * ENTRY_BYTES;

        gates[n] = (struct gate){.low = entry, .selector = cs, .type = INTERRUPT_GATE, .middle = entry >> 16,
                                 .high = entry >> 32};
    }
    table = (struct table){sizeof(gates) - 1, (u64)gates};
    __asm__ volatile("lidt %0" : : "m"(table));
}

/* Called from every entry: a fault of touch_page goes on behind it, any other is the end. */
void trap(struct frame *frame)
{
    u64 address;

    __asm__ volatile("movq %%cr2, %0" : "=r"(address));
    if (frame->rip == (u64)touch_instruction) {
        last_fault = (struct fault){frame->vector, frame->error, address};
        frame->rip = (u64)touch_faulted;
        return;
    }
    __asm__ volatile("movq %0, %%cr3" : : "r"(firmware_cr3) : "memory");
    put("\r\nefi-probe: exception ");
    put_decimal(frame->vector);
    put(", error ");
    put_hex(frame->error);
    put(", at ");
    put_hex(frame->rip);
    put(", address ");
    put_hex(address);
    put("\r\n");
    for (;;)
        __asm__ volatile("cli; hlt");
}
