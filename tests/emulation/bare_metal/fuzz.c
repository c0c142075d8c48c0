/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * Many seeded random requests: the machine must stay up, and each answer must be one that the GHCB specification has.
 * Left out is what ends or parks a vCPU by design, and device registers through which any guest can do the same.
 */
#include "guest.h"

/* Pages that requests may change, and one whose contents nobody may. */
#define PLAYGROUND      (64ULL << 20)
#define PLAYGROUND_SIZE (64ULL << 20)
#define CANARY          0x5eed5eed5eed5eedULL

static uint64_t state, failures, done, exceptions, malformed;

/* xorshift64* (Marsaglia, Vigna) */
static uint64_t random(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1d;
}

static uint64_t below(uint64_t n)
{
    return random() % n;
}

static void fail(const char *what, uint64_t number, uint64_t seen)
{
    if (failures++ < 20) {
        say("FAIL case ");
        say_hex(number);
        say(": ");
        say(what);
        say(" is ");
        say_hex(seen);
        say("\n");
    }
}

/* A page that may change state: often of the playground, else no memory. */
static uint64_t any_gpa(void)
{
    switch (below(8)) {
    case 0:
        return RAM_SIZE + below(1 << 20) * PAGE;    /* below the firmware, as RAM is small */
    case 1:
        return (1ULL << 40) - PAGE - below(512) * PAGE;
    case 2:
        return RAM_SIZE - BLOCK / 2;                /* 2M from here on leave memory, and are not aligned */
    case 3:
        return PLAYGROUND + below(PLAYGROUND_SIZE / BLOCK) * BLOCK;
    default:
        return PLAYGROUND + below(PLAYGROUND_SIZE / PAGE) * PAGE;
    }
}

static uint64_t any_value(void)
{
    const uint64_t edges[] = { 0, 1, 2, 4, 8, 16, 252, 253, 254, 0xffff, 0x7fffffff, 0xffffffff, ~0ULL, 1ULL << 63 };

    switch (below(4)) {
    case 0:
        return edges[below(sizeof(edges) / sizeof(edges[0]))];
    case 1:
        return any_gpa();
    case 2:
        return below(64);
    default:
        return random();
    }
}

static uint64_t any_code(void)
{
    static const uint64_t codes[] = {
        NAE_DR7_READ, NAE_DR7_WRITE, NAE_RDTSC, NAE_RDPMC, NAE_CPUID, NAE_INVD, NAE_IOIO, NAE_MSR, NAE_VMMCALL,
        NAE_RDTSCP, NAE_WBINVD, NAE_MONITOR, NAE_MWAIT, NAE_MMIO_READ, NAE_MMIO_WRITE, NAE_NMI_COMPLETE,
        NAE_AP_JUMP_TABLE, NAE_PSC, NAE_PSC, NAE_PSC, NAE_REQUEST, NAE_EXT_REQUEST, NAE_AP_CREATION,
        NAE_HV_DOORBELL, NAE_APIC_IDS, NAE_RUN_VMPL, NAE_HV_FEATURES,
    };
    uint64_t code;

    if (below(8)) {
        return codes[below(sizeof(codes) / sizeof(codes[0]))];
    }
    code = below(2) ? random() : 0x80000000 + below(64);
    return code == NAE_AP_RESET_HOLD || code == NAE_TERMINATE || code == NAE_UNSUPPORTED ? 0 : code;
}

/* Ports behind which nothing resets, stops, talks, or runs a timer at a rate that starves the machine. */
static uint64_t any_port(void)
{
    static const uint16_t ports[] = { 0x20, 0x21, 0x61, 0x70, 0x71, 0x80, 0x87, 0xa0, 0x3f8, 0xffff };

    return ports[below(sizeof(ports) / sizeof(ports[0]))];
}

static uint64_t any_msr(void)
{
    static const uint32_t msrs[] = {
        0x10, 0x174, 0x176, 0x1a0, 0x200, 0x20f, 0x250, 0x277, 0x2ff, 0x400, 0x6e1, 0x802, 0x80b, 0x830, 0xda0,
        0xc0000080, 0xc0000081, 0xc0000084, 0xc0000100, 0xc0000102, 0xc0000103, 0xc0010117, 0xc0010130, 0xc0010131,
    };

    return below(4) ? msrs[below(sizeof(msrs) / sizeof(msrs[0]))] : 0xc0020000 + below(1 << 16);
}

