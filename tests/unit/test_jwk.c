/* jwk.c: keys that may verify, what they may verify, and what becomes of a set. Keys to be skipped
 * are in test_jwk_hostile.c. */
#include "support.h"

#include "jose/jwk.h"

#include "jose.h"

#include <openssl/core_names.h>
#include <openssl/err.h>

#define ANY (LA_JWA_DEFAULT | LA_JWA_HMAC)

typedef struct key_case_t {
    const char *name;
    const char *jwk;
    la_jwa_set_t allowed;
    la_jwa_set_t algorithms;
    const char *kid;
    const char *member[2]; /* n and e, x and y, x, k: as they stand in the JWK */
} key_case_t;

#define RSA(n)   "'kty':'RSA','n':'" n "','e':'AQAB'"
#define EC256    "'kty':'EC','crv':'P-256','x':'" RFC7517_EC_X "','y':'" RFC7517_EC_Y "'"
#define EC521    "'kty':'EC','crv':'P-521','x':'" RFC7520_EC_X "','y':'" RFC7520_EC_Y "'"
#define ED25519  "'kty':'OKP','crv':'Ed25519','x':'" RFC8037_X "'"
#define ED448    "'kty':'OKP','crv':'Ed448','x':'" RFC8032_ED448_X "'"
#define OCT(k)   "'kty':'oct','k':'" k "'"
#define BYTES_32 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define BYTES_47 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4"
#define BYTES_48 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v"
#define IS_RSA                                                                                     \
    {                                                                                              \
        RFC7517_RSA_N, "AQAB"                                                                      \
    }
#define IS_RSA20                                                                                   \
    {                                                                                              \
        RFC7520_RSA_N, "AQAB"                                                                      \
    }
#define IS_EC256                                                                                   \
    {                                                                                              \
        RFC7517_EC_X, RFC7517_EC_Y                                                                 \
    }
#define IS_EC521                                                                                   \
    {                                                                                              \
        RFC7520_EC_X, RFC7520_EC_Y                                                                 \
    }
#define IS_25519                                                                                   \
    {                                                                                              \
        RFC8037_X, NULL                                                                            \
    }
#define IS_448                                                                                     \
    {                                                                                              \
        RFC8032_ED448_X, NULL                                                                      \
    }
#define IS_OCT(k)                                                                                  \
    {                                                                                              \
        k, NULL                                                                                    \
    }

