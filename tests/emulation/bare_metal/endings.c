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
    *(volatile uint32_t *)SHARED(0xfee00310ULL) = 1 << 24;
    *(volatile uint32_t *)SHARED(0xfee00300ULL) = 0x4500;
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
    }
    /* the machine ends at the next block of code, another vCPU a little later */
    for (volatile unsigned i = 0; i < 10000000; i++) {
    }
}
