/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * How KVM starts, stops and wakes a vCPU that runs without AP creation: it cannot change its registers
 * (kvm_apic_accept_events(), sev_vcpu_deliver_sipi_vector()).
 */
#include "guest.h"

void kvm_start_rules(void)
{
    TEST("kvm, sipi: without INIT it starts nothing") {
        send_ipi(IPI_SIPI);
        expect_stands("beats");
    }
    TEST("kvm, init: a vCPU that never ran waits for SIPI, and an NMI before it is forgotten") {
        send_ipi(IPI_NMI);
        expect_stands("beats after an NMI");
        send_ipi(IPI_INIT);
        expect_stands("beats");
    }
    TEST("kvm, sipi: the first starts it at the firmware's SEV-ES reset block, whatever its vector") {
        send_ipi(IPI_SIPI | 0x55);
        expect("it runs", beating(), 1);
        expect("starts", starts, 1);
    }
    TEST("kvm, sipi: without INIT it is nothing to a vCPU that runs") {
        send_ipi(IPI_SIPI);
        expect("it runs", beating(), 1);
        expect("starts", starts, 1);
    }
    TEST("kvm, init: a vCPU that runs stands still") {
        send_ipi(IPI_INIT);
        expect_stopped();
    }
    TEST("kvm, sipi: a later one lets it go on where it stood") {
        send_ipi(IPI_SIPI);
        expect("it runs", beating(), 1);
        expect("starts", starts, 1);
    }
    TEST("kvm, ap reset hold: SIPI without INIT wakes the vCPU with answer 0") {
        park_it(false);
        expect("it runs", wakes(IPI_SIPI, 0), 1);
        expect("answer", woken, 0x0007);
    }
    TEST("kvm, ap reset hold: an NMI wakes the vCPU with answer 0") {
        park_it(false);
        expect("it runs", wakes(IPI_NMI, 0), 1);
        expect("answer", woken, 0x0007);
        park_it(true);
        expect("it runs", wakes(IPI_NMI, 0), 1);
        expect("answer, by the GHCB page", woken, 0);
    }
    TEST("kvm, ap reset hold: INIT and SIPI wake the vCPU with another answer") {
        park_it(false);
        send_ipi(IPI_INIT);
        expect_stands("beats after INIT");
        expect("it runs", wakes(IPI_INIT, IPI_SIPI), 1);
        expect("answer", woken, 0x1007);
        expect("starts", starts, 1);
    }
    TEST("kvm, ap reset hold: INIT and SIPI that come shortly before it wait for it") {
        bool goes_on = false;

        /* They do not wait for ever: a busy host may let the vCPU come later. */
        for (unsigned i = 0; i < 10 && !goes_on; i++) {
            send_ipi(IPI_INIT);
            send_ipi(IPI_SIPI);
            goes_on = goes_on_from_hold();
            if (!goes_on) {
                wakes(IPI_INIT, IPI_SIPI);
            }
        }
        expect("it goes on", goes_on, 1);
        expect("answer", woken, 0x1007);
        expect("starts", starts, 1);
    }
}
