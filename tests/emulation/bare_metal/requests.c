/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * The GHCB MSR protocol and the requests in the GHCB page, page state changes apart.
 */
#include "guest.h"

/* Bits of hypervisor features: SNP, AP creation, APIC ids */
#define FEATURES (kvm ? 0x3ULL : 0x13ULL)

/* KVM has no such request. */
static void expect_apic_ids(uint64_t info1, uint64_t info2)
{
    expect("SW_EXITINFO1", *field(INFO1), kvm ? MALFORMED : info1);
    expect("SW_EXITINFO2", *field(INFO2), kvm ? INVALID_EVENT : info2);
}

void msr_rules(void)
{
    uint32_t regs[4];

    TEST("ghcb msr: SEV information gives versions 1 to 2 and the C-bit") {
        expect("answer", vmgexit_msr(0x002), 2ULL << 48 | 1ULL << 32 | 51ULL << 24 | 0x001);
    }
    TEST("ghcb msr: CPUID gives one register at a time") {
        cpuid(0x80000000, regs);
        for (uint64_t reg = 0; reg < 4; reg++) {
            expect("answer", vmgexit_msr(0x80000000ULL << 32 | reg << 30 | 0x004),
                   (uint64_t)regs[reg] << 32 | reg << 30 | 0x005);
        }
    }
    TEST("ghcb msr: an unknown request is left as it is") {
        expect("answer", vmgexit_msr(0x123abc), 0x123abc);
        expect("answer to an answer", vmgexit_msr(0x123015), 0x123015);
    }
    TEST("ghcb msr: there is no preferred GHCB address") {
        expect("answer", vmgexit_msr(0x010), 0xfffffffffffff011);
    }
    TEST("ghcb msr: registration echoes the address") {
        expect("answer", vmgexit_msr(ghcb_gpa | 0x012), ghcb_gpa | 0x013);
    }
    TEST("ghcb msr: an address that is no memory cannot be registered, but with KVM") {
        expect("answer", vmgexit_msr(NO_MEMORY | 0x012), kvm ? NO_MEMORY | 0x013 : 0xfffffffffffff013);
        vmgexit_msr(ghcb_gpa | 0x012);
    }
    TEST("ghcb msr: the hypervisor's features are SNP, AP creation and, not with KVM, APIC ids") {
        expect("answer", vmgexit_msr(0x080), FEATURES << 12 | 0x081);
    }
    TEST("ghcb msr: another VMPL cannot be run") {
        uint64_t answer = vmgexit_msr(1ULL << 32 | 0x016);

        if (kvm) {          /* which does not know the request */
            expect("answer", answer, 1ULL << 32 | 0x016);
        } else {
            expect("answer & 0xfff", answer & 0xfff, 0x017);
            expect("error is set", answer >> 32 != 0, 1);
        }
    }
}

