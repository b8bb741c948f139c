#include "jose/verifier.h"

#include "jose/curve.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>

/* Longest DER form of an ECDSA signature: two integers of 66 bytes and a sign byte, with headers.
 */
#define ECDSA_DER_MAX_BYTES 160

struct la_verifier_t {
    EVP_MD_CTX *ready; /* never used itself */
    apr_size_t half;   /* ECDSA: bytes of each of the two numbers (RFC 7518 section 3.4); else 0 */
};

/* RFC 7518 section 3.5: MGF1 with the same digest, a salt of the digest's length. */
static int set_pss(EVP_PKEY_CTX *context, const EVP_MD *digest)
{
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(context, digest) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static int make_ready(EVP_MD_CTX *context, EVP_PKEY *key, la_jwa_set_t algorithm)
{
    static const la_jwa_set_t pss = LA_JWA_PS256 | LA_JWA_PS384 | LA_JWA_PS512;
    const char *name = la_jwa_digest(algorithm);
    const EVP_MD *digest = name ? EVP_get_digestbyname(name) : NULL; /* EdDSA has its own */
    EVP_PKEY_CTX *key_context = NULL;

    return (digest || !name) &&
           EVP_DigestVerifyInit(context, &key_context, digest, NULL, key) == 1 &&
           (!(algorithm & pss) || set_pss(key_context, digest));
}

la_verifier_t *la_verifier_new(EVP_PKEY *key, la_jwa_set_t algorithm)
{
    la_verifier_t *made = calloc(1, sizeof(*made));

    if (!made) {
        return NULL;
    }
    made->half = algorithm & LA_JWA_EC ? la_curve_for(algorithm)->bytes : 0;
    made->ready = EVP_MD_CTX_new();
    if (!made->ready || !make_ready(made->ready, key, algorithm)) {
        la_verifier_free(made);
        return NULL;
    }
    return made;
}

void la_verifier_free(la_verifier_t *verifier)
{
    if (verifier) {
        EVP_MD_CTX_free(verifier->ready);
        free(verifier);
    }
}

static apr_status_t free_verifier(void *verifier)
{
    la_verifier_free(verifier);
    return APR_SUCCESS;
}

la_verifier_t *la_verifier_make(apr_pool_t *pool, EVP_PKEY *key, la_jwa_set_t algorithm)
{
    la_verifier_t *made = la_verifier_new(key, algorithm);

    if (made) {
        apr_pool_cleanup_register(pool, made, free_verifier, apr_pool_cleanup_null);
    }
    return made;
}

static int check(const la_verifier_t *verifier, la_slice_t input, const unsigned char *signature,
                 apr_size_t len)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int good = context && EVP_MD_CTX_copy_ex(context, verifier->ready) == 1 &&
               EVP_DigestVerify(context, signature, len, (const unsigned char *)input.data,
                                input.len) == 1;

    EVP_MD_CTX_free(context);
    return good;
}

/* Turns r and s side by side into the form that OpenSSL wants. Returns its length, or 0. */
static apr_size_t to_der(la_slice_t signature, unsigned char der[ECDSA_DER_MAX_BYTES])
{
    const unsigned char *bytes = (const unsigned char *)signature.data;
    int half = (int)(signature.len / 2);
    BIGNUM *r = BN_bin2bn(bytes, half, NULL);
    BIGNUM *s = BN_bin2bn(bytes + half, half, NULL);
    ECDSA_SIG *pair = ECDSA_SIG_new();
    unsigned char *end = der;
    int len;

    if (!r || !s || !pair || ECDSA_SIG_set0(pair, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(pair);
        return 0;
    }
    len = i2d_ECDSA_SIG(pair, NULL) <= ECDSA_DER_MAX_BYTES ? i2d_ECDSA_SIG(pair, &end) : 0;
    ECDSA_SIG_free(pair);
    return len > 0 ? (apr_size_t)len : 0;
}

static int check_ecdsa(const la_verifier_t *verifier, la_slice_t input, la_slice_t signature)
{
    unsigned char der[ECDSA_DER_MAX_BYTES];
    apr_size_t len;

    if (signature.len != 2 * verifier->half) {
        return 0;
    }
    len = to_der(signature, der);
    return len > 0 && check(verifier, input, der, len);
}

int la_verifier_check(const la_verifier_t *verifier, la_slice_t input, la_slice_t signature)
{
    return verifier->half
               ? check_ecdsa(verifier, input, signature)
               : check(verifier, input, (const unsigned char *)signature.data, signature.len);
}
