/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * The image's C part: all rules, or one of the endings, or fuzzing, as the fw_cfg files in opt/ say.
 */
#include "guest.h"

uint64_t ghcb_msr_at_reset;
extern char vector_2[], vector_6[], vector_13[], vector_14[], vector_29[];

static void set_gate(int vector, char *handler)
{
    uint64_t address = (uint64_t)handler;

    idt[vector * 2] = (address & 0xffff) | (uint64_t)CODE64 << 16 | 0x8eULL << 40 |
                      (address >> 16 & 0xffff) << 48;
    idt[vector * 2 + 1] = address >> 32;
}

void main(void)
{
    uint64_t cases = option("cases", 0), number = option("ending", 0);

    read_options();
    set_gate(NMI, vector_2);
    set_gate(UD, vector_6);
    set_gate(GP, vector_13);
    set_gate(PF, vector_14);
    set_gate(VC, vector_29);
    ghcb_msr_at_reset = rdmsr(MSR_GHCB);
    ghcb_gpa = new_block();
    psc_msr(ghcb_gpa, PSC_SHARED);
    vmgexit_msr(ghcb_gpa | 0x012);
    if (number) {
        ending(number);
        say("still alive\n");
        vmgexit_msr(0x100);
    } else if (option("vmsas", 0)) {
        fuzz_vmsa(option("first", 0), option("vmsas", 0), option("seed", 1));
        vmgexit_msr(0x100);
    } else if (cases) {
        fuzz(cases, option("seed", 1), true);
        vmgexit_msr(0x100);
    } else {
        memory_rules();
        table_rules();
        code_rules();
        msr_rules();
        ghcb_rules();
        page_state_rules();
        message_rules();
        if (kvm) {
            kvm_start_rules();
        }
        vmsa_rules();
        say("end of tests\n");
        vmgexit_msr(2ULL << 16 | 1ULL << 12 | 0x100);   /* terminate: Linux's set, PVALIDATE failed */
        say("still alive after asking for termination\n");
    }
}