static key_case_t key_cases[] = {
    /* The documents' own keys. */
    {"RFC 7517 A.1: EC, were it not for encryption", "{" EC256 ",'kid':'1'}", ANY, LA_JWA_ES256,
     "1", IS_EC256},
    {"RFC 7517 A.1: RSA", "{" RSA(RFC7517_RSA_N) ",'alg':'RS256','kid':'2011-04-29'}", ANY,
     LA_JWA_RS256, "2011-04-29", IS_RSA},
    {"RFC 7517 A.2: EC with its private part", "{" EC256 ",'d':'" RFC7517_EC_D "','kid':'1'}", ANY,
     LA_JWA_ES256, "1", IS_EC256},
    {"RFC 7517 A.3: HMAC", "{" OCT(RFC7517_HMAC_K) ",'kid':'HMAC key used in JWS spec'}", ANY,
     LA_JWA_HMAC, "HMAC key used in JWS spec", IS_OCT(RFC7517_HMAC_K)},
    {"RFC 7518 C: EC",
     "{'kty':'EC','crv':'P-256','x':'" RFC7518_EC_X "','y':'" RFC7518_EC_Y "'}",
     ANY,
     LA_JWA_ES256,
     NULL,
     {RFC7518_EC_X, RFC7518_EC_Y}},
    {"RFC 7520 3.1: EC", "{" EC521 ",'kid':'" RFC7520_KID "','use':'sig'}", ANY, LA_JWA_ES512,
     RFC7520_KID, IS_EC521},
    {"RFC 7520 3.2: EC with its private part",
     "{" EC521 ",'kid':'" RFC7520_KID "','use':'sig','d':'" RFC7520_EC_D "'}", ANY, LA_JWA_ES512,
     RFC7520_KID, IS_EC521},
    {"RFC 7520 3.3: RSA", "{" RSA(RFC7520_RSA_N) ",'kid':'" RFC7520_KID "','use':'sig'}", ANY,
     LA_JWA_RSA, RFC7520_KID, IS_RSA20},
    {"RFC 7520 3.5: HMAC",
     "{" OCT(RFC7520_HMAC_K) ",'kid':'" RFC7520_HMAC_KID "','use':'sig','alg':'HS256'}", ANY,
     LA_JWA_HS256, RFC7520_HMAC_KID, IS_OCT(RFC7520_HMAC_K)},
    {"RFC 8037 A.1: Ed25519 with its private part", "{" ED25519 ",'d':'" RFC8037_D "'}", ANY,
     LA_JWA_ED25519, NULL, IS_25519},
    {"RFC 8037 A.2: Ed25519", "{" ED25519 "}", ANY, LA_JWA_ED25519, NULL, IS_25519},
    {"RFC 8032 7.4: Ed448", "{" ED448 "}", ANY, LA_JWA_ED448, NULL, IS_448},
    {"P-384",
     "{'kty':'EC','crv':'P-384','x':'" P384_X "','y':'" P384_Y "'}",
     ANY,
     LA_JWA_ES384,
     NULL,
     {P384_X, P384_Y}},

    /* alg narrows. */
    {"alg PS512", "{" RSA(RFC7520_RSA_N) ",'alg':'PS512'}", ANY, LA_JWA_PS512, NULL, IS_RSA20},
    {"alg ES256", "{" EC256 ",'alg':'ES256'}", ANY, LA_JWA_ES256, NULL, IS_EC256},
    {"alg EdDSA of Ed25519", "{" ED25519 ",'alg':'EdDSA'}", ANY, LA_JWA_ED25519, NULL, IS_25519},
    {"alg EdDSA of Ed448", "{" ED448 ",'alg':'EdDSA'}", ANY, LA_JWA_ED448, NULL, IS_448},
    {"alg Ed25519", "{" ED25519 ",'alg':'Ed25519'}", ANY, LA_JWA_ED25519, NULL, IS_25519},
    {"alg Ed448", "{" ED448 ",'alg':'Ed448'}", ANY, LA_JWA_ED448, NULL, IS_448},
    {"alg HS512", "{" OCT(RFC7517_HMAC_K) ",'alg':'HS512'}", ANY, LA_JWA_HS512, NULL,
     IS_OCT(RFC7517_HMAC_K)},

    /* So does the configuration. */
    {"configured: one of RSA's", "{" RSA(RFC7520_RSA_N) "}", LA_JWA_RS384 | LA_JWA_ES256,
     LA_JWA_RS384, NULL, IS_RSA20},
    {"configured: two of HMAC's", "{" OCT(RFC7517_HMAC_K) "}", LA_JWA_HS256 | LA_JWA_HS512,
     LA_JWA_HS256 | LA_JWA_HS512, NULL, IS_OCT(RFC7517_HMAC_K)},
    {"configured: the default", "{" RSA(RFC7520_RSA_N) "}", LA_JWA_DEFAULT, LA_JWA_RSA, NULL,
     IS_RSA20},

    /* And an oct key's length. */
    {"oct of 32 bytes", "{" OCT(BYTES_32) "}", ANY, LA_JWA_HS256, NULL, IS_OCT(BYTES_32)},
    {"oct of 47 bytes", "{" OCT(BYTES_47) "}", ANY, LA_JWA_HS256, NULL, IS_OCT(BYTES_47)},
    {"oct of 48 bytes", "{" OCT(BYTES_48) "}", ANY, LA_JWA_HS256 | LA_JWA_HS384, NULL,
     IS_OCT(BYTES_48)},
    {"oct of 64 bytes", "{" OCT(RFC7517_HMAC_K) "}", ANY, LA_JWA_HMAC, NULL,
     IS_OCT(RFC7517_HMAC_K)},

    /* Purpose. */
    {"key_ops verify", "{" ED25519 ",'key_ops':['verify']}", ANY, LA_JWA_ED25519, NULL, IS_25519},
    {"key_ops sign and verify", "{" ED25519 ",'key_ops':['sign','verify']}", ANY, LA_JWA_ED25519,
     NULL, IS_25519},
    {"use sig and key_ops verify", "{" ED25519 ",'use':'sig','key_ops':['verify']}", ANY,
     LA_JWA_ED25519, NULL, IS_25519},

    /* What is none of our business. */
    {"null members are absent", "{" ED25519 ",'kid':null,'use':null,'key_ops':null,'alg':null}",
     ANY, LA_JWA_ED25519, NULL, IS_25519},
    {"null items are skipped", "{" ED25519 ",'key_ops':[null,'verify']}", ANY, LA_JWA_ED25519, NULL,
     IS_25519},
    {"members that are not known", "{" ED25519 ",'x5c':['MII'],'x5t':7,'ext':true,'iat':null}", ANY,
     LA_JWA_ED25519, NULL, IS_25519},
    {"private parts that make no sense",
     "{" RSA(RFC7520_RSA_N) ",'d':42,'p':null,'q':[],'dp':{},'qi':'=','oth':[1]}", ANY, LA_JWA_RSA,
     NULL, IS_RSA20},
    {"another type's members", "{" ED25519 ",'n':1,'e':2,'k':3,'y':4}", ANY, LA_JWA_ED25519, NULL,
     IS_25519},
    {"an empty kid", "{" ED25519 ",'kid':''}", ANY, LA_JWA_ED25519, "", IS_25519},
    {"a kid beyond ASCII", "{" ED25519 ",'kid':'schl\xc3\xbcssel'}", ANY, LA_JWA_ED25519,
     "schl\xc3\xbcssel", IS_25519},
    {"escapes in a name and a value",
     "{'\\u006bty':'\\u004fKP','crv':'Ed25519','x':'" RFC8037_X "'}", ANY, LA_JWA_ED25519, NULL,
     IS_25519},
    {"RSA: a zero in front of the modulus",
     "{'kty':'RSA','e':'AAAAAQAB','n':'"
     "AJ-BD7QDgnPQJZHkBz8x0rYAG4LO202S8FAWXUfPyrijxBy3eKx1U3k_jvl1do0aI3TYcSVkw7zXe56kNFRImUB8"
     "_wCZkgqTGiTEQUhSqym9sKlcBlPzbGDmC_kLYljdpW83BHulwtHQKa-cnUC6x6pBx4oN0QaK3WmegI_qAR6hRB2K"
     "T3u06Xvjn1Xx3dROnEujNRWXA9TTS2A-ZRR6TyPW08CZbHXt7oRqgtGQrhB4PJYc8Dh67SEG0tBVW2_ZN_rVU1OH"
     "4P9y_754lBQCsLgi6ip0tgWMHav5s0p2y2O4f6osaEe44oN__5EYbmscFJEc-YmokJKoHOYB3azT-c8'}",
     ANY, LA_JWA_RSA, NULL, IS_RSA20},
};

