/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * Identity, validation, page sizes and RMPADJUST: what the processor answers for itself.
 */
#include "guest.h"

#define MSR_EFER   0xc0000080
#define AIBRSE     (1ULL << 21)
/* 80000008 EBX, 80000021 EAX */
#define AMD_NO_SSB (1U << 26)
#define BTC_NO     (1U << 29)
#define AUTO_IBRS  (1U << 8)
#define SRSO_NO    (1U << 29)

/* As start.S's metadata has it; SNP firmware ABI specification, CPUID page */
#define CPUID_PAGE ((uint32_t *)0x00201000)
enum { CPUID_HEADER = 4, CPUID_ENTRY = 12, CPUID_ANSWER = 6 };    /* in words of 32 bits */

/* Bits that CPUID and the CPUID page have to have in one of a leaf's registers */
static void expect_answer(uint32_t leaf, int number, uint32_t bits)
{
    const uint32_t *entry = CPUID_PAGE + CPUID_HEADER;
    uint32_t regs[4], left = *CPUID_PAGE;

    for (; left && *entry != leaf; left--) {
        entry += CPUID_ENTRY;
    }
    cpuid(leaf, regs);
    expect("CPUID", regs[number] & bits, bits);
    expect("CPUID page", left ? entry[CPUID_ANSWER + number] : 0, regs[number]);
}

static void identity(void)
{
    uint32_t regs[4];

    TEST("cpuid: SEV, SEV-ES and SEV-SNP are offered") {
        cpuid(0x8000001f, regs);
        expect("EAX & 0x1a", regs[0] & 0x1a, 0x1a);
    }
    TEST("cpuid: the C-bit is where the page tables have it") {
        cpuid(0x8000001f, regs);
        expect("EBX[5:0]", regs[1] & 0x3f, 51);
    }
    TEST("cpuid: a CPU that does not speculate says so, in the CPUID page, too") {
        expect_answer(0x80000008, 1, AMD_NO_SSB | BTC_NO);
        expect_answer(0x80000021, 0, AUTO_IBRS | SRSO_NO);
    }
    TEST("msr: EFER keeps automatic IBRS, and nothing that is not offered") {
        uint64_t efer = rdmsr(MSR_EFER);

        wrmsr(MSR_EFER, efer | AIBRSE | 1 << 20);
        expect("EFER", rdmsr(MSR_EFER), efer | AIBRSE);
        wrmsr(MSR_EFER, efer);
        expect("EFER", rdmsr(MSR_EFER), efer);
    }
    TEST("msr: SEV_STATUS says SEV, SEV-ES and SEV-SNP") {
        expect("SEV_STATUS", rdmsr(MSR_STATUS), 7);
    }
    TEST("msr: the GHCB MSR holds SEV information after reset") {
        expect("GHCB", ghcb_msr_at_reset, 2ULL << 48 | 1ULL << 32 | 51ULL << 24 | 0x001);
    }
    TEST("msr: the GHCB MSR keeps what is written") {
        wrmsr(MSR_GHCB, 0x123002);
        expect("GHCB", rdmsr(MSR_GHCB), 0x123002);
    }
}

static void validation(void)
{
    uint64_t block = new_block();
    struct result r;

    TEST("access: a page that is not validated raises #VC 0x404") {
        read8((void *)block);
        expect("vector", fault_vector, VC);
        expect("error code", fault_error, NOT_VALIDATED);
    }
    TEST("access: CR2 is the address of the access") {
        write8((void *)(block + 0x678), 1);
        expect("CR2", fault_address, block + 0x678);
    }
    TEST("pvalidate: success clears EAX and CF, and sets ZF") {
        r = pvalidate(block, 0, 1);
        expect("vector", fault_vector, NO_FAULT);
        expect("EAX", r.eax, 0);
        expect("CF", r.carry, 0);
        expect("ZF", r.zero, 1);
    }
    TEST("pvalidate: the page is usable, its neighbour is not") {
        write8((void *)block, 0x5a5a);
        expect("vector", fault_vector, NO_FAULT);
        expect("value", read8((void *)block), 0x5a5a);
        read8((void *)(block + PAGE));
        expect("neighbour's vector", fault_vector, VC);
    }
    TEST("pvalidate: validating again changes nothing and sets CF") {
        r = pvalidate(block, 0, 1);
        expect("EAX", r.eax, 0);
        expect("CF", r.carry, 1);
    }
    TEST("pvalidate: rescinding makes the page unusable") {
        r = pvalidate(block, 0, 0);
        expect("EAX", r.eax, 0);
        expect("CF", r.carry, 0);
        read8((void *)block);
        expect("vector", fault_vector, VC);
    }
    TEST("pvalidate: rescinding again changes nothing and sets CF") {
        r = pvalidate(block, 0, 0);
        expect("EAX", r.eax, 0);
        expect("CF", r.carry, 1);
    }
}

