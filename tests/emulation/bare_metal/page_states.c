/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * Page state changes by the GHCB page.
 */
#include "guest.h"

static uint64_t psc_entry(uint64_t gpa, uint64_t operation, bool large)
{
    return gpa | operation << 52 | (uint64_t)large << 56;
}

static void new_psc(unsigned entries)
{
    new_request(NAE_PSC, 0, 0);
    put(SCRATCH, ghcb_gpa + BUFFER);
    *field(BUFFER) = (uint64_t)(entries - 1) << 16;
}

static void set_psc_entry(unsigned number, uint64_t entry)
{
    *field(BUFFER + 8 + number * 8) = entry;
}

static unsigned psc_cur(void)
{
    return *field(BUFFER) & 0xffff;
}

void page_state_rules(void)
{
    uint64_t large = new_block(), small = new_block();

    TEST("psc: 2M and 4K entries in one request") {
        new_psc(3);
        set_psc_entry(0, psc_entry(large, PSC_SHARED, true));
        set_psc_entry(1, psc_entry(small, PSC_SHARED, false));
        set_psc_entry(2, psc_entry(small + PAGE, PSC_SHARED, false));
        submit();
        expect("SW_EXITINFO2", *field(INFO2), 0);
        expect("cur_entry", psc_cur(), 3);
        write8(SHARED(large + BLOCK - 8), 1);
        expect("vector", fault_vector, NO_FAULT);
    }
    TEST("psc: a 2M entry made private takes a 2M PVALIDATE, where its RMP entry is that large") {
        new_psc(1);
        set_psc_entry(0, psc_entry(large, PSC_PRIVATE, true));
        submit();
        expect("SW_EXITINFO2", *field(INFO2), 0);
        uint32_t eax = pvalidate(large, 1, 1).eax;

        expect("EAX", entries == ENTRIES_MIXED && eax == 6 ? 0 : eax, entries == ENTRIES_4K ? 6 : 0);
    }
    TEST("psc: an invalid entry stops there and says so") {
        new_psc(3);
        set_psc_entry(0, psc_entry(small, PSC_PRIVATE, false));
        set_psc_entry(1, psc_entry(small + PAGE, 9, false));
        set_psc_entry(2, psc_entry(small + 2 * PAGE, PSC_PRIVATE, false));
        submit();
        /* KVM takes an operation that it does not know for done */
        expect("SW_EXITINFO2", *field(INFO2), kvm ? 0 : 1ULL << 32 | 2);
        expect("cur_entry", psc_cur(), kvm ? 3 : 1);
    }
    TEST("psc: an unaligned 2M entry is invalid") {
        new_psc(1);
        set_psc_entry(0, psc_entry(large + PAGE, PSC_PRIVATE, true));
        submit();
        expect("SW_EXITINFO2", *field(INFO2), 1ULL << 32 | 2);
    }
    TEST("psc: a header whose end lies before its start is invalid") {
        new_psc(1);
        *field(BUFFER) = 5;
        submit();
        expect("SW_EXITINFO2", *field(INFO2), kvm ? 0 : 1ULL << 32 | 1);   /* nothing to do */
    }
    TEST("psc: more entries than a GHCB holds are invalid") {
        new_psc(1);
        *field(BUFFER) = 253ULL << 16;
        submit();
        expect("SW_EXITINFO2", *field(INFO2), 1ULL << 32 | 1);
    }
    TEST("psc: a descriptor outside the GHCB is malformed, reason 3") {
        new_psc(1);
        put(SCRATCH, small);
        submit();
        expect_malformed(INVALID_SCRATCH);
    }
    TEST("psc: a descriptor in the save area is malformed, reason 3") {
        new_psc(1);
        put(SCRATCH, ghcb_gpa + BUFFER - 8);
        submit();
        expect_malformed(INVALID_SCRATCH);
    }
    TEST("psc: a descriptor at the shared buffer's very end is malformed, reason 3") {
        new_psc(1);
        put(SCRATCH, ghcb_gpa + BUFFER + 2032 - 4);
        submit();
        expect_malformed(INVALID_SCRATCH);
    }
    TEST("psc: a descriptor that begins right before the GHCB is malformed, reason 3") {
        new_psc(1);
        put(SCRATCH, ghcb_gpa - 4);
        submit();
        expect_malformed(INVALID_SCRATCH);
    }
    TEST("psc: without a scratch address it is malformed, reason 4") {
        new_request(NAE_PSC, 0, 0);
        submit();
        expect_malformed(MISSING_INPUT);
    }
    TEST("psc: entries done are marked so") {
        new_psc(2);
        set_psc_entry(0, psc_entry(new_block(), PSC_SHARED, true));
        set_psc_entry(1, psc_entry(small, PSC_SHARED, false));
        submit();
        expect_done(0);
        expect("cur_page of a 2M entry", *field(BUFFER + 8) & 0xfff, 512);
        expect("cur_page of a 4K entry", *field(BUFFER + 16) & 0xfff, 1);
    }
    TEST("psc: a 2M entry that is under way goes on at its cur_page") {
        uint64_t block = new_block();

        new_psc(1);
        set_psc_entry(0, psc_entry(block, PSC_SHARED, true) | 510);
        submit();
        expect_done(0);
        expect("cur_page", *field(BUFFER + 8) & 0xfff, 512);
        expect("EAX before", pvalidate(block + 509 * PAGE, 0, 1).eax, 0);
        read8((void *)(block + 509 * PAGE));
        expect("vector before", fault_vector, NO_FAULT);
        write8(SHARED(block + 510 * PAGE), 1);
        read8((void *)(block + 510 * PAGE));
        expect("vector after", fault_vector, VC);
    }
    TEST("psc: an entry that is done already changes nothing") {
        uint64_t block = new_block();

        pvalidate(block, 0, 1);
        new_psc(1);
        set_psc_entry(0, psc_entry(block, PSC_SHARED, false) | 1);
        submit();
        expect_done(0);
        expect("CF of PVALIDATE", pvalidate(block, 0, 1).carry, 1);
    }
    TEST("psc: a cur_page beyond the entry is invalid") {
        new_psc(1);
        set_psc_entry(0, psc_entry(small, PSC_PRIVATE, false) | 2);
        submit();
        expect_done(1ULL << 32 | 2);
    }
    TEST("psc: PSMASH and UNSMASH are done and change nothing") {
        uint64_t block = new_block();

        bool large = pvalidate(block, 1, 1).eax == 0;

        accept_block(block);
        new_psc(2);
        set_psc_entry(0, psc_entry(block, PSC_PSMASH, true));
        set_psc_entry(1, psc_entry(block, PSC_UNSMASH, true));
        submit();
        expect_done(0);
        expect("CF of PVALIDATE", pvalidate(block, large, 1).carry, 1);
    }
    TEST("psc: no memory can be made shared, not private") {
        new_psc(kvm ? 1 : 2);   /* there it ends the machine: see endings.c */
        set_psc_entry(0, psc_entry(NO_MEMORY, PSC_SHARED, true));
        set_psc_entry(1, psc_entry(NO_MEMORY, PSC_PRIVATE, true));
        submit();
        expect_done(kvm ? 0 : 0x100ULL << 32);
        expect("cur_entry", psc_cur(), 1);
    }
    TEST("psc: a 4K page of a shared 2M block made private takes a 4K PVALIDATE, not a 2M one") {
        uint64_t block = new_block();

        new_psc(2);
        set_psc_entry(0, psc_entry(block, PSC_SHARED, true));
        set_psc_entry(1, psc_entry(block, PSC_PRIVATE, false));
        submit();
        expect_done(0);
        expect("EAX, 4K", pvalidate(block, 0, 1).eax, 0);
        for (unsigned i = 1; i < 512; i += 253) {
            unsigned n = 512 - i < 253 ? 512 - i : 253;

            new_psc(n);
            for (unsigned j = 0; j < n; j++) {
                set_psc_entry(j, psc_entry(block + (i + j) * PAGE, PSC_PRIVATE, false));
            }
            submit();
            expect_done(0);
            expect("cur_entry", psc_cur(), n);
        }
        expect("EAX, 2M", pvalidate(block, 1, 1).eax, 6);
    }
    TEST("psc: a GHCB that makes itself private loses its contents and gets no answer") {
        uint64_t registered = ghcb_gpa;

        ghcb_gpa = new_block();
        psc_msr(ghcb_gpa, PSC_SHARED);
        vmgexit_msr(ghcb_gpa | 0x012);
        new_psc(1);
        set_psc_entry(0, psc_entry(ghcb_gpa, PSC_PRIVATE, false));
        submit();
        expect("EAX", pvalidate(ghcb_gpa, 0, 1).eax, 0);
        expect("SW_EXITCODE is the request's", read8((void *)(ghcb_gpa + CODE)) == NAE_PSC, 0);
        ghcb_gpa = registered;
        vmgexit_msr(ghcb_gpa | 0x012);
    }
}