static const la_jwks_t *parse(apr_pool_t *pool, const char *text, la_jwa_set_t allowed)
{
    const char *json = unquote(pool, text);
    size_t len = strlen(json);
    char *tight = malloc(len);
    const la_jwks_t *set;
    const char *reason;

    assert_non_null(tight);
    memcpy(tight, json, len);
    reason = la_jwks_parse(pool, (la_slice_t){tight, len}, allowed, &set);
    free(tight);
    if (reason)
        fail_msg("%s", reason);
    assert_non_null(set);
    assert_int_equal(ERR_peek_error(), 0);
    return set;
}

static const la_jwks_t *parse_one(apr_pool_t *pool, const char *jwk, la_jwa_set_t allowed)
{
    const la_jwks_t *set = parse(pool, apr_pstrcat(pool, "{'keys':[", jwk, "]}", NULL), allowed);

    assert_int_equal(set->count, 1);
    assert_int_equal(set->skipped->nelts, 0);
    return set;
}

/* A number of a key as base64url, zeros in front up to `bytes`. */
static const char *number(apr_pool_t *pool, EVP_PKEY *key, const char *name, int bytes)
{
    unsigned char data[1024];
    BIGNUM *value = NULL;

    assert_int_equal(EVP_PKEY_get_bn_param(key, name, &value), 1);
    bytes = bytes ? bytes : BN_num_bytes(value);
    assert_int_equal(BN_bn2binpad(value, data, bytes), bytes);
    BN_free(value);
    return encode_base64url(pool, data, (size_t)bytes);
}

static void check_okp(apr_pool_t *pool, EVP_PKEY *key, const char *x)
{
    unsigned char data[64];
    size_t len = sizeof(data);

    assert_int_equal(EVP_PKEY_get_raw_public_key(key, data, &len), 1);
    assert_string_equal(encode_base64url(pool, data, len), x);
    len = sizeof(data);
    assert_int_not_equal(EVP_PKEY_get_raw_private_key(key, data, &len), 1);
}

