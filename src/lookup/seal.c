/* Sealing with OpenSSL's libcrypto. No state; any thread. */
#include "lookup/seal.h"

#include "base/digest.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include <limits.h>
#include <string.h>

static const unsigned char magic[] = {'L', 'A', 1};
#define MAGIC_BYTES sizeof(magic)
#define SALT_BYTES  16
#define NONCE_BYTES 12
#define TAG_BYTES   16
#define HEAD_BYTES  (MAGIC_BYTES + SALT_BYTES + NONCE_BYTES)

/* HKDF-SHA256; `use` keeps one key from being taken for the other. */
static int derive(la_slice_t secret, const char *use, unsigned char key[32])
{
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(apr_uintptr_t)secret.data,
                                          secret.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(apr_uintptr_t)use,
                                          strlen(use)),
        OSSL_PARAM_construct_end()};
    EVP_KDF *hkdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
    EVP_KDF_CTX *context = hkdf ? EVP_KDF_CTX_new(hkdf) : NULL;
    int sound = context && EVP_KDF_derive(context, key, 32, parameters) == 1;

    EVP_KDF_CTX_free(context);
    EVP_KDF_free(hkdf);
    return sound;
}

apr_status_t la_seal_keys(la_slice_t secret, la_seal_keys_t *keys)
{
    if (secret.len < LA_SEAL_SECRET_MIN) {
        return APR_EINVAL;
    }
    return derive(secret, "mod_llama_auth sealing", keys->sealing) &&
                   derive(secret, "mod_llama_auth naming", keys->naming)
               ? APR_SUCCESS
               : APR_EGENERAL;
}

apr_status_t la_seal_name(const la_seal_keys_t *keys, const la_slice_t *parts, apr_size_t count,
                          char name[LA_SEAL_NAME_LEN + 1])
{
    la_hmac_t *hmac = la_hmac_make(keys->naming, sizeof(keys->naming));
    unsigned char digest[LA_DIGEST_BYTES];
    apr_status_t rv = hmac ? la_hmac_parts(hmac, parts, count, digest) : APR_EGENERAL;

    la_hmac_free(hmac);
    if (rv == APR_SUCCESS) {
        la_digest_hex(digest, sizeof(digest), name);
    }
    return rv;
}

static int message_key(const la_seal_keys_t *keys, const unsigned char *salt, unsigned char key[32])
{
    unsigned int len = 0;

    return HMAC(EVP_sha256(), keys->sealing, sizeof(keys->sealing), salt, SALT_BYTES, key, &len) &&
           len == 32;
}

static int encrypt(EVP_CIPHER_CTX *context, const unsigned char *key, const unsigned char *nonce,
                   la_slice_t place, la_slice_t plain, unsigned char *out)
{
    int len = 0;

    return EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
           EVP_EncryptUpdate(context, NULL, &len, (const unsigned char *)place.data,
                             (int)place.len) == 1 &&
           EVP_EncryptUpdate(context, out, &len, (const unsigned char *)plain.data,
                             (int)plain.len) == 1 &&
           EVP_EncryptFinal_ex(context, out + plain.len, &len) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, out + plain.len) == 1;
}

apr_status_t la_seal(const la_seal_keys_t *keys, la_slice_t place, la_slice_t plain,
                     apr_pool_t *pool, la_slice_t *sealed)
{
    unsigned char key[32];
    unsigned char *bytes;
    EVP_CIPHER_CTX *context;
    int sound;

    *sealed = (la_slice_t){NULL, 0};
    if (plain.len > INT_MAX || place.len > INT_MAX) {
        return APR_EINVAL;
    }
    bytes = apr_palloc(pool, HEAD_BYTES + plain.len + TAG_BYTES);
    memcpy(bytes, magic, MAGIC_BYTES);
    context = EVP_CIPHER_CTX_new();
    sound =
        context && RAND_bytes(bytes + MAGIC_BYTES, SALT_BYTES + NONCE_BYTES) == 1 &&
        message_key(keys, bytes + MAGIC_BYTES, key) &&
        encrypt(context, key, bytes + MAGIC_BYTES + SALT_BYTES, place, plain, bytes + HEAD_BYTES);
    EVP_CIPHER_CTX_free(context);
    OPENSSL_cleanse(key, sizeof(key));
    if (!sound) {
        return APR_EGENERAL;
    }
    *sealed = (la_slice_t){(const char *)bytes, HEAD_BYTES + plain.len + TAG_BYTES};
    return APR_SUCCESS;
}

static int decrypt(EVP_CIPHER_CTX *context, const unsigned char *key, const unsigned char *bytes,
                   la_slice_t place, apr_size_t text_len, unsigned char *out)
{
    unsigned char tag[TAG_BYTES];
    int len = 0;

    memcpy(tag, bytes + HEAD_BYTES + text_len, TAG_BYTES);
    return EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key,
                              bytes + MAGIC_BYTES + SALT_BYTES) == 1 &&
           EVP_DecryptUpdate(context, NULL, &len, (const unsigned char *)place.data,
                             (int)place.len) == 1 &&
           EVP_DecryptUpdate(context, out, &len, bytes + HEAD_BYTES, (int)text_len) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
           EVP_DecryptFinal_ex(context, out + text_len, &len) == 1;
}

la_unseal_e la_unseal(const la_seal_keys_t *keys, la_slice_t place, la_slice_t sealed,
                      apr_pool_t *pool, la_slice_t *plain)
{
    const unsigned char *bytes = (const unsigned char *)sealed.data;
    unsigned char key[32];
    EVP_CIPHER_CTX *context;
    apr_size_t text_len;
    unsigned char *out;
    int sound;

    *plain = (la_slice_t){"", 0};
    if (sealed.len < MAGIC_BYTES || memcmp(bytes, magic, MAGIC_BYTES) != 0) {
        return LA_UNSEAL_FORMAT;
    }
    if (sealed.len < HEAD_BYTES + TAG_BYTES || sealed.len > INT_MAX || place.len > INT_MAX) {
        return LA_UNSEAL_FORGED;
    }
    text_len = sealed.len - HEAD_BYTES - TAG_BYTES;
    out = apr_palloc(pool, text_len + 1);
    context = EVP_CIPHER_CTX_new();
    sound = context && message_key(keys, bytes + MAGIC_BYTES, key) &&
            decrypt(context, key, bytes, place, text_len, out);
    EVP_CIPHER_CTX_free(context);
    OPENSSL_cleanse(key, sizeof(key));
    if (!sound) {
        return LA_UNSEAL_FORGED;
    }
    *plain = (la_slice_t){(const char *)out, text_len};
    return LA_UNSEAL_OK;
}
