/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * VMSA pages and AP creation (GHCB 2.0x, 4.1.9; APM volume 2, 15.36.12 and table B-4). The second vCPU runs ap_main.
 */
#include "guest.h"

#define VMSA_ATTRIBUTE (1ULL << 16 | 1)     /* RMPADJUST: VMSA, with VMPL1 as target */
#define FAIL_INUSE     3
#define FEATURES       1                    /* SNP active */

enum { CREATE_ON_INIT = 0, CREATE = 1, DESTROY = 2 };

static volatile uint64_t beats;
static volatile bool park, park_by_page;
static uint64_t ap_ghcb;
volatile uint64_t woken, starts;
static volatile uint64_t *volatile meeting; /* a page that both vCPUs write to, at once */
static volatile bool met;
volatile uint64_t ap_reads;

/* AP reset hold; gives the answer. */
static uint64_t hold(void)
{
    volatile uint64_t *page = SHARED(ap_ghcb);

    if (!park_by_page) {
        wrmsr(MSR_GHCB, 0x006);
        __asm__ volatile("rep; vmmcall" : : : "memory");
        return rdmsr(MSR_GHCB);
    }
    wrmsr(MSR_GHCB, ap_ghcb | 0x012);
    __asm__ volatile("rep; vmmcall" : : : "memory");
    for (unsigned i = 0; i < 512; i++) {
        page[i] = 0;
    }
    page[CODE / 8] = NAE_AP_RESET_HOLD;
    page[VALID / 8 + 1] = 7ULL << (CODE / 8 - 64);     /* SW_EXITCODE, SW_EXITINFO1 and 2 */
    wrmsr(MSR_GHCB, ap_ghcb);
    __asm__ volatile("rep; vmmcall" : : : "memory");
    return page[INFO2 / 8];
}

static void ap_main(void)
{
    while (true) {
        beats++;
        if (ap_reads) {
            read8((void *)ap_reads);
        }
        if (meeting) {
            meeting[1] = 1;
            meeting = 0;
            met = true;
        }
        if (park) {
            park = false;
            woken = hold();
        }
    }
}

/* start.S: where the first SIPI starts it */
void ap_at_reset_block(void)
{
    starts++;
    ap_main();
}

static void wait(void)
{
    for (volatile unsigned i = 0; i < 3000000; i++) {
    }
}

bool beating(void)
{
    uint64_t before = beats;

    for (unsigned i = 0; i < 100 && beats == before; i++) {
        wait();
    }
    return beats != before;
}

static void fill_vmsa(uint64_t page, uint64_t stack)
{
    uint8_t *vmsa = (uint8_t *)page;
    const struct { uint16_t offset, selector, attributes; uint64_t limit, base; } tables[] = {
        { 0x00, DATA, 0xc93, ~0U, 0 }, { 0x10, CODE64, 0xa9b, ~0U, 0 }, { 0x20, DATA, 0xc93, ~0U, 0 },
        { 0x30, DATA, 0xc93, ~0U, 0 }, { 0x40, DATA, 0xc93, ~0U, 0 }, { 0x50, DATA, 0xc93, ~0U, 0 },
        { 0x60, 0, 0, gdt_end - gdt - 1, (uint64_t)gdt }, { 0x80, 0, 0, idt_end - (char *)idt - 1, (uint64_t)idt },
    };
    const struct { uint16_t offset; uint64_t value; } fields[] = {
        { 0x0d0, 0x201500 },                    /* EFER: LME, LMA, SVME, AIBRSE */
        { 0x148, 0x620 }, { 0x150, (uint64_t)pml4 }, { 0x158, 0x80000033 },     /* CR4, CR3, CR0 */
        { 0x160, 0x400 }, { 0x168, 0xffff0ff0 }, { 0x170, 2 },                  /* DR7, DR6, RFLAGS */
        { 0x178, (uint64_t)ap_main }, { 0x1d8, stack - 8 },
        { 0x268, 0x0007040600070406 }, { 0x3b0, FEATURES }, { 0x3e8, 1 }, { 0x408, 0x1f80 }, { 0x410, 0x37f },
    };

    for (unsigned i = 0; i < PAGE / 8; i++) {
        ((uint64_t *)vmsa)[i] = 0;
    }
    for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        uint8_t *p = vmsa + tables[i].offset;

        *(uint16_t *)p = tables[i].selector;
        *(uint16_t *)(p + 2) = tables[i].attributes;
        *(uint32_t *)(p + 4) = tables[i].limit;
        *(uint64_t *)(p + 8) = tables[i].base;
    }
    for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        *(uint64_t *)(vmsa + fields[i].offset) = fields[i].value;
    }
}

