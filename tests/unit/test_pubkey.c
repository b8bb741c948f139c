/* pubkey.c: numbers that make a key and numbers that must not. How JWKs are read is in test_jwk.c
 * and test_jwk_hostile.c. */
#include "support.h"

#include "base/base64url.h"
#include "jose/pubkey.h"

#include "jose.h"

#include <openssl/bn.h>
#include <openssl/err.h>

/* ---- RSA: products of primes that documents give ---- */

typedef BIGNUM *prime_fn(BIGNUM *);

typedef struct rsa_case_t {
    const char *name;
    prime_fn *first;
    prime_fn *second; /* NULL: 1 */
    BN_ULONG times;
    la_slice_t exponent;
    const char *reason;
    int bits;
} rsa_case_t;

#define P768  BN_get_rfc2409_prime_768
#define P1024 BN_get_rfc2409_prime_1024
#define P1536 BN_get_rfc3526_prime_1536
#define P2048 BN_get_rfc3526_prime_2048
#define P3072 BN_get_rfc3526_prime_3072
#define P6144 BN_get_rfc3526_prime_6144
#define P8192 BN_get_rfc3526_prime_8192
#define F4    LA_SLICE("\x01\x00\x01")

static rsa_case_t rsa_cases[] = {
    {"RSA: 2304 bits", P768, P1536, 1, F4, NULL, 2304},
    {"RSA: 2560 bits", P1024, P1536, 1, F4, NULL, 2560},
    {"RSA: 4096 bits", P1024, P3072, 1, F4, NULL, 4096},
    {"RSA: 8192 bits", P2048, P6144, 1, F4, NULL, 8192},
    {"RSA: e of 3", P768, P1536, 1, LA_SLICE("\x03"), NULL, 2304},
    {"RSA: e of 64 bits", P768, P1536, 1, LA_SLICE("\x80\0\0\0\0\0\0\1"), NULL, 2304},
    {"RSA: e of 64 bits, 8192 bits", P2048, P6144, 1, LA_SLICE("\x80\0\0\0\0\0\0\1"), NULL, 8192},
    {"RSA: e behind zeros", P768, P1536, 1, LA_SLICE("\0\0\0\0\0\0\0\0\0\0\0\3"), NULL, 2304},
    {"RSA: 1792 bits", P768, P1024, 1, F4, "RSA key of 1792 bits, expected 2048 to 8192", 0},
    {"RSA: 8194 bits", P2048, P6144, 3, F4, "RSA key of more than 8192 bits, expected 2048 to 8192",
     0},
    {"RSA: 16384 bits", P8192, P8192, 1, F4,
     "RSA key of more than 8192 bits, expected 2048 to 8192", 0},
    {"RSA: a prime of 2048 bits", P2048, NULL, 1, F4, "RSA modulus is unsound", 0},
    {"RSA: a prime squared", P1024, P1024, 1, F4, "RSA modulus is unsound", 0},
    {"RSA: a small factor", P1024, P1536, 3, F4, "RSA modulus is unsound", 0},
    {"RSA: another small factor", P1024, P1536, 751, F4, "RSA modulus is unsound", 0},
    {"RSA: even", P1024, P1536, 2, F4, "RSA modulus is even", 0},
    {"RSA: 0", P1024, P1536, 0, F4, "RSA key of 0 bits, expected 2048 to 8192", 0},
    {"RSA: e of 1", P768, P1536, 1, LA_SLICE("\x01"), "RSA exponent is 1", 0},
    {"RSA: e of 1 behind zeros", P768, P1536, 1, LA_SLICE("\0\0\x01"), "RSA exponent is 1", 0},
    {"RSA: e of 0", P768, P1536, 1, LA_SLICE("\0"), "RSA exponent is even", 0},
    {"RSA: no e", P768, P1536, 1, LA_SLICE(""), "RSA exponent is even", 0},
    {"RSA: e even", P768, P1536, 1, LA_SLICE("\x01\x00"), "RSA exponent is even", 0},
    {"RSA: e of 65 bits", P768, P1536, 1, LA_SLICE("\1\0\0\0\0\0\0\0\1"),
     "RSA exponent of more than 64 bits", 0},
};

static la_slice_t modulus_of(apr_pool_t *pool, const rsa_case_t *row)
{
    BN_CTX *context = BN_CTX_new();
    BIGNUM *n = row->first(NULL);
    BIGNUM *other = row->second ? row->second(NULL) : NULL;
    unsigned char *bytes;
    int len;

    if (other)
        assert_int_equal(BN_mul(n, n, other, context), 1);
    assert_int_equal(BN_mul_word(n, row->times), 1);
    len = BN_num_bytes(n);
    bytes = apr_palloc(pool, (apr_size_t)len + 1);
    assert_int_equal(BN_bn2bin(n, bytes), len);
    BN_free(other);
    BN_free(n);
    BN_CTX_free(context);
    return (la_slice_t){(const char *)bytes, (apr_size_t)len};
}

static void check_reason(const char *reason, const char *expected, const EVP_PKEY *key)
{
    ERR_clear_error();
    if (expected) {
        assert_non_null(reason);
        assert_non_null(strstr(reason, expected));
        assert_null(key);
    } else {
        if (reason)
            fail_msg("%s", reason);
        assert_non_null(key);
    }
}

