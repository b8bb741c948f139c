/* signing.c: private keys that are taken and refused, and tokens that others' readers verify. */
#include "support.h"

#include "jose/jwk.h"
#include "jose/jwk_public.h"
#include "jose/jwt.h"
#include "jose/signing.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

static apr_pool_t *pool;

/* ---- keys ---- */

/* The key in PEM; with a passphrase: encrypted. Frees the key. */
static const char *pem_of(EVP_PKEY *key, const char *passphrase)
{
    BIO *out = BIO_new(BIO_s_mem());
    const char *text;
    long len;
    char *bytes;

    assert_non_null(key);
    assert_int_equal(PEM_write_bio_PrivateKey(out, key, passphrase ? EVP_aes_256_cbc() : NULL, NULL,
                                              0, NULL, (void *)(uintptr_t)passphrase),
                     1);
    len = BIO_get_mem_data(out, &bytes);
    text = apr_pstrmemdup(pool, bytes, (apr_size_t)len);
    BIO_free(out);
    EVP_PKEY_free(key);
    return text;
}

static const char *public_pem_of(EVP_PKEY *key)
{
    BIO *out = BIO_new(BIO_s_mem());
    const char *text;
    long len;
    char *bytes;

    assert_int_equal(PEM_write_bio_PUBKEY(out, key), 1);
    len = BIO_get_mem_data(out, &bytes);
    text = apr_pstrmemdup(pool, bytes, (apr_size_t)len);
    BIO_free(out);
    EVP_PKEY_free(key);
    return text;
}

/* An RSA key with the same factors and other exponents, which are each other's inverses: `e` and
 * `d`, and `d` once more as the small one for each factor. */
static EVP_PKEY *with_exponents(EVP_PKEY *key, const BIGNUM *e, const BIGNUM *d)
{
    static const char *const same[] = {OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_FACTOR1,
                                       OSSL_PKEY_PARAM_RSA_FACTOR2,
                                       OSSL_PKEY_PARAM_RSA_COEFFICIENT1};
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *numbers[ROWS(same)] = {NULL};
    OSSL_PARAM *parameters;
    EVP_PKEY *made = NULL;

    for (size_t i = 0; i < ROWS(same); i++) {
        assert_int_equal(EVP_PKEY_get_bn_param(key, same[i], &numbers[i]), 1);
        assert_int_equal(OSSL_PARAM_BLD_push_BN(builder, same[i], numbers[i]), 1);
    }
    assert_int_equal(OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) &
                         OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_D, d) &
                         OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_EXPONENT1, d) &
                         OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_EXPONENT2, d),
                     1);
    parameters = OSSL_PARAM_BLD_to_param(builder);
    assert_int_equal(EVP_PKEY_fromdata_init(context), 1);
    assert_int_equal(EVP_PKEY_fromdata(context, &made, EVP_PKEY_KEYPAIR, parameters), 1);
    for (size_t i = 0; i < ROWS(same); i++)
        BN_free(numbers[i]);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(key);
    return made;
}

/* With the two exponents in each other's place. */
static EVP_PKEY *make_long_exponent(unsigned int bits)
{
    EVP_PKEY *key = EVP_RSA_gen(bits);
    BIGNUM *e = NULL;
    BIGNUM *d = NULL;

    assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_D, &d), 1);
    key = with_exponents(key, d, e);
    BN_free(e);
    BN_free(d);
    return key;
}

static EVP_PKEY *make(const char *name)
{
    if (strcmp(name, "RSA with an exponent of 1") == 0)
        return with_exponents(EVP_RSA_gen(2048), BN_value_one(), BN_value_one());
    if (strncmp(name, "RSA, long exponent, ", 20) == 0)
        return make_long_exponent((unsigned int)strtoul(name + 20, NULL, 10));
    if (strncmp(name, "RSA-PSS", 7) == 0) {
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
        EVP_PKEY *key = NULL;

        assert_int_equal(EVP_PKEY_keygen_init(context), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048), 1);
        assert_int_equal(EVP_PKEY_generate(context, &key), 1);
        EVP_PKEY_CTX_free(context);
        return key;
    }
    if (strncmp(name, "RSA ", 4) == 0)
        return EVP_RSA_gen((unsigned int)strtoul(name + 4, NULL, 10));
    if (strncmp(name, "EC ", 3) == 0)
        return EVP_EC_gen(name + 3);
    return EVP_PKEY_Q_keygen(NULL, NULL, name);
}

