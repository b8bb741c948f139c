/* thumbprint.c and jwk_public.c: names of keys, and keys written and read again. The expected
 * thumbprints without an RFC of their own are jwcrypto's. */
#include "support.h"

#include "base/json.h"
#include "jose/jwk.h"
#include "jose/jwk_public.h"
#include "jose/thumbprint.h"

#include "jose.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

typedef struct thumbprint_case_t {
    const char *name;
    const char *jwk; /* with ' for " */
    const char *thumbprint;
} thumbprint_case_t;

static thumbprint_case_t thumbprint_cases[] = {
    {"RFC 7638 section 3.1: RSA", "{'kty':'RSA','e':'AQAB','n':'" RFC7517_RSA_N "'}",
     "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
    {"RFC 8037 appendix A.3: Ed25519", "{'kty':'OKP','crv':'Ed25519','x':'" RFC8037_X "'}",
     "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
    {"members that do not count",
     "{'kid':'2011-04-29','use':'sig','alg':'EdDSA','kty':'OKP','crv':'Ed25519','x':'" RFC8037_X
     "','d':'" RFC8037_D "'}",
     "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
    {"P-256", "{'kty':'EC','crv':'P-256','x':'" RFC7517_EC_X "','y':'" RFC7517_EC_Y "'}",
     "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"},
    {"P-384", "{'kty':'EC','crv':'P-384','x':'" P384_X "','y':'" P384_Y "'}",
     "KAf_OkmbJB0u6ecinFGX2H2gg_0Xug9N2hTqTjWmIsE"},
    {"P-521, with leading zeros",
     "{'kty':'EC','crv':'P-521','x':'" RFC7520_EC_X "','y':'" RFC7520_EC_Y "'}",
     "dHri3SADZkrush5HU_50AoRhcKFryN-PI6jPBtPL55M"},
    {"Ed448", "{'kty':'OKP','crv':'Ed448','x':'" RFC8032_ED448_X "'}",
     "zQstisLFDWZb-FiVsZl6490ATVgxw_63L-xYldKyuUY"},
};

static const la_jwk_t *read_key(apr_pool_t *pool, const char *jwk)
{
    const char *set = apr_pstrcat(pool, "{'keys':[", jwk, "]}", NULL);
    const la_jwks_t *keys;
    const char *reason =
        la_jwks_parse(pool, slice_of_text(unquote(pool, set)), LA_JWA_DEFAULT, &keys);

    if (reason)
        fail_msg("%s", reason);
    return &keys->keys[0];
}

static void test_thumbprint(void **state)
{
    const thumbprint_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    char text[LA_THUMBPRINT_LEN + 1];

    assert_int_equal(la_thumbprint_of(read_key(pool, row->jwk)->key, text), 1);
    assert_string_equal(text, row->thumbprint);
    assert_int_equal(ERR_peek_error(), 0);
    apr_pool_destroy(pool);
}

static void write_key(const EVP_PKEY *key, char json[LA_JWK_PUBLIC_BYTES])
{
    size_t len = la_jwk_public(key, json);

    assert_true(len > 0);
    assert_int_equal(len, strlen(json));
}

/* What is written reads as the same key, in the order of RFC 7638. */
static void test_written(void **state)
{
    const thumbprint_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    char json[LA_JWK_PUBLIC_BYTES];
    char again[LA_JWK_PUBLIC_BYTES];
    const la_jwk_t *key = read_key(pool, row->jwk);

    write_key(key->key, json);
    assert_null(strstr(json, "\"d\""));
    assert_int_equal(EVP_PKEY_eq(read_key(pool, json)->key, key->key), 1);
    write_key(read_key(pool, json)->key, again);
    assert_string_equal(again, json);
    apr_pool_destroy(pool);
}

/* Private keys have their public part's name, and only that part is written. */
static void check_generated(EVP_PKEY *key)
{
    apr_pool_t *pool = new_pool();
    char json[LA_JWK_PUBLIC_BYTES];
    char text[LA_THUMBPRINT_LEN + 1];
    char other[LA_THUMBPRINT_LEN + 1];

    assert_non_null(key);
    write_key(key, json);
    assert_int_equal(la_thumbprint_of(key, text), 1);
    assert_int_equal(la_thumbprint_of(read_key(pool, json)->key, other), 1);
    assert_string_equal(text, other);
    EVP_PKEY_free(key);
    apr_pool_destroy(pool);
}

static void test_generated(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) /* one in 128 has a coordinate with a leading zero */
        check_generated(EVP_EC_gen("P-256"));
    check_generated(EVP_EC_gen("P-384"));
    check_generated(EVP_EC_gen("P-521"));
    check_generated(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    check_generated(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"));
    check_generated(EVP_RSA_gen(2048));
}

static void check_none(EVP_PKEY *key)
{
    char text[LA_THUMBPRINT_LEN + 1] = "x";

    assert_non_null(key);
    assert_int_equal(la_thumbprint_of(key, text), 0);
    assert_string_equal(text, "");
    assert_int_equal(ERR_peek_error(), 0);
    EVP_PKEY_free(key);
}

/* A key without a JWK form, as far as it is written here. */
static void test_none(void **state)
{
    (void)state;
    check_none(EVP_EC_gen("secp256k1"));
    check_none(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"));
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(thumbprint_cases); i++) {
        add(thumbprint_cases[i].name, test_thumbprint, &thumbprint_cases[i]);
        add("written", test_written, &thumbprint_cases[i]);
    }
    add("generated", test_generated, NULL);
    add("no form", test_none, NULL);
    return finish("thumbprint");
}
