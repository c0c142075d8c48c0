/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * REP STOS (APM volume 3), of which QEMU stores what lies in one page at once: the same memory and registers as
 * element by element.
 */
#include "guest.h"

#define PAGES   24
#define SIZE    (PAGES * PAGE)
#define OLD     0x22
#define VALUE   0x8877665544332299ULL
#define RET     0xc3
#define COUNTS  9
#define OFFSETS 6

extern char vector_6[], vector_13[], vector_14[], vector_29[];

struct left {
    uint64_t rdi, rcx;
};

static void set_gate(int vector, char *handler)
{
    uint64_t address = (uint64_t)handler;

    idt[vector * 2] = (address & 0xffff) | (uint64_t)CODE64 << 16 | 0x8eULL << 40 |
                      (address >> 16 & 0xffff) << 48;
    idt[vector * 2 + 1] = address >> 32;
}

/* A fault leaves its vector in fault_vector. */
#define STORE(instruction)                                                                            \
    __asm__ volatile("leaq 1f(%%rip), %%r8\n movq %%r8, resume\n " instruction "\n1:\n cld"           \
                     : "+D"(left.rdi), "+c"(left.rcx) : "a"(VALUE) : "r8", "memory")

static struct left store(unsigned size, uint64_t to, uint64_t count)
{
    struct left left = { to, count };

    fault_vector = NO_FAULT;
    switch (size) {
    case 1:
        STORE("rep stosb");
        break;
    case 2:
        STORE("rep stosw");
        break;
    case 4:
        STORE("rep stosl");
        break;
    default:
        STORE("rep stosq");
        break;
    }
    return left;
}

static void clear(uint64_t memory)
{
    for (uint64_t *at = (uint64_t *)memory; at < (uint64_t *)(memory + SIZE); at++) {
        *(volatile uint64_t *)at = OLD * 0x0101010101010101ULL;
    }
}

/* Bytes that are not what they are to be when `size` bytes of VALUE repeat from `from` to `to`. */
static uint64_t wrong(uint64_t memory, unsigned size, uint64_t from, uint64_t to)
{
    uint64_t n = 0;

    for (uint64_t at = memory; at < memory + SIZE; at++) {
        uint8_t wanted = at < from || at >= to ? OLD : VALUE >> (at - from) % size * 8;

        n += *(volatile uint8_t *)at != wanted;
    }
    return n;
}

static void upwards(uint64_t memory, unsigned size)
{
    static const uint16_t offsets[OFFSETS] = { 0, 1, 8, 2049, 4088, 4095 };
    static const uint32_t bytes[COUNTS] = { 0, 8, 16, 24, 4096, 4104, 8200, 65536, 65536 + 8200 };

    for (unsigned i = 0; i < OFFSETS * COUNTS; i++) {
        uint64_t to = memory + offsets[i % OFFSETS], length = bytes[i / OFFSETS];
        struct left left;

        clear(memory);
        left = store(size, to, length / size);
        expect("RDI", left.rdi, to + length);
        expect("RCX", left.rcx, 0);
        expect("wrong bytes", wrong(memory, size, to, to + length), 0);
    }
}

static void other_ways(uint64_t memory)
{
    TEST("rep stos: downwards") {
        struct left left = { memory + 3 * PAGE, 1000 };

        clear(memory);
        STORE("std\n rep stosq");
        expect("RDI", left.rdi, memory + 3 * PAGE - 8000);
        expect("RCX", left.rcx, 0);
        expect("wrong bytes", wrong(memory, 8, memory + 3 * PAGE - 7992, memory + 3 * PAGE + 8), 0);
    }
    TEST("rep stos: addresses of 32 bits take the lower halves of RDI and RCX") {
        struct left left = { memory | 5ULL << 32, 5000 | 3ULL << 32 };

        clear(memory);
        STORE("addr32 rep stosb");
        expect("RDI", left.rdi, memory + 5000);
        expect("RCX", left.rcx, 0);
        expect("wrong bytes", wrong(memory, 1, memory, memory + 5000), 0);
    }
}

static uint64_t call(uint64_t code)
{
    uint64_t rax = 7;

    __asm__ volatile("call *%1" : "+a"(rax) : "r"(code) : "memory");
    return rax;
}

static void code(uint64_t memory)
{
    TEST("rep stos: code that it stores over is gone") {
        static const uint8_t one[6] = { 0xb8, 1, 0, 0, 0, RET };    /* movl $1, %eax */
        struct left left = { memory, 2049 };

        for (unsigned i = 0; i < sizeof(one); i++) {
            *(volatile uint8_t *)(memory + 2048 + i) = one[i];
        }
        expect("RAX, of the code", call(memory + 2048), 1);
        __asm__ volatile("rep stosb" : "+D"(left.rdi), "+c"(left.rcx) : "a"(RET) : "memory");
        expect("RAX, without it", call(memory + 2048), 7);
    }
}

/* Behind `limit` lies what is not validated. */
static void faults(uint64_t limit)
{
    TEST("rep stos: a page that is not validated raises #VC at its first byte") {
        struct left left = store(1, limit - 5000, 9000);

        expect("vector", fault_vector, VC);
        expect("error code", fault_error, NOT_VALIDATED);
        expect("CR2", fault_address, limit);
        expect("RDI", left.rdi, limit);
        expect("RCX", left.rcx, 4000);
        expect("the last byte before", *(volatile uint8_t *)(limit - 1), VALUE & 0xff);
    }
    TEST("rep stos: an element that ends in such a page is not counted") {
        struct left left = store(8, limit - 4004, 1000);

        expect("vector", fault_vector, VC);
        expect("RDI", left.rdi, limit - 4);
        expect("RCX", left.rcx, 500);
    }
}

void main(void)
{
    uint64_t memory, limit;

    set_gate(UD, vector_6);
    set_gate(GP, vector_13);
    set_gate(PF, vector_14);
    set_gate(VC, vector_29);
    memory = new_block();
    accept_block(memory);
    limit = new_block();
    TEST("rep stos: bytes") {
        upwards(memory, 1);
    }
    TEST("rep stos: words") {
        upwards(memory, 2);
    }
    TEST("rep stos: doublewords") {
        upwards(memory, 4);
    }
    TEST("rep stos: quadwords") {
        upwards(memory, 8);
    }
    other_ways(memory);
    code(memory);
    faults(limit);
    say("end of tests\n");
    vmgexit_msr(0x100);
}
