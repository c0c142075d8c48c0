/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * A SEV guest, or with opt/es a SEV-ES guest: memory has two views and no owner (APM volume 2, 15.34.4), SEV-ES has
 * the GHCB (15.35), neither has what SNP adds. Answers are KVM's (sev_handle_vmgexit(), sev_es_validate_vmgexit()).
 * With opt/cases a SEV-ES guest sends random requests (fuzz.c).
 */
#include "../guest.h"

#define WRITTEN 0x5eed5eed5eed5eedULL
#define OTHER   0x0123456789abcdefULL
#define LAPIC   0xfee00000ULL

extern char vector_2[], vector_6[], vector_13[], vector_14[], vector_29[], bss_start[], bss_end[];

static void set_gate(int vector, char *handler)
{
    uint64_t address = (uint64_t)handler;

    idt[vector * 2] = (address & 0xffff) | (uint64_t)CODE64 << 16 | 0x8eULL << 40 |
                      (address >> 16 & 0xffff) << 48;
    idt[vector * 2 + 1] = address >> 32;
}

static void *private(uint64_t gpa)
{
    return (void *)gpa;
}

static void identity_rules(bool es)
{
    uint32_t regs[4];

    TEST("msr: SEV_STATUS names what is active, and no SEV-SNP") {
        expect("SEV_STATUS", rdmsr(MSR_STATUS), es ? 3 : 1);
    }
    TEST("cpuid: 8000001F has SEV, SEV-ES for such a guest, and no SEV-SNP") {
        cpuid(0x8000001f, regs);
        expect("EAX", regs[0], es ? 0x0a : 0x02);
        expect("EBX, C-bit and lost address bits", regs[1], 51 | 1 << 6);
    }
    TEST("instructions: PVALIDATE and RMPADJUST are SNP's: #UD") {
        pvalidate(new_block(), 0, 1);
        expect("PVALIDATE's vector", fault_vector, UD);
        rmpadjust(new_block(), 0, 0x100);
        expect("RMPADJUST's vector", fault_vector, UD);
    }
}

static void view_rules(void)
{
    uint64_t page = new_block(), plain = new_block(), unused = new_block(), code = new_block();

    TEST("views: what was written with the C-bit is noise without it, and stays") {
        write8(private(page), WRITTEN);
        expect("vector", fault_vector, NO_FAULT);
        uint64_t seen = read8(SHARED(page));

        expect("vector of the other view", fault_vector, NO_FAULT);
        expect("whether it is plain", seen == WRITTEN || seen == 0, 0);
        expect("value", read8(private(page)), WRITTEN);
    }
    TEST("views: what was written without the C-bit is noise with it, and stays") {
        write8(SHARED(plain), WRITTEN);
        uint64_t seen = read8(private(plain));

        expect("vector of the other view", fault_vector, NO_FAULT);
        expect("whether it is plain", seen == WRITTEN || seen == 0, 0);
        expect("value", read8(SHARED(plain)), WRITTEN);
    }
    TEST("views: a write without the C-bit takes the page over, and what it held is lost") {
        write8(private(page + 8), OTHER);
        write8(SHARED(page), OTHER);
        expect("vector", fault_vector, NO_FAULT);
        expect("what was written", read8(SHARED(page)), OTHER);
        uint64_t seen = read8(SHARED(page + 8));

        expect("whether the rest is plain", seen == OTHER || seen == 0, 0);
        expect("whether the first view has it", read8(private(page)) == WRITTEN, 0);
    }
    TEST("views: a write with the C-bit takes the page over, and what it held is lost") {
        write8(private(plain), OTHER);
        expect("vector", fault_vector, NO_FAULT);
        expect("what was written", read8(private(plain)), OTHER);
        expect("whether the first view has it", read8(SHARED(plain)) == WRITTEN, 0);
    }
    TEST("views: memory that nobody used is zero without the C-bit, and noise with it") {
        expect("without", read8(SHARED(unused)), 0);
        expect("whether it is zero with it", read8(private(unused + PAGE)) == 0, 0);
        expect("vector", fault_vector, NO_FAULT);
    }
    TEST("views: an instruction is fetched with the C-bit, whatever the page table says") {
        write8(private(code), 0xc3);    /* ret */
        fault_vector = NO_FAULT;
        ((void (*)(void))SHARED(code))();
        expect("vector", fault_vector, NO_FAULT);
    }
    TEST("views: what is no memory is the same with the C-bit") {
        uint64_t seen = read8(SHARED(LAPIC + 0x30));

        expect("LAPIC version", read8(private(LAPIC + 0x30)), seen);
        expect("vector", fault_vector, NO_FAULT);
    }
}

