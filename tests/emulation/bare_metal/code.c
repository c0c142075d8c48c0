/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * Code that was run before, and is elsewhere or something else now: what the patch of the jump cache must keep.
 */
#include "guest.h"

#define C_BIT   (1ULL << 51)
#define PRESENT 3ULL
#define CODE_AT (3ULL << 39)      /* where pml4[3] leads */

enum { MOV_EAX = 0xb8, RET = 0xc3 };

/* Puts a function that returns `value` at `at`, all of it or, from `first` on, what is left of it. */
static void put_function(uint64_t at, uint32_t value, int first)
{
    const uint8_t code[] = { MOV_EAX, value, value >> 8, value >> 16, value >> 24, RET };

    for (int i = first; i < (int)sizeof(code); i++) {
        ((volatile uint8_t *)at)[i - first] = code[i];
    }
}

/* Calls the function often enough that QEMU knows the way by heart; returns its last answer. */
static uint32_t call(uint64_t at)
{
    uint32_t (*volatile function)(void) = (uint32_t (*)(void))at;
    uint32_t value = 0;

    for (int i = 0; i < 8; i++) {
        value = function();
    }
    return value;
}

static void flush_page(uint64_t address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static void flush_all(void)
{
    uint64_t cr3;

    __asm__ volatile("mov %%cr3, %0; mov %0, %%cr3" : "=&r"(cr3) : : "memory");
}

/* Calls a function that may fault. */
static void run(uint64_t at)
{
    fault_vector = NO_FAULT;
    __asm__ volatile("movq %%rsp, %%rbx\n leaq 1f(%%rip), %%rax\n movabsq %%rax, resume\n"
                     "callq *%0\n1: movq %%rbx, %%rsp" : : "r"(at) : "rax", "rbx", "memory");
}

void code_rules(void)
{
    uint64_t tables = new_block(), pages = new_block(), third = pages + 4 * PAGE;
    uint64_t last = CODE_AT + PAGE - 2;
    volatile uint64_t *leaf = (uint64_t *)(tables + 2 * PAGE);

    accept_block(tables);
    accept_block(pages);
    *(volatile uint64_t *)tables = (tables + PAGE) | C_BIT | PRESENT;
    *(volatile uint64_t *)(tables + PAGE) = (tables + 2 * PAGE) | C_BIT | PRESENT;
    leaf[0] = pages | C_BIT | PRESENT;
    leaf[1] = (pages + 2 * PAGE) | C_BIT | PRESENT;
    pml4[3] = tables | C_BIT | PRESENT;
    put_function(pages, 1, 0);
    put_function(pages + PAGE, 2, 0);
    put_function(third, 3, 0);

    TEST("code: a page that INVLPG has looked for anew runs what it has now") {
        expect("before", call(CODE_AT), 1);
        leaf[0] = (pages + PAGE) | C_BIT | PRESENT;
        flush_page(CODE_AT);
        expect("after", call(CODE_AT), 2);
    }
    TEST("code: so does one after CR3 is written") {
        leaf[0] = third | C_BIT | PRESENT;
        flush_all();
        expect("value", call(CODE_AT), 3);
    }
    TEST("code: what was written over is not run") {
        put_function(third, 4, 0);
        expect("value", call(CODE_AT), 4);
    }
    TEST("code: an instruction's second page may change alone") {
        *(volatile uint8_t *)(third + PAGE - 2) = MOV_EAX;
        *(volatile uint8_t *)(third + PAGE - 1) = 0x34;
        put_function(pages + 2 * PAGE, 0x1234, 2);
        put_function(pages + 3 * PAGE, 0x5634, 2);
        expect("before", call(last), 0x1234);
        leaf[1] = (pages + 3 * PAGE) | C_BIT | PRESENT;
        flush_page(CODE_AT + PAGE);
        expect("after INVLPG", call(last), 0x5634);
        leaf[1] = (pages + 2 * PAGE) | C_BIT | PRESENT;
        flush_all();
        expect("after CR3", call(last), 0x1234);
    }
    TEST("code: a page that is not validated any more does not run") {
        expect("before", call(CODE_AT), 4);
        pvalidate(third, 0, 0);
        run(CODE_AT);
        expect("vector", fault_vector, VC);
        expect("error code", fault_error, NOT_VALIDATED);
    }
    pml4[3] = 0;
}
