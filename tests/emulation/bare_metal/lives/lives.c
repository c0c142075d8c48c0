/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * A guest that is reset once. The first life leaves its marks; in the second nothing is left of them. Which one it is
 * stands in a byte of the RTC's memory, which a reset leaves alone.
 */
#include "../guest.h"

#define MARK     0x5eed5eed5eed5eedULL
#define RTC_BYTE 0x70
#define RESET    0xcf9  /* port of q35's ICH9 */

uint64_t ghcb_msr_at_reset;
extern char vector_2[], vector_6[], vector_13[], vector_14[], vector_29[];

static void set_gate(int vector, char *handler)
{
    uint64_t address = (uint64_t)handler;

    idt[vector * 2] = (address & 0xffff) | (uint64_t)CODE64 << 16 | 0x8eULL << 40 |
                      (address >> 16 & 0xffff) << 48;
    idt[vector * 2 + 1] = address >> 32;
}

static uint8_t read_rtc(void)
{
    outb(0x70, RTC_BYTE);
    return inb(0x71);
}

static void write_rtc(uint8_t value)
{
    outb(0x70, RTC_BYTE);
    outb(0x71, value);
}

/* A word of the image that no code runs on, and one of the launched RAM that nobody uses */
static volatile uint64_t in_image __attribute__((section(".tables"))) = 1;
#define IN_RAM ((volatile uint64_t *)0x001f8000ULL)

static void leave_marks(uint64_t block, uint64_t shared, uint64_t vmsa)
{
    TEST("first life: memory is accepted, written and shared") {
        accept_block(block);
        write8((void *)block, MARK);
        expect("vector", fault_vector, NO_FAULT);
        psc_msr(shared, PSC_SHARED);
        write8(SHARED(shared), MARK);
        expect("vector", fault_vector, NO_FAULT);
        expect("another vCPU is taken", create_vcpu(vmsa), 1);
        expect("another vCPU runs", beating(), 1);
        expect("a word of the image", in_image, 1);
        in_image = MARK;
        *IN_RAM = MARK;
    }
}

static void look_for_marks(uint64_t block, uint64_t shared, uint64_t vmsa)
{
    TEST("second life: the GHCB MSR is as after launch") {
        expect("MSR", ghcb_msr_at_reset & 0xfff, 0x001);
    }
    TEST("second life: the launched pages are as launched") {
        expect("a word of the image", in_image, 1);
        expect("a word of RAM", *IN_RAM, 0);
    }
    TEST("second life: no other vCPU runs") {
        expect_stands("beats");
    }
    TEST("second life: memory is unaccepted, and what it held is lost") {
        read8((void *)block);
        expect("vector", fault_vector, VC);
        expect("error", fault_error, NOT_VALIDATED);
        struct result r = pvalidate(block, 0, 1);

        expect("EAX", r.eax, 0);
        expect("CF", r.carry, 0);
        expect("the mark", read8((void *)block) == MARK, 0);
    }
    TEST("second life: what was shared is private, and as empty") {
        struct result r = pvalidate(shared, 0, 1);

        expect("EAX", r.eax, 0);
        expect("CF", r.carry, 0);
        expect("the mark", read8((void *)shared) == MARK, 0);
        psc_msr(shared, PSC_SHARED);
        expect("shared again", read8(SHARED(shared)), 0);
    }
    TEST("second life: a VMSA is no page of the guest's any more") {
        read8((void *)vmsa);
        expect("vector", fault_vector, VC);
    }
    TEST("second life: another vCPU starts") {
        expect("it is taken", create_vcpu(new_vmsa()), 1);
        expect("it runs", beating(), 1);
    }
}

void main(void)
{
    bool second = read_rtc() == 1;
    uint64_t block, shared, vmsa;

    read_options();
    set_gate(NMI, vector_2);
    set_gate(UD, vector_6);
    set_gate(GP, vector_13);
    set_gate(PF, vector_14);
    set_gate(VC, vector_29);
    ghcb_msr_at_reset = rdmsr(MSR_GHCB);
    ghcb_gpa = new_block();
    psc_msr(ghcb_gpa, PSC_SHARED);
    vmgexit_msr(ghcb_gpa | 0x012);
    block = new_block();
    shared = new_block();
    vmsa = second ? new_block() + PAGE : new_vmsa();
    if (second) {
        look_for_marks(block, shared, vmsa);
        say("end of tests\n");
        vmgexit_msr(0x100);
    } else {
        leave_marks(block, shared, vmsa);
        write_rtc(1);
        outb(RESET, 2);
        outb(RESET, 6);
    }
}