uint64_t new_vmsa(void)
{
    uint64_t block = new_block();

    accept_block(block);
    fill_vmsa(block + PAGE, block + BLOCK);
    rmpadjust(block + PAGE, 0, VMSA_ATTRIBUTE);
    return block + PAGE;
}

/* For fuzz_vmsa.c: a VMSA whose vCPU jumps to itself and has no exception handlers */
void spin_vmsa(uint64_t vmsa)
{
    fill_vmsa(vmsa, vmsa - PAGE + BLOCK);
    *(uint32_t *)(vmsa + 0x84) = 0;
    *(uint64_t *)(vmsa + 0x178) = (uint64_t)spin;
}

static void ask(uint64_t request, uint64_t apic_id, uint64_t vmsa)
{
    new_request(NAE_AP_CREATION, apic_id << 32 | request, vmsa);
    put(RAX, FEATURES);
    submit();
}

bool create_vcpu(uint64_t vmsa)
{
    rmpadjust(vmsa, 0, VMSA_ATTRIBUTE);
    ask(CREATE, 1, vmsa);
    return *field(INFO1) == DONE;
}

/* It runs once its VMSA is in use; given up after long enough. */
void await_vcpu(uint64_t vmsa)
{
    for (unsigned i = 0; i < 10000 && rmpadjust(vmsa, 0, VMSA_ATTRIBUTE) != FAIL_INUSE; i++) {
    }
}

/* Afterwards the VMSA is a page that can be written. */
void destroy_vcpu(uint64_t vmsa)
{
    ask(DESTROY, 1, 0);
    while (rmpadjust(vmsa, 0, 1) == FAIL_INUSE) {
    }
}

void send_ipi(uint32_t command)
{
    *(volatile uint32_t *)SHARED(0xfee00310ULL) = 1 << 24;
    *(volatile uint32_t *)SHARED(0xfee00300ULL) = command;
}

/*
 * Do these wake it, one after the other, from AP reset hold? The host may have put it aside before its VMGEXIT,
 * where neither is lost on it for good: so they are sent until it runs.
 */
bool wakes(uint32_t first, uint32_t second)
{
    uint64_t before = beats;

    for (unsigned i = 0; i < 100 && beats == before; i++) {
        send_ipi(first);
        if (second) {
            send_ipi(second);
        }
        wait();
    }
    return beats != before;
}

bool goes_on_from_hold(void)
{
    park_by_page = false;
    woken = 0;
    park = true;
    for (unsigned i = 0; i < 20 && !woken; i++) {
        wait();
    }
    return woken;
}

/* A vCPU stops at the end of its block of code, which the host may put aside for a while. */
bool stops(void)
{
    for (unsigned i = 0, stood = 0; i < 100; i++) {
        uint64_t before = beats;

        wait();
        stood = beats == before ? stood + 1 : 0;
        if (stood == 3) {
            return true;
        }
    }
    return false;
}

/* A busy host may put the block aside for longer than that: then one beat follows. */
void expect_stopped(void)
{
    uint64_t before;

    expect("it stops", stops(), 1);
    before = beats;
    wait();
    expect("two beats after it stopped", beats - before > 1, 0);
}

void expect_stands(const char *what)
{
    uint64_t before = beats;

    wait();
    expect(what, beats, before);
}

void park_it(bool by_page)
{
    if (!ap_ghcb) {
        ap_ghcb = new_block();
        psc_msr(ap_ghcb, PSC_SHARED);
    }
    park_by_page = by_page;
    woken = 0;
    park = true;
    while (park) {
    }
    expect_stands("beats in AP reset hold");
}

/* Both vCPUs' first access to a page comes as close together as it can. */
static void meet(uint64_t gpa)
{
    volatile uint64_t *page = SHARED(gpa);

    met = false;
    meeting = page;
    for (volatile unsigned i = gpa / PAGE % 32; i; i--) {
    }
    page[0] = 1;
    while (!met) {
        __builtin_ia32_pause();
    }
    expect("the one's word", page[0], 1);
    expect("the other's word", page[1], 1);
}