static void sizes(void)
{
    uint64_t block = new_block();
    struct result r;

    TEST("pvalidate 2M: a whole block at once, where its entry is that large") {
        unsigned large = 0;

        for (unsigned i = 0; i < 16; i++) {
            uint64_t other = new_block();
            bool done = pvalidate(other, 1, 1).eax == 0;

            large += done;
            read8((void *)other);
            expect("vector, first page", fault_vector, done ? NO_FAULT : VC);
            read8((void *)(other + BLOCK - 8));
            expect("vector, last page", fault_vector, done ? NO_FAULT : VC);
        }
        if (entries == ENTRIES_MIXED) {
            expect("that some were and some not", large > 0 && large < 16, 1);
        } else {
            expect("blocks", large, entries == ENTRIES_2M ? 16 : 0);
        }
    }
    TEST("pvalidate 2M: of 4K entries it is FAIL_SIZEMISMATCH and changes nothing; 512 of 4K do it") {
        if (entries != ENTRIES_2M) {
            while (pvalidate(block, 1, 1).eax == 0) {
                block = new_block();
            }
            expect("CF", pvalidate(block, 1, 1).carry, 0);
            read8((void *)block);
            expect("vector", fault_vector, VC);
        }
        accept_block(block);
        for (uint64_t page = block; page < block + BLOCK; page += PAGE) {
            read8((void *)page);
            expect("vector after", fault_vector, NO_FAULT);
        }
    }
    TEST("pvalidate 2M: an unaligned address is FAIL_INPUT") {
        r = pvalidate(new_block() + PAGE, 1, 1);
        expect("EAX", r.eax, 1);
        expect("CF", r.carry, 0);
    }
    TEST("pvalidate: an unknown page size is FAIL_INPUT") {
        r = pvalidate(new_block(), 2, 1);
        expect("EAX", r.eax, 1);
    }
    TEST("pvalidate 4K: inside a 2M entry changes that page alone") {
        r = pvalidate(block + PAGE, 0, 0);
        expect("EAX", r.eax, 0);
        expect("CF", r.carry, 0);
        read8((void *)(block + PAGE));
        expect("vector", fault_vector, VC);
        read8((void *)(block + 2 * PAGE));
        expect("neighbour's vector", fault_vector, NO_FAULT);
    }
    TEST("pvalidate 2M: 4K entries are FAIL_SIZEMISMATCH, with CF clear") {
        r = pvalidate(block, 1, 0);
        expect("EAX", r.eax, 6);
        expect("CF", r.carry, 0);
    }
    TEST("pvalidate: an address mapped shared is FAIL_INPUT") {
        r = pvalidate(new_block() + (4ULL << 30), 0, 1);
        expect("EAX", r.eax, 1);
    }
}