void ghcb_rules(void)
{
    uint32_t regs[4];

    TEST("ghcb: CPUID answers in the registers and marks them valid") {
        cpuid(1, regs);
        new_request(0x72, 0, 0);
        put(RAX, 1);
        put(RCX, 0);
        submit();
        expect("SW_EXITINFO1", *field(INFO1) & 0xffffffff, 0);
        expect("EAX", *field(RAX), regs[0]);
        expect("ECX", *field(RCX), regs[2]);
        expect("RDX is valid", valid(RDX), 1);
    }
    TEST("ghcb: an answer marks nothing else valid, but KVM's RAX to RDX") {
        const unsigned registers[] = { RAX, RBX, RCX, RDX };

        new_request(NAE_HV_FEATURES, 0, 0);
        put(RCX, 0x1234);
        *field(RDX) = 0x5678;       /* not marked valid */
        submit();
        expect("SW_EXITCODE is valid", valid(CODE), 0);
        expect("SW_EXITINFO2 is valid", valid(INFO2), 1);
        expect("features", *field(INFO2), FEATURES);
        for (unsigned i = 0; i < 4; i++) {
            expect("a register is valid", valid(registers[i]), kvm);
        }
        if (kvm) {
            expect("RAX", *field(RAX), 0);
            expect("RCX", *field(RCX), 0x1234);
            expect("RDX", *field(RDX), 0);
        }
    }
    TEST("ghcb: MSR access") {
        new_request(0x7c, 0, 0);
        put(RCX, 0xc0000080);
        submit();
        expect("EFER", *field(RDX) << 32 | *field(RAX), rdmsr(0xc0000080));
    }
    TEST("ghcb: string I/O that does not fit the shared buffer is malformed, reason 3") {
        new_request(0x7b, 0x80ULL << 16 | 1 << 4 | 1 << 2, 3000);
        put(SCRATCH, ghcb_gpa + BUFFER);
        submit();
        expect_malformed(INVALID_SCRATCH);
    }
    TEST("ghcb: MMIO data outside the shared buffer is malformed, reason 3") {
        new_request(0x80000001, 0xfee00020, 8);
        put(SCRATCH, ghcb_gpa + BUFFER + 2032 - 4);
        submit();
        expect_malformed(INVALID_SCRATCH);
    }
    TEST("ghcb: I/O writes and reads the port") {
        new_request(0x7b, 0x70ULL << 16 | 1 << 4, 0);   /* CMOS index: a shutdown status byte */
        put(RAX, 0x0f);
        submit();
        new_request(0x7b, 0x71ULL << 16 | 1 << 4, 0);
        put(RAX, 0x5a);
        submit();
        new_request(0x7b, 0x71ULL << 16 | 1 << 4 | 1, 0);
        submit();
        expect("SW_EXITINFO1", *field(INFO1) & 0xffffffff, 0);
        expect("value", *field(RAX), 0x5a);
    }
    TEST("ghcb: string I/O goes through the shared buffer") {
        new_request(NAE_IOIO, 0x70ULL << 16 | 1 << 4, 0);
        put(RAX, 0x0f);
        submit();
        new_request(NAE_IOIO, 0x71ULL << 16 | 1 << 4 | 1 << 2, 2);
        put(SCRATCH, ghcb_gpa + BUFFER + 16);
        *field(BUFFER + 16) = 0x2211;
        submit();
        expect_done(0);
        new_request(NAE_IOIO, 0x71ULL << 16 | 1 << 4 | 1 << 2 | 1, 3);
        put(SCRATCH, ghcb_gpa + BUFFER);
        submit();
        expect_done(0);
        expect("bytes read", *field(BUFFER), 0x222222);
    }
    TEST("ghcb: I/O of no size is malformed, reason 5") {
        new_request(NAE_IOIO, 0x71ULL << 16 | 1, 0);
        submit();
        expect_malformed(INVALID_INPUT);
    }
    TEST("ghcb: OUT without a value, and string I/O without a buffer, are malformed, reason 4") {
        new_request(NAE_IOIO, 0x71ULL << 16 | 1 << 4, 0);
        submit();
        expect_malformed(MISSING_INPUT);
        new_request(NAE_IOIO, 0x71ULL << 16 | 1 << 4 | 1 << 2, 1);
        submit();
        expect_malformed(MISSING_INPUT);
    }
    TEST("ghcb: CPUID without its inputs is malformed, reason 4") {
        new_request(NAE_CPUID, 0, 0);
        put(RAX, 1);
        submit();
        expect_malformed(MISSING_INPUT);
    }
    TEST("ghcb: CPUID leaf 0xd wants XCR0 and answers for it") {
        new_request(NAE_CPUID, 0, 0);
        put(RAX, 0xd);
        put(RCX, 0);
        submit();
        expect_malformed(MISSING_INPUT);
        for (uint64_t xcr0 = 3; xcr0 <= 7; xcr0 += 4) {
            new_request(NAE_CPUID, 0, 0);
            put(RAX, 0xd);
            put(RCX, 0);
            put(XCR0, xcr0);
            submit();
            expect_done(0);
            expect("EBX", *field(RBX), xcr0 == 3 ? 0x240 : 0x340);
        }
    }
    TEST("ghcb: RDMSR without its number, and WRMSR without a value, are malformed, reason 4") {
        new_request(NAE_MSR, 0, 0);
        submit();
        expect_malformed(MISSING_INPUT);
        new_request(NAE_MSR, 1, 0);
        put(RCX, 0x10);
        put(RAX, 0);
        submit();
        expect_malformed(MISSING_INPUT);
    }
    TEST("ghcb: WRMSR of what lies in the VMSA has no effect") {
        uint64_t star = rdmsr(0xc0000081);

        new_request(NAE_MSR, 1, 0);
        put(RCX, 0xc0000081);
        put(RAX, 0x1234);
        put(RDX, 0x5678);
        submit();
        expect_done(0);
        expect("STAR", rdmsr(0xc0000081), star);
    }
    TEST("ghcb: an MSR access that faults injects #GP") {
        new_request(NAE_MSR, 0, 0);
        put(RCX, 0x802);    /* x2APIC id, while the APIC is in xAPIC mode */
        submit();
        expect("SW_EXITINFO1", *field(INFO1), EXCEPTION);
        expect("SW_EXITINFO2", *field(INFO2), 0x80000b0d);
        new_request(NAE_MSR, 1, 0);
        put(RCX, 0x1b);     /* APIC base, reserved bits */
        put(RAX, ~0U);
        put(RDX, ~0U);
        submit();
        expect("SW_EXITINFO2", *field(INFO2), 0x80000b0d);
    }
    TEST("ghcb: RDPMC injects #GP; VMMCALL #UD, or with KVM it is a hypercall") {
        new_request(NAE_RDPMC, 0, 0);
        put(RCX, 0);
        submit();
        expect("SW_EXITINFO1", *field(INFO1), EXCEPTION);
        expect("SW_EXITINFO2", *field(INFO2), 0x80000b0d);
        new_request(NAE_VMMCALL, 0, 0);
        put(RAX, 0);
        mark(CPL);
        submit();
        if (!kvm) {
            expect("SW_EXITINFO1", *field(INFO1), EXCEPTION);
            expect("SW_EXITINFO2", *field(INFO2), 0x80000306);
        } else {
            expect_done(0);
            expect("RAX, unknown", *field(RAX), -1000ULL);
            new_request(NAE_VMMCALL, 0, 0);
            put(RAX, 1);
            mark(CPL);
            submit();
            expect("RAX, VAPIC_POLL_IRQ", *field(RAX), 0);
            new_request(NAE_VMMCALL, 0, 0);
            put(RAX, 1);
            *((volatile uint8_t *)field(CPL & ~7u) + (CPL & 7)) = 3;
            mark(CPL);
            submit();
            expect("RAX, CPL 3", *field(RAX), -1ULL);
        }
    }
    TEST("ghcb: RDPMC, VMMCALL, MONITOR, MWAIT, DR7 without inputs are malformed, reason 4") {
        const uint64_t codes[] = { NAE_RDPMC, NAE_VMMCALL, NAE_MONITOR, NAE_MWAIT, NAE_DR7_WRITE };

        for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
            new_request(codes[i], 0, 0);
            if (codes[i] != NAE_RDPMC && codes[i] != NAE_DR7_WRITE) {
                put(RAX, 0);
            }
            submit();
            expect_malformed(MISSING_INPUT);
        }
    }
    TEST("ghcb: INVD, WBINVD, MONITOR, MWAIT, NMI complete, DR7 write: done") {
        const uint64_t codes[] = { NAE_INVD, NAE_WBINVD, NAE_MONITOR, NAE_MWAIT, NAE_NMI_COMPLETE,
                                   NAE_DR7_WRITE };

        for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
            new_request(codes[i], 0, 0);
            put(RAX, 0x400);
            put(RCX, 0);
            put(RDX, 0);
            submit();
            expect_done(0);
        }
    }
    TEST("ghcb: DR7 is read") {
        new_request(NAE_DR7_READ, 0, 0);
        put(RAX, 0x77);
        submit();
        expect_done(0);
        expect("DR7, or as KVM has it the request's RAX", *field(RAX), kvm ? 0x77 : 0x400);
    }
    TEST("ghcb: RDTSC and RDTSCP") {
        new_request(NAE_RDTSC, 0, 0);
        submit();
        expect_done(0);
        expect("RAX and RDX are valid", valid(RAX) && valid(RDX), 1);
        expect("RCX is valid", valid(RCX), kvm);
        uint64_t before = *field(RDX) << 32 | *field(RAX);
        new_request(NAE_RDTSCP, 0, 0);
        submit();
        expect("RCX is valid", valid(RCX), 1);
        expect("time goes on", (*field(RDX) << 32 | *field(RAX)) > before, 1);
    }
    TEST("ghcb: MMIO reads a device") {
        new_request(NAE_MMIO_READ, 0xfed00000, 4);      /* HPET: capabilities and vendor */
        put(SCRATCH, ghcb_gpa + BUFFER);
        submit();
        expect_done(0);
        expect("vendor", *field(BUFFER) >> 16, 0x8086);
    }
    TEST("ghcb: MMIO reaches shared memory, and of private memory neither contents nor effect") {
        uint64_t block = new_block();

        psc_msr(block, PSC_SHARED);
        write8(SHARED(block), 0x1111);
        pvalidate(block + PAGE, 0, 1);
        write8((void *)(block + PAGE), 0x2222);
        for (unsigned i = 0; i < 2; i++) {
            new_request(NAE_MMIO_READ, block + i * PAGE, 8);
            put(SCRATCH, ghcb_gpa + BUFFER);
            *field(BUFFER) = 0x3333;
            submit();
            expect_done(0);
            expect(i ? "private read" : "shared read", *field(BUFFER), i ? 0 : 0x1111);
            new_request(NAE_MMIO_WRITE, block + i * PAGE, 8);
            put(SCRATCH, ghcb_gpa + BUFFER);
            *field(BUFFER) = 0x3333;
            submit();
            expect_done(0);
        }
        expect("shared written", read8(SHARED(block)), 0x3333);
        expect("private written", read8((void *)(block + PAGE)), 0x2222);
    }
    TEST("ghcb: MMIO without a buffer is malformed, reason 4") {
        new_request(NAE_MMIO_READ, 0xfed00000, 4);
        submit();
        expect_malformed(MISSING_INPUT);
    }
    TEST("ghcb: MMIO at the end of all addresses") {
        for (uint64_t length = 0; length <= 8; length += 8) {
            new_request(NAE_MMIO_READ, ~7ULL - 8, length);
            put(SCRATCH, ghcb_gpa + BUFFER);
            submit();
            expect_done(0);
        }
    }
    TEST("ghcb: MMIO that wraps around is malformed, reason 5") {
        new_request(NAE_MMIO_READ, ~0ULL, 8);
        put(SCRATCH, ghcb_gpa + BUFFER);
        submit();
        expect_malformed(INVALID_INPUT);
    }
    TEST("ghcb: the AP jump table's address is kept") {
        new_request(NAE_AP_JUMP_TABLE, 0, 0x987000);
        submit();
        expect_done(0);
        new_request(NAE_AP_JUMP_TABLE, 1, 0);
        submit();
        expect_done(0x987000);
        new_request(NAE_AP_JUMP_TABLE, 2, 0);
        submit();
        expect_malformed(INVALID_INPUT);
    }
    TEST("ghcb: the list of APIC ids says how many pages it takes") {
        new_request(NAE_APIC_IDS, 0, 0);
        put(RAX, 0);
        submit();
        expect_apic_ids(DONE, 0);
        expect("RAX", *field(RAX), !kvm);
    }
    TEST("ghcb: the list of APIC ids") {
        uint64_t block = new_block();

        psc_msr(block, PSC_SHARED);
        new_request(NAE_APIC_IDS, block, 0);
        put(RAX, 1);
        submit();
        expect_apic_ids(DONE, 0);
        expect("count, first id", read8(SHARED(block)), kvm ? 0 : 2);
        expect("second id", read8(SHARED(block + 8)), !kvm);
    }
    TEST("ghcb: a private or unaligned list of APIC ids is malformed, reason 5") {
        new_request(NAE_APIC_IDS, new_block(), 0);
        put(RAX, 1);
        submit();
        expect_apic_ids(MALFORMED, INVALID_INPUT);
        new_request(NAE_APIC_IDS, ghcb_gpa + 8, 0);
        put(RAX, 1);
        submit();
        expect_apic_ids(MALFORMED, INVALID_INPUT);
    }
    TEST("ghcb: the list of APIC ids without its size is malformed, reason 4") {
        new_request(NAE_APIC_IDS, 0, 0);
        submit();
        expect_apic_ids(MALFORMED, MISSING_INPUT);
    }
    TEST("ghcb: #HV doorbell pages and VMPLs are not offered: malformed, reason 6") {
        new_request(NAE_HV_DOORBELL, 0, 0);
        submit();
        expect_malformed(INVALID_EVENT);
        new_request(NAE_RUN_VMPL, 1, 0);
        submit();
        expect_malformed(INVALID_EVENT);
    }
    TEST("ghcb: a page that is not registered is malformed, reason 1") {
        uint64_t registered = ghcb_gpa;

        ghcb_gpa = new_block();
        psc_msr(ghcb_gpa, PSC_SHARED);
        if (!kvm) {         /* where it ends the machine: see endings.c */
            new_request(NAE_HV_FEATURES, 0, 0);
            submit();
            expect_malformed(NOT_REGISTERED);
        }
        vmgexit_msr(ghcb_gpa | 0x012);
        new_request(NAE_HV_FEATURES, 0, 0);
        submit();
        expect("SW_EXITINFO1 once registered", *field(INFO1), DONE);
        ghcb_gpa = registered;
        vmgexit_msr(ghcb_gpa | 0x012);
    }
    TEST("ghcb: an unknown event is malformed, reason 6") {
        new_request(0x80007777, 0, 0);
        submit();
        expect_malformed(INVALID_EVENT);
    }
    TEST("ghcb: a missing exit code is malformed, reason 4") {
        new_request(0x8000fffd, 0, 0);
        *field(VALID) = 0;
        *field(VALID + 8) = 0;
        submit();
        expect_malformed(MISSING_INPUT);
    }
    TEST("ghcb: an unknown usage is malformed, reason 2") {
        new_request(0x8000fffd, 0, 0);
        *((volatile uint32_t *)field(0xff8) + 1) = 9;
        submit();
        expect_malformed(INVALID_USAGE);
    }
}