/* The key that OpenSSL holds is the one that was written, and no more than its public part. */
static void check_key(apr_pool_t *pool, EVP_PKEY *key, const char *const *member)
{
    BIGNUM *secret = NULL;

    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
        assert_string_equal(number(pool, key, OSSL_PKEY_PARAM_RSA_N, 0), member[0]);
        assert_string_equal(number(pool, key, OSSL_PKEY_PARAM_RSA_E, 0), member[1]);
        assert_int_not_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_D, &secret), 1);
    } else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
        int bytes = (EVP_PKEY_get_bits(key) + 7) / 8;

        assert_string_equal(number(pool, key, OSSL_PKEY_PARAM_EC_PUB_X, bytes), member[0]);
        assert_string_equal(number(pool, key, OSSL_PKEY_PARAM_EC_PUB_Y, bytes), member[1]);
        assert_int_not_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &secret), 1);
    } else {
        check_okp(pool, key, member[0]);
    }
    assert_null(secret);
    ERR_clear_error();
}

static void test_key(void **state)
{
    const key_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    const la_jwk_t *key = parse_one(pool, row->jwk, row->allowed)->keys;

    assert_int_equal(key->algorithms, row->algorithms);
    if (row->kid) {
        assert_int_equal(key->kid.len, strlen(row->kid));
        assert_memory_equal(key->kid.data, row->kid, key->kid.len);
    } else {
        assert_null(key->kid.data);
    }
    if (key->algorithms & LA_JWA_HMAC) {
        assert_null(key->key);
        assert_string_equal(
            encode_base64url(pool, (const unsigned char *)key->secret.data, key->secret.len),
            row->member[0]);
    } else {
        assert_int_equal(key->secret.len, 0);
        check_key(pool, key->key, row->member);
    }
    apr_pool_destroy(pool);
}

/* ---- sets ---- */

typedef struct set_case_t {
    const char *name;
    const char *text;
    const char *reason;
    la_jwa_set_t allowed;
} set_case_t;

static set_case_t refused_sets[] = {
    {"set: nothing", "", "not JSON: ", ANY},
    {"set: no JSON", "<html>", "not JSON: ", ANY},
    {"set: a part", "{'keys':[{" ED25519 "}]", "not JSON: ", ANY},
    {"set: something behind", "{'keys':[{" ED25519 "}]}{}", "not JSON: ", ANY},
    {"set: keys twice", "{'keys':[{" ED25519 "}],'keys':[]}", "not JSON: ", ANY},
    {"set: a member of a key twice", "{'keys':[{" ED25519 ",'kty':'oct'}]}",
     "keys[0]: not JSON: duplicate member name at line 1, column 89", ANY},
    {"set: not UTF-8", "{'keys':[{" ED25519 ",'kid':'\xff'}]}", "not JSON: ", ANY},
    {"set: null", "null", "not a JSON object", ANY},
    {"set: a list", "[{" ED25519 "}]", "not a JSON object", ANY},
    {"set: a text", "'keys'", "not a JSON object", ANY},
    {"set: a key alone", "{" ED25519 "}", "no list named keys", ANY},
    {"set: an empty object", "{}", "no list named keys", ANY},
    {"set: an error document", "{'error':'server_error'}", "no list named keys", ANY},
    {"set: Keys", "{'Keys':[{" ED25519 "}]}", "no list named keys", ANY},
    {"set: keys is null", "{'keys':null}", "no list named keys", ANY},
    {"set: keys is an object", "{'keys':{'0':{" ED25519 "}}}", "no list named keys", ANY},
    {"set: keys is a text", "{'keys':'[]'}", "no list named keys", ANY},
    {"set: no keys", "{'keys':[]}", "no keys in the set", ANY},
    {"set: only null", "{'keys':[null]}", "no keys in the set", ANY},
    {"set: the first reason is told", "{'keys':[{" ED25519 ",'kid':'a','use':'enc'},7]}",
     "no usable key in the set: keys[0] (kid \"a\"): use is \"enc\", expected one of: sig", ANY},
    {"set: nothing that is configured", "{'keys':[{" ED25519 "}]}",
     "no usable key in the set: keys[0]: it is for ", LA_JWA_RSA},
    {"set: nothing is configured", "{'keys':[{" ED25519 "}]}",
     "no usable key in the set: keys[0]: it is for ", 0},
};