/* fw_cfg's DMA (docs/specs/fw_cfg.rst): item 0 is "QEMU" */
static void fw_cfg_read(uint64_t descriptor, uint64_t to)
{
    volatile uint32_t *d = SHARED(descriptor);

    d[0] = __builtin_bswap32(8 | 2);        /* select item 0, read */
    d[1] = __builtin_bswap32(4);
    *(volatile uint64_t *)(d + 2) = __builtin_bswap64(to);
    __asm__ volatile("outl %0, %1" : : "a"(__builtin_bswap32(descriptor >> 32)), "Nd"((uint16_t)0x514));
    __asm__ volatile("outl %0, %1" : : "a"(__builtin_bswap32(descriptor)), "Nd"((uint16_t)0x518));
}

static void dma_rules(void)
{
    uint64_t descriptor = new_block(), buffer = new_block();

    TEST("dma: a device writes to memory that nobody used, and it is plain") {
        fw_cfg_read(descriptor, buffer);
        expect("what it wrote", (uint32_t)read8(SHARED(buffer)), 0x554d4551);
    }
    TEST("dma: a device's write to encrypted memory is plain, and noise to who reads with the C-bit") {
        write8(private(buffer + PAGE), WRITTEN);
        fw_cfg_read(descriptor, buffer + PAGE);
        expect("what it wrote", (uint32_t)read8(SHARED(buffer + PAGE)), 0x554d4551);
        uint64_t seen = read8(private(buffer + PAGE));

        expect("whether it is plain", (uint32_t)seen == 0x554d4551 || seen == WRITTEN, 0);
    }
}

static void sev_rules(void)
{
    TEST("sev: there is no GHCB: VMGEXIT is VMMCALL, its MSR is none") {
        fault_vector = NO_FAULT;
        resume = (uint64_t)&&faulted;
        __asm__ volatile goto("" : : : : faulted);
        __asm__ volatile("rep; vmmcall" : : : "memory");
faulted:
        expect("vector", fault_vector, UD);
        expect("MSR", rdmsr(MSR_GHCB), 0);
    }
}

static void request(uint64_t code, uint64_t info1, uint64_t info2)
{
    new_request(code, info1, info2);
    put(RAX, 1);
    put(SCRATCH, ghcb_gpa + BUFFER);
    submit();
}

static void es_rules(uint64_t msr_at_reset)
{
    TEST("ghcb msr: after reset it has protocol 2 to 1, and the C-bit") {
        expect("MSR", msr_at_reset, 2ULL << 48 | 1ULL << 32 | 51ULL << 24 | 1);
    }
    TEST("ghcb msr: KVM's features are the same without SNP") {
        expect("answer", vmgexit_msr(0x080), 3ULL << 12 | 0x081);
    }
    TEST("ghcb: the page needs no registration") {
        new_request(NAE_HV_FEATURES, 0, 0);
        submit();
        expect_done(3);
    }
    TEST("ghcb: the AP jump table is kept") {
        request(NAE_AP_JUMP_TABLE, 0, 0x12345000);
        expect_done(0);
        request(NAE_AP_JUMP_TABLE, 1, 0);
        expect_done(0x12345000);
        request(NAE_AP_JUMP_TABLE, 2, 0);
        expect_malformed(INVALID_INPUT);
    }
    TEST("ghcb: page state changes, guest requests and AP creation are SNP's: malformed, reason 4") {
        request(NAE_PSC, 0, 0);
        expect_malformed(MISSING_INPUT);
        request(NAE_REQUEST, 0x1000000, 0x1001000);
        expect_malformed(MISSING_INPUT);
        request(NAE_EXT_REQUEST, 0x1000000, 0x1001000);
        expect_malformed(MISSING_INPUT);
        request(NAE_AP_CREATION, 1ULL << 32 | 1, 0x1001000);
        expect_malformed(MISSING_INPUT);
    }
}

