/* What the tests of dpop.c share: the request, and proofs about it. Included first. */
#ifndef LA_TEST_DPOPS_H
#define LA_TEST_DPOPS_H

#include "support.h"

#include "jose.h"

#include "tokens.h"

#include "jose/dpop.h"

#include <openssl/err.h>
#include <openssl/param_build.h>

#define NOW   1700000000
#define TOKEN "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
#define ATH   "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
#define URI   "https://api.example.com/v1/chat"

/* $J in a header is the key's JWK. */
#define HEADER "{'typ':'dpop+jwt','alg':'ES256','jwk':$J}"
#define CLAIMS(more)                                                                               \
    "{'jti':'e1j3V_bKic8-LAEB','htm':'POST','htu':'" URI "','iat':1700000000,'ath':'" ATH "'" more \
    "}"

#define JTI_64  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define JTI_256 JTI_64 JTI_64 JTI_64 JTI_64

static unsigned char token_digest[LA_DIGEST_BYTES];
static const char *jwks[K_COUNT];
static char jkts[K_COUNT][LA_THUMBPRINT_LEN + 1];

static inline int is_own(const void *context, const la_uri_t *htu)
{
    apr_pool_t *pool = new_pool();
    int same = strcmp(la_uri_text(pool, htu), context) == 0;

    apr_pool_destroy(pool);
    return same;
}

static inline la_dpop_terms_t terms_of(const char *method, const char *uri, long long now)
{
    return (la_dpop_terms_t){.algorithms = LA_JWA_DEFAULT,
                             .method = method,
                             .uri = uri,
                             .is_own = is_own,
                             .context = uri,
                             .token = token_digest,
                             .now = (apr_time_t)now * APR_USEC_PER_SEC};
}

/* All three steps. Returns NULL, or the first reason. */
static la_proof_keys_t *keys; /* NULL: none are kept */

static inline const char *check(apr_pool_t *pool, const char *text, size_t len,
                                const la_dpop_terms_t *terms, const char *jkt)
{
    char *copy = malloc(len ? len : 1); /* of just that length, for ASan */
    la_dpop_t proof;
    const char *reason;

    memcpy(copy, text, len);
    reason = la_dpop_parse(pool, keys, (la_slice_t){copy, len}, &proof);
    reason = reason ? reason : la_dpop_check(pool, &proof, terms);
    reason = reason ? reason : la_dpop_verify(pool, keys, &proof, terms->algorithms, jkt);
    free(copy);
    assert_int_equal(ERR_peek_error(), 0);
    return reason;
}

static inline const char *with_jwk(const char *header, const char *jwk)
{
    const char *at = strstr(header, "$J");

    return at ? apr_pstrcat(lasting, apr_pstrmemdup(lasting, header, (size_t)(at - header)), jwk,
                            at + 2, NULL)
              : header;
}

/* ---- the keys ---- */

static inline const char *jwk_of(key_e key)
{
    switch (key) {
    case K_RSA:
    case K_RSA2:
        return rsa_jwk(pair[key], "k", "");
    case K_P384:
        return ec_jwk(pair[key], "k", "P-384", 48, "");
    case K_P521:
        return ec_jwk(pair[key], "k", "P-521", 66, "");
    case K_ED:
        return okp_jwk(pair[key], "k", "Ed25519");
    case K_ED448:
        return okp_jwk(pair[key], "k", "Ed448");
    case K_P256:
    case K_OTHER:
    case K_COUNT:
        break;
    }
    return ec_jwk(pair[key], "k", "P-256", 32, "");
}

static inline void make_proof_keys(void)
{
    start();
    make_keys();
    la_digest_sha256(LA_SLICE(TOKEN), token_digest);
    for (int i = 0; i < K_COUNT; i++) {
        jwks[i] = jwk_of((key_e)i);
        assert(la_thumbprint_of(pair[i], jkts[i]));
    }
}

/* An RSA key with a prime as its modulus, so that everybody can compute the private part. */
static inline EVP_PKEY *make_unsound_rsa(void)
{
    BN_CTX *context = BN_CTX_new();
    BIGNUM *n = BN_new();
    BIGNUM *e = BN_new();
    BIGNUM *order = BN_new();
    BIGNUM *d = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *importer = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM *parameters;
    EVP_PKEY *key = NULL;

    BN_set_word(e, 65537);
    while (!d) { /* until e has an inverse */
        assert_int_equal(BN_generate_prime_ex(n, 2048, 0, NULL, NULL, NULL), 1);
        BN_sub(order, n, BN_value_one());
        d = BN_mod_inverse(NULL, e, order, context);
    }
    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n);
    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e);
    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_D, d);
    parameters = OSSL_PARAM_BLD_to_param(builder);
    assert_int_equal(EVP_PKEY_fromdata_init(importer), 1);
    assert_int_equal(EVP_PKEY_fromdata(importer, &key, EVP_PKEY_KEYPAIR, parameters), 1);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(importer);
    BN_free(n);
    BN_free(e);
    BN_free(order);
    BN_free(d);
    BN_CTX_free(context);
    ERR_clear_error();
    return key;
}

#endif
