/* jwt.c and verifier.c: tokens that are good, of every algorithm and of the published examples (RFC
 * 7515, 7520, 8037), and the choice of the key. What is refused: test_jwt_hostile.c.
 */
#include "support.h"

#include "jose.h"

#include "tokens.h"

#define CLAIMS "{'sub':'alice','aud':'llama-stack'}"

/* ---- round trips ---- */

typedef struct good_case_t {
    const char *name;
    const char *header;
    key_e key;
    const char *alg;
} good_case_t;

static good_case_t good_cases[] = {
    {"good: RS256", "{'alg':'RS256','kid':'rsa'}", K_RSA, "RS256"},
    {"good: RS384", "{'alg':'RS384','kid':'rsa'}", K_RSA, "RS384"},
    {"good: RS512", "{'alg':'RS512','kid':'rsa'}", K_RSA, "RS512"},
    {"good: PS256", "{'alg':'PS256','kid':'rsa'}", K_RSA, "PS256"},
    {"good: PS384", "{'alg':'PS384','kid':'rsa'}", K_RSA, "PS384"},
    {"good: PS512", "{'alg':'PS512','kid':'rsa'}", K_RSA, "PS512"},
    {"good: ES256", "{'alg':'ES256','kid':'p256'}", K_P256, "ES256"},
    {"good: ES384", "{'alg':'ES384','kid':'p384'}", K_P384, "ES384"},
    {"good: ES512", "{'alg':'ES512','kid':'p521'}", K_P521, "ES512"},
    {"good: EdDSA, Ed25519", "{'alg':'EdDSA','kid':'ed'}", K_ED, "EdDSA"},
    {"good: EdDSA, Ed448", "{'alg':'EdDSA','kid':'ed448'}", K_ED448, "EdDSA"},
    {"good: Ed25519", "{'alg':'Ed25519','kid':'ed'}", K_ED, "EdDSA"},
    {"good: Ed448", "{'alg':'Ed448','kid':'ed448'}", K_ED448, "EdDSA"},
    {"good: HS256", "{'alg':'HS256','kid':'hmac'}", K_RSA, "HS256"},
    {"good: HS384", "{'alg':'HS384','kid':'hmac'}", K_RSA, "HS384"},
    {"good: HS512", "{'alg':'HS512','kid':'hmac'}", K_RSA, "HS512"},
    {"good: a key with an alg", "{'alg':'RS512','kid':'rs512'}", K_RSA2, "RS512"},
    {"good: no kid, one key fits", "{'alg':'ES384'}", K_P384, "ES384"},
    {"good: no kid, the first of two that fit", "{'alg':'RS512'}", K_RSA, "RS512"},
    {"good: no kid, the second of two that fit", "{'alg':'RS512'}", K_RSA2, "RS512"},
    {"good: no kid, EdDSA", "{'alg':'EdDSA'}", K_ED448, "EdDSA"},
    {"good: no kid, curve decides", "{'alg':'Ed448'}", K_ED448, "EdDSA"},
    {"good: typ and more", "{'typ':'JWT','alg':'ES256','kid':'p256','x':1}", K_P256, "ES256"},
    {"good: embedded keys are not looked at",
     "{'alg':'ES256','kid':'p256','jku':'http://evil/','x5u':7,'jwk':{},'x5c':[]}", K_P256,
     "ES256"},
};

static const char *named(apr_pool_t *pool, const la_jwt_t *jwt)
{
    return apr_pstrmemdup(pool, jwt->algorithm.data, jwt->algorithm.len);
}