static void faults(void)
{
    uint64_t block = new_block();

    TEST("pvalidate: a non-canonical address is #GP") {
        pvalidate(NOT_CANONICAL, 0, 1);
        expect("vector", fault_vector, GP);
    }
    TEST("rmpadjust: a non-canonical address is #GP") {
        rmpadjust(NOT_CANONICAL, 0, 1);
        expect("vector", fault_vector, GP);
    }
    TEST("pvalidate: an address that is not mapped is #PF") {
        pvalidate(NOT_MAPPED + 0x3000, 0, 1);
        expect("vector", fault_vector, PF);
        expect("error code", fault_error, 0);
        expect("CR2", fault_address, NOT_MAPPED + 0x3000);
    }
    TEST("rmpadjust: an address that is not mapped is #PF") {
        rmpadjust(NOT_MAPPED + 0x3000, 0, 1);
        expect("vector", fault_vector, PF);
        expect("CR2", fault_address, NOT_MAPPED + 0x3000);
    }
    TEST("pvalidate: an address that is no memory is FAIL_INPUT") {
        expect("EAX", pvalidate(3ULL << 30, 0, 1).eax, 1);
        expect("vector", fault_vector, NO_FAULT);
    }
    TEST("pvalidate: at CPL 3 it is #GP") {
        pvalidate_user(block);
        expect("vector", fault_vector, GP);
        expect("error code", fault_error, 0);
        read8((void *)block);
        expect("vector of a read", fault_vector, VC);
    }
    TEST("rmpadjust: at CPL 3 it is #GP") {
        rmpadjust_user(block);
        expect("vector", fault_vector, GP);
    }
    TEST("pvalidate: 32-bit code has a 32-bit address") {
        expect("EAX", pvalidate_32(0xdeadULL << 32 | block, 0, 1), 0);
        read8((void *)block);
        expect("vector", fault_vector, NO_FAULT);
    }
}

static void sharing(void)
{
    uint64_t block = new_block();

    TEST("psc msr: a private page becomes shared and loses its validation") {
        pvalidate(block, 0, 1);
        read8((void *)block);   /* the translation is cached now, and must go */
        expect("answer", psc_msr(block, PSC_SHARED), 0x015);
        write8(SHARED(block), 0x1234);
        expect("shared vector", fault_vector, NO_FAULT);
        expect("value", read8(SHARED(block)), 0x1234);
        read8((void *)block);
        expect("private vector", fault_vector, VC);
    }
    TEST("psc msr: back to private, it wants validation again") {
        psc_msr(block, PSC_SHARED);
        expect("answer", psc_msr(block, PSC_PRIVATE), 0x015);
        read8((void *)block);
        expect("vector", fault_vector, VC);
        struct result r = pvalidate(block, 0, 1);
        expect("CF", r.carry, 0);
        read8((void *)block);
        expect("vector after", fault_vector, NO_FAULT);
    }
    TEST("psc msr: private to private keeps the validation") {
        expect("answer", psc_msr(block, PSC_PRIVATE), 0x015);
        struct result r = pvalidate(block, 0, 1);
        expect("CF", r.carry, 1);
    }
    TEST("psc msr: an address that is no memory is refused") {
        if (!kvm) {         /* where it ends the machine: see endings.c */
            expect("answer & 0xffffffff", psc_msr(NO_MEMORY, PSC_PRIVATE) & 0xffffffff, 0x015);
            expect("error is set", psc_msr(NO_MEMORY, PSC_PRIVATE) >> 32 != 0, 1);
        }
    }
    TEST("psc msr: an address that is no memory may be declared shared") {
        expect("answer", psc_msr(NO_MEMORY, PSC_SHARED), 0x015);
    }
    TEST("psc msr: an unknown operation is refused, and so is PSMASH") {
        expect("error is set", psc_msr(block, 7) >> 32 != 0, 1);
        expect("error is set", psc_msr(block, PSC_PSMASH) >> 32 != 0, 1);
    }
    TEST("access: a shared write converts a private page") {
        uint64_t other = new_block();

        pvalidate(other, 0, 1);
        write8((void *)other, 0x66);
        write8(SHARED(other), 0x77);
        expect("vector", fault_vector, NO_FAULT);
        read8((void *)other);
        expect("private vector", fault_vector, VC);
    }
    TEST("access: a shared read of a private page in use gives noise and changes nothing") {
        uint64_t other = new_block(), seen;

        pvalidate(other, 0, 1);
        write8((void *)other, 0x66);
        seen = read8(SHARED(other));
        expect("vector", fault_vector, NO_FAULT);
        expect("that it is the contents, or nothing", seen == 0x66 || seen == 0, 0);
        expect("value, again", read8(SHARED(other)), seen);
        expect("private value", read8((void *)other), 0x66);
        expect("private vector", fault_vector, NO_FAULT);
        expect("CF of PVALIDATE", pvalidate(other, 0, 1).carry, 1);
        write8(SHARED(other), 0x77);
        expect("value written after it", read8(SHARED(other)), 0x77);
        read8((void *)other);
        expect("private vector after a write", fault_vector, VC);
    }
    TEST("access: a shared read of a page whose validation was taken back, too") {
        uint64_t other = new_block();

        pvalidate(other, 0, 1);
        write8((void *)other, 0x66);
        pvalidate(other, 0, 0);
        expect("that it is the contents", read8(SHARED(other)) == 0x66, 0);
        pvalidate(other, 0, 1);
        expect("private value", read8((void *)other), 0x66);
        pvalidate(other, 0, 0);
        read8(SHARED(other));
        psc_msr(other, PSC_SHARED);
        expect("value once it is shared", read8(SHARED(other)), 0);
    }
    TEST("access: a shared read of a private page that was never touched converts it") {
        uint64_t other = new_block();

        expect("value", read8(SHARED(other)), 0);
        psc_msr(other, PSC_SHARED);
        write8(SHARED(other), 0x77);
        expect("value, as it was shared", read8(SHARED(other)), 0x77);
        psc_msr(other, PSC_PRIVATE);
        read8(SHARED(other));
        pvalidate(other, 0, 1);
        read8(SHARED(other));
        expect("vector", fault_vector, NO_FAULT);
    }
    TEST("access: a launched page counts as touched from its first private access on") {
        uint64_t fresh = 0x1e0000, touched = 0x1e1000;

        read8((void *)touched);
        read8(SHARED(touched));
        read8((void *)touched);
        expect("touched page's vector", fault_vector, NO_FAULT);
        read8(SHARED(fresh));
        read8((void *)fresh);
        expect("fresh page's vector", fault_vector, VC);
    }
    TEST("pvalidate: a shared page is converted by the hypervisor, then validated") {
        uint64_t other = new_block();

        psc_msr(other, PSC_SHARED);
        struct result r = pvalidate(other, 0, 1);
        expect("EAX", r.eax, 0);
        expect("CF", r.carry, 0);
    }
}

