/* jwk.c: keys that are skipped, each with the reason that is noted. Next to each stands a good key,
 * which serves on. */
#include "support.h"

#include "jose/jwk.h"

#include "jose.h"

#include <openssl/err.h>

#define ANY (LA_JWA_DEFAULT | LA_JWA_HMAC)

typedef struct hostile_case_t {
    const char *name;
    const char *jwk; /* with ' for " */
    const char *reason;
    la_jwa_set_t allowed;
} hostile_case_t;

#define HOSTILE(name, jwk, reason)                                                                 \
    {                                                                                              \
        name, jwk, reason, ANY                                                                     \
    }

#define RSA_N   "'n':'" RFC7520_RSA_N "'"
#define RSA     "'kty':'RSA'," RSA_N ",'e':'AQAB'"
#define EC(crv) "'kty':'EC','crv':'" crv "'"
#define EC_XY   "'x':'" RFC7517_EC_X "','y':'" RFC7517_EC_Y "'"
#define EC256   EC("P-256") "," EC_XY
#define EC521   EC("P-521") ",'x':'" RFC7520_EC_X "','y':'" RFC7520_EC_Y "'"
#define OKP     "'kty':'OKP','crv':'Ed25519'"
#define ED25519 OKP ",'x':'" RFC8037_X "'"
#define OCT     "'kty':'oct','k':'" RFC7517_HMAC_K "'"

#define ONES_126 ONES_42 ONES_42 ONES_42
#define ONES_42  "__________________________________________"
#define ONES_338 ONES_126 ONES_126 ONES_42 ONES_42 "__"
#define BYTES_31 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg"
#define RSA_1024                                                                                   \
    "t3-f49gV0dTmkDamGYtBtj4y3UygfOMntLvu61rmlqTcaZwJrJJCn8v6NRkvQiV4tn9SKaxWOtOMTuudUfKly2rsHraJ" \
    "xOP49kJ2G0O-YroG8hlUQWFhSKAphTGhRZtT_Pp2m-VT9rJgcmQBXuS5lUbVb2g724DaYewO2rQHZ5U"

