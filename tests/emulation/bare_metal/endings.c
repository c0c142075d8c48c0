/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * What ends a guest, one a run.
 */
#include "guest.h"

static void create(uint64_t request, uint64_t vmsa)
{
    new_request(NAE_AP_CREATION, 1ULL << 32 | request, vmsa);
    put(RAX, 1);
    submit();
}

static void write_vmsa_of_another_vcpu(void)
{
    uint64_t vmsa = new_vmsa();

    create(1, vmsa);
    beating();
    write8((void *)vmsa, 0);
}

static void read_own_vmsa(void)
{
    ap_reads = new_vmsa();
    create(1, ap_reads);
}

static void start_what_is_no_vmsa_any_more(void)
{
    uint64_t vmsa = new_vmsa();

    create(0, vmsa);            /* on INIT */
    rmpadjust(vmsa, 0, 1);
    send_ipi(IPI_INIT);
}

/* VMSAs that only VMRUN refuses, as KVM asks for no more */
static void start_what_vmrun_refuses(unsigned number)
{
    uint64_t vmsa = new_vmsa();

    switch (number) {
    case 12:
        rmpadjust(vmsa, 0, 1);
        break;
    case 13:    /* EFER.SVME */
        *(volatile uint64_t *)(vmsa + 0x0d0) = 0x500;
        break;
    case 14:    /* written by a shared mapping, and so garbage once private */
        for (unsigned i = 0; i < 512; i++) {
            uint64_t value = ((volatile uint64_t *)vmsa)[i];

            *((volatile uint64_t *)SHARED(vmsa + PAGE) + i) = value;
        }
        vmsa += PAGE;
        psc_msr(vmsa, PSC_PRIVATE);
        pvalidate(vmsa, 0, 1);
        rmpadjust(vmsa, 0, 1ULL << 16 | 1);
        break;
    }
    create(1, vmsa);
}

/* KVM wakes it and finds no VMSA */
static void wake_what_was_destroyed(uint32_t first, uint32_t second)
{
    create(1, new_vmsa());
    beating();
    create(2, 0);
    stops();
    send_ipi(first);
    if (second) {
        expect_stands("");
        send_ipi(second);
    }
}

/* Blocks that are accepted page by page, and whole in the end */
static void accept_many_blocks(void)
{
    for (unsigned i = 0; i < 50; i++) {
        uint64_t block = new_block();

        for (uint64_t page = block; page < block + BLOCK; page += PAGE) {
            pvalidate(page, 0, 1);
        }
    }
}

/* What a guest can write into a ledger without end */
static void alternate(void)
{
    uint64_t block = new_block();

    for (unsigned i = 0; i < 20000; i++) {
        pvalidate(block + (i & 1) * 8 * PAGE, 0, i >> 1 & 1);
    }
}

void ending(unsigned number)
{
    uint64_t block = new_block();

    switch (number) {
    case 1:     /* validated twice */
        pvalidate(block, 0, 1);
        pvalidate(block, 0, 1);
        break;
    case 2:     /* a private page used as shared */
        write8(SHARED(block), 1);
        break;
    case 3:     /* a shared page used as private */
        psc_msr(block, PSC_SHARED);
        read8((void *)block);
        break;
    case 4:     /* the GHCB is private */
        vmgexit_msr(block);
        break;
    case 5:     /* the GHCB is no memory */
        vmgexit_msr(NO_MEMORY);
        break;
    case 6:
        new_request(NAE_UNSUPPORTED, 0x7b, 5);
        submit();
        break;
    case 7:     /* set 1, code 4 */
        new_request(NAE_TERMINATE, 4 << 4 | 1, 0);
        submit();
        break;
    case 8:
        write_vmsa_of_another_vcpu();
        break;
    case 9:
        start_what_is_no_vmsa_any_more();
        break;
    case 10:
        read_own_vmsa();
        break;
    case 11:    /* the local APIC with the C-bit */
        read8((void *)0xfee00030ULL);
        break;
    case 12:
    case 13:
    case 14:
        start_what_vmrun_refuses(number);
        break;
    case 15:
        wake_what_was_destroyed(IPI_NMI, 0);
        break;
    case 16:
        wake_what_was_destroyed(IPI_INIT, IPI_SIPI);
        break;
    case 17:    /* a GHCB that is shared, and not registered */
        psc_msr(block, PSC_SHARED);
        vmgexit_msr(block);
        break;
    case 18:
        psc_msr(NO_MEMORY, PSC_PRIVATE);
        break;
    case 19:
        accept_many_blocks();
        return;
    case 20:
        alternate();
        return;
    }
    /* the machine ends at the next block of code, another vCPU a little later */
    for (volatile unsigned i = 0; i < 10000000; i++) {
    }
}
