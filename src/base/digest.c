/* Digests with libcrypto. Keeps the fetched algorithm for the process. Any thread. */
#include "base/digest.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

/* OpenSSL 3.0.3: before it a context that was used cannot start again with its key, and does not
 * say so (its issue 17811). */
#define STARTS_AGAIN 0x30000030ul

/* SHA-256, fetched once, because that takes longer than a digest. When two threads fetch, one copy
 * is freed. A failure is not remembered. The reference is never given back: libcrypto keeps the
 * object anyway. */
static const EVP_MD *sha256(void)
{
    static _Atomic(EVP_MD *) fetched;
    EVP_MD *md = atomic_load(&fetched);
    EVP_MD *other = NULL;

    if (md) {
        return md;
    }
    md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!md || atomic_compare_exchange_strong(&fetched, &other, md)) {
        return md;
    }
    EVP_MD_free(md);
    return other;
}

apr_status_t la_digest_sha256(la_slice_t bytes, unsigned char digest[LA_DIGEST_BYTES])
{
    const EVP_MD *md = sha256();

    return md && EVP_Digest(bytes.data, bytes.len, digest, NULL, md, NULL) == 1 ? APR_SUCCESS
                                                                                : APR_EGENERAL;
}

void la_digest_hex(const unsigned char *bytes, apr_size_t len, char *hex)
{
    static const char digits[] = "0123456789abcdef";

    for (apr_size_t i = 0; i < len; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * len] = '\0';
}

struct la_hmac_t {
    EVP_MAC_CTX *keyed;           /* copied, never used itself */
    _Atomic(EVP_MAC_CTX *) spare; /* a copy that is ready: copying takes longer than an HMAC */
};

static EVP_MAC_CTX *make_keyed(const unsigned char *key, apr_size_t len)
{
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                               OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    EVP_MAC_CTX *keyed = mac ? EVP_MAC_CTX_new(mac) : NULL;

    EVP_MAC_free(mac);
    if (keyed && EVP_MAC_init(keyed, key, len, parameters) == 1) {
        return keyed;
    }
    EVP_MAC_CTX_free(keyed);
    return NULL;
}

static EVP_MAC_CTX *take_copy(la_hmac_t *hmac)
{
    EVP_MAC_CTX *spare = atomic_exchange(&hmac->spare, NULL);

    return spare ? spare : EVP_MAC_CTX_dup(hmac->keyed);
}

static void give_copy(la_hmac_t *hmac, EVP_MAC_CTX *copy)
{
    EVP_MAC_CTX *none = NULL;

    if (OpenSSL_version_num() < STARTS_AGAIN || EVP_MAC_init(copy, NULL, 0, NULL) != 1 ||
        !atomic_compare_exchange_strong(&hmac->spare, &none, copy)) {
        EVP_MAC_CTX_free(copy);
    }
}

la_hmac_t *la_hmac_make(const unsigned char *key, apr_size_t len)
{
    la_hmac_t *hmac = calloc(1, sizeof(*hmac));

    if (hmac && !(hmac->keyed = make_keyed(key, len))) {
        free(hmac);
        return NULL;
    }
    return hmac;
}

static int add_part(EVP_MAC_CTX *mac, la_slice_t part)
{
    uint64_t prefix = part.data ? part.len : UINT64_MAX;

    return EVP_MAC_update(mac, (const unsigned char *)&prefix, sizeof(prefix)) == 1 &&
           (!part.data || part.len == 0 ||
            EVP_MAC_update(mac, (const unsigned char *)part.data, part.len) == 1);
}

apr_status_t la_hmac_parts(la_hmac_t *hmac, const la_slice_t *parts, apr_size_t count,
                           unsigned char digest[LA_DIGEST_BYTES])
{
    EVP_MAC_CTX *mac = take_copy(hmac);
    apr_size_t len = 0;
    apr_size_t i;
    int ok = mac != NULL;

    for (i = 0; ok && i < count; i++) {
        ok = add_part(mac, parts[i]);
    }
    ok = ok && EVP_MAC_final(mac, digest, &len, LA_DIGEST_BYTES) == 1 && len == LA_DIGEST_BYTES;
    if (ok) {
        give_copy(hmac, mac);
    } else {
        EVP_MAC_CTX_free(mac);
    }
    return ok ? APR_SUCCESS : APR_EGENERAL;
}

void la_hmac_free(la_hmac_t *hmac)
{
    if (hmac) {
        EVP_MAC_CTX_free(hmac->spare);
        EVP_MAC_CTX_free(hmac->keyed);
        free(hmac);
    }
}
