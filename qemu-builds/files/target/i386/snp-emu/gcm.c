/*
 * SEV-SNP guest emulation for TCG: AES-256-GCM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * NIST SP 800-38D, over QEMU's own AES block cipher: qcrypto has GCM only
 * with an external library.  Guest messages are a few pages in a guest's
 * life, so GHASH goes bit by bit.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "crypto/aes.h"
#include "cpu.h"
#include "internal.h"

typedef struct Gcm {
    AES_KEY key;
    uint64_t h_high, h_low;     /* the hash key */
    uint64_t y_high, y_low;     /* GHASH so far */
    uint8_t counter[16];
} Gcm;

/* Section 6.3: y = (y ^ block) * H in GF(2^128) */
static void ghash_block(Gcm *g, const uint8_t block[16])
{
    uint64_t x[2] = { g->y_high ^ ldq_be_p(block),
                      g->y_low ^ ldq_be_p(block + 8) };
    uint64_t v_high = g->h_high, v_low = g->h_low;

    g->y_high = g->y_low = 0;
    for (int i = 0; i < 128; i++) {
        uint64_t carry = v_low & 1;

        if (x[i / 64] >> (63 - i % 64) & 1) {
            g->y_high ^= v_high;
            g->y_low ^= v_low;
        }
        v_low = v_low >> 1 | v_high << 63;
        v_high = v_high >> 1 ^ (carry ? 0xe1ULL << 56 : 0);
    }
}

static void ghash(Gcm *g, const uint8_t *data, size_t len)
{
    for (; len; data += MIN(len, 16), len -= MIN(len, 16)) {
        uint8_t block[16] = {};

        memcpy(block, data, MIN(len, 16));
        ghash_block(g, block);
    }
}

static void start(Gcm *g, const uint8_t key[32], const uint8_t nonce[12],
                  const void *aad, size_t aad_len)
{
    uint8_t h[16] = {};

    memset(g, 0, sizeof(*g));
    AES_set_encrypt_key(key, 256, &g->key);
    AES_encrypt(h, h, &g->key);
    g->h_high = ldq_be_p(h);
    g->h_low = ldq_be_p(h + 8);
    memcpy(g->counter, nonce, 12);
    g->counter[15] = 1;
    ghash(g, aad, aad_len);
}

static void apply_keystream(Gcm *g, uint8_t *data, size_t len)
{
    uint8_t counter[16], stream[16];

    memcpy(counter, g->counter, sizeof(counter));
    for (size_t i = 0; i < len; i++) {
        if (i % 16 == 0) {
            stl_be_p(counter + 12, ldl_be_p(counter + 12) + 1);
            AES_encrypt(counter, stream, &g->key);
        }
        data[i] ^= stream[i % 16];
    }
}

static void finish(Gcm *g, size_t aad_len, size_t len, uint8_t tag[16])
{
    uint8_t block[16];

    stq_be_p(block, aad_len * 8);
    stq_be_p(block + 8, len * 8);
    ghash_block(g, block);
    AES_encrypt(g->counter, block, &g->key);
    stq_be_p(tag, ldq_be_p(block) ^ g->y_high);
    stq_be_p(tag + 8, ldq_be_p(block + 8) ^ g->y_low);
}

void aes_gcm_encrypt(const uint8_t key[32], const uint8_t nonce[12],
                     const void *aad, size_t aad_len, void *data, size_t len,
                     uint8_t tag[16])
{
    Gcm g;

    start(&g, key, nonce, aad, aad_len);
    apply_keystream(&g, data, len);
    ghash(&g, data, len);
    finish(&g, aad_len, len, tag);
}

bool aes_gcm_decrypt(const uint8_t key[32], const uint8_t nonce[12],
                     const void *aad, size_t aad_len, void *data, size_t len,
                     const uint8_t tag[16])
{
    uint8_t expected[16];
    Gcm g;

    start(&g, key, nonce, aad, aad_len);
    ghash(&g, data, len);
    finish(&g, aad_len, len, expected);
    if (memcmp(expected, tag, sizeof(expected))) {
        return false;
    }
    apply_keystream(&g, data, len);
    return true;
}