static void test_rsa(void **state)
{
    const rsa_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    unsigned int effort = LA_PUBKEY_EFFORT;
    EVP_PKEY *key = (void *)pool;
    const char *reason = la_pubkey_rsa(pool, modulus_of(pool, row), row->exponent, &effort, &key);

    if (!reason) {
        reason = la_pubkey_rsa_check(key);
        key = reason ? NULL : key;
    }
    check_reason(reason, row->reason, key);
    if (!reason)
        assert_int_equal(EVP_PKEY_get_bits(key), row->bits);
    apr_pool_destroy(pool);
}

/* What a set may cost: eight keys of 8192 bits, and then not even a small one. A key that costs
 * nothing is still told why. */
static void test_effort(void **state)
{
    static const rsa_case_t large = {"", P2048, P6144, 1, F4, NULL, 0};
    static const rsa_case_t small = {"", P768, P1024, 1, F4, NULL, 0};
    apr_pool_t *pool = new_pool();
    unsigned int effort = LA_PUBKEY_EFFORT;
    EVP_PKEY *key;

    (void)state;
    for (int i = 0; i < 8; i++) {
        assert_null(la_pubkey_rsa(pool, modulus_of(pool, &large), F4, &effort, &key));
    }
    assert_int_equal(effort, 0);
    assert_string_equal(la_pubkey_rsa(pool, modulus_of(pool, &rsa_cases[0]), F4, &effort, &key),
                        "the set's RSA keys are too many and too large to be checked");
    assert_null(key);
    assert_string_equal(la_pubkey_rsa(pool, modulus_of(pool, &small), F4, &effort, &key),
                        "RSA key of 1792 bits, expected 2048 to 8192");
    apr_pool_destroy(pool);
}

/* As many keys of the usual size as a set may hold are within it. */
static void test_usual(void **state)
{
    unsigned int cost = LA_PUBKEY_EFFORT;
    apr_pool_t *pool = new_pool();
    la_slice_t modulus;
    EVP_PKEY *key;

    (void)state;
    assert_int_equal(la_base64url_decode(pool, slice_of_text(RFC7520_RSA_N), &modulus), 1);
    assert_null(la_pubkey_rsa(pool, modulus, F4, &cost, &key));
    assert_true((LA_PUBKEY_EFFORT - cost) * 256 <= LA_PUBKEY_EFFORT);
    apr_pool_destroy(pool);
}

/* ---- points ---- */

typedef struct point_case_t {
    const char *name;
    const char *curve;
    const char *point; /* base64url */
    const char *reason;
} point_case_t;

static point_case_t point_cases[] = {
    {"Ed25519: RFC 8037", "Ed25519", RFC8037_X, NULL},
    {"Ed25519: nothing", "Ed25519", "", "x of 0 bytes, expected "},
    {"Ed25519: a byte less", "Ed25519", "AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
     "x of 31 bytes, expected "},
    {"Ed25519: a byte more", "Ed25519", "AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
     "x of 33 bytes, expected "},
    {"Ed25519: of the other curve", "Ed25519", RFC8032_ED448_X, "x of 57 bytes, expected "},
    {"Ed448: RFC 8032", "Ed448", RFC8032_ED448_X, NULL},
    {"Ed448: nothing", "Ed448", "", "x of 0 bytes, expected "},
    {"Ed448: of the other curve", "Ed448", RFC8037_X, "x of 32 bytes, expected "},
};

static void test_point(void **state)
{
    const point_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    EVP_PKEY *key = (void *)pool;
    const char *reason;
    la_slice_t point;

    assert_int_equal(la_base64url_decode(pool, slice_of_text(row->point), &point), 1);
    reason = la_pubkey_okp(pool, la_curve_named(slice_of_text(row->curve)), point, &key);
    check_reason(reason, row->reason, key);
    apr_pool_destroy(pool);
}

/* Keys that OpenSSL makes are all taken: what is asked of a point is not too much. */
static void test_generated(void **state)
{
    static const char *const names[] = {"Ed25519", "Ed448"};

    (void)state;
    for (size_t i = 0; i < 100; i++) {
        EVP_PKEY *made = EVP_PKEY_Q_keygen(NULL, NULL, i % 2 ? "ED448" : "ED25519");
        apr_pool_t *pool = new_pool();
        unsigned char bytes[57];
        size_t len = sizeof(bytes);
        const char *reason;
        EVP_PKEY *key;

        assert_int_equal(EVP_PKEY_get_raw_public_key(made, bytes, &len), 1);
        reason = la_pubkey_okp(pool, la_curve_named(slice_of_text(names[i % 2])),
                               (la_slice_t){(const char *)bytes, len}, &key);
        check_reason(reason, NULL, key);
        assert_int_equal(EVP_PKEY_eq(made, key), 1);
        EVP_PKEY_free(made);
        apr_pool_destroy(pool);
    }
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(rsa_cases); i++)
        add(rsa_cases[i].name, test_rsa, &rsa_cases[i]);
    add("RSA: effort", test_effort, NULL);
    add("RSA: the usual set", test_usual, NULL);
    for (size_t i = 0; i < ROWS(point_cases); i++)
        add(point_cases[i].name, test_point, &point_cases[i]);
    add("EdDSA: generated keys", test_generated, NULL);
    return finish("pubkey");
}