static void test_good(void **state)
{
    const good_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_slice_t token =
        slice_of_text(make_token(pool, row->header, CLAIMS, pair[row->key], row->alg, FORM_JOSE));
    const char *reason;
    la_jwt_t jwt;
    la_slice_t sub;
    const la_json_t *claim;

    assert_int_equal(la_jwt_parse(pool, token, &jwt, &reason), LA_JWT_GOOD);
    assert_null(reason);
    assert_int_equal(la_json_member(jwt.claims, "sub", &claim) && la_json_string(claim, &sub), 1);
    for (int round = 0; round < 3;
         round++) { /* what was prepared for a key serves again and again */
        assert_int_equal(la_jwt_verify(pool, &jwt, key_set, LA_JWA_DEFAULT | LA_JWA_HMAC, &reason),
                         LA_JWT_VERIFIED);
        assert_null(reason);
    }
    assert_int_equal(la_jwt_verify(pool, &jwt, key_set, 0, &reason), LA_JWT_BAD);
    assert_string_equal(reason,
                        apr_psprintf(pool, "alg is %s, expected one of: ", named(pool, &jwt)));
    apr_pool_destroy(pool);
}

/* ---- several keys of one name ---- */

static void test_same_kid(void **state)
{
    apr_pool_t *pool = new_pool();
    const la_jwks_t *keys =
        parse_keys(apr_pstrcat(lasting, "{'keys':[", ec_jwk(pair[K_OTHER], "k", "P-256", 32, ""),
                               ",", rsa_jwk(pair[K_RSA], "k", ""), ",",
                               ec_jwk(pair[K_P256], "k", "P-256", 32, ""), "]}", NULL),
                   LA_JWA_DEFAULT);
    static const struct {
        key_e key;
        const char *alg;
        la_jwt_verified_e expected;
    } tries[] = {{K_P256, "ES256", LA_JWT_VERIFIED},
                 {K_OTHER, "ES256", LA_JWT_VERIFIED},
                 {K_RSA, "PS384", LA_JWT_VERIFIED},
                 {K_RSA2, "RS256", LA_JWT_BAD}};

    (void)state;
    for (size_t i = 0; i < ROWS(tries); i++) {
        const char *header = apr_psprintf(pool, "{'alg':'%s','kid':'k'}", tries[i].alg);
        const char *reason;
        la_jwt_t jwt;

        assert_int_equal(
            la_jwt_parse(pool,
                         slice_of_text(make_token(pool, header, CLAIMS, pair[tries[i].key],
                                                  tries[i].alg, FORM_JOSE)),
                         &jwt, &reason),
            LA_JWT_GOOD);
        assert_int_equal(la_jwt_verify(pool, &jwt, keys, LA_JWA_DEFAULT, &reason),
                         tries[i].expected);
    }
    apr_pool_destroy(pool);
}

/* ---- keys without a name ---- */

/* An EC key of the set under test; NULL kid: none. */
static const char *member(key_e key, const char *kid)
{
    const char *jwk = ec_jwk(pair[key], kid ? kid : "x", "P-256", 32, "");

    return kid ? jwk
               : apr_pstrcat(lasting, "{'kty':'EC'", jwk + strlen("{'kty':'EC','kid':'x'"), NULL);
}

typedef struct nameless_case_t {
    const char *name;
    const char
        *kids; /* of the set's keys: '-' none; the last one is P256's, the others are another's */
    const char *kid; /* the token's; NULL: none */
    la_jwt_verified_e expected;
} nameless_case_t;

static nameless_case_t nameless_cases[] = {
    {"nameless: neither has a kid", "-", NULL, LA_JWT_VERIFIED},
    {"nameless: a rollover", "--", NULL, LA_JWT_VERIFIED},
    {"nameless: the fourth", "----", NULL, LA_JWT_VERIFIED},
    {"nameless: the fifth is not tried", "-----", NULL, LA_JWT_UNKNOWN_KEY},
    {"nameless: the fifth, where all have names", "abcde", NULL, LA_JWT_BAD},
    {"nameless: the token has none, the keys have", "abc", NULL, LA_JWT_VERIFIED},
    {"nameless: the token has one, the keys have none", "--", "k", LA_JWT_UNKNOWN_KEY},
    {"nameless: its name goes first", "k-", "k", LA_JWT_BAD},
    {"nameless: another name", "-a", "k", LA_JWT_UNKNOWN_KEY},
};

