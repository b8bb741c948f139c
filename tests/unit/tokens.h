/* Tokens made and signed here, with keys that OpenSSL makes at the start, and a key set of them.
 * JSON is written with ' for ". Included after support.h and jose.h.
 */
#ifndef LA_TEST_TOKENS_H
#define LA_TEST_TOKENS_H

#include "jose/jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

/* The keys; each is in the set under its letters as kid. */
typedef enum key_e { K_RSA, K_RSA2, K_P256, K_P384, K_P521, K_ED, K_ED448, K_OTHER, K_COUNT } key_e;

static EVP_PKEY *pair[K_COUNT];
static apr_pool_t *lasting;
static const la_jwks_t *key_set;
static const char hmac_secret[] =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static inline char *b64(apr_pool_t *pool, const void *bytes, size_t len)
{
    return encode_base64url(pool, bytes, len);
}

static inline char *number(EVP_PKEY *key, const char *name, int size)
{
    BIGNUM *bn = NULL;
    unsigned char bytes[1024];
    int len;

    assert_int_equal(EVP_PKEY_get_bn_param(key, name, &bn), 1);
    len = size ? size : BN_num_bytes(bn);
    assert_int_equal(BN_bn2binpad(bn, bytes, len), len);
    BN_free(bn);
    return b64(lasting, bytes, (size_t)len);
}

static inline char *rsa_jwk(EVP_PKEY *key, const char *kid, const char *more)
{
    return apr_psprintf(lasting, "{'kty':'RSA','kid':'%s','n':'%s','e':'%s'%s}", kid,
                        number(key, "n", 0), number(key, "e", 0), more);
}

static inline char *ec_jwk(EVP_PKEY *key, const char *kid, const char *crv, int size,
                           const char *more)
{
    return apr_psprintf(lasting, "{'kty':'EC','kid':'%s','crv':'%s','x':'%s','y':'%s'%s}", kid, crv,
                        number(key, "qx", size), number(key, "qy", size), more);
}

static inline char *okp_jwk(EVP_PKEY *key, const char *kid, const char *crv)
{
    unsigned char bytes[64];
    size_t len = sizeof(bytes);

    assert_int_equal(EVP_PKEY_get_raw_public_key(key, bytes, &len), 1);
    return apr_psprintf(lasting, "{'kty':'OKP','kid':'%s','crv':'%s','x':'%s'}", kid, crv,
                        b64(lasting, bytes, len));
}

static inline const la_jwks_t *parse_keys(const char *text, la_jwa_set_t allowed)
{
    const la_jwks_t *set;
    const char *error =
        la_jwks_parse(lasting, slice_of_text(unquote(lasting, text)), allowed, &set);

    if (error) {
        fail_msg("%s", error);
    }
    return set;
}

static inline void make_keys(void)
{
    apr_pool_create(&lasting, NULL);
    pair[K_RSA] = EVP_RSA_gen(2048);
    pair[K_RSA2] = EVP_RSA_gen(2048);
    pair[K_P256] = EVP_EC_gen("P-256");
    pair[K_P384] = EVP_EC_gen("P-384");
    pair[K_P521] = EVP_EC_gen("P-521");
    pair[K_ED] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    pair[K_ED448] = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
    pair[K_OTHER] = EVP_EC_gen("P-256");
    key_set = parse_keys(
        apr_pstrcat(lasting, "{'keys':[", rsa_jwk(pair[K_RSA], "rsa", ""), ",",
                    rsa_jwk(pair[K_RSA2], "rs512", ",'alg':'RS512'"), ",",
                    ec_jwk(pair[K_P256], "p256", "P-256", 32, ""), ",",
                    ec_jwk(pair[K_P384], "p384", "P-384", 48, ""), ",",
                    ec_jwk(pair[K_P521], "p521", "P-521", 66, ""), ",",
                    okp_jwk(pair[K_ED], "ed", "Ed25519"), ",",
                    okp_jwk(pair[K_ED448], "ed448", "Ed448"), ",{'kty':'oct','kid':'hmac','k':'",
                    b64(lasting, hmac_secret, sizeof(hmac_secret) - 1), "'}]}", NULL),
        LA_JWA_DEFAULT | LA_JWA_HMAC);
    assert_int_equal(key_set->count, 8);
}

static inline void drop_keys(void)
{
    for (int i = 0; i < K_COUNT; i++) {
        EVP_PKEY_free(pair[i]);
    }
}

/* How to sign, beyond the algorithm. */
typedef enum form_e { FORM_JOSE, FORM_DER, FORM_SHORT_SALT, FORM_LONG_SALT } form_e;

static inline la_slice_t to_jose(apr_pool_t *pool, const unsigned char *der, size_t len, int half)
{
    ECDSA_SIG *pair_of = d2i_ECDSA_SIG(NULL, &der, (long)len);
    char *out = apr_palloc(pool, (apr_size_t)half * 2);

    assert_non_null(pair_of);
    BN_bn2binpad(ECDSA_SIG_get0_r(pair_of), (unsigned char *)out, half);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair_of), (unsigned char *)out + half, half);
    ECDSA_SIG_free(pair_of);
    return (la_slice_t){out, (apr_size_t)half * 2};
}

/* Signs by OpenSSL's own means; alg in JOSE's words decides digest and padding. */
static inline la_slice_t sign(apr_pool_t *pool, EVP_PKEY *key, const char *alg, const char *input,
                              form_e form)
{
    const EVP_MD *digest = strstr(alg, "256")   ? EVP_sha256()
                           : strstr(alg, "384") ? EVP_sha384()
                                                : EVP_sha512();
    unsigned char *out = apr_palloc(pool, 2048);
    size_t len = 2048;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key_context;

    if (alg[0] == 'H') {
        assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, EVP_MD_get0_name(digest), NULL, hmac_secret,
                                  sizeof(hmac_secret) - 1, (const unsigned char *)input,
                                  strlen(input), out, 2048, &len));
        EVP_MD_CTX_free(context);
        return (la_slice_t){(char *)out, len};
    }
    assert_int_equal(EVP_DigestSignInit(context, &key_context,
                                        alg[0] == 'E' && alg[1] == 'd' ? NULL : digest, NULL, key),
                     1);
    if (alg[0] == 'P') {
        EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, form == FORM_SHORT_SALT ? 0
                                                      : form == FORM_LONG_SALT
                                                          ? RSA_PSS_SALTLEN_MAX
                                                          : RSA_PSS_SALTLEN_DIGEST);
    }
    assert_int_equal(
        EVP_DigestSign(context, out, &len, (const unsigned char *)input, strlen(input)), 1);
    EVP_MD_CTX_free(context);
    if (EVP_PKEY_is_a(key, "EC") && form != FORM_DER) {
        return to_jose(pool, out, len, (EVP_PKEY_get_bits(key) + 7) / 8);
    }
    return (la_slice_t){(char *)out, len};
}

static inline char *encode_json(apr_pool_t *pool, const char *text)
{
    const char *json = unquote(pool, text);

    return b64(pool, json, strlen(json));
}

/* header.claims.signature; the signature of what `alg` says, whatever the header says. */
static inline char *make_token(apr_pool_t *pool, const char *header, const char *claims,
                               EVP_PKEY *key, const char *alg, form_e form)
{
    char *input =
        apr_pstrcat(pool, encode_json(pool, header), ".", encode_json(pool, claims), NULL);
    la_slice_t signature = sign(pool, key, alg, input, form);

    return apr_pstrcat(pool, input, ".", b64(pool, signature.data, signature.len), NULL);
}

#endif
