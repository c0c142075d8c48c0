/* SPDX-License-Identifier: BSD-2-Clause-Patent
 *
 * Guest requests: what shows without the guest's own AES-GCM. Messages as the SEV-SNP firmware ABI has them;
 * that good ones are answered is shown by Linux's driver.
 */
#include "guest.h"

enum { FW_BAD_MEASUREMENT = 0x0b, FW_INVALID_PARAM = 0x16 };

static uint64_t request, response;

static void new_message(uint8_t type, uint64_t sequence, uint8_t vmpck)
{
    volatile uint8_t *page = SHARED(request);

    for (unsigned i = 0; i < PAGE; i++) {
        page[i] = 0;
    }
    *(volatile uint64_t *)(page + 0x20) = sequence;
    page[0x30] = 1;         /* AES-256-GCM */
    page[0x31] = 1;         /* header version */
    page[0x32] = 0x60;      /* header size */
    page[0x34] = type;
    page[0x35] = 1;         /* message version */
    page[0x36] = 96;        /* payload size */
    page[0x3c] = vmpck;
}

static void set_byte(unsigned offset, uint8_t value)
{
    ((volatile uint8_t *)SHARED(request))[offset] = value;
}

static void send(void)
{
    new_request(NAE_REQUEST, request, response);
    submit();
}

static void send_extended(uint64_t data, uint64_t pages)
{
    new_request(NAE_EXT_REQUEST, request, response);
    put(RAX, data);
    put(RBX, pages);
    submit();
}

void message_rules(void)
{
    uint64_t block = new_block();

    request = block;
    response = block + PAGE;
    psc_msr(request, PSC_SHARED);
    psc_msr(response, PSC_SHARED);

    TEST("guest request: a message that does not decrypt is BAD_MEASUREMENT") {
        new_message(5, 1, 0);
        send();
        expect_done(FW_BAD_MEASUREMENT);
    }
    TEST("guest request: a wrong header is INVALID_PARAM") {
        const struct { uint8_t offset, value; } wrong[] = {
            { 0x30, 0 }, { 0x31, 2 }, { 0x32, 0x61 }, { 0x34, 6 }, { 0x35, 2 }, { 0x37, 0x10 }, { 0x3c, 4 },
        };

        for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
            new_message(5, 1, 0);
            set_byte(wrong[i].offset, wrong[i].value);
            send();
            expect_done(FW_INVALID_PARAM);
        }
    }
    TEST("guest request: a sequence number out of order is INVALID_PARAM") {
        new_message(5, 2, 0);
        send();
        expect_done(FW_INVALID_PARAM);
        new_message(5, 0, 0);
        send();
        expect_done(FW_INVALID_PARAM);
    }
    TEST("guest request: one page for both, and unaligned ones, are malformed, reason 5, KVM's 4") {
        new_request(NAE_REQUEST, request, request);
        submit();
        expect_malformed(kvm ? MISSING_INPUT : INVALID_INPUT);
        new_request(NAE_REQUEST, request + 8, response);
        submit();
        expect_malformed(kvm ? MISSING_INPUT : INVALID_INPUT);
        new_request(NAE_REQUEST, request, response + 8);
        submit();
        expect_malformed(kvm ? MISSING_INPUT : INVALID_INPUT);
    }
    TEST("guest request: private pages are malformed, reason 5; KVM reads zeros and loses the answer") {
        new_message(5, 1, 0);
        new_request(NAE_REQUEST, block + 2 * PAGE, response);
        submit();
        if (kvm) {
            expect_done(FW_INVALID_PARAM);
        } else {
            expect_malformed(INVALID_INPUT);
        }
        new_request(NAE_REQUEST, request, block + 2 * PAGE);
        submit();
        if (kvm) {
            expect_done(FW_BAD_MEASUREMENT);
        } else {
            expect_malformed(INVALID_INPUT);
        }
    }
    TEST("extended guest request: without room for certificates it says how many pages; KVM serves it") {
        new_message(5, 1, 0);
        send_extended(0, 0);
        expect_done(kvm ? FW_BAD_MEASUREMENT : 1ULL << 32);
        expect("RBX is valid", valid(RBX), 1);
        expect("RBX", *field(RBX), !kvm);
    }
    TEST("extended guest request: the certificate table is empty") {
        uint64_t data = block + 3 * PAGE;

        psc_msr(data, PSC_SHARED);
        write8(SHARED(data), 0x1234);
        write8(SHARED(data + 16), 0x1234);
        new_message(5, 1, 0);
        send_extended(data, 1);
        expect_done(FW_BAD_MEASUREMENT);
        expect("first entry", read8(SHARED(data)) | read8(SHARED(data + 8)) | read8(SHARED(data + 16)), 0);
    }
    TEST("extended guest request: RAX and RBX are needed, reason 4, KVM's 5") {
        new_message(5, 1, 0);
        new_request(NAE_EXT_REQUEST, request, response);
        put(RAX, 0);
        submit();
        expect_malformed(kvm ? INVALID_INPUT : MISSING_INPUT);
    }
    TEST("extended guest request: a private or unaligned table is malformed, reason 5") {
        new_message(5, 1, 0);
        send_extended(block + 4 * PAGE, 1);
        if (kvm) {          /* the table is lost */
            expect_done(FW_BAD_MEASUREMENT);
        } else {
            expect_malformed(INVALID_INPUT);
        }
        send_extended(response + 8, 1);
        expect_malformed(INVALID_INPUT);
    }
    TEST("extended guest request: only a report comes with certificates") {
        new_message(3, 1, 0);
        new_request(NAE_EXT_REQUEST, request, response);
        submit();
        expect_done(FW_BAD_MEASUREMENT);
    }
}
