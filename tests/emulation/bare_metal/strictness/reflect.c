/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * With reflect=on: which instructions raise #VC, with which error code, and which do not. The list is what KVM
 * intercepts in an SEV-ES guest.
 */
#include "guest.h"

#define LAPIC 0xfee00000ULL

extern char vector_6[], vector_13[], vector_14[], vector_29[];

static void set_gate(int vector, char *handler)
{
    uint64_t address = (uint64_t)handler;

    idt[vector * 2] = (address & 0xffff) | (uint64_t)CODE64 << 16 | 0x8eULL << 40 |
                      (address >> 16 & 0xffff) << 48;
    idt[vector * 2 + 1] = address >> 32;
}

/* OUT would raise #VC here: what a handler does about it. Takes the place of guest.c's. */
void outb(uint16_t port, uint8_t value)
{
    new_request(NAE_IOIO, (uint64_t)port << 16 | 0x10, 0);
    put(RAX, value);
    submit();
}

/* Run an instruction with these values in RAX, RCX, RDX; RSI and RDI point to memory of ours. */
#define RUN(instruction, a, c, d)                                                                              \
    do {                                                                                                       \
        static char room[64] __attribute__((aligned(16)));                                                     \
        uint64_t rax = (a), rcx = (c), rdx = (d), rsi = (uint64_t)room, rdi = (uint64_t)room;                  \
                                                                                                               \
        fault_vector = NO_FAULT;                                                                               \
        fault_error = 0;                                                                                       \
        __asm__ volatile("leaq 1f(%%rip), %%r8\n movq %%r8, resume\n" instruction "\n1:"                       \
                         : "+a"(rax), "+c"(rcx), "+d"(rdx), "+S"(rsi), "+D"(rdi)                               \
                         :                                                                                     \
                         : "rbx", "r8", "memory", "cc");                                                       \
    } while (false)

#define RAISES(what, instruction, a, c, d, code)                                                               \
    TEST("reflect: " what " raises #VC with its exit code")                                                   \
    {                                                                                                          \
        RUN(instruction, a, c, d);                                                                             \
        expect("vector", fault_vector, VC);                                                                    \
        expect("error code", fault_error, code);                                                               \
    }

#define RUNS(what, instruction, a, c, d)                                                                       \
    TEST("reflect: " what " runs")                                                                            \
    {                                                                                                          \
        RUN(instruction, a, c, d);                                                                             \
        expect("vector", fault_vector, NO_FAULT);                                                              \
    }

static void intercepted(void)
{
    RAISES("CPUID", "cpuid", 0, 0, 0, NAE_CPUID)
    RAISES("IN", "inb $0x80, %%al", 0, 0, 0, NAE_IOIO)
    RAISES("IN from DX", "inl %%dx, %%eax", 0, 0, 0xcf8, NAE_IOIO)
    RAISES("OUT", "outb %%al, $0x80", 0, 0, 0, NAE_IOIO)
    RAISES("OUT to DX", "outw %%ax, %%dx", 0, 0, 0x80, NAE_IOIO)
    RAISES("INS", "insb", 0, 0, 0x80, NAE_IOIO)
    RAISES("REP INS", "rep insb", 0, 4, 0x80, NAE_IOIO)
    RAISES("OUTS", "outsb", 0, 0, 0x80, NAE_IOIO)
    RAISES("REP OUTS", "rep outsl", 0, 4, 0x80, NAE_IOIO)
    RAISES("RDMSR of APIC_BASE", "rdmsr", 0, 0x1b, 0, NAE_MSR)
    RAISES("WRMSR of APIC_BASE", "wrmsr", LAPIC | 0x900, 0x1b, 0, NAE_MSR)
    RAISES("RDMSR of TSC", "rdmsr", 0, 0x10, 0, NAE_MSR)
    RAISES("RDPMC", "rdpmc", 0, 0, 0, NAE_RDPMC)
    RAISES("WBINVD", "wbinvd", 0, 0, 0, NAE_WBINVD)
    RAISES("INVD", "invd", 0, 0, 0, NAE_INVD)
    RAISES("MONITOR", "movq %%rsi, %%rax; monitor", 0, 0, 0, NAE_MONITOR)
    RAISES("MWAIT", "mwait", 0, 0, 0, NAE_MWAIT)
    RAISES("VMMCALL", "vmmcall", 0, 0, 0, NAE_VMMCALL)
    RAISES("a read of DR7", "movq %%dr7, %%rax", 0, 0, 0, NAE_DR7_READ)
    RAISES("a write of DR7", "movq %%rax, %%dr7", 0x400, 0, 0, NAE_DR7_WRITE)
    RAISES("a read of a device", "movl (%%rcx), %%eax", 0, (uint64_t)SHARED(LAPIC + 0x20), 0, 0x400)
    RAISES("a write to a device", "movl %%eax, (%%rcx)", 0, (uint64_t)SHARED(LAPIC + 0xb0), 0, 0x400)
}

static void not_intercepted(void)
{
    RUNS("RDMSR of EFER", "rdmsr", 0, 0xc0000080, 0)
    RUNS("WRMSR of GS_BASE", "wrmsr", 0, 0xc0000101, 0)
    RUNS("RDMSR of SEV_STATUS", "rdmsr", 0, 0xc0010131, 0)
    RUNS("RDMSR of PAT", "rdmsr", 0, 0x277, 0)
    RUNS("RDTSC", "rdtsc", 0, 0, 0)
    RUNS("RDTSCP", "rdtscp", 0, 0, 0)
    RUNS("PAUSE", "pause", 0, 0, 0)
    RUNS("a read of DR6", "movq %%dr6, %%rax", 0, 0, 0)
    RUNS("a read of CR4", "movq %%cr4, %%rax", 0, 0, 0)
    RUNS("a write of CR4", "movq %%cr4, %%rax; movq %%rax, %%cr4", 0, 0, 0)
    RUNS("INVLPG", "invlpg (%%rcx)", 0, LAPIC, 0)
    RUNS("a read of the firmware's flash", "movl (%%rcx), %%eax", 0, 0xffffff00, 0)
}

static void asked_for(void)
{
    TEST("reflect: the hypervisor reads the MSR when the guest asks for it") {
        new_request(NAE_MSR, 0, 0);
        put(RCX, 0x1b);
        submit();
        expect_done(0);
        expect("EAX", *field(RAX) & 0xfffff000, LAPIC);
    }
    TEST("reflect: after that, the MSR still raises #VC") {
        RUN("rdmsr", 0, 0x1b, 0);
        expect("vector", fault_vector, VC);
    }
    TEST("reflect: the hypervisor reads the device when the guest asks for it") {
        new_request(NAE_MMIO_READ, LAPIC + 0x30, 4);
        put(SCRATCH, ghcb_gpa + BUFFER);
        submit();
        expect_done(0);
        expect("version register & 0xff", *field(BUFFER) & 0xff, 0x14);
    }
}

void main(void)
{
    set_gate(UD, vector_6);
    set_gate(GP, vector_13);
    set_gate(PF, vector_14);
    set_gate(VC, vector_29);
    ghcb_gpa = new_block();
    psc_msr(ghcb_gpa, PSC_SHARED);
    vmgexit_msr(ghcb_gpa | 0x012);
    intercepted();
    not_intercepted();
    asked_for();
    say("end of tests\n");
    vmgexit_msr(0x100);
}