/* Not the interrupt controllers: what they send can reset a vCPU. */
static uint64_t any_mmio(void)
{
    uint64_t gpa = below(2) ? any_gpa() + below(PAGE) : below(4) ? random() : ~below(2 * PAGE);

    return gpa >= 0xfec00000 && gpa < 0xfef00000 ? gpa - 0xfec00000 + NO_MEMORY : gpa;
}

static void fill_psc(void)
{
    unsigned entries = below(4) ? below(8) + 1 : below(260), cur = below(8) ? 0 : below(entries + 2);
    uint64_t offset = BUFFER + (below(8) ? 0 : below(16) * 8);

    put(SCRATCH, ghcb_gpa + offset);
    for (unsigned i = 0; i < 253 && i < entries && offset + 16 + i * 8 <= BUFFER + BUFFER_SIZE; i++) {
        uint64_t operation = below(16) ? 1 + below(2) : below(16), large = below(4) == 0;
        uint64_t gpa = any_gpa() & ~(large && below(8) ? BLOCK - 1 : 0);

        *field(offset + 8 + i * 8) = gpa | operation << 52 | large << 56 |
                                     (below(8) ? 0 : below(600)) | (below(16) ? 0 : random() << 57);
    }
    *field(offset) = cur | (uint64_t)(uint16_t)(entries - 1) << 16;
}

static void fill_request(void)
{
    uint64_t code = any_code(), info1 = any_value(), info2 = any_value();

    for (unsigned i = 0; i < 512; i++) {
        field(0)[i] = i < VALID / 8 && below(4) == 0 ? random() : 0;
    }
    for (unsigned i = 0; i < 8 && below(2); i++) {
        *field(BUFFER + below(BUFFER_SIZE / 8) * 8) = random();
    }
    switch (code) {
    case NAE_IOIO:
        info1 = any_port() << 16 | (random() & 0x3ff);
        info2 = below(4) ? below(2200) : info2;
        break;
    case NAE_MSR:
        info1 = below(3);
        break;
    case NAE_MMIO_READ:
    case NAE_MMIO_WRITE:
        info1 = any_mmio();
        info2 = below(4) ? below(2100) : info2;
        break;
    case NAE_REQUEST:
    case NAE_EXT_REQUEST:
        info1 = any_gpa();
        info2 = any_gpa();
        break;
    case NAE_AP_CREATION:
        info1 = below(4) | below(3) << 32;
        info1 = info1 == 2 ? 1 : info1;     /* destroys this vCPU */
        info2 = any_gpa();
        break;
    case NAE_APIC_IDS:
        info1 = any_gpa();
        break;
    }
    put(CODE, code);
    put(INFO1, info1);
    put(INFO2, info2);
    put(RAX, any_value());
    put(RBX, any_value());
    put(RCX, code == NAE_MSR ? any_msr() : any_value());
    put(RDX, any_value());
    put(SCRATCH, below(8) ? ghcb_gpa + BUFFER + below(BUFFER_SIZE) : below(2) ? ghcb_gpa + below(2 * PAGE) : random());
    mark(XCR0);
    mark(CPL);
    if (code == NAE_PSC) {
        fill_psc();
    }
    if (below(8) == 0) {    /* some field is not marked valid */
        *((volatile uint8_t *)field(VALID) + below(16)) = random();
    }
    if (below(32) == 0) {
        *((volatile uint32_t *)field(0xff8) + 1) = random();
    }
}

static void check_answer(uint64_t number, uint64_t code)
{
    uint64_t info1 = *field(INFO1), info2 = *field(INFO2);

    if (!valid(INFO1) || !valid(INFO2)) {
        fail("an unmarked answer to", number, code);
    }
    switch (info1) {
    case DONE:
        done++;
        if (code == NAE_PSC && info2 != 0 && info2 != (1ULL << 32 | 1) && info2 != (1ULL << 32 | 2) &&
            info2 != 0x100ULL << 32) {
            fail("the page state change's result", number, info2);
        }
        if ((code == NAE_REQUEST || code == NAE_EXT_REQUEST) && info2 >> 32 > 1) {
            fail("the guest request's result", number, info2);
        }
        break;
    case EXCEPTION:
        exceptions++;
        if (info2 != 0x80000b0d && info2 != 0x80000306) {
            fail("the exception", number, info2);
        }
        break;
    case MALFORMED:
        malformed++;
        if (info2 < NOT_REGISTERED || info2 > INVALID_EVENT) {
            fail("the reason", number, info2);
        }
        break;
    default:
        fail("SW_EXITINFO1", number, info1);
    }
}