/* ---- keys that sign ---- */

typedef struct good_case_t {
    const char *name;
    const char *algorithm;
} good_case_t;

static good_case_t good_cases[] = {
    {"EC P-256", "ES256"}, {"EC P-384", "ES384"}, {"ED25519", "EdDSA"},
    {"RSA 2048", "RS256"}, {"RSA 3072", "RS256"},
};

static const la_signing_key_t *read_good(const char *pem)
{
    const la_signing_key_t *key;
    const char *reason = la_signing_key_read(pool, slice_of_text(pem), &key);

    if (reason)
        fail_msg("%s", reason);
    assert_int_equal(ERR_peek_error(), 0);
    return key;
}

/* The set that is published, as a verifier reads it. */
static const la_jwks_t *published(const la_signing_key_t *key)
{
    const char *text = apr_pstrcat(pool, "{\"keys\":[", key->jwk, "]}", NULL);
    const la_jwks_t *keys;
    const char *reason = la_jwks_parse(pool, slice_of_text(text), LA_JWA_DEFAULT, &keys);

    if (reason)
        fail_msg("%s", reason);
    return keys;
}

static void check_token(const la_signing_key_t *key, const char *text)
{
    const la_json_t *member;
    const char *reason;
    la_slice_t sub;
    la_jwt_t jwt;

    assert_non_null(text);
    assert_int_equal(strncmp(text, "Bearer ", 7), 0);
    assert_int_equal(la_jwt_parse(pool, slice_of_text(text + 7), &jwt, &reason), LA_JWT_GOOD);
    assert_true(la_slice_is(jwt.algorithm, key->algorithm));
    assert_true(la_slice_is(jwt.kid, key->kid));
    assert_true(la_slice_is(jwt.type, "JWT"));
    assert_int_equal(la_json_member(jwt.claims, "sub", &member), 1);
    assert_int_equal(la_json_string(member, &sub), 1);
    assert_true(la_slice_is(sub, "alice"));
    assert_int_equal(la_jwt_verify(pool, &jwt, published(key), LA_JWA_DEFAULT, &reason),
                     LA_JWT_VERIFIED);
}

/* Often: one in 128 ECDSA signatures has a number with a leading zero. */
static void test_good(void **state)
{
    const good_case_t *row = *state;
    const la_signing_key_t *key = read_good(pem_of(make(row->name), NULL));
    int times = key->half ? 400 : 2;

    assert_string_equal(key->algorithm, row->algorithm);
    for (int i = 0; i < times; i++)
        check_token(
            key, la_signing_jwt(key, LA_SLICE("{\"sub\":\"alice\"}"), LA_SLICE("Bearer "), pool));
    assert_int_equal(ERR_peek_error(), 0);
}

/* Another key's set does not verify it. */
static void test_other_key(void **state)
{
    const la_signing_key_t *key = read_good(pem_of(make("EC P-256"), NULL));
    const la_signing_key_t *other = read_good(pem_of(make("EC P-256"), NULL));
    const char *text = la_signing_jwt(key, LA_SLICE("{}"), LA_SLICE(""), pool);
    const char *reason;
    la_jwt_t jwt;

    (void)state;
    assert_int_equal(la_jwt_parse(pool, slice_of_text(text), &jwt, &reason), LA_JWT_GOOD);
    assert_int_not_equal(la_jwt_verify(pool, &jwt, published(other), LA_JWA_DEFAULT, &reason),
                         LA_JWT_VERIFIED);
    assert_string_not_equal(key->kid, other->kid);
}

/* What OpenSSL's tools write beside the key. */
static void test_beside(void **state)
{
    static const char parameters[] =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    const char *pem = pem_of(make("EC P-256"), NULL);
    const char *public_key = public_pem_of(make("EC P-256"));

    (void)state;
    read_good(apr_pstrcat(pool, "a comment\n", parameters, pem, NULL));
    read_good(apr_pstrcat(pool, pem, public_key, NULL));
    read_good(apr_pstrcat(pool, public_key, pem, "\n\n", NULL));
}

/* ---- what is refused ---- */

typedef struct bad_case_t {
    const char *name; /* of a key that is made, or of the case */
    const char *pem;  /* NULL: it is made */
    const char *reason;
} bad_case_t;