static void adjusting(void)
{
    uint64_t block = new_block();

    pvalidate(block, 0, 1);
    TEST("rmpadjust: VMPL0 may change what VMPL1 may") {
        expect("EAX", rmpadjust(block, 0, 1), 0);
    }
    TEST("rmpadjust: VMPL0 may not change VMPL0") {
        expect("EAX", rmpadjust(block, 0, 0), 2);
    }
    TEST("rmpadjust: a page that is not validated is refused") {
        expect("EAX is not 0", rmpadjust(block + PAGE, 0, 1) != 0, 1);
    }
    TEST("rmpadjust: 2M on 4K entries is FAIL_SIZEMISMATCH") {
        expect("EAX", rmpadjust(block, 1, 1), 6);
    }
    TEST("rmpadjust: 2M on a 2M entry") {
        uint64_t large = new_block();
        bool done = pvalidate(large, 1, 1).eax == 0;

        expect("EAX", rmpadjust(large, 1, 0x0f01), done ? 0 : 6);
    }
    TEST("rmpadjust: a shared page is converted by the hypervisor, and not validated") {
        uint64_t other = new_block();

        psc_msr(other, PSC_SHARED);
        expect("EAX", rmpadjust(other, 0, 1), 1);
        expect("CF of PVALIDATE", pvalidate(other, 0, 1).carry, 0);
        read8((void *)other);
        expect("vector", fault_vector, NO_FAULT);
    }
    TEST("rmpadjust: permissions and VMSA are its only fields") {
        expect("EAX, permissions", rmpadjust(block, 0, 0x1f01), 0);
        expect("EAX, reserved permission", rmpadjust(block, 0, 0x2001), 1);
        expect("EAX, reserved bit 17", rmpadjust(block, 0, 1 << 17 | 1), 1);
    }
    TEST("rmpadjust: a VMPL that does not exist is FAIL_INPUT") {
        expect("EAX", rmpadjust(block, 0, 4), 1);
    }
    TEST("rmpadjust: an unknown page size is FAIL_INPUT") {
        expect("EAX", rmpadjust(block, 2, 1), 1);
    }
    TEST("rmpadjust: an address mapped shared is FAIL_INPUT") {
        expect("EAX", rmpadjust(block + (4ULL << 30), 0, 1), 1);
    }
}

void memory_rules(void)
{
    identity();
    validation();
    sizes();
    faults();
    sharing();
    adjusting();
}