static void test_refused_set(void **state)
{
    const set_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    const la_jwks_t *set = (const void *)row;
    const char *reason =
        la_jwks_parse(pool, slice_of_text(unquote(pool, row->text)), row->allowed, &set);

    assert_non_null(reason);
    assert_null(set);
    if (strcmp(row->reason, "not JSON: ") == 0)
        assert_int_equal(strncmp(reason, row->reason, strlen(row->reason)), 0);
    else
        assert_non_null(strstr(reason, row->reason));
    assert_int_equal(ERR_peek_error(), 0);
    apr_pool_destroy(pool);
}

/* `count` keys with the same kid, as many as may be. */
static const char *set_of(apr_pool_t *pool, int count)
{
    char *text = apr_pstrdup(pool, "{'keys':[");

    for (int i = 0; i < count; i++)
        text = apr_pstrcat(pool, text, i ? "," : "", "{" ED25519 ",'kid':'same'}", NULL);
    return apr_pstrcat(pool, text, "]}", NULL);
}

static void test_most_keys(void **state)
{
    apr_pool_t *pool = new_pool();
    const la_jwks_t *set = parse(pool, set_of(pool, LA_JWK_MAX_KEYS), ANY);

    (void)state;
    assert_int_equal(set->count, LA_JWK_MAX_KEYS);
    assert_int_equal(set->skipped->nelts, 0);
    assert_ptr_not_equal(set->keys[0].key, set->keys[LA_JWK_MAX_KEYS - 1].key);
    assert_string_equal(
        la_jwks_parse(pool, slice_of_text(unquote(pool, set_of(pool, LA_JWK_MAX_KEYS + 1))), ANY,
                      &set),
        "more than 256 keys");
    assert_null(set);
    apr_pool_destroy(pool);
}

/* Order is kept, and one bad key costs only itself. */
static void test_mixed(void **state)
{
    apr_pool_t *pool = new_pool();
    const la_jwks_t *set =
        parse(pool,
              "{'more':1,'keys':[{" RSA(RFC7517_RSA_N) ",'kid':'a'},{" EC256
                                                       ",'use':'enc','kid':'b'},{" ED25519
                                                       ",'kid':'a'},[],{" EC521 ",'kid':'c'}]}",
              ANY);

    (void)state;
    assert_int_equal(set->count, 3);
    assert_int_equal(set->keys[0].algorithms, LA_JWA_RSA);
    assert_int_equal(set->keys[1].algorithms, LA_JWA_ED25519);
    assert_int_equal(set->keys[2].algorithms, LA_JWA_ES512);
    assert_int_equal(set->skipped->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(set->skipped, 0, const char *),
                        "keys[1] (kid \"b\"): use is \"enc\", expected one of: sig");
    assert_string_equal(APR_ARRAY_IDX(set->skipped, 1, const char *), "keys[3]: not an object");
    apr_pool_destroy(pool);
}

/* ---- secrets ---- */

static la_slice_t secret;
static int secret_bytes_left;

/* Registered before the set's cleanups, so it runs after them, and before the pool's memory goes.
 */
static apr_status_t count_secret_bytes(void *unused)
{
    (void)unused;
    for (size_t i = 0; i < secret.len; i++)
        secret_bytes_left += secret.data[i] != 0;
    return APR_SUCCESS;
}

static void test_cleansed(void **state)
{
    apr_pool_t *pool = new_pool();

    (void)state;
    apr_pool_cleanup_register(pool, NULL, count_secret_bytes, apr_pool_cleanup_null);
    secret = parse_one(pool, "{" OCT(RFC7517_HMAC_K) "}", ANY)->keys->secret;
    assert_int_equal(secret.len, 64);
    assert_int_equal((unsigned char)secret.data[0], 0x03);
    secret_bytes_left = 0;
    apr_pool_destroy(pool);
    assert_int_equal(secret_bytes_left, 0);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(key_cases); i++)
        add(key_cases[i].name, test_key, &key_cases[i]);
    for (size_t i = 0; i < ROWS(refused_sets); i++)
        add(refused_sets[i].name, test_refused_set, &refused_sets[i]);
    add("most keys", test_most_keys, NULL);
    add("mixed", test_mixed, NULL);
    add("secrets are cleansed", test_cleansed, NULL);
    return finish("jwk");
}
