/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * What PCI devices reach of private memory. QEMU's edu (docs/specs/edu.rst) is a plain bus master; a legacy
 * virtio-rng (virtio 0.9.5) is a device that takes guest physical addresses for what it can reach by itself.
 */
#include "strict.h"

#define EDU         4           /* device numbers on bus 0 */
#define RNG         5
#define EDU_BAR     0xc0000000U
#define RNG_PORT    0xc000
#define LAPIC       0xfee00000ULL
#define MSI_VECTOR  0x50

static uint32_t config_address(unsigned device, unsigned offset)
{
    return 1U << 31 | device << 11 | offset;
}

static void outl(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static void outw(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static uint32_t read_config(unsigned device, unsigned offset)
{
    uint32_t value;

    outl(0xcf8, config_address(device, offset));
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"((uint16_t)0xcfc));
    return value;
}

static void write_config(unsigned device, unsigned offset, uint32_t value)
{
    outl(0xcf8, config_address(device, offset));
    outl(0xcfc, value);
}

static volatile uint64_t *edu(unsigned reg)
{
    return (volatile uint64_t *)((char *)SHARED(EDU_BAR) + reg);
}

#define EDU_BUFFER 0x40000ULL
#define TO_MEMORY  2

static void edu_transfer(uint64_t from, uint64_t to, unsigned direction)
{
    *edu(0x80) = from;
    *edu(0x88) = to;
    *edu(0x90) = 8;
    *edu(0x98) = 1 | direction;
    while (*edu(0x98) & 1) {
    }
}

static void edu_rules(void)
{
    uint64_t shared = new_shared(), private = new_private();

    write_config(EDU, 0x10, EDU_BAR);
    write_config(EDU, 0x04, 6);
    TEST("bus master: the device is there") {
        expect("vendor and device", read_config(EDU, 0), 0x11e81234);
    }
    TEST("bus master: it reads and writes shared memory") {
        write8(SHARED(shared), SECRET);
        edu_transfer(shared, EDU_BUFFER, 0);
        edu_transfer(EDU_BUFFER, shared + 8, TO_MEMORY);
        expect("what it read and wrote", read8(SHARED(shared + 8)), SECRET);
    }
    TEST("bus master: its write to private memory is lost") {
        write8((void *)private, 1);
        edu_transfer(EDU_BUFFER, private, TO_MEMORY);
        expect("what was there", read8((void *)private), 1);
    }
    TEST("bus master: it reads zeros from private memory") {
        write8((void *)private, SECRET);
        edu_transfer(private, EDU_BUFFER, 0);
        edu_transfer(EDU_BUFFER, shared, TO_MEMORY);
        expect("what it read", read8(SHARED(shared)), 0);
    }
    TEST("bus master: its MSI arrives") {
        unsigned capability = read_config(EDU, 0x34) & 0xff;
        volatile uint32_t *lapic = SHARED(LAPIC);

        while (capability && (read_config(EDU, capability) & 0xff) != 5) {
            capability = read_config(EDU, capability) >> 8 & 0xff;
        }
        bool wide = read_config(EDU, capability) >> 23 & 1;

        write_config(EDU, capability + 4, LAPIC);
        write_config(EDU, capability + 8, wide ? 0 : MSI_VECTOR);
        if (wide) {
            write_config(EDU, capability + 12, MSI_VECTOR);
        }
        write_config(EDU, capability, read_config(EDU, capability) | 1 << 16);
        lapic[0xf0 / 4] = 0x1ff;                        /* software enable */
        *(volatile uint32_t *)edu(0x60) = 1;            /* raise an interrupt */
        expect("pending", lapic[(0x200 + MSI_VECTOR / 32 * 0x10) / 4] >> MSI_VECTOR % 32 & 1, 1);
    }
}

/* A queue's descriptors come first, then the available ring, and from the next page on the used ring. */
struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

#define QUEUE_PAGES 8   /* enough for the 1024 entries of virtio-rng */

#define FOR_EVER (~0U)     /* the test's time limit ends it */
#define A_WHILE  50000

/* Ask for 8 random bytes; is the request done? `mapping` is how the guest sees the queue at `gpa`. */
static bool ask(uint64_t gpa, void *mapping, uint64_t buffer, unsigned patience)
{
    volatile struct descriptor *descriptor = mapping;
    volatile uint16_t *available, *used;
    uint16_t size;

    outb(RNG_PORT + 0x12, 0);           /* reset */
    outb(RNG_PORT + 0x12, 3);           /* acknowledge, driver */
    outw(RNG_PORT + 0x0e, 0);           /* the first queue */
    __asm__ volatile("inw %1, %0" : "=a"(size) : "Nd"((uint16_t)(RNG_PORT + 0x0c)));
    available = (volatile uint16_t *)(descriptor + size);
    used = (volatile uint16_t *)(((uint64_t)(available + 3 + size) + PAGE - 1) & -PAGE);
    expect("that the queue fits", (uint64_t)(used + 3 + 4 * size) <= (uint64_t)mapping + QUEUE_PAGES * PAGE, 1);
    descriptor->address = buffer;
    descriptor->length = 8;
    descriptor->flags = 2;              /* for the device to write */
    descriptor->next = 0;
    available[0] = 0;                   /* flags, index, ring */
    available[1] = 1;
    available[2] = 0;
    used[1] = 0;
    outl(RNG_PORT + 0x08, gpa / PAGE);
    outb(RNG_PORT + 0x12, 7);           /* driver ok */
    outw(RNG_PORT + 0x10, 0);           /* notify */
    for (unsigned i = 0; i < patience && used[1] == 0; i++) {
        inb(RNG_PORT + 0x13);
    }
    return used[1] == 1;
}

static void virtio_rules(void)
{
    uint64_t shared = new_shared(), private = new_private(), queue = new_block(), other = new_block();

    for (unsigned i = 0; i < QUEUE_PAGES; i++) {
        psc_msr(queue + i * PAGE, PSC_SHARED);
        pvalidate(other + i * PAGE, 0, 1);
    }
    write_config(RNG, 0x10, RNG_PORT);
    write_config(RNG, 0x04, 5);
    TEST("legacy virtio: a request in shared memory is done") {
        write8(SHARED(shared), SECRET);
        expect("done", ask(queue, SHARED(queue), shared, FOR_EVER), 1);
        expect("old contents", read8(SHARED(shared)) == SECRET, 0);
    }
    TEST("legacy virtio: the answer to a private buffer is lost") {
        write8((void *)private, SECRET);
        expect("done", ask(queue, SHARED(queue), private, FOR_EVER), 1);
        expect("old contents", read8((void *)private), SECRET);
    }
    TEST("legacy virtio: a queue in private memory is not seen") {
        write8(SHARED(shared), SECRET);
        expect("done", ask(other, (void *)other, shared, A_WHILE), 0);
        expect("old contents", read8(SHARED(shared)), SECRET);
    }
}

void bus_masters(void)
{
    edu_rules();
    virtio_rules();
}
