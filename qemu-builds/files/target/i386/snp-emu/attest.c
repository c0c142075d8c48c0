/*
 * SEV-SNP guest emulation for TCG: guest messages and attestation reports
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The part of the SEV firmware that a guest talks to (SEV-SNP firmware ABI
 * specification, chapter 7 and MSG_REPORT_REQ, MSG_KEY_REQ).  Messages are
 * encrypted with the keys of the secrets page.  A report says of itself that
 * it is not signed, and derived keys come from a constant: nothing here is a
 * secret or a proof.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "crypto/hash.h"
#include "qapi/error.h"
#include "hw/boards.h"
#include "qom/object.h"
#include "cpu.h"
#include "internal.h"

/* Errors of SNP_GUEST_REQUEST */
enum {
    FW_BAD_MEASUREMENT = 0x0b,
    FW_INVALID_PARAM = 0x16,
    FW_AEAD_OVERFLOW = 0x1d,
};

enum {
    MSG_KEY_REQ = 3,
    MSG_REPORT_REQ = 5,
};

#define ALGO_AES_256_GCM 1
#define HEADER_VERSION 1
#define MESSAGE_VERSION 1
#define HASH_SIZE SNP_DIGEST_SIZE

typedef struct QEMU_PACKED MessageHeader {
    uint8_t tag[32];
    uint64_t sequence;
    uint64_t reserved1;
    /* from here on authenticated */
    uint8_t algo;
    uint8_t header_version;
    uint16_t header_size;
    uint8_t type;
    uint8_t version;
    uint16_t size;
    uint32_t reserved2;
    uint8_t vmpck;
    uint8_t reserved3[35];
} MessageHeader;

#define AAD_OFFSET offsetof(MessageHeader, algo)
#define AAD_SIZE (sizeof(MessageHeader) - AAD_OFFSET)
#define PAYLOAD_MAX (4096 - sizeof(MessageHeader))

typedef struct QEMU_PACKED ReportRequest {
    uint8_t report_data[64];
    uint32_t vmpl;
    uint8_t reserved[28];
} ReportRequest;

/* Version 2 of ATTESTATION_REPORT */
typedef struct QEMU_PACKED Report {
    uint32_t version;
    uint32_t guest_svn;
    uint64_t policy;
    uint8_t family_id[16];
    uint8_t image_id[16];
    uint32_t vmpl;
    uint32_t signature_algo;
    uint64_t current_tcb;
    uint64_t platform_info;
    uint32_t flags;
    uint32_t reserved1;
    uint8_t report_data[64];
    uint8_t measurement[HASH_SIZE];
    uint8_t host_data[32];
    uint8_t id_key_digest[HASH_SIZE];
    uint8_t author_key_digest[HASH_SIZE];
    uint8_t report_id[32];
    uint8_t report_id_ma[32];
    uint64_t reported_tcb;
    uint8_t reserved2[24];
    uint8_t chip_id[64];
    uint64_t committed_tcb;
    uint8_t current_version[4];
    uint8_t committed_version[4];
    uint64_t launch_tcb;
    uint8_t reserved3[168];
    uint8_t signature[512];
} Report;

#define REPORT_UNSIGNED (7 << 2)        /* FLAGS.SIGNING_KEY: none */

typedef struct QEMU_PACKED ReportResponse {
    uint32_t status;
    uint32_t report_size;
    uint8_t reserved[24];
    Report report;
} ReportResponse;

typedef struct QEMU_PACKED KeyRequest {
    uint32_t root_key_select;
    uint32_t reserved;
    uint64_t guest_field_select;
    uint32_t vmpl;
    uint32_t guest_svn;
    uint64_t tcb_version;
} KeyRequest;

typedef struct QEMU_PACKED KeyResponse {
    uint32_t status;
    uint8_t reserved[28];
    uint8_t key[32];
} KeyResponse;

/* The guest's ID block and its authentication, as given to launch */
typedef struct QEMU_PACKED IdBlock {
    uint8_t launch_digest[HASH_SIZE];
    uint8_t family_id[16];
    uint8_t image_id[16];
    uint32_t version;
    uint32_t guest_svn;
    uint64_t policy;
} IdBlock;

#define ID_AUTH_ID_KEY 0x240
#define ID_AUTH_AUTHOR_KEY 0x880
#define ID_AUTH_KEY_SIZE 0x404

/* What SNP_LAUNCH_UPDATE measures of one page */
typedef struct QEMU_PACKED PageInfo {
    uint8_t digest[HASH_SIZE];
    uint8_t contents[HASH_SIZE];
    uint16_t length;
    uint8_t page_type;
    uint8_t imi_page;
    uint8_t vmpl3_to_1[3];
    uint8_t reserved;
    uint64_t gpa;
} PageInfo;

