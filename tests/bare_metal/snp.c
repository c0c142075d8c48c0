/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * What an SEV-SNP guest may rely on, rule by rule, asked of the machine that this runs on. Each TEST prints one
 * line on the debug port: "ok NAME", or "FAIL NAME: what was seen". Rules are those of the AMD64 manual (APM,
 * volume 2, 15.36; volume 3, PVALIDATE and RMPADJUST) and of the GHCB specification 2.0x.
 */
#include <stdbool.h>
#include <stdint.h>

#define C_BIT        (1ULL << 51)
#define SHARED(gpa)  ((void *)((gpa) + (4ULL << 30)))
#define PAGE         4096ULL
#define BLOCK        (2ULL << 20)
#define MSR_GHCB     0xc0010130
#define MSR_STATUS   0xc0010131
#define VC           29
#define GP           13
#define NOT_VALIDATED 0x404
#define NO_FAULT     (-1ULL)

/* Guest memory that nothing has touched; each test takes blocks of its own. */
static uint64_t next_block;

uint64_t fault_vector, fault_error, fault_address, resume;
extern uint64_t pd[], idt[];
extern char vector_6[], vector_13[], vector_14[], vector_29[];

static void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void say(const char *text)
{
    while (*text) {
        outb(0x402, *text++);
    }
}

static void say_hex(uint64_t value)
{
    say("0x");
    for (int shift = 60; shift >= 0; shift -= 4) {
        if (value >> shift || shift == 0) {
            outb(0x402, "0123456789abcdef"[value >> shift & 15]);
        }
    }
}

static const char *test_name;
static bool test_failed;

static void expect(const char *what, uint64_t seen, uint64_t wanted)
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

static void begin(const char *name)
{
    test_name = name;
    test_failed = false;
}

static void end(void)
{
    if (!test_failed) {
        say("ok ");
        say(test_name);
        say("\n");
    }
}

#define TEST(name) for (bool once = (begin(name), true); once; once = (end(), false))

static uint64_t new_block(void)
{
    next_block += BLOCK;
    return next_block - BLOCK;
}

static uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static void cpuid(uint32_t leaf, uint32_t regs[4])
{
    __asm__ volatile("cpuid" : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3])
                     : "0"(leaf), "2"(0));
}

/* Instructions that may fault leave the vector in fault_vector, NO_FAULT if they did not. */
static uint64_t read8(void *address)
{
    uint64_t value = 0;

    fault_vector = NO_FAULT;
    __asm__ volatile("leaq 1f(%%rip), %%rax\n movabsq %%rax, resume\n movq (%1), %0\n1:"
                     : "+r"(value) : "r"(address) : "rax", "memory");
    return value;
}

static void write8(void *address, uint64_t value)
{
    fault_vector = NO_FAULT;
    __asm__ volatile("leaq 1f(%%rip), %%rax\n movabsq %%rax, resume\n movq %1, (%0)\n1:"
                     : : "r"(address), "r"(value) : "rax", "memory");
}

struct result {
    uint32_t eax;
    bool carry, zero;
};

static struct result pvalidate(uint64_t address, uint32_t size, uint32_t validate)
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

static uint32_t rmpadjust(uint64_t address, uint32_t size, uint64_t attributes)
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

static uint64_t vmgexit_msr(uint64_t request)
{
    wrmsr(MSR_GHCB, request);
    __asm__ volatile("rep; vmmcall" : : : "memory");
    return rdmsr(MSR_GHCB);
}

#define PSC_PRIVATE 1ULL
#define PSC_SHARED  2ULL

static uint64_t psc_msr(uint64_t gpa, uint64_t operation)
{
    return vmgexit_msr(operation << 52 | gpa | 0x014);
}

/* The GHCB: a page of its own, shared. */
static uint64_t ghcb_gpa;

enum { RAX = 0x1f8, RCX = 0x308, RDX = 0x310, RBX = 0x318,
       CODE = 0x390, INFO1 = 0x398, INFO2 = 0x3a0, SCRATCH = 0x3a8, VALID = 0x3f0, BUFFER = 0x800 };

static volatile uint64_t *field(unsigned offset)
{
    return (volatile uint64_t *)((char *)SHARED(ghcb_gpa) + offset);
}

static bool valid(unsigned offset)
{
    return *((volatile uint8_t *)field(VALID) + offset / 64) >> offset / 8 % 8 & 1;
}