static void refusals(void)
{
    uint64_t vmsa = new_vmsa(), block = new_block();

    accept_block(block);
    fill_vmsa(block, block + BLOCK);
    fill_vmsa(block + PAGE, block + BLOCK);
    rmpadjust(block, 0, VMSA_ATTRIBUTE);
    TEST("ap creation: a VMSA on a 2M boundary is malformed, reason 5") {
        ask(CREATE, 1, block);
        expect_malformed(INVALID_INPUT);
    }
    TEST("ap creation: an unaligned VMSA is malformed, reason 5") {
        ask(CREATE, 1, vmsa + 16);
        expect_malformed(INVALID_INPUT);
    }
    TEST("ap creation: an unknown APIC id is malformed, reason 5") {
        ask(CREATE, 7, vmsa);
        expect_malformed(INVALID_INPUT);
    }
    TEST("ap creation: an unknown request, or another VMPL, is malformed, reason 5") {
        ask(3, 1, vmsa);
        expect_malformed(INVALID_INPUT);
        ask(CREATE | 1 << 16, 1, vmsa);
        expect_malformed(INVALID_INPUT);
    }
    TEST("ap creation: SEV_FEATURES must agree with the VMSA's, reason 5") {
        new_request(NAE_AP_CREATION, 1ULL << 32 | CREATE, vmsa);
        put(RAX, FEATURES | 8);
        submit();
        expect_malformed(INVALID_INPUT);
    }
    TEST("ap creation: SEV_FEATURES are needed, reason 4, but not to destroy") {
        new_request(NAE_AP_CREATION, 1ULL << 32 | CREATE, vmsa);
        submit();
        expect_malformed(MISSING_INPUT);
        if (!kvm) {         /* where it runs already */
            new_request(NAE_AP_CREATION, 1ULL << 32 | DESTROY, 0);
            submit();
            expect_done(0);
        }
    }
    TEST("vmsa: its page is the guest's while no vCPU runs on it") {
        expect("RIP in the VMSA", read8((void *)(vmsa + 0x178)), (uint64_t)ap_main);
        write8((void *)(vmsa + 0x300), 0);
        expect("vector", fault_vector, NO_FAULT);
        expect("EAX", rmpadjust(vmsa, 0, 1), 0);
    }
}

/* What VMRUN would not take, and KVM lets it find out; see endings.c for that. */
static void spec_refusals(void)
{
    uint64_t vmsa = new_vmsa(), block = new_block();
    static const struct { const char *what; uint16_t offset; uint64_t value; } wrong[] = {
        { "EFER without SVME", 0x0d0, 0x500 }, { "EFER", 0x0d0, 0x1500 | 1 << 5 },
        { "CR0, upper half", 0x158, 1ULL << 32 | 0x80000033 }, { "CR0.NW", 0x158, 0xa0000033 },
        { "CR0.PG without PE", 0x158, 0x80000032 }, { "CR3", 0x150, 1ULL << 50 },
        { "CR4", 0x148, 0x620 | 1ULL << 40 }, { "long mode without PAE", 0x148, 0x600 },
        { "DR6", 0x168, 1ULL << 32 | 0xffff0ff0 }, { "DR7", 0x160, 1ULL << 32 | 0x400 },
        { "CS.L and CS.D", 0x10, 0xffffffff0e9b0018 }, { "virtual 8086 mode", 0x170, 1 << 17 | 2 },
        { "XCR0", 0x3e8, 0 }, { "XCR0, AVX alone", 0x3e8, 5 }, { "MXCSR", 0x408, 0x11f80 },
        { "SEV_FEATURES", 0x3b0, 9 }, { "VMPL", 0x0c8, 1ULL << 16 },
    };

    TEST("ap creation: a page without the VMSA attribute is malformed, reason 5") {
        accept_block(block);
        fill_vmsa(block + PAGE, block + BLOCK);
        ask(CREATE, 1, block + PAGE);
        expect_malformed(INVALID_INPUT);
        expect("EAX", rmpadjust(vmsa, 0, 1), 0);
        ask(CREATE, 1, vmsa);
        expect_malformed(INVALID_INPUT);
    }
    TEST("ap creation: a VMSA that VMRUN would refuse is malformed, reason 5") {
        for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
            fill_vmsa(vmsa, vmsa - PAGE + BLOCK);
            *(volatile uint64_t *)(vmsa + wrong[i].offset) = wrong[i].value;
            rmpadjust(vmsa, 0, VMSA_ATTRIBUTE);
            ask(CREATE, 1, vmsa);
            expect(wrong[i].what, *field(INFO1) << 8 | *field(INFO2), MALFORMED << 8 | INVALID_INPUT);
            rmpadjust(vmsa, 0, 1);
        }
    }
    TEST("ap creation: a VMSA written by a shared mapping is garbage once private, reason 5") {
        psc_msr(vmsa, PSC_SHARED);
        fill_vmsa(vmsa + (4ULL << 30), vmsa - PAGE + BLOCK);
        psc_msr(vmsa, PSC_PRIVATE);
        pvalidate(vmsa, 0, 1);
        expect("EAX", rmpadjust(vmsa, 0, VMSA_ATTRIBUTE), 0);
        ask(CREATE, 1, vmsa);
        expect_malformed(INVALID_INPUT);
    }
    TEST("ap creation: what was refused does not run") {
        wait();
        expect("beats", beats, 0);
    }
}