QEMU_BUILD_BUG_ON(sizeof(MessageHeader) != 0x60);
QEMU_BUILD_BUG_ON(sizeof(ReportRequest) != 96);
QEMU_BUILD_BUG_ON(offsetof(Report, host_data) != 0xc0);
QEMU_BUILD_BUG_ON(offsetof(Report, reported_tcb) != 0x180);
QEMU_BUILD_BUG_ON(offsetof(Report, chip_id) != 0x1a0);
QEMU_BUILD_BUG_ON(offsetof(Report, signature) != 0x2a0);
QEMU_BUILD_BUG_ON(sizeof(Report) != 0x4a0);
QEMU_BUILD_BUG_ON(sizeof(KeyRequest) != 32);
QEMU_BUILD_BUG_ON(sizeof(KeyResponse) != 64);
QEMU_BUILD_BUG_ON(sizeof(IdBlock) != 96);
QEMU_BUILD_BUG_ON(sizeof(PageInfo) != 0x70);

/* Launched pages, measured when the first report is asked for. */
typedef struct Launched {
    hwaddr gpa;
    uint64_t size;
    int page_type;
    const uint8_t *contents;    /* lives as long as QEMU; NULL: unmeasured */
} Launched;

void attest_reset(void)
{
    SnpAttest *a = &snp_emu()->attest;

    memset(a->sequence, 0, sizeof(a->sequence));
}

static void sha(QCryptoHashAlgo algo, const void *data, size_t len,
                uint8_t *digest, size_t digest_len)
{
    qcrypto_hash_bytes(algo, data, len, &digest, &digest_len, &error_abort);
}

static void sha384(const void *data, size_t len, uint8_t digest[HASH_SIZE])
{
    sha(QCRYPTO_HASH_ALGO_SHA384, data, len, digest, HASH_SIZE);
}

void snp_measure(hwaddr gpa, uint64_t size, int page_type,
                 const void *contents)
{
    Launched l = {
        .gpa = gpa, .size = size, .page_type = page_type, .contents = contents,
    };
    SnpAttest *a = &snp_emu()->attest;

    if (!a->launched) {
        a->launched = g_array_new(false, false, sizeof(l));
    }
    g_array_append_val(a->launched, l);
}

/*
 * The launch digest as firmware computes it, page by page, of all that QEMU
 * launches.  Once: what was launched does not change any more.
 */
void snp_launch_digest(uint8_t digest[HASH_SIZE])
{
    SnpAttest *a = &snp_emu()->attest;
    PageInfo info = { .length = cpu_to_le16(sizeof(info)) };

    for (int i = 0; !a->has_digest && i < a->launched->len; i++) {
        const Launched *l = &g_array_index(a->launched, Launched, i);

        info.page_type = l->page_type;
        for (uint64_t offset = 0; offset < l->size; offset += 4096) {
            memset(info.contents, 0, sizeof(info.contents));
            if (l->contents) {
                sha384(l->contents + offset, 4096, info.contents);
            }
            info.gpa = cpu_to_le64(l->gpa + offset);
            sha384(&info, sizeof(info), info.digest);
        }
    }
    if (!a->has_digest) {
        memcpy(a->digest, info.digest, HASH_SIZE);
        a->has_digest = true;
    }
    memcpy(digest, a->digest, HASH_SIZE);
}

/* A property of the object in base64; false when it is not that long. */
static bool get_blob(const char *property, void *blob, size_t size)
{
    Object *cgs = OBJECT(MACHINE(qdev_get_machine())->cgs);
    g_autofree char *text = object_property_get_str(cgs, property, NULL);
    g_autofree uint8_t *bytes = NULL;
    size_t len;

    if (!text || !*text) {
        return false;
    }
    bytes = g_base64_decode(text, &len);
    if (len < size) {
        return false;
    }
    memcpy(blob, bytes, size);
    return true;
}

static void fill_ids(Report *report)
{
    Object *cgs = OBJECT(MACHINE(qdev_get_machine())->cgs);
    uint8_t auth[ID_AUTH_AUTHOR_KEY + ID_AUTH_KEY_SIZE];
    IdBlock id;

    get_blob("host-data", report->host_data, sizeof(report->host_data));
    if (!get_blob("id-block", &id, sizeof(id))) {
        return;
    }
    memcpy(report->family_id, id.family_id, sizeof(id.family_id));
    memcpy(report->image_id, id.image_id, sizeof(id.image_id));
    report->guest_svn = id.guest_svn;
    if (get_blob("id-auth", auth, sizeof(auth))) {
        sha384(auth + ID_AUTH_ID_KEY, ID_AUTH_KEY_SIZE,
               report->id_key_digest);
        if (object_property_get_bool(cgs, "author-key-enabled", NULL)) {
            sha384(auth + ID_AUTH_AUTHOR_KEY, ID_AUTH_KEY_SIZE,
                   report->author_key_digest);
            report->flags |= cpu_to_le32(1);
        }
    }
}

const char *snp_id_block_refused(void)
{
    Object *cgs = OBJECT(MACHINE(qdev_get_machine())->cgs);
    uint8_t digest[HASH_SIZE];
    IdBlock id;

    if (!get_blob("id-block", &id, sizeof(id))) {
        return NULL;
    }
    if (le64_to_cpu(id.policy) !=
        object_property_get_uint(cgs, "policy", &error_abort)) {
        return "its policy is not the guest's";
    }
    snp_launch_digest(digest);
    return memcmp(id.launch_digest, digest, HASH_SIZE) ?
           "its launch digest is not the guest's" : NULL;
}