static void msr_case(uint64_t number, bool snp)
{
    static const uint16_t requests[] = { 0x002, 0x004, 0x010, 0x014, 0x014, 0x016, 0x080 };
    uint64_t request = below(4) ? requests[below(sizeof(requests) / sizeof(requests[0]))] : random() & 0xfff;
    bool known = false;
    uint64_t answer, value;

    if (!snp && (request == 0x010 || request == 0x014)) {
        request = 0x080;        /* ends a SEV-ES guest: only SNP guests have it */
    }
    if (!snp && request == 0x016) {
        request = 0x004;        /* KVM does not know it */
    }
    if (request == 0 || request == 0x006 || request == 0x100 || request == 0x012) {
        request = 0x003;        /* the GHCB page, and what parks, ends or moves the GHCB */
    }
    for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        known |= request == requests[i];
    }
    value = request == 0x014 ? any_gpa() | random() << 52 : random() & ~0xfffULL;
    answer = vmgexit_msr(value | request);
    if (known ? (answer & 0xfff) != (request == 0x002 ? 0x001 : request + 1) : answer != (value | request)) {
        fail("the answer in the MSR", number, answer);
    }
}

/* The processor's part of it, so that pages of all states are met; a SEV-ES guest uses them by either view. */
static void view_case(uint64_t number)
{
    uint64_t gpa = PLAYGROUND + below(PLAYGROUND_SIZE / PAGE) * PAGE;
    void *address = below(2) ? SHARED(gpa) : (void *)gpa;

    if (below(2)) {
        write8(address, random());
    } else {
        read8(address);
    }
    if (fault_vector != NO_FAULT) {
        fail("the access's vector", number, fault_vector);
    }
}

static void instruction_case(uint64_t number)
{
    uint64_t gpa = PLAYGROUND + below(PLAYGROUND_SIZE / PAGE) * PAGE, large = below(4) == 0;
    uint32_t eax;

    gpa &= ~(large && below(8) ? BLOCK - 1 : 0);
    if (below(4)) {
        eax = pvalidate(gpa, large, below(2)).eax;
    } else {
        eax = rmpadjust(gpa, large, random() & 0x1fff);     /* no VMSA pages: they would be run */
    }
    if (fault_vector != NO_FAULT || (eax != 0 && eax != 1 && eax != 2 && eax != 6)) {
        fail("the instruction's result", number, eax);
    }
}

static void tell(const char *what, uint64_t count)
{
    say(what);
    say(" ");
    say_hex(count);
    say("\n");
}

void fuzz(uint64_t cases, uint64_t seed, bool snp)
{
    uint64_t canary = new_block(), code, pages = 0, values = 0;

    state = seed ? seed : 1;
    if (snp) {
        pvalidate(canary, 0, 1);
    }
    for (unsigned i = 0; i < PAGE / 8; i++) {
        ((uint64_t *)canary)[i] = CANARY;
    }
    for (uint64_t i = 0; i < cases; i++) {
        switch (below(8)) {
        case 0:
            if (snp) {
                instruction_case(i);
            } else {
                view_case(i);
            }
            break;
        case 1:
        case 2:
            msr_case(i, snp);
            values++;
            break;
        default:
            fill_request();
            code = *field(CODE);
            submit();
            check_answer(i, code);
            pages++;
            break;
        }
    }
    for (unsigned i = 0; i < PAGE / 8; i++) {
        if (((uint64_t *)canary)[i] != CANARY) {
            fail("the canary", i, ((uint64_t *)canary)[i]);
        }
    }
    tell("pages", pages);
    tell("done", done);
    tell("exceptions", exceptions);
    tell("malformed", malformed);
    tell("values", values);
    tell("failures", failures);
    say("end of fuzzing\n");
}
