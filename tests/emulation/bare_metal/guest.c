/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * The debug port, instructions that may fault, and requests to the hypervisor; see guest.h.
 */
#include "guest.h"

uint64_t fault_vector, fault_error, fault_address, resume;
uint64_t ghcb_gpa;

static uint64_t next_block = 0;
static const char *test_name;
static bool test_failed;

/* weak: where OUT is intercepted, a program has its own */
__attribute__((weak)) void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

uint8_t inb(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

void say(const char *text)
{
    while (*text) {
        outb(0x402, *text++);
    }
}

void say_hex(uint64_t value)
{
    say("0x");
    for (int shift = 60; shift >= 0; shift -= 4) {
        if (value >> shift || shift == 0) {
            outb(0x402, "0123456789abcdef"[value >> shift & 15]);
        }
    }
}

void expect(const char *what, uint64_t seen, uint64_t wanted)
{
    if (seen == wanted || test_failed) {
        return;
    }
    test_failed = true;
    say("FAIL ");
    say(test_name);
    say(": ");
    say(what);
    say(" is ");
    say_hex(seen);
    say(", not ");
    say_hex(wanted);
    say("\n");
}

void begin(const char *name)
{
    test_name = name;
    test_failed = false;
}

void end(void)
{
    if (!test_failed) {
        say("ok ");
        say(test_name);
        say("\n");
    }
}

uint64_t new_block(void)
{
    if (!next_block) {
        next_block = 16ULL << 20;   /* set here, because data starts out as zero */
    }
    next_block += BLOCK;
    return next_block - BLOCK;
}

/* fw_cfg (QEMU docs/specs/fw_cfg.rst): item 0x19 is the directory, big-endian, entries of 64 bytes. */
static uint64_t fw_cfg(unsigned bytes)
{
    uint64_t value = 0;

    while (bytes--) {
        value = value << 8 | inb(0x511);
    }
    return value;
}

static void fw_cfg_select(uint16_t item)
{
    __asm__ volatile("outw %0, %1" : : "a"(item), "Nd"((uint16_t)0x510));
}

uint64_t option(const char *name, uint64_t missing)
{
    uint64_t value = 0;

    fw_cfg_select(0x19);
    for (unsigned left = fw_cfg(4); left; left--) {
        uint32_t size = fw_cfg(4), item = fw_cfg(4) >> 16;
        const char *expected = "opt/", *rest = name;
        bool same = true;

        for (unsigned i = 0; i < 56; i++) {
            char c = inb(0x511), wanted = *expected ? *expected++ : *rest ? *rest++ : 0;

            same &= c == wanted;
        }
        if (same) {
            fw_cfg_select(item);
            while (size--) {
                value = value * 10 + inb(0x511) - '0';
            }
            return value;
        }
    }
    return missing;
}

/* weak: where KVM starts another vCPU, if a program has use for one */
__attribute__((weak)) void ap_at_reset_block(void)
{
    while (true) {
        __builtin_ia32_pause();
    }
}

bool kvm;
enum entries entries;

void read_options(void)
{
    kvm = option("kvm", 0);
    entries = option("entries", ENTRIES_2M);
}

void accept_block(uint64_t block)
{
    if (pvalidate(block, 1, 1).eax != 6) {
        return;
    }
    for (uint64_t page = block; page < block + BLOCK; page += PAGE) {
        pvalidate(page, 0, 1);
    }
}

uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

void cpuid(uint32_t leaf, uint32_t regs[4])
{
    __asm__ volatile("cpuid" : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3])
                     : "0"(leaf), "2"(0));
}

uint64_t read8(void *address)
{
    uint64_t value = 0;

    fault_vector = NO_FAULT;
    __asm__ volatile("leaq 1f(%%rip), %%rax\n movabsq %%rax, resume\n movq (%1), %0\n1:"
                     : "+r"(value) : "r"(address) : "rax", "memory");
    return value;
}

void write8(void *address, uint64_t value)
{
    fault_vector = NO_FAULT;
    __asm__ volatile("leaq 1f(%%rip), %%rax\n movabsq %%rax, resume\n movq %1, (%0)\n1:"
                     : : "r"(address), "r"(value) : "rax", "memory");
}

struct result pvalidate(uint64_t address, uint32_t size, uint32_t validate)
{
    struct result r = { .eax = 0xdead };
    uint64_t after = (uint64_t)&&faulted;

    fault_vector = NO_FAULT;
    resume = after;
    __asm__ volatile goto("" : : : : faulted);
    __asm__ volatile(".byte 0xf2, 0x0f, 0x01, 0xff"
                     : "=a"(r.eax), "=@ccc"(r.carry), "=@ccz"(r.zero)
                     : "a"(address), "c"(size), "d"(validate) : "memory");
faulted:
    return r;
}

uint32_t rmpadjust(uint64_t address, uint32_t size, uint64_t attributes)
{
    uint32_t eax = 0xdead;

    fault_vector = NO_FAULT;
    resume = (uint64_t)&&faulted;
    __asm__ volatile goto("" : : : : faulted);
    __asm__ volatile(".byte 0xf3, 0x0f, 0x01, 0xfe"
                     : "=a"(eax) : "a"(address), "c"(size), "d"(attributes) : "memory", "cc");
faulted:
    return eax;
}

uint64_t vmgexit_msr(uint64_t request)
{
    wrmsr(MSR_GHCB, request);
    __asm__ volatile("rep; vmmcall" : : : "memory");
    return rdmsr(MSR_GHCB);
}

uint64_t psc_msr(uint64_t gpa, uint64_t operation)
{
    return vmgexit_msr(operation << 52 | gpa | 0x014);
}

volatile uint64_t *field(unsigned offset)
{
    return (volatile uint64_t *)((char *)SHARED(ghcb_gpa) + offset);
}

bool valid(unsigned offset)
{
    return *((volatile uint8_t *)field(VALID) + offset / 64) >> offset / 8 % 8 & 1;
}

void mark(unsigned offset)
{
    *((volatile uint8_t *)field(VALID) + offset / 64) |= 1 << offset / 8 % 8;
}

void put(unsigned offset, uint64_t value)
{
    *field(offset) = value;
    mark(offset);
}

void new_request(uint64_t code, uint64_t info1, uint64_t info2)
{
    for (unsigned i = 0; i < 512; i++) {
        field(0)[i] = 0;
    }
    *((volatile uint16_t *)field(0xff8) + 1) = 2;   /* protocol version, at 0xffa */
    put(CODE, code);
    put(INFO1, info1);
    put(INFO2, info2);
}

void submit(void)
{
    wrmsr(MSR_GHCB, ghcb_gpa);
    __asm__ volatile("rep; vmmcall" : : : "memory");
}

void expect_malformed(unsigned reason)
{
    expect("SW_EXITINFO1", *field(INFO1), MALFORMED);
    expect("SW_EXITINFO2", *field(INFO2), reason);
}

void expect_done(uint64_t info2)
{
    expect("SW_EXITINFO1", *field(INFO1), DONE);
    expect("SW_EXITINFO2", *field(INFO2), info2);
}
