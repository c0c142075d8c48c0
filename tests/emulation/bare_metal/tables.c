/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * What was translated before: page-table pages, and pages that change while a TLB holds them.
 */
#include "guest.h"

#define C_BIT    (1ULL << 51)
#define PRESENT  3ULL
#define LARGE    0x80ULL
#define WINDOW   (2ULL << 39)     /* where pml4[2] leads */

void table_rules(void)
{
    uint64_t table = new_block(), page = new_block();

    pvalidate(table, 0, 1);
    pvalidate(page, 0, 1);
    *(volatile uint64_t *)table = C_BIT | LARGE | PRESENT;   /* 1 GiB from address 0 */
    *(volatile uint64_t *)page = 0x7ab1e;
    pml4[2] = table | C_BIT | PRESENT;

    TEST("page tables: a walk through validated pages") {
        expect("value", read8((void *)(WINDOW + page)), 0x7ab1e);
        expect("vector", fault_vector, NO_FAULT);
    }
    TEST("page tables: a walk through a page that is not validated raises #VC 0x404") {
        pvalidate(table, 0, 0);
        read8((void *)(WINDOW + page));
        expect("vector", fault_vector, VC);
        expect("error code", fault_error, NOT_VALIDATED);
        expect("CR2", fault_address, WINDOW + page);
    }
    TEST("page tables: validated again, they serve again") {
        pvalidate(table, 0, 1);
        *(volatile uint64_t *)table = C_BIT | LARGE | PRESENT;
        expect("value", read8((void *)(WINDOW + page)), 0x7ab1e);
        expect("vector", fault_vector, NO_FAULT);
    }
    TEST("tlb: a page used as shared and made private is converted by the next shared write") {
        uint64_t other = new_block();

        psc_msr(other, PSC_SHARED);
        write8(SHARED(other), 1);
        psc_msr(other, PSC_PRIVATE);
        pvalidate(other, 0, 1);
        write8((void *)other, 2);
        expect("private use's vector", fault_vector, NO_FAULT);
        expect("that a shared read sees it", read8(SHARED(other)) == 2, 0);
        write8(SHARED(other), 3);
        expect("shared use's vector", fault_vector, NO_FAULT);
        read8((void *)other);
        expect("vector", fault_vector, VC);
    }
    TEST("tlb: the same after a shared write has converted it") {
        uint64_t other = new_block();

        pvalidate(other, 0, 1);
        write8((void *)other, 1);
        write8(SHARED(other), 1);
        psc_msr(other, PSC_PRIVATE);
        pvalidate(other, 0, 1);
        write8(SHARED(other), 1);
        read8((void *)other);
        expect("vector", fault_vector, VC);
    }
    TEST("tlb: each of many pages of a block stops being usable when it is rescinded") {
        uint64_t other = new_block(), usable = 0;

        accept_block(other);
        for (uint64_t at = other; at < other + BLOCK; at += PAGE) {
            read8((void *)at);
            pvalidate(at, 0, 0);
            read8((void *)at);
            usable += fault_vector == NO_FAULT;
        }
        expect("pages still usable", usable, 0);
        for (uint64_t at = other; at < other + BLOCK; at += PAGE) {
            pvalidate(at, 0, 1);
            read8((void *)at);
        }
        for (uint64_t at = other; at < other + BLOCK; at += PAGE)
            pvalidate(at, 0, 0);
        for (uint64_t at = other; at < other + BLOCK; at += PAGE) {
            read8((void *)at);
            usable += fault_vector == NO_FAULT;
        }
        expect("pages still usable, rescinded in a row", usable, 0);
    }
    pml4[2] = 0;
}