static void test_nameless(void **state)
{
    const nameless_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    const char *list = "";
    const char *header =
        row->kid ? apr_psprintf(pool, "{'alg':'ES256','kid':'%s'}", row->kid) : "{'alg':'ES256'}";
    const char *reason;
    la_jwt_t jwt;

    for (const char *p = row->kids; *p; p++) {
        char kid[] = {*p, '\0'};

        list = apr_pstrcat(pool, list, *list ? "," : "",
                           member(p[1] ? K_OTHER : K_P256, *p == '-' ? NULL : kid), NULL);
    }
    assert_int_equal(
        la_jwt_parse(
            pool, slice_of_text(make_token(pool, header, CLAIMS, pair[K_P256], "ES256", FORM_JOSE)),
            &jwt, &reason),
        LA_JWT_GOOD);
    assert_int_equal(
        la_jwt_verify(pool, &jwt,
                      parse_keys(apr_pstrcat(pool, "{'keys':[", list, "]}", NULL), LA_JWA_DEFAULT),
                      LA_JWA_DEFAULT, &reason),
        row->expected);
    assert_int_equal(reason == NULL, row->expected == LA_JWT_VERIFIED);
    apr_pool_destroy(pool);
}

/* A key that the set has, but that is not used, is not unknown. */
static void test_skipped(void **state)
{
    apr_pool_t *pool = new_pool();
    const la_jwks_t *keys = parse_keys(
        apr_pstrcat(pool, "{'keys':[", ec_jwk(pair[K_P256], "k", "P-256", 32, ",'use':'enc'"),
                    ",{'kty':'EC'},", ec_jwk(pair[K_OTHER], "o", "P-256", 32, ""), "]}", NULL),
        LA_JWA_DEFAULT);
    static const struct {
        const char *kid;
        la_jwt_verified_e expected;
    } tries[] = {
        {"k", LA_JWT_BAD}, {"o", LA_JWT_BAD}, {"kk", LA_JWT_UNKNOWN_KEY}, {"", LA_JWT_UNKNOWN_KEY}};

    (void)state;
    for (size_t i = 0; i < ROWS(tries); i++) {
        const char *header = apr_psprintf(pool, "{'alg':'ES256','kid':'%s'}", tries[i].kid);
        const char *reason;
        la_jwt_t jwt;

        assert_int_equal(la_jwt_parse(pool,
                                      slice_of_text(make_token(pool, header, CLAIMS, pair[K_P256],
                                                               "ES256", FORM_JOSE)),
                                      &jwt, &reason),
                         LA_JWT_GOOD);
        assert_int_equal(la_jwt_verify(pool, &jwt, keys, LA_JWA_DEFAULT, &reason),
                         tries[i].expected);
    }
    apr_pool_destroy(pool);
}

/* ---- published examples ---- */

typedef struct vector_t {
    const char *name;
    const char *keys; /* a set of one */
    la_jwa_set_t algorithm;
    const char *input; /* header.payload */
    const char *signature;
    int is_jwt; /* its payload is a JSON object */
} vector_t;

#define A_PAYLOAD                                                                                  \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"

static vector_t vectors[] = {
    {"RFC 7515 A.1: HS256",
     "{'keys':[{'kty':'oct','k':'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
     "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow'}]}",
     LA_JWA_HS256, "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." A_PAYLOAD,
     "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", 1},
    {"RFC 7515 A.2: RS256",
     "{'keys':[{'kty':'RSA','n':'ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-"
     "Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-"
     "yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-"
     "bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xs"
     "mtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"
     "h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ','e':'AQAB'}]}",
     LA_JWA_RS256, "eyJhbGciOiJSUzI1NiJ9." A_PAYLOAD,
     "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
     "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4"
     "BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--"
     "xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv"
     "hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
     1},
    {"RFC 7515 A.3: ES256",
     "{'keys':[{'kty':'EC','crv':'P-256','x':'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU','y':'x_"
     "FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0'}]}",
     LA_JWA_ES256, "eyJhbGciOiJFUzI1NiJ9." A_PAYLOAD,
     "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q", 1},
    {"RFC 7515 A.4: ES512, payload no JSON",
     "{'keys':[{'kty':'EC','crv':'P-521','x':'"
     "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk',"
     "'y':'ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-"
     "x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2'}]}",
     LA_JWA_ES512, "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA",
     "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_"
     "7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8Kp"
     "EHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
     0},
    {"RFC 8037 A.4: Ed25519, payload no JSON",
     "{'keys':[{'kty':'OKP','crv':'Ed25519','x':'" RFC8037_X "'}]}", LA_JWA_ED25519,
     "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
     "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg", 0},
};