/* The second vCPU, as the firmware's reset block starts it: it waits in AP reset hold whenever the first one wants it. */
static volatile uint64_t starts_seen, ap_answer;
static volatile bool park;

void ap_at_reset_block(void)
{
    starts_seen++;
    while (true) {
        if (park) {
            ap_answer = vmgexit_msr(0x006);
            park = false;
        }
        __builtin_ia32_pause();
    }
}

static void ipi(uint32_t command)
{
    *(volatile uint32_t *)SHARED(LAPIC + 0x310) = 1U << 24;
    *(volatile uint32_t *)SHARED(LAPIC + 0x300) = command;
}

static void vcpu_rules(void)
{
    TEST("vcpus: the first SIPI starts one at the firmware's reset block, whatever its vector") {
        ipi(IPI_INIT);
        ipi(IPI_SIPI | 0x55);
        while (!starts_seen) {
            __builtin_ia32_pause();
        }
    }
    TEST("vcpus: a later one ends AP reset hold, and the answer says so") {
        park = true;
        while (park) {                  /* one that comes before it is held lets it go on to there */
            ipi(IPI_INIT);
            ipi(IPI_SIPI);
            for (unsigned i = 0; i < 10000 && park; i++) {
                __builtin_ia32_pause();
            }
        }
        expect("answer", ap_answer, 0x1007);
        expect("starts", starts_seen, 1);
    }
}

static void reflect_rules(void)
{
    uint64_t after;

    TEST("reflect: CPUID raises #VC 0x72, a port 0x7b, MMIO 0x400 with either view") {
        fault_vector = NO_FAULT;
        __asm__ volatile("leaq 1f(%%rip), %%rax\n movabsq %%rax, resume\n xorl %%eax, %%eax\n cpuid\n1:"
                         : "=a"(after) : : "rbx", "rcx", "rdx", "memory");
        expect("vector of CPUID", fault_vector, VC);
        expect("exit code of CPUID", fault_error, 0x72);
        read8(SHARED(LAPIC + 0x30));
        expect("exit code of MMIO", fault_error, 0x400);
        fault_error = 0;
        read8(private(LAPIC + 0x30));
        expect("exit code of MMIO with the C-bit", fault_error, 0x400);
    }
}

/* With reflect=on, a port is written by a request: the debug console's. */
static bool reflects;

void outb(uint16_t port, uint8_t value)
{
    if (!reflects) {
        __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
        return;
    }
    new_request(NAE_IOIO, (uint64_t)port << 16 | 1 << 4, 0);
    put(RAX, value);
    submit();
}

static void clear_bss(void)
{
    for (char *byte = bss_start; byte < bss_end; byte++) {
        *(volatile char *)byte = 0;
    }
}

void main(void)
{
    uint64_t status, msr_at_reset = 0;
    bool es;

    clear_bss();                        /* encrypted memory starts out as noise */
    set_gate(NMI, vector_2);
    set_gate(UD, vector_6);
    set_gate(GP, vector_13);
    set_gate(PF, vector_14);
    set_gate(VC, vector_29);
    status = rdmsr(MSR_STATUS);
    es = status & 2;
    if (es) {
        msr_at_reset = rdmsr(MSR_GHCB);
        ghcb_gpa = new_block();
        __asm__ volatile("leaq 1f(%%rip), %%rax\n movabsq %%rax, resume\n inb $0x71, %%al\n1:"
                         : : : "rax", "memory");
        reflects = fault_vector == VC;
    }
    if (es && !reflects && option("cases", 0)) {
        fuzz(option("cases", 0), option("seed", 1), false);
        vmgexit_msr(0x100);
    }
    if (reflects) {
        reflect_rules();
    } else {
        identity_rules(es);
        view_rules();
        dma_rules();
        if (es) {
            es_rules(msr_at_reset);
            vcpu_rules();
        } else {
            sev_rules();
        }
    }
    say("end of tests\n");
    if (es) {
        vmgexit_msr(0x014);             /* a page state change: KVM ends the guest */
        say("still alive after a page state change\n");
    }
    outb(0x501, 0);                     /* isa-debug-exit */
}
