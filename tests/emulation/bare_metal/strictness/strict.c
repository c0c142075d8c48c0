/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * What devices reach of private memory, and what a page holds after it changed between private and shared. The
 * device is fw_cfg (QEMU docs/specs/fw_cfg.rst): its DMA interface and the writable file etc/vmcoreinfo; bus
 * masters are in bus_masters.c.
 */
#include "strict.h"

#define LENGTH 16               /* bytes of etc/vmcoreinfo */

extern char vector_6[], vector_13[], vector_14[], vector_29[];

static void set_gate(int vector, char *handler)
{
    uint64_t address = (uint64_t)handler;

    idt[vector * 2] = (address & 0xffff) | (uint64_t)CODE64 << 16 | 0x8eULL << 40 |
                      (address >> 16 & 0xffff) << 48;
    idt[vector * 2 + 1] = address >> 32;
}

uint64_t new_private(void)
{
    uint64_t page = new_block();

    pvalidate(page, 0, 1);
    return page;
}

uint64_t new_shared(void)
{
    uint64_t page = new_block();

    psc_msr(page, PSC_SHARED);
    return page;
}

static void fill(void *page, uint64_t value)
{
    for (unsigned i = 0; i < 512; i++) {
        ((volatile uint64_t *)page)[i] = value;
    }
}

static unsigned count(void *page, uint64_t value)
{
    unsigned n = 0;

    for (unsigned i = 0; i < 512; i++) {
        n += ((volatile uint64_t *)page)[i] == value;
    }
    return n;
}

/* Noise: no two words are alike. */
static void expect_garbage(void *page)
{
    for (unsigned i = 0; i < 512; i += 64) {
        expect("words like this one", count(page, ((volatile uint64_t *)page)[i]), 1);
    }
    expect("zeros", count(page, 0), 0);
    expect("old words", count(page, SECRET), 0);
}

static void contents(void)
{
    uint64_t page = new_private(), other, first;
    void *private = (void *)page, *shared = SHARED(page);

    TEST("contents: a page reads as garbage after its first validation") {
        expect_garbage(private);
    }
    TEST("contents: the garbage stays as it is while the page stays private") {
        first = read8(private);
        psc_msr(new_block(), PSC_SHARED);   /* drops cached translations */
        expect("first word", read8(private), first);
    }
    TEST("contents: another page has other garbage") {
        expect("words that are alike", count((void *)new_private(), read8(private)), 0);
    }
    TEST("contents: rescinding and validating keeps them") {
        fill(private, SECRET);
        pvalidate(page, 0, 0);
        pvalidate(page, 0, 1);
        expect("old words", count(private, SECRET), 512);
    }
    TEST("contents: a page state change to what the page is keeps them") {
        psc_msr(page, PSC_PRIVATE);
        expect("old words", count(private, SECRET), 512);
    }
    TEST("contents: a page that becomes shared reads as zero") {
        psc_msr(page, PSC_SHARED);
        expect("zeros", count(shared, 0), 512);
    }
    TEST("contents: a shared page that becomes private reads as garbage") {
        fill(shared, SECRET);
        psc_msr(page, PSC_PRIVATE);
        pvalidate(page, 0, 1);
        expect_garbage(private);
    }
    TEST("contents: of a page never touched in between, too") {
        fill(private, SECRET);
        psc_msr(page, PSC_SHARED);
        psc_msr(page, PSC_PRIVATE);
        pvalidate(page, 0, 1);
        expect_garbage(private);
    }
    TEST("contents: a shared read of a private page gives noise, and the page keeps what it held") {
        fill(private, SECRET);
        expect_garbage(shared);
        expect("old words", count(private, SECRET), 512);
    }
    TEST("contents: a page converted by a shared write reads as zero") {
        fill(private, SECRET);
        write8(shared, 1);
        expect("zeros", count(shared, 0), 511);
    }
    TEST("contents: a page converted by PVALIDATE reads as garbage") {
        fill(shared, SECRET);
        pvalidate(page, 0, 1);
        expect_garbage(private);
    }
    TEST("contents: of a 2M block, every page is lost") {
        other = new_block();
        accept_block(other);
        fill((void *)(other + 511 * PAGE), SECRET);
        new_request(NAE_PSC, 0, 0);
        put(SCRATCH, ghcb_gpa + BUFFER);
        *field(BUFFER + 8) = other | PSC_SHARED << 52 | 1ULL << 56;
        submit();
        expect("zeros in the first page", count(SHARED(other), 0), 512);
        expect("zeros in the last page", count(SHARED(other + 511 * PAGE), 0), 512);
    }
    TEST("contents: what was launched is as it was launched") {
        expect("zeros in a zero page of the metadata", count((void *)0x1f0000, 0), 512);
    }
}

/* stc; ret all over a page: any even offset is a function that sets CF. */
static bool call(uint64_t address)
{
    bool carry;

    fault_vector = NO_FAULT;
    __asm__ volatile("clc\n call *%1" : "=@ccc"(carry) : "r"(address) : "memory");
    return carry;
}