static hostile_case_t hostile_cases[] = {
    /* No key. */
    HOSTILE("a list", "[{" RSA "}]", "not an object"),
    HOSTILE("a text", "'{}'", "not an object"),
    HOSTILE("a number", "1", "not an object"),
    HOSTILE("an empty object", "{}", "no kty"),

    /* kty */
    HOSTILE("kty: none", "{" RSA_N ",'e':'AQAB'}", "no kty"),
    HOSTILE("kty: null", "{'kty':null," RSA_N ",'e':'AQAB'}", "no kty"),
    HOSTILE("kty: a list", "{'kty':['RSA']," RSA_N ",'e':'AQAB'}", "kty is not a string"),
    HOSTILE("kty: empty", "{'kty':''}", ", expected one of: RSA EC OKP oct"),
    HOSTILE("kty: rsa", "{'kty':'rsa'," RSA_N ",'e':'AQAB'}", ", expected one of: RSA EC OKP oct"),
    HOSTILE("kty: OCT", "{'kty':'OCT','k':'" RFC7517_HMAC_K "'}",
            ", expected one of: RSA EC OKP oct"),
    HOSTILE("kty: RSA and a NUL", "{'kty':'RSA\\u0000'," RSA_N ",'e':'AQAB'}",
            ", expected one of: RSA EC OKP oct"),
    HOSTILE("kty: AKP", "{'kty':'AKP','alg':'RS256','pub':'AA'}",
            ", expected one of: RSA EC OKP oct"),

    /* kid */
    HOSTILE("kid: a number", "{" RSA ",'kid':7}", "kid is not a string"),
    HOSTILE("kid: an object", "{" RSA ",'kid':{'$ne':''}}", "kid is not a string"),

    /* use and key_ops */
    HOSTILE("RFC 7517 A.1: an EC key for encryption", "{" EC256 ",'use':'enc'}",
            ", expected one of: sig"),
    HOSTILE("use: empty", "{" RSA ",'use':''}", ", expected one of: sig"),
    HOSTILE("use: SIG", "{" RSA ",'use':'SIG'}", ", expected one of: sig"),
    HOSTILE("use: a list", "{" RSA ",'use':['sig']}", "use is not a string"),
    HOSTILE("key_ops: sign", "{" RSA ",'key_ops':['sign']}", "key_ops is without verify"),
    HOSTILE("key_ops: encrypt", "{" RSA ",'key_ops':['encrypt','wrapKey']}",
            "key_ops is without verify"),
    HOSTILE("key_ops: empty", "{" RSA ",'key_ops':[]}", "key_ops is without verify"),
    HOSTILE("key_ops: Verify", "{" RSA ",'key_ops':['Verify']}", "key_ops is without verify"),
    HOSTILE("key_ops: a text", "{" RSA ",'key_ops':'verify'}", "key_ops is not a list"),
    HOSTILE("key_ops: an object", "{" RSA ",'key_ops':{'verify':true}}", "key_ops is not a list"),
    HOSTILE("key_ops: a number beside verify", "{" RSA ",'key_ops':['verify',1]}",
            "key_ops holds something that is not a string"),
    HOSTILE("key_ops: only null", "{" RSA ",'key_ops':[null]}", "key_ops is without verify"),
    HOSTILE("key_ops verify, use enc", "{" RSA ",'use':'enc','key_ops':['verify']}",
            ", expected one of: sig"),
    HOSTILE("use sig, key_ops encrypt", "{" RSA ",'use':'sig','key_ops':['encrypt']}",
            "key_ops is without verify"),

    /* alg */
    HOSTILE("alg: none", "{" RSA ",'alg':'none'}", ", expected one of: RS256 RS384"),
    HOSTILE("alg: empty", "{" RSA ",'alg':''}", ", expected one of: RS256 RS384"),
    HOSTILE("alg: RSA-OAEP", "{" RSA ",'alg':'RSA-OAEP'}", ", expected one of: RS256 RS384"),
    HOSTILE("alg: rs256", "{" RSA ",'alg':'rs256'}", ", expected one of: RS256 RS384"),
    HOSTILE("alg: a list", "{" RSA ",'alg':['RS256']}", "alg is not a string"),
    HOSTILE("alg: HS256 of an RSA key", "{" RSA ",'alg':'HS256'}",
            "alg does not fit the type of key"),
    HOSTILE("alg: ES256 of an RSA key", "{" RSA ",'alg':'ES256'}",
            "alg does not fit the type of key"),
    HOSTILE("alg: RS256 of an oct key", "{" OCT ",'alg':'RS256'}",
            "alg does not fit the type of key"),
    HOSTILE("alg: HS256 of an EC key", "{" EC256 ",'alg':'HS256'}",
            "alg does not fit the type of key"),
    HOSTILE("alg: ES512 of P-256", "{" EC256 ",'alg':'ES512'}", "alg does not fit the type of key"),
    HOSTILE("alg: ES256 of P-521", "{" EC521 ",'alg':'ES256'}", "alg does not fit the type of key"),
    HOSTILE("alg: Ed448 of Ed25519", "{" ED25519 ",'alg':'Ed448'}",
            "alg does not fit the type of key"),
    HOSTILE("alg: HS512 of an Ed25519 key", "{" ED25519 ",'alg':'HS512'}",
            "alg does not fit the type of key"),

    /* What is configured. */
    {"configured: not RSA", "{" RSA "}", " (Algorithms)", LA_JWA_DEFAULT & ~LA_JWA_RSA},
    {"configured: another than alg", "{" RSA ",'alg':'RS512'}", " (Algorithms)",
     LA_JWA_OKP | LA_JWA_RS256},
    {"configured: no HMAC", "{" OCT "}", " (Algorithms)", LA_JWA_DEFAULT},
    {"configured: no HMAC, which alg names", "{" OCT ",'alg':'HS256'}", " (Algorithms)",
     LA_JWA_DEFAULT},
    {"configured: another curve", "{" EC256 "}", " (Algorithms)", LA_JWA_OKP | LA_JWA_ES384},

    /* RSA; more numbers in test_pubkey.c */
    HOSTILE("RSA: no n", "{'kty':'RSA','e':'AQAB'}", "no n"),
    HOSTILE("RSA: no e", "{'kty':'RSA'," RSA_N "}", "no e"),
    HOSTILE("RSA: n is a number", "{'kty':'RSA','n':65537,'e':'AQAB'}", "n is not a string"),
    HOSTILE("RSA: n is null", "{'kty':'RSA','n':null,'e':'AQAB'}", "no n"),
    HOSTILE("RSA: e is a number", "{'kty':'RSA'," RSA_N ",'e':65537}", "e is not a string"),
    HOSTILE("RSA: e padded", "{'kty':'RSA'," RSA_N ",'e':'Aw=='}", "e is not base64url"),
    HOSTILE("RSA: e with unused bits", "{'kty':'RSA'," RSA_N ",'e':'Ax'}", "e is not base64url"),
    HOSTILE("RSA: n in plain base64", "{'kty':'RSA','n':'n4/+" RSA_1024 "','e':'AQAB'}",
            "n is not base64url"),
    HOSTILE("RSA: n with a line end", "{'kty':'RSA','n':'n4EP\\n" RSA_1024 "','e':'AQAB'}",
            "n is not base64url"),
    HOSTILE("RSA: n empty", "{'kty':'RSA','n':'','e':'AQAB'}", "RSA key of 0 bits"),
    HOSTILE("RSA: n of zeros", "{'kty':'RSA','n':'AAAAAAAA','e':'AQAB'}", "RSA key of 0 bits"),
    HOSTILE("RSA: n of 1024 bits", "{'kty':'RSA','n':'" RSA_1024 "','e':'AQAB'}",
            "RSA key of 1024 bits"),
    HOSTILE("RSA: n of 2047 bits", "{'kty':'RSA','e':'AQAB','n':'f" ONES_338 "__w'}",
            "RSA key of 2047 bits"),
    HOSTILE("RSA: n of 2048 ones", "{'kty':'RSA','e':'AQAB','n':'" ONES_338 "___w'}",
            "RSA modulus is unsound"),
    HOSTILE("RSA: n even", "{'kty':'RSA','e':'AQAB','n':'" ONES_338 "___g'}",
            "RSA modulus is even"),
    HOSTILE("RSA: e empty", "{'kty':'RSA'," RSA_N ",'e':''}", "RSA exponent is even"),
    HOSTILE("RSA: e of 0", "{'kty':'RSA'," RSA_N ",'e':'AA'}", "RSA exponent is even"),
    HOSTILE("RSA: e of 1", "{'kty':'RSA'," RSA_N ",'e':'AQ'}", "RSA exponent is 1"),
    HOSTILE("RSA: e of 1 behind zeros", "{'kty':'RSA'," RSA_N ",'e':'AAAB'}", "RSA exponent is 1"),
    HOSTILE("RSA: e of 2", "{'kty':'RSA'," RSA_N ",'e':'Ag'}", "RSA exponent is even"),
    HOSTILE("RSA: e of 65536", "{'kty':'RSA'," RSA_N ",'e':'AQAA'}", "RSA exponent is even"),
    HOSTILE("RSA: e of 65 bits", "{'kty':'RSA'," RSA_N ",'e':'AQAAAAAAAAAB'}",
            "RSA exponent of more than 64 bits"),
    HOSTILE("RSA: e as long as n", "{'kty':'RSA'," RSA_N ",'e':'" RFC7520_RSA_N "'}",
            "RSA exponent of more than 64 bits"),

    /* EC */
    HOSTILE("EC: no crv", "{'kty':'EC'," EC_XY "}", "no crv"),
    HOSTILE("EC: crv is a number", "{'kty':'EC','crv':256," EC_XY "}", "crv is not a string"),
    HOSTILE("EC: secp256k1", "{" EC("secp256k1") "," EC_XY "}", ", expected one of: "),
    HOSTILE("EC: prime256v1", "{" EC("prime256v1") "," EC_XY "}", ", expected one of: "),
    HOSTILE("EC: P-224", "{" EC("P-224") "," EC_XY "}", ", expected one of: "),
    HOSTILE("EC: Ed25519", "{'kty':'EC','crv':'Ed25519','x':'" RFC8037_X "'}",
            ", expected one of: "),
    HOSTILE("EC: no x", "{" EC("P-256") ",'y':'" RFC7517_EC_Y "'}", "no x"),
    HOSTILE("EC: no y", "{" EC("P-256") ",'x':'" RFC7517_EC_X "'}", "no y"),
    HOSTILE("EC: y is a boolean", "{" EC("P-256") ",'x':'" RFC7517_EC_X "','y':true}",
            "y is not a string"),
    HOSTILE("EC: x padded", "{" EC("P-256") ",'x':'" RFC7517_EC_X "=','y':'" RFC7517_EC_Y "'}",
            "x is not base64url"),
    HOSTILE("EC: x empty", "{" EC("P-256") ",'x':'','y':'" RFC7517_EC_Y "'}", "x of 0 bytes"),
    HOSTILE("EC: x a byte short",
            "{" EC("P-256") ",'x':'oEJM0hwpRIOKLXXJKzfnbqINnwCJOjtO7oo8Cq_sPg','y':'" RFC7517_EC_Y
                            "'}",
            "x of 31 bytes"),
    HOSTILE("EC: y with a zero in front",
            "{" EC("P-256") ",'x':'" RFC7517_EC_X
                            "','y':'AOBLZekkVtmIi1Kzeb371R7oae8fD8ZbZllpW2zOCBcj'}",
            "y of 33 bytes"),
    HOSTILE("EC: coordinates of P-256 for P-384", "{" EC("P-384") "," EC_XY "}", "x of 32 bytes"),
    HOSTILE("EC: coordinates of P-521 for P-256",
            "{" EC("P-256") ",'x':'" RFC7520_EC_X "','y':'" RFC7520_EC_Y "'}", "x of 66 bytes"),
    HOSTILE("EC: x and y exchanged",
            "{" EC("P-256") ",'x':'" RFC7517_EC_Y "','y':'" RFC7517_EC_X "'}",
            "the point is not on the curve"),
    HOSTILE("EC: another key's y",
            "{" EC("P-256") ",'x':'" RFC7517_EC_X "','y':'" RFC7518_EC_Y "'}",
            "the point is not on the curve"),
    HOSTILE("EC: the point 0, 0",
            "{" EC("P-256") ",'x':'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA','y':"
                            "'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'}",
            "the point is not on the curve"),
    HOSTILE("EC: x beyond the field", "{" EC("P-256") ",'x':'" ONES_42 "8','y':'" RFC7517_EC_Y "'}",
            "the point is not on the curve"),
    HOSTILE("EC: P-384 off the curve", "{" EC("P-384") ",'x':'" P384_Y "','y':'" P384_X "'}",
            "the point is not on the curve"),
    HOSTILE("EC: P-521 off the curve",
            "{" EC("P-521") ",'x':'" RFC7520_EC_Y "','y':'" RFC7520_EC_X "'}",
            "the point is not on the curve"),

    /* OKP */
    HOSTILE("OKP: no crv", "{'kty':'OKP','x':'" RFC8037_X "'}", "no crv"),
    HOSTILE("OKP: X25519", "{'kty':'OKP','crv':'X25519','x':'" RFC8037_X "'}",
            ", expected one of: "),
    HOSTILE("OKP: ed25519", "{'kty':'OKP','crv':'ed25519','x':'" RFC8037_X "'}",
            ", expected one of: "),
    HOSTILE("OKP: P-256", "{'kty':'OKP','crv':'P-256'," EC_XY "}",
            "crv is \"P-256\", expected one of: Ed25519 Ed448"),
    HOSTILE("OKP: no x", "{" OKP "}", "no x"),
    HOSTILE("OKP: the private part alone", "{" OKP ",'d':'" RFC8037_D "'}", "no x"),
    HOSTILE("OKP: x is an object", "{" OKP ",'x':{}}", "x is not a string"),
    HOSTILE("OKP: x with a space", "{" OKP ",'x':'" RFC8037_X " '}", "x is not base64url"),
    HOSTILE("OKP: Ed25519 a byte short", "{" OKP ",'x':'" BYTES_31 "'}", "x of 31 bytes"),
    HOSTILE("OKP: Ed25519 of 16 bytes", "{" OKP ",'x':'GawgguFyGrWKav7AX4VKUg'}", "x of 16 bytes"),
    HOSTILE("OKP: Ed448's point for Ed25519", "{" OKP ",'x':'" RFC8032_ED448_X "'}",
            "x of 57 bytes"),
    HOSTILE("OKP: Ed25519's point for Ed448", "{'kty':'OKP','crv':'Ed448','x':'" RFC8037_X "'}",
            "x of 32 bytes"),

    /* oct */
    HOSTILE("oct: no k", "{'kty':'oct'}", "no k"),
    HOSTILE("oct: k is a list", "{'kty':'oct','k':[]}", "k is not a string"),
    HOSTILE("oct: k padded", "{'kty':'oct','k':'" RFC7517_HMAC_K "=='}", "k is not base64url"),
    HOSTILE("oct: k empty", "{'kty':'oct','k':''}", "oct key of 0 bits"),
    HOSTILE("RFC 7517 A.3: 128 bits", "{'kty':'oct','k':'" RFC7517_KW_K "'}",
            "oct key of 128 bits"),
    HOSTILE("RFC 7517 A.3: for wrapping", "{'kty':'oct','alg':'A128KW','k':'" RFC7517_KW_K "'}",
            ", expected one of: RS256 RS384"),
    HOSTILE("oct: 31 bytes", "{'kty':'oct','k':'" BYTES_31 "'}", "oct key of 248 bits"),
    HOSTILE("oct: HS512 of 256 bits", "{'kty':'oct','alg':'HS512','k':'" RFC7520_HMAC_K "'}",
            "oct key of 256 bits"),
    {"oct: too short for what is configured", "{'kty':'oct','k':'" RFC7520_HMAC_K "'}",
     "oct key of 256 bits", LA_JWA_OKP | LA_JWA_HS384},

    /* How a kid is shown. */
    {"shown: a kid", "{" RSA ",'kid':'2011-04-29','use':'enc'}",
     "keys[0] (kid \"2011-04-29\"): use is \"enc\", expected one of: sig", ANY},
    {"shown: an empty kid", "{" RSA ",'kid':'','use':'enc'}", " (kid \"\"): use is", ANY},
    {"shown: what ends the line", "{" RSA ",'kid':'a\\r\\n\\u0000\\u0022','use':'enc'}",
     " (kid \"a\\r\\n\\u0000\\\"\"): use is", ANY},
};

static void test_hostile(void **state)
{
    const hostile_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    const char *text = unquote(
        pool, apr_pstrcat(pool, "{'keys':[", row->jwk, ",{'kid':'good'," ED25519 "}]}", NULL));
    const la_jwks_t *set;

    assert_null(la_jwks_parse(pool, slice_of_text(text), row->allowed, &set));
    assert_int_equal(set->count, 1);
    assert_int_equal(set->keys[0].algorithms, LA_JWA_ED25519);
    assert_string_equal(set->keys[0].kid.data, "good");
    assert_int_equal(set->skipped->nelts, 1);
    assert_int_equal(
        strncmp(APR_ARRAY_IDX(set->skipped, 0, const char *), "keys[0]", strlen("keys[0]")), 0);
    assert_non_null(strstr(APR_ARRAY_IDX(set->skipped, 0, const char *), row->reason));
    assert_int_equal(ERR_peek_error(), 0);
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(hostile_cases); i++)
        add(hostile_cases[i].name, test_hostile, &hostile_cases[i]);
    return finish("jwk_hostile");
}