void vmsa_rules(void)
{
    uint64_t first, second, third;

    refusals();
    if (!kvm) {
        spec_refusals();
    }
    first = new_vmsa();
    second = new_vmsa();
    third = new_vmsa();
    TEST("ap creation: the vCPU starts as its VMSA says") {
        ask(CREATE, 1, first);
        expect_done(0);
        expect("it runs", beating(), 1);
    }
    TEST("vmsa: in use, RMPADJUST and PVALIDATE are FAIL_INUSE") {
        expect("EAX of RMPADJUST", rmpadjust(first, 0, 1), FAIL_INUSE);
        expect("EAX of PVALIDATE", pvalidate(first, 0, 0).eax, FAIL_INUSE);
    }
    TEST("vmsa: in use, another vCPU may read it, as OVMF does") {
        expect("SEV_FEATURES", read8((void *)(first + 0x3b0)), FEATURES);
        expect("vector", fault_vector, NO_FAULT);
    }
    TEST("vmsa: in use, a page state change fails") {
        expect("error is set", psc_msr(first, PSC_SHARED) >> 32 != 0, 1);
        expect("it runs", beating(), 1);
    }
    TEST("vmsa: in use, a shared read gives noise and does not disturb") {
        expect("that it is SEV_FEATURES", read8(SHARED(first + 0x3b0)) == FEATURES, 0);
        expect("vector", fault_vector, NO_FAULT);
        expect("it runs", beating(), 1);
        expect("EAX of RMPADJUST", rmpadjust(first, 0, 1), FAIL_INUSE);
    }
    TEST("vmsa: in use, it is no other's; its own vCPU goes on, with KVM") {
        ask(CREATE, 1, first);
        if (kvm) {
            expect_done(0);
        } else {
            expect_malformed(INVALID_INPUT);
        }
        expect("it runs", beating(), 1);
    }
    TEST("ap creation: a running vCPU goes over to another VMSA") {
        ask(CREATE, 1, second);
        expect_done(0);
        expect("it runs", beating(), 1);
        expect("EAX of RMPADJUST, old", rmpadjust(first, 0, 1), 0);
        expect("EAX of RMPADJUST, new", rmpadjust(second, 0, 1), FAIL_INUSE);
    }
    TEST("implicit conversion by two vCPUs at once loses nothing") {
        uint64_t gpa = new_block();

        for (unsigned i = 0; i < BLOCK / PAGE; i++) {
            meet(gpa + i * PAGE);
        }
    }
    TEST("ap reset hold: the vCPU waits for SIPI and goes on behind its VMGEXIT") {
        park_it(false);
        if (!kvm) {
            send_ipi(IPI_NMI);
            expect_stands("beats after an NMI");
        }
        send_ipi(IPI_INIT);
        expect_stands("beats after INIT");
        expect("it runs after INIT and SIPI", wakes(IPI_INIT, IPI_SIPI), 1);
        expect("answer", woken, 0x1007);
    }
    TEST("ap reset hold: asked for by the GHCB page, the answer is in SW_EXITINFO2") {
        park_it(true);
        expect("it runs after INIT and SIPI", wakes(IPI_INIT, IPI_SIPI), 1);
        expect("answer", woken, 1);
    }
    TEST("ap destroy: the vCPU stops and its VMSA is an ordinary page again") {
        ask(DESTROY, 1, 0);
        expect_done(0);
        expect_stopped();
        expect("EAX of RMPADJUST", rmpadjust(second, 0, 1), 0);
    }
    TEST("ap destroy: a vCPU that is destroyed before it ran does not run") {
        uint64_t other = new_vmsa();

        for (unsigned i = 0; i < 300; i++) {
            create_vcpu(other);
            ask(DESTROY, 1, 0);
            rmpadjust(other, 0, 1);     /* were it to run, there is no VMSA */
        }
        expect_stands("beats");
    }
    TEST("ap destroy: neither NMI nor INIT nor SIPI wakes the vCPU") {
        send_ipi(IPI_INIT);
        expect_stands("beats after INIT");
        if (!kvm) {         /* where these end the machine: see endings.c */
            send_ipi(IPI_NMI);
            expect_stands("beats after an NMI");
            send_ipi(IPI_SIPI);
            expect_stands("beats after SIPI");
        }
    }
    TEST("ap creation on INIT: the vCPU waits for INIT, and with KVM for SIPI") {
        ask(CREATE_ON_INIT, 1, third);
        expect_done(0);
        expect_stands("beats");
        send_ipi(IPI_INIT);
        if (kvm) {
            expect_stands("beats after INIT");
            send_ipi(IPI_SIPI);
        }
        expect("it runs", beating(), 1);
    }
    TEST("ap creation: INIT and SIPI do not disturb a vCPU that runs on a VMSA") {
        send_ipi(IPI_INIT);
        send_ipi(IPI_SIPI);
        expect("it runs", beating(), 1);
        ask(DESTROY, 1, 0);
        expect_done(0);
    }
}
