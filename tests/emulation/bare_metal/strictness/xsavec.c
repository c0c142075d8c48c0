/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * XSAVEC and the compacted form of XRSTOR (AMD64 manual, volume 4; Intel SDM, volume 1, 13.4.3, 13.8, 13.10). Needs
 * a CPU model with AVX and protection keys.
 */
#include "guest.h"

#define FP        1ULL
#define SSE       2ULL
#define AVX       4ULL
#define PKRU      0x200ULL
#define COMPACTED (1ULL << 63)
#define UNTOUCHED 0xa5a5a5a5a5a5a5a5ULL

/* Offsets in the area */
#define MXCSR     24
#define XMM0      160
#define XSTATE_BV 512
#define XCOMP_BV  520
#define FIRST     576           /* extended component in compacted form */
#define AVX_SIZE  256

static char area[1024] __attribute__((aligned(64)));

extern char vector_6[], vector_13[], vector_14[], vector_29[];

static void set_gate(int vector, char *handler)
{
    uint64_t address = (uint64_t)handler;

    idt[vector * 2] = (address & 0xffff) | (uint64_t)CODE64 << 16 | 0x8eULL << 40 |
                      (address >> 16 & 0xffff) << 48;
    idt[vector * 2 + 1] = address >> 32;
}

static volatile uint64_t *at(unsigned offset)
{
    return (volatile uint64_t *)(area + offset);
}

static void set_mxcsr(uint32_t value)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(value));
}

static uint32_t mxcsr(void)
{
    uint32_t value;

    __asm__ volatile("stmxcsr %0" : "=m"(value));
    return value;
}

static void set_pkru(uint32_t value)
{
    __asm__ volatile("wrpkru" : : "a"(value), "c"(0), "d"(0));
}

static uint32_t pkru(void)
{
    uint32_t value, zero;

    __asm__ volatile("rdpkru" : "=a"(value), "=d"(zero) : "c"(0));
    return value;
}

/* Both halves of YMM0 become this value, twice. */
static void set_ymm(uint64_t low, uint64_t high)
{
    uint64_t value[4] = { low, low, high, high };

    __asm__ volatile("vmovdqu %0, %%ymm0" : : "m"(value));
}

static uint64_t ymm(unsigned word)
{
    uint64_t value[4];

    __asm__ volatile("vmovdqu %%ymm0, %0" : "=m"(value));
    return value[word];
}

static void xsavec(uint64_t features)
{
    for (unsigned i = 0; i < sizeof(area); i += 8) {
        *at(i) = UNTOUCHED;
    }
    for (unsigned i = XSTATE_BV; i < FIRST; i += 8) {
        *at(i) = 0;
    }
    __asm__ volatile("xsavec (%0)" : : "r"(area), "a"((uint32_t)features), "d"(0) : "memory");
}

static void xrstor(uint64_t features)
{
    fault_vector = NO_FAULT;
    __asm__ volatile("leaq 1f(%%rip), %%r8\n movq %%r8, resume\n xrstor (%0)\n1:"
                     : : "r"(area), "a"((uint32_t)features), "d"(0) : "r8", "memory");
}

static void saving(void)
{
    set_pkru(0x5550);
    set_ymm(0x1111, 0x2222);
    set_mxcsr(0x1fa0);
    TEST("xsavec: CPUID offers it") {
        uint32_t eax = 0xd, ebx, ecx = 1, edx;

        __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
        expect("leaf 0xd.1, EAX[1]", eax >> 1 & 1, 1);
    }
    TEST("xsavec: the header says what was saved, in compacted form") {
        xsavec(FP | SSE | AVX);
        expect("XSTATE_BV", *at(XSTATE_BV), FP | SSE | AVX);
        expect("XCOMP_BV", *at(XCOMP_BV), COMPACTED | FP | SSE | AVX);
        expect("XMM0", *at(XMM0), 0x1111);
        expect("YMM0's upper half", *at(FIRST), 0x2222);
        expect("what follows", *at(FIRST + AVX_SIZE), UNTOUCHED);
    }
    TEST("xsavec: a component moves up to where absent ones would be") {
        xsavec(FP | PKRU);
        expect("XCOMP_BV", *at(XCOMP_BV), COMPACTED | FP | PKRU);
        expect("PKRU", (uint32_t)*at(FIRST), 0x5550);
        expect("XMM0", *at(XMM0), UNTOUCHED);
    }
    TEST("xsavec: a component follows those that are there") {
        xsavec(FP | AVX | PKRU);
        expect("YMM0's upper half", *at(FIRST), 0x2222);
        expect("PKRU", (uint32_t)*at(FIRST + AVX_SIZE), 0x5550);
    }
}

static void restoring(void)
{
    set_pkru(0x5550);
    set_ymm(0x1111, 0x2222);
    set_mxcsr(0x1fa0);
    TEST("xrstor: it reads the compacted form") {
        xsavec(FP | SSE | AVX | PKRU);
        set_pkru(0);
        set_ymm(0, 0);
        set_mxcsr(0x1f80);
        xrstor(FP | SSE | AVX | PKRU);
        expect("vector", fault_vector, NO_FAULT);
        expect("XMM0", ymm(0), 0x1111);
        expect("YMM0's upper half", ymm(2), 0x2222);
        expect("PKRU", pkru(), 0x5550);
        expect("MXCSR", mxcsr(), 0x1fa0);
    }
    TEST("xrstor: of the compacted form, it restores what is asked for") {
        xsavec(FP | SSE | AVX | PKRU);
        set_pkru(0);
        set_ymm(0, 0);
        xrstor(PKRU);
        expect("YMM0's upper half", ymm(2), 0);
        expect("PKRU", pkru(), 0x5550);
    }
    TEST("xrstor: an absent SSE component of the compacted form resets MXCSR") {
        xsavec(FP | SSE);
        *at(XSTATE_BV) = FP;
        set_mxcsr(0x1fa0);
        xrstor(SSE);
        expect("MXCSR", mxcsr(), 0x1f80);
    }
    TEST("xrstor: XSTATE_BV beyond XCOMP_BV is #GP") {
        xsavec(FP | SSE);
        *at(XSTATE_BV) = FP | SSE | AVX;
        xrstor(FP | SSE);
        expect("vector", fault_vector, GP);
    }
    TEST("xrstor: XCOMP_BV beyond XCR0 is #GP") {
        xsavec(FP | SSE);
        *at(XCOMP_BV) |= 1ULL << 62;
        xrstor(FP | SSE);
        expect("vector", fault_vector, GP);
    }
    TEST("xrstor: reserved bytes in the header of the compacted form are #GP") {
        xsavec(FP | SSE);
        *at(FIRST - 8) = 1;
        xrstor(FP | SSE);
        expect("vector", fault_vector, GP);
    }
}

void main(void)
{
    uint64_t cr4;

    set_gate(UD, vector_6);
    set_gate(GP, vector_13);
    set_gate(PF, vector_14);
    set_gate(VC, vector_29);
    __asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("movq %0, %%cr4" : : "r"(cr4 | 1 << 18 | 1 << 22));    /* OSXSAVE, PKE */
    __asm__ volatile("xsetbv" : : "a"((uint32_t)(FP | SSE | AVX | PKRU)), "c"(0), "d"(0));
    saving();
    restoring();
    say("end of tests\n");
    vmgexit_msr(0x100);
}