static void put(unsigned offset, uint64_t value)
{
    *field(offset) = value;
    *((volatile uint8_t *)field(VALID) + offset / 64) |= 1 << offset / 8 % 8;
}

static void new_request(uint64_t code, uint64_t info1, uint64_t info2)
{
    for (unsigned i = 0; i < 512; i++) {
        field(0)[i] = 0;
    }
    *((volatile uint16_t *)field(0xff8) + 1) = 2;   /* protocol version, at 0xffa */
    put(CODE, code);
    put(INFO1, info1);
    put(INFO2, info2);
}

static void submit(void)
{
    wrmsr(MSR_GHCB, ghcb_gpa);
    __asm__ volatile("rep; vmmcall" : : : "memory");
}

static uint64_t psc_entry(uint64_t gpa, uint64_t operation, bool large)
{
    return gpa | operation << 52 | (uint64_t)large << 56;
}

static void new_psc(unsigned entries)
{
    new_request(0x80000010, 0, 0);
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
    TEST("msr: SEV_STATUS says SEV, SEV-ES and SEV-SNP") {
        expect("SEV_STATUS", rdmsr(MSR_STATUS), 7);
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

    TEST("pvalidate 2M: a whole block at once") {
        r = pvalidate(block, 1, 1);
        expect("EAX", r.eax, 0);
        expect("CF", r.carry, 0);
        read8((void *)(block + BLOCK - 8));
        expect("vector", fault_vector, NO_FAULT);
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
        expect("answer & 0xffffffff", psc_msr(0xfd00000000, PSC_PRIVATE) & 0xffffffff, 0x015);
        expect("error is set", psc_msr(0xfd00000000, PSC_PRIVATE) >> 32 != 0, 1);
    }
    TEST("psc msr: an unknown operation is refused") {
        expect("error is set", psc_msr(block, 7) >> 32 != 0, 1);
    }
    TEST("access: a shared access converts a private page") {
        uint64_t other = new_block();

        pvalidate(other, 0, 1);
        write8(SHARED(other), 0x77);
        expect("vector", fault_vector, NO_FAULT);
        read8((void *)other);
        expect("private vector", fault_vector, VC);
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
}

static void msr_protocol(void)
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
    TEST("ghcb msr: there is no preferred GHCB address") {
        expect("answer", vmgexit_msr(0x010), 0xfffffffffffff011);
    }
    TEST("ghcb msr: registration echoes the address") {
        expect("answer", vmgexit_msr(ghcb_gpa | 0x012), ghcb_gpa | 0x013);
    }
    TEST("ghcb msr: an address that is no memory cannot be registered") {
        expect("answer", vmgexit_msr(0xfd00000000 | 0x012), 0xfffffffffffff013);
    }
    TEST("ghcb msr: SNP and AP creation are among the hypervisor's features") {
        uint64_t answer = vmgexit_msr(0x080);

        expect("answer & 0xfff", answer & 0xfff, 0x081);
        expect("features & 3", answer >> 12 & 3, 3);
    }
    TEST("ghcb msr: another VMPL cannot be run") {
        uint64_t answer = vmgexit_msr(1ULL << 32 | 0x016);

        expect("answer & 0xfff", answer & 0xfff, 0x017);
        expect("error is set", answer >> 32 != 0, 1);
    }
}

static void ghcb_page(void)
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
    TEST("ghcb: an answer marks nothing else valid") {
        new_request(0x8000fffd, 0, 0);
        submit();
        expect("SW_EXITCODE is valid", valid(CODE), 0);
        expect("SW_EXITINFO2 is valid", valid(INFO2), 1);
        expect("features & 3", *field(INFO2) & 3, 3);
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
        expect("SW_EXITINFO1", *field(INFO1) & 0xffffffff, 2);
        expect("SW_EXITINFO2", *field(INFO2), 3);
    }
    TEST("ghcb: MMIO data outside the shared buffer is malformed, reason 3") {
        new_request(0x80000001, 0xfee00020, 8);
        put(SCRATCH, ghcb_gpa + BUFFER + 2032 - 4);
        submit();
        expect("SW_EXITINFO1", *field(INFO1) & 0xffffffff, 2);
        expect("SW_EXITINFO2", *field(INFO2), 3);
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
    TEST("ghcb: an unknown event is malformed, reason 6") {
        new_request(0x80007777, 0, 0);
        submit();
        expect("SW_EXITINFO1", *field(INFO1) & 0xffffffff, 2);
        expect("SW_EXITINFO2", *field(INFO2), 6);
    }
    TEST("ghcb: a missing exit code is malformed, reason 4") {
        new_request(0x8000fffd, 0, 0);
        *field(VALID) = 0;
        *field(VALID + 8) = 0;
        submit();
        expect("SW_EXITINFO1", *field(INFO1) & 0xffffffff, 2);
        expect("SW_EXITINFO2", *field(INFO2), 4);
    }
    TEST("ghcb: an unknown usage is malformed, reason 2") {
        new_request(0x8000fffd, 0, 0);
        *((volatile uint32_t *)field(0xff8) + 1) = 9;
        submit();
        expect("SW_EXITINFO1", *field(INFO1) & 0xffffffff, 2);
        expect("SW_EXITINFO2", *field(INFO2), 2);
    }
}

static void page_state_changes(void)
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
    TEST("psc: a 2M entry made private takes a 2M PVALIDATE") {
        new_psc(1);
        set_psc_entry(0, psc_entry(large, PSC_PRIVATE, true));
        submit();
        expect("SW_EXITINFO2", *field(INFO2), 0);
        expect("EAX", pvalidate(large, 1, 1).eax, 0);
    }
    TEST("psc: an invalid entry stops there and says so") {
        new_psc(3);
        set_psc_entry(0, psc_entry(small, PSC_PRIVATE, false));
        set_psc_entry(1, psc_entry(small + PAGE, 9, false));
        set_psc_entry(2, psc_entry(small + 2 * PAGE, PSC_PRIVATE, false));
        submit();
        expect("SW_EXITINFO2", *field(INFO2), 1ULL << 32 | 2);
        expect("cur_entry", psc_cur(), 1);
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
        expect("SW_EXITINFO2", *field(INFO2), 1ULL << 32 | 1);
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
        expect("SW_EXITINFO1", *field(INFO1) & 0xffffffff, 2);
        expect("SW_EXITINFO2", *field(INFO2), 3);
    }
    TEST("psc: a descriptor in the save area is malformed, reason 3") {
        new_psc(1);
        put(SCRATCH, ghcb_gpa + BUFFER - 8);
        submit();
        expect("SW_EXITINFO1", *field(INFO1) & 0xffffffff, 2);
        expect("SW_EXITINFO2", *field(INFO2), 3);
    }
    TEST("psc: a descriptor at the shared buffer's very end is malformed, reason 3") {
        new_psc(1);
        put(SCRATCH, ghcb_gpa + BUFFER + 2032 - 4);
        submit();
        expect("SW_EXITINFO1", *field(INFO1) & 0xffffffff, 2);
        expect("SW_EXITINFO2", *field(INFO2), 3);
    }
    TEST("psc: a descriptor that begins right before the GHCB is malformed, reason 3") {
        new_psc(1);
        put(SCRATCH, ghcb_gpa - 4);
        submit();
        expect("SW_EXITINFO1", *field(INFO1) & 0xffffffff, 2);
        expect("SW_EXITINFO2", *field(INFO2), 3);
    }
    TEST("psc: without a scratch address it is malformed, reason 3") {
        new_request(0x80000010, 0, 0);
        submit();
        expect("SW_EXITINFO1", *field(INFO1) & 0xffffffff, 2);
        expect("SW_EXITINFO2", *field(INFO2), 3);
    }
}

static void set_gate(int vector, char *handler)
{
    uint64_t address = (uint64_t)handler;

    idt[vector * 2] = (address & 0xffff) | 0x18ULL << 16 | 0x8eULL << 40 | (address >> 16 & 0xffff) << 48;
    idt[vector * 2 + 1] = address >> 32;
}

void main(void)
{
    set_gate(6, vector_6);
    set_gate(13, vector_13);
    set_gate(14, vector_14);
    set_gate(29, vector_29);
    next_block = 16ULL << 20;   /* set here, because data starts out as zero */
    ghcb_gpa = new_block();
    psc_msr(ghcb_gpa, PSC_SHARED);
    identity();
    validation();
    sizes();
    sharing();
    adjusting();
    msr_protocol();
    ghcb_page();
    page_state_changes();
    say("end of tests\n");
    vmgexit_msr(2ULL << 16 | 1ULL << 12 | 0x100);   /* terminate: Linux's set, PVALIDATE failed */
    say("still alive after asking for termination\n");
}