static bad_case_t bad_cases[] = {
    {"EC P-521", NULL, "an EC key of secp521r1, expected EC P-256 or P-384, Ed25519, or RSA"},
    {"EC secp256k1", NULL, "an EC key of secp256k1, expected"},
    {"RSA 1024", NULL, "an RSA key of 1024 bits, expected"},
    {"RSA with an exponent of 1", NULL, "an RSA key whose public exponent is 1 or longer than 64"},
    {"RSA, long exponent, 2048", NULL, "an RSA key whose public exponent is 1 or longer than 64"},
    {"RSA, long exponent, 4608", NULL, "an RSA key whose public exponent is 1 or longer than 64"},
    {"RSA-PSS", NULL, "a key of type RSA-PSS, expected"},
    {"ED448", NULL, "a key of type ED448, expected"},
    {"X25519", NULL, "a key of type X25519, expected"},
    {"empty", "", "no private key in PEM"},
    {"garbage", "garbage", "no private key in PEM"},
    {"garbage in PEM", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
     "no private key in PEM"},
    {"a half of PEM", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA",
     "no private key in PEM"},
};

static void check_bad(const char *pem, const char *expected)
{
    const la_signing_key_t *key = (void *)pool;
    const char *reason = la_signing_key_read(pool, slice_of_text(pem), &key);

    assert_null(key);
    assert_non_null(reason);
    if (!strstr(reason, expected))
        fail_msg("%s", reason);
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_bad(void **state)
{
    const bad_case_t *row = *state;

    check_bad(row->pem ? row->pem : pem_of(make(row->name), NULL), row->reason);
}

static void test_encrypted(void **state)
{
    (void)state;
    check_bad(pem_of(make("EC P-256"), "secret"), "the private key is encrypted");
    check_bad(pem_of(make("RSA 2048"), "secret"), "the private key is encrypted");
}

static void test_not_one(void **state)
{
    const char *one = pem_of(make("EC P-256"), NULL);

    (void)state;
    check_bad(public_pem_of(make("EC P-256")), "no private key in PEM");
    check_bad(apr_pstrcat(pool, one, pem_of(make("EC P-256"), NULL), NULL),
              "more than one private key");
    check_bad(apr_pstrcat(pool, one, pem_of(make("EC P-256"), "secret"), NULL), "encrypted");
}

/* A public part that is another key's. The private key of RFC 7515 appendix A.3 with the public
 * point of RFC 7517 appendix A.1. */
static void test_mismatch(void **state)
{
    static const char pem[] = "-----BEGIN EC PRIVATE KEY-----\n"
                              "MHcCAQEEII6bEJ5xkJi/mASH3x9dd+nLKWBuvtImO19XwhPfhPSyoAoGCCqGSM49\n"
                              "AwEHoUQDQgAEMKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D7gS2XpJFbZ\n"
                              "iItSs3m9+9Ue6GnvHw/GW2ZZaVtszggXIw==\n"
                              "-----END EC PRIVATE KEY-----\n";

    (void)state;
    check_bad(pem, "do not belong together");
}

/* The buffer ends before such a key does. */
static void test_too_long_to_publish(void **state)
{
    char json[LA_JWK_PUBLIC_BYTES];
    char kid[LA_THUMBPRINT_LEN + 1];
    EVP_PKEY *key = make_long_exponent(4608);

    (void)state;
    assert_int_equal(la_jwk_public(key, json), 0);
    assert_string_equal(json, "");
    assert_int_equal(la_thumbprint_of(key, kid), 0);
    assert_string_equal(kid, "");
    EVP_PKEY_free(key);
}

int main(void)
{
    start();
    pool = new_pool();
    for (size_t i = 0; i < ROWS(good_cases); i++)
        add(good_cases[i].name, test_good, &good_cases[i]);
    for (size_t i = 0; i < ROWS(bad_cases); i++)
        add(apr_pstrcat(pool, "bad: ", bad_cases[i].name, NULL), test_bad, &bad_cases[i]);
    add("another key", test_other_key, NULL);
    add("beside the key", test_beside, NULL);
    add("bad: too long to publish", test_too_long_to_publish, NULL);
    add("bad: encrypted", test_encrypted, NULL);
    add("bad: not one key", test_not_one, NULL);
    add("bad: parts of two keys", test_mismatch, NULL);
    return finish("signing");
}