static void test_vector(void **state)
{
    const vector_t *row = *state;
    apr_pool_t *pool = new_pool();
    const la_jwks_t *keys = parse_keys(row->keys, LA_JWA_DEFAULT | LA_JWA_HMAC);
    la_slice_t token = slice_of_text(apr_pstrcat(pool, row->input, ".", row->signature, NULL));
    la_jwt_t jwt;
    const char *reason;

    assert_int_equal(la_jwt_parse(pool, token, &jwt, &reason),
                     row->is_jwt ? LA_JWT_GOOD : LA_JWT_REFUSED);
    assert_int_equal(jwt.algorithms & row->algorithm, row->algorithm);
    assert_int_equal(la_jwt_verify(pool, &jwt, keys, row->algorithm, &reason), LA_JWT_VERIFIED);
    jwt.signing_input.len--;
    assert_int_equal(la_jwt_verify(pool, &jwt, keys, row->algorithm, &reason), LA_JWT_UNKNOWN_KEY);
    assert_non_null(
        strstr(reason, "it names no key (kid), and none that was tried has signed it: "));
    apr_pool_destroy(pool);
}

/* ---- typ ---- */

typedef struct type_case_t {
    const char *name;
    const char *typ; /* NULL: none */
    const char *wanted;
    int same;
} type_case_t;

static type_case_t type_cases[] = {
    {"typ: same", "at+jwt", "at+jwt", 1},
    {"typ: another case", "AT+JWT", "at+jwt", 1},
    {"typ: with the prefix", "application/at+jwt", "at+jwt", 1},
    {"typ: wanted with the prefix", "at+jwt", "application/at+JWT", 1},
    {"typ: both with the prefix", "Application/at+jwt", "application/at+jwt", 1},
    {"typ: another", "JWT", "at+jwt", 0},
    {"typ: a part", "at+jw", "at+jwt", 0},
    {"typ: more", "at+jwtx", "at+jwt", 0},
    {"typ: empty", "", "at+jwt", 0},
    {"typ: the prefix alone", "application/", "at+jwt", 0},
    {"typ: absent", NULL, "at+jwt", 0},
    {"typ: another tree", "text/at+jwt", "at+jwt", 0},
};

static void test_type(void **state)
{
    const type_case_t *row = *state;
    la_jwt_t jwt = {.type = {row->typ, row->typ ? strlen(row->typ) : 0}};

    assert_int_equal(la_jwt_type_is(&jwt, row->wanted), row->same);
}

int main(void)
{
    int failed;

    start();
    make_keys();
    for (size_t i = 0; i < ROWS(good_cases); i++)
        add(good_cases[i].name, test_good, &good_cases[i]);
    add("nameless: one that is not used", test_skipped, NULL);
    for (size_t i = 0; i < ROWS(nameless_cases); i++)
        add(nameless_cases[i].name, test_nameless, &nameless_cases[i]);
    add("keys of one kid are tried", test_same_kid, NULL);
    for (size_t i = 0; i < ROWS(vectors); i++)
        add(vectors[i].name, test_vector, &vectors[i]);
    for (size_t i = 0; i < ROWS(type_cases); i++)
        add(type_cases[i].name, test_type, &type_cases[i]);
    failed = finish("jwt");
    drop_keys();
    return failed;
}
