/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * Many seeded VMSAs, each with a few wrong fields: the hypervisor refuses them or runs them, and stays up. The vCPU
 * runs a jump to itself and has no exception handlers, so that its next exception ends the machine; cases do not
 * depend on one another, so that a run can go on behind such an end.
 *
 * Left out is what decides where it runs: RIP, CR3 and bases.
 */
#include "guest.h"

#define RUNS 200000     /* turns of a loop in which the vCPU may run */

static const uint16_t fields[] = {
    0x0c8, 0x0cb,                               /* VMPL, CPL */
    0x0d0, 0x140, 0x148, 0x158, 0x160, 0x168, 0x170,    /* EFER, XSS, CR4, CR0, DR7, DR6, RFLAGS */
    0x000, 0x010, 0x020, 0x030, 0x040, 0x050, 0x060, 0x070, 0x090,  /* segments: selector, attributes, limit */
    0x1d8, 0x200, 0x208, 0x210, 0x218, 0x220, 0x228, 0x230, 0x238, 0x240,   /* RSP, STAR … SYSENTER_EIP, CR2 */
    0x268, 0x280, 0x2a0, 0x2e8, 0x300, 0x308,   /* PAT, SPEC_CTRL, and reserved space */
    0x390, 0x398, 0x3a0, 0x3a8, 0x3b0, 0x3b8, 0x3c0, 0x3c8, 0x3d0, 0x3e0,   /* SW_SCRATCH … SEV_FEATURES … */
    0x3e8, 0x400, 0x408, 0x410, 0x418, 0x420, 0x5f0,    /* XCR0, x87 and SSE state */
};
static uint64_t state;

static uint64_t random(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1d;
}

static void spoil(uint64_t vmsa)
{
    volatile uint64_t *field = (uint64_t *)(vmsa + fields[random() % (sizeof(fields) / sizeof(fields[0]))]);

    switch (random() % 4) {
    case 0:
        *field = random();
        break;
    case 1:
        *field = random() % 2 ? ~0ULL : 0;
        break;
    default:
        *field ^= 1ULL << random() % 64;
        break;
    }
}

void fuzz_vmsa(uint64_t first, uint64_t cases, uint64_t seed)
{
    uint64_t vmsa = new_vmsa();

    for (uint64_t i = first; i < cases; i++) {
        state = (seed << 32 | (i + 1)) * 0x9e3779b97f4a7c15;
        say("case ");
        say_hex(i);
        say("\n");
        spin_vmsa(vmsa);
        for (uint64_t n = 1 + random() % 3; n; n--) {
            spoil(vmsa);
        }
        if (create_vcpu(vmsa)) {
            say("ran\n");
            await_vcpu(vmsa);
            for (volatile unsigned turns = 0; turns < RUNS; turns++) {
            }
        } else {
            say("refused\n");
        }
        destroy_vcpu(vmsa);
    }
    say("end of fuzzing\n");
}