static void code(void)
{
    uint64_t page = new_private();
    unsigned called = 0, stale = 0;

    TEST("contents: code of the page's former life is gone") {
        fill((void *)page, 0xc3f9c3f9c3f9c3f9);
        for (unsigned i = 0; i < PAGE; i += 2) {
            stale += !call(page + i);
        }
        expect("calls of the old code that failed", stale, 0);
        psc_msr(page, PSC_SHARED);
        psc_msr(page, PSC_PRIVATE);
        pvalidate(page, 0, 1);
        for (unsigned i = 0; i < PAGE; i += 2) {
            if (*(volatile uint8_t *)(page + i) == 0xc3) {  /* garbage that is a RET */
                called++;
                stale += call(page + i);
            }
        }
        expect("that there was a RET to call", called != 0, 1);
        expect("calls that ran the old code", stale, 0);
    }
}

static uint16_t vmcoreinfo;     /* its item in fw_cfg */

static uint64_t fw_cfg(unsigned bytes)
{
    uint64_t value = 0;

    while (bytes--) {
        value = value << 8 | inb(0x511);
    }
    return value;
}

static void find_vmcoreinfo(void)
{
    __asm__ volatile("outw %0, %1" : : "a"((uint16_t)0x19), "Nd"((uint16_t)0x510));
    for (unsigned left = fw_cfg(4); left; left--) {
        uint64_t head = fw_cfg(8), name = fw_cfg(8);

        name = name << 16 | fw_cfg(2);
        for (unsigned i = 10; i < 56; i++) {
            inb(0x511);
        }
        if (name == 0x632f766d636f7265) {   /* et-c/vmcore-info */
            vmcoreinfo = head >> 16;
        }
    }
}

#define DMA_READ   2
#define DMA_SELECT 8
#define DMA_WRITE  16

static void out_be32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(__builtin_bswap32(value)), "Nd"(port));
}

/* The request lies at `request`; give its control word, 0 when it was done. */
static uint32_t dma_at(uint64_t request, void *mapping, uint16_t item, uint32_t operation, uint64_t gpa,
                       uint32_t length)
{
    volatile uint32_t *word = mapping;

    word[0] = __builtin_bswap32((uint32_t)item << 16 | DMA_SELECT | operation);
    word[1] = __builtin_bswap32(length);
    word[2] = __builtin_bswap32(gpa >> 32);
    word[3] = __builtin_bswap32(gpa);
    out_be32(0x514, request >> 32);
    out_be32(0x518, request);
    return word[0];
}

static uint64_t request_page;

static void dma(uint16_t item, uint32_t operation, uint64_t gpa, uint32_t length)
{
    expect("control word", dma_at(request_page, SHARED(request_page), item, operation, gpa, length), 0);
}

/* What the device holds after it read LENGTH bytes at gpa. */
static uint64_t seen_by_device(uint64_t gpa)
{
    uint64_t answer = new_shared();

    dma(vmcoreinfo, DMA_WRITE, gpa, LENGTH);
    write8(SHARED(answer), ~0ULL);
    dma(vmcoreinfo, DMA_READ, answer, LENGTH);
    return read8(SHARED(answer));
}

static void devices(void)
{
    uint64_t shared = new_shared(), private = new_private();

    request_page = new_shared();
    find_vmcoreinfo();
    TEST("dma: a device writes to shared memory") {
        dma(0, DMA_READ, shared, 4);
        expect("item 0", (uint32_t)read8(SHARED(shared)), 0x554d4551);
    }
    TEST("dma: a device reads shared memory") {
        write8(SHARED(shared), SECRET);
        expect("what it got", seen_by_device(shared), SECRET);
    }
    TEST("dma: a device's write to private memory is lost") {
        write8((void *)private, SECRET);
        dma(0, DMA_READ, private, 4);
        expect("what was there", read8((void *)private), SECRET);
    }
    TEST("dma: a device reads zeros from private memory") {
        write8((void *)private, SECRET);
        expect("what it got", seen_by_device(private), 0);
    }
    TEST("dma: a request in private memory is not seen") {
        uint32_t wanted = __builtin_bswap32(DMA_SELECT | DMA_READ);

        write8(SHARED(shared), SECRET);
        expect("control word", dma_at(private, (void *)private, 0, DMA_READ, shared, 4), wanted);
        expect("its target", read8(SHARED(shared)), SECRET);
    }
    TEST("dma: a transfer over shared and private pages writes the shared ones") {
        uint64_t block = new_block();

        psc_msr(block, PSC_SHARED);
        pvalidate(block + PAGE, 0, 1);
        fill(SHARED(block), SECRET);
        fill((void *)(block + PAGE), SECRET);
        dma(0, DMA_READ, block, 2 * PAGE);  /* past its end, an item reads as zero */
        expect("old words in the shared page", count(SHARED(block), SECRET), 0);
        expect("old words in the private page", count((void *)(block + PAGE), SECRET), 512);
    }
    TEST("dma: a page that became shared shows zeros, to the first who looks") {
        fill((void *)private, SECRET);
        psc_msr(private, PSC_SHARED);
        expect("what the device got", seen_by_device(private), 0);
    }
    TEST("dma: a page that a device wrote first keeps what it wrote") {
        uint64_t block = new_block();

        psc_msr(block, PSC_SHARED);
        dma(0, DMA_READ, block, 4);
        expect("item 0", read8(SHARED(block)), 0x554d4551);
    }
}

void main(void)
{
    set_gate(UD, vector_6);
    set_gate(GP, vector_13);
    set_gate(PF, vector_14);
    set_gate(VC, vector_29);
    ghcb_gpa = new_block();
    psc_msr(ghcb_gpa, PSC_SHARED);
    vmgexit_msr(ghcb_gpa | 0x012);
    contents();
    code();
    devices();
    bus_masters();
    say("end of tests\n");
    vmgexit_msr(0x100);
}
