/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * What a guest sees of a host that fails on demand, by the fault's number. What comes once comes at one of the first
 * occasions, what comes again comes at the first.
 */
#include "../guest.h"

#define FEW  16     /* occasions within which a page state change is refused */
#define MANY 4096   /* and those of what the host does to a page in use */

extern char vector_2[], vector_6[], vector_13[], vector_14[], vector_29[];

static void set_gate(int vector, char *handler)
{
    uint64_t address = (uint64_t)handler;

    idt[vector * 2] = (address & 0xffff) | (uint64_t)CODE64 << 16 | 0x8eULL << 40 |
                      (address >> 16 & 0xffff) << 48;
    idt[vector * 2 + 1] = address >> 32;
}

static unsigned psc_cur(void)
{
    return *field(BUFFER) & 0xffff;
}

static void new_psc(unsigned entries)
{
    new_request(NAE_PSC, 0, 0);
    put(SCRATCH, ghcb_gpa + BUFFER);
    *field(BUFFER) = (uint64_t)(entries - 1) << 16;
}

static void set_entry(unsigned number, uint64_t gpa, bool large)
{
    *field(BUFFER + 8 + number * 8) = gpa | PSC_SHARED << 52 | (uint64_t)large << 56;
}

/* The request again, with what the answer left of its entries. */
static void ask_again(void)
{
    put(CODE, NAE_PSC);
    put(INFO1, 0);
    put(INFO2, 0);
    put(SCRATCH, ghcb_gpa + BUFFER);
    submit();
}

/* As guests do: on with the rest until nothing is left. Gives the number of requests. */
static unsigned change_all(unsigned entries)
{
    unsigned requests = 0, before;

    do {
        before = psc_cur();
        ask_again();
        requests++;
        expect("SW_EXITINFO2", *field(INFO2), 0);
        expect("cur_entry goes back", psc_cur() < before, 0);
    } while (psc_cur() < entries && requests < 1000);
    return requests;
}

static void expect_shared(uint64_t gpa, uint64_t size)
{
    for (uint64_t page = gpa; page < gpa + size; page += PAGE) {
        write8(SHARED(page), page);
        expect("a shared page", read8(SHARED(page)), page);
    }
}

static void psc_refused(void)
{
    TEST("psc-refused: one entry is, and the request stops there") {
        uint64_t block = new_block();
        unsigned refused = 0;

        for (unsigned i = 0; i < 2 * FEW; i++) {
            new_psc(1);
            set_entry(0, block + i * PAGE, false);
            submit();
            if (*field(INFO2)) {
                refused++;
                expect("SW_EXITINFO2", *field(INFO2), 0x100ULL << 32);
                expect("cur_entry", psc_cur(), 0);
            }
        }
        expect("refusals", refused, 1);
    }
}

static void psc_partial(void)
{
    TEST("psc-partial: a request goes on at its cur_entry") {
        uint64_t block = new_block();

        new_psc(20);
        for (unsigned i = 0; i < 20; i++) {
            set_entry(i, block + i * PAGE, false);
        }
        expect("one request is enough", change_all(20) == 1, 0);
        expect_shared(block, 20 * PAGE);
    }
}

static void psc_interrupted(void)
{
    TEST("psc-interrupted: an entry goes on at its cur_page") {
        bool midway = false, nothing = false;

        for (unsigned i = 0; i < 12; i++) {
            uint64_t block = new_block();

            new_psc(1);
            set_entry(0, block, true);
            for (unsigned n = 0; psc_cur() == 0 && n < 1000; n++) {
                change_all(0);
                unsigned page = *field(BUFFER + 8) & 0xfff;

                midway |= page && page < 512;
                nothing |= !page;
            }
            expect_shared(block, BLOCK);
        }
        expect("an entry was half done", midway, 1);
        expect("an entry was not begun", nothing, 1);
    }
}

static void size_mismatch(void)
{
    TEST("size-mismatch: of 2 MiB, at first and then at times; the 4 KiB are validated") {
        unsigned mismatches = 0;

        for (unsigned i = 0; i < 24; i++) {
            uint64_t block = new_block();
            uint32_t eax = pvalidate(block, 1, 1).eax;

            expect("EAX", eax != 0 && eax != 6, 0);
            if (i == 0) {
                expect("EAX at first", eax, 6);
            }
            mismatches += eax == 6;
            expect("EAX of 4 KiB", pvalidate(block + 7 * PAGE, 0, 1).eax, 0);
        }
        expect("all were mismatches", mismatches == 24, 0);
    }
}

static void in_use(void)
{
    TEST("in-use: one page is, and is validated when asked again") {
        uint64_t block = new_block();
        unsigned seen = 0;

        for (uint64_t page = block; page < block + BLOCK; page += PAGE) {
            uint32_t eax = pvalidate(page, 0, 1).eax;

            if (eax) {
                seen++;
                expect("EAX", eax, 3);
                expect("EAX again", pvalidate(page, 0, 1).eax, 0);
            }
        }
        expect("in use", seen, 1);
    }
}

static void busy(void)
{
    TEST("busy: guest requests are, at first and then at times") {
        uint64_t block = new_block();
        unsigned seen = 0;

        psc_msr(block, PSC_SHARED);
        psc_msr(block + PAGE, PSC_SHARED);
        for (unsigned i = 0; i < 20; i++) {
            new_request(NAE_REQUEST, block, block + PAGE);
            submit();
            if (i == 0) {
                expect("SW_EXITINFO2 at first", *field(INFO2), 2ULL << 32);
            }
            seen += *field(INFO2) == 2ULL << 32;
        }
        expect("each time", seen == 20, 0);
    }
}

static void ap_late(void)
{
    TEST("ap-late: a vCPU comes, and later than asked") {
        uint64_t vmsa = new_vmsa();

        create_vcpu(vmsa);
        expect("comes in the end", beating(), 1);
        vmgexit_msr(ghcb_gpa | 0x012);  /* the ledger has the time */
        destroy_vcpu(vmsa);
    }
}

/* The host takes one page for each of its lies, when the guest uses it. */
static void lies(void)
{
    TEST("lies: three pages in use are lost, each with #VC, and others are not") {
        unsigned lost = 0;

        for (unsigned i = 0; i < 2 * MANY / 512; i++) {
            uint64_t block = new_block();

            accept_block(block);
            for (uint64_t page = block; page < block + BLOCK; page += PAGE) {
                write8((void *)page, page);
                if (fault_vector != NO_FAULT) {
                    lost++;
                    expect("vector", fault_vector, VC);
                    expect("error", fault_error, NOT_VALIDATED);
                    expect("address", fault_address, page);
                    struct result r = pvalidate(page, 0, 1);

                    expect("EAX", r.eax, 0);
                    expect("CF", r.carry, 0);
                    write8((void *)page, page);
                }
                expect("vector in the end", fault_vector, NO_FAULT);
            }
        }
        expect("pages lost", lost, 3);
    }
}

static void (*const faults[])(void) = {
    psc_partial, psc_interrupted, psc_refused, size_mismatch, in_use, busy, ap_late, lies,
};

void main(void)
{
    read_options();
    set_gate(NMI, vector_2);
    set_gate(UD, vector_6);
    set_gate(GP, vector_13);
    set_gate(PF, vector_14);
    set_gate(VC, vector_29);
    ghcb_gpa = new_block();
    while (psc_msr(ghcb_gpa, PSC_SHARED) >> 32) {
    }
    vmgexit_msr(ghcb_gpa | 0x012);
    faults[option("fault", 0)]();
    say("end of tests\n");
    vmgexit_msr(0x100);
}