static size_t report(const ReportRequest *request, size_t len, uint8_t vmpck,
                     ReportResponse *response)
{
    Object *cgs = OBJECT(MACHINE(qdev_get_machine())->cgs);
    uint32_t vmpl = le32_to_cpu(request->vmpl);
    Report *r = &response->report;

    if (len != sizeof(*request) || vmpl > 3 || vmpl < vmpck) {
        response->status = cpu_to_le32(FW_INVALID_PARAM);
        return offsetof(ReportResponse, report);
    }
    response->report_size = cpu_to_le32(sizeof(*r));
    r->version = cpu_to_le32(2);
    r->policy = cpu_to_le64(object_property_get_uint(cgs, "policy", NULL));
    r->vmpl = request->vmpl;
    r->flags = cpu_to_le32(REPORT_UNSIGNED);
    memcpy(r->report_data, request->report_data, sizeof(r->report_data));
    memset(r->report_id_ma, 0xff, sizeof(r->report_id_ma)); /* no agent */
    snp_launch_digest(r->measurement);
    fill_ids(r);
    return sizeof(*response);
}

static size_t key(const KeyRequest *request, size_t len, uint8_t vmpck,
                  KeyResponse *response)
{
    static const char root[] = "sev-snp-emulated: not a secret";
    struct QEMU_PACKED {
        char root[sizeof(root)];
        KeyRequest request;
        uint8_t measurement[HASH_SIZE];
    } seed = { .request = *request };

    if (len != sizeof(*request) || le32_to_cpu(request->vmpl) > 3 ||
        le32_to_cpu(request->vmpl) < vmpck) {
        response->status = cpu_to_le32(FW_INVALID_PARAM);
        return sizeof(*response);
    }
    memcpy(seed.root, root, sizeof(root));
    if (le64_to_cpu(request->guest_field_select) & 1 << 3) {
        snp_launch_digest(seed.measurement);
    }
    sha(QCRYPTO_HASH_ALGO_SHA256, &seed, sizeof(seed), response->key,
        sizeof(response->key));
    return sizeof(*response);
}

static void make_nonce(uint8_t nonce[12], uint64_t number)
{
    memset(nonce, 0, 12);
    stq_le_p(nonce, number);
}

bool snp_is_report_request(const uint8_t *message)
{
    return ((const MessageHeader *)message)->type == MSG_REPORT_REQ;
}

uint32_t snp_guest_request(const uint8_t *message, uint8_t *answer)
{
    const MessageHeader *in = (const MessageHeader *)message;
    MessageHeader *out = (MessageHeader *)answer;
    uint8_t payload[PAYLOAD_MAX], nonce[12], *body = answer + sizeof(*out);
    uint64_t number = le64_to_cpu(in->sequence);
    size_t size = le16_to_cpu(in->size);
    SnpAttest *a = &snp_emu()->attest;
    const uint8_t *vmpck;

    if (in->algo != ALGO_AES_256_GCM ||
        in->header_version != HEADER_VERSION ||
        le16_to_cpu(in->header_size) != sizeof(*in) ||
        in->version != MESSAGE_VERSION || in->vmpck > 3 ||
        size > PAYLOAD_MAX ||
        (in->type != MSG_REPORT_REQ && in->type != MSG_KEY_REQ)) {
        return FW_INVALID_PARAM;
    }

    QEMU_LOCK_GUARD(&snp_emu()->lock);
    if (a->sequence[in->vmpck] > UINT64_MAX - 2) {
        return FW_AEAD_OVERFLOW;
    }
    if (number != a->sequence[in->vmpck] + 1) {
        return FW_INVALID_PARAM;
    }
    vmpck = a->vmpck[in->vmpck];
    memset(payload, 0, sizeof(payload));
    memcpy(payload, message + sizeof(*in), size);
    make_nonce(nonce, number);
    if (!aes_gcm_decrypt(vmpck, nonce, message + AAD_OFFSET, AAD_SIZE,
                         payload, size, in->tag)) {
        return FW_BAD_MEASUREMENT;
    }

    if (in->type == MSG_REPORT_REQ) {
        size = report((const ReportRequest *)payload, size, in->vmpck,
                      (ReportResponse *)body);
    } else {
        size = key((const KeyRequest *)payload, size, in->vmpck,
                   (KeyResponse *)body);
    }
    *out = (MessageHeader) {
        .sequence = cpu_to_le64(number + 1),
        .algo = ALGO_AES_256_GCM,
        .header_version = HEADER_VERSION,
        .header_size = cpu_to_le16(sizeof(*out)),
        .type = in->type + 1,
        .version = MESSAGE_VERSION,
        .size = cpu_to_le16(size),
        .vmpck = in->vmpck,
    };
    make_nonce(nonce, number + 1);
    aes_gcm_encrypt(vmpck, nonce, answer + AAD_OFFSET, AAD_SIZE, body, size,
                    out->tag);
    a->sequence[in->vmpck] = number + 1;
    return 0;
}
