/* Tests of src/jose/dpop.c. Each check of RFC 9449 section 4.3 has proofs that fail for that reason
 * alone: everything else about them, the signature too, is right.
 */
#include "dpops.h"

/* ---- proofs that hold, and proofs that fail for one reason ---- */

typedef struct proof_case_t {
    const char *name;
    const char *header;
    const char *claims;
    key_e key;
    const char *alg;      /* that signs */
    const char *expected; /* the reason's beginning; NULL: it holds */
} proof_case_t;

/* clang-format off */
static proof_case_t proofs[] = {
    {"holds: ES256", HEADER, CLAIMS(""), K_P256, "ES256", NULL},
    {"holds: ES384", "{'typ':'dpop+jwt','alg':'ES384','jwk':$J}", CLAIMS(""), K_P384, "ES384", NULL},
    {"holds: ES512", "{'typ':'dpop+jwt','alg':'ES512','jwk':$J}", CLAIMS(""), K_P521, "ES512", NULL},
    {"holds: RS256", "{'typ':'dpop+jwt','alg':'RS256','jwk':$J}", CLAIMS(""), K_RSA, "RS256", NULL},
    {"holds: PS384", "{'typ':'dpop+jwt','alg':'PS384','jwk':$J}", CLAIMS(""), K_RSA, "PS384", NULL},
    {"holds: EdDSA", "{'typ':'dpop+jwt','alg':'EdDSA','jwk':$J}", CLAIMS(""), K_ED, "EdDSA", NULL},
    {"holds: EdDSA, Ed448", "{'typ':'dpop+jwt','alg':'EdDSA','jwk':$J}", CLAIMS(""), K_ED448, "EdDSA", NULL},
    {"holds: Ed25519", "{'typ':'dpop+jwt','alg':'Ed25519','jwk':$J}", CLAIMS(""), K_ED, "EdDSA", NULL},
    {"holds: unknown parameters", "{'typ':'dpop+jwt','alg':'ES256','jwk':$J,'x':{'y':1},'kid':'k','jku':'http://evil/'}", CLAIMS(""), K_P256, "ES256", NULL},
    {"holds: unknown claims", HEADER, CLAIMS(",'more':[1],'exp':1,'nbf':9999999999,'aud':'x'"), K_P256, "ES256", NULL},
    {"holds: a nonce", HEADER, CLAIMS(",'nonce':'abc'"), K_P256, "ES256", NULL},
    {"typ: in capitals", "{'typ':'DPoP+JWT','alg':'ES256','jwk':$J}", CLAIMS(""), K_P256, "ES256", NULL},
    {"typ: missing", "{'alg':'ES256','jwk':$J}", CLAIMS(""), K_P256, "ES256", "typ is missing, expected dpop+jwt"},
    {"typ: JWT", "{'typ':'JWT','alg':'ES256','jwk':$J}", CLAIMS(""), K_P256, "ES256", "typ is \"JWT\", expected dpop+jwt"},
    {"typ: at+jwt", "{'typ':'at+jwt','alg':'ES256','jwk':$J}", CLAIMS(""), K_P256, "ES256", "typ is \"at+jwt\", expected dpop+jwt"},
    {"typ: blank", "{'typ':'dpop+jwt ','alg':'ES256','jwk':$J}", CLAIMS(""), K_P256, "ES256", "typ is \"dpop+jwt \", expected"},
    {"typ: empty", "{'typ':'','alg':'ES256','jwk':$J}", CLAIMS(""), K_P256, "ES256", "typ is \"\", expected"},
    {"typ: a list", "{'typ':['dpop+jwt'],'alg':'ES256','jwk':$J}", CLAIMS(""), K_P256, "ES256", "typ is not a string"},
    {"typ: twice", "{'typ':'dpop+jwt','typ':'dpop+jwt','alg':'ES256','jwk':$J}", CLAIMS(""), K_P256, "ES256", "the header is not JSON: "},
    {"alg: missing", "{'typ':'dpop+jwt','jwk':$J}", CLAIMS(""), K_P256, "ES256", "alg is missing"},
    {"alg: none", "{'typ':'dpop+jwt','alg':'none','jwk':$J}", CLAIMS(""), K_P256, "ES256", "alg is \"none\", expected one of: "},
    {"alg: HS256", "{'typ':'dpop+jwt','alg':'HS256','jwk':$J}", CLAIMS(""), K_P256, "ES256", "alg is \"HS256\", expected one of: "},
    {"alg: HS256, signed so", "{'typ':'dpop+jwt','alg':'HS256','jwk':$J}", CLAIMS(""), K_P256, "HS256", "alg is \"HS256\", expected one of: "},
    {"alg: es256", "{'typ':'dpop+jwt','alg':'es256','jwk':$J}", CLAIMS(""), K_P256, "ES256", "alg is \"es256\", expected one of: "},
    {"alg: ES256K", "{'typ':'dpop+jwt','alg':'ES256K','jwk':$J}", CLAIMS(""), K_P256, "ES256", "alg is \"ES256K\", expected one of: "},
    {"alg: a number", "{'typ':'dpop+jwt','alg':7,'jwk':$J}", CLAIMS(""), K_P256, "ES256", "alg is not a string"},
    {"alg: ES384 with P-256", "{'typ':'dpop+jwt','alg':'ES384','jwk':$J}", CLAIMS(""), K_P256, "ES384", "jwk cannot be used with alg \"ES384\": it is for ES256"},
    {"alg: RS256 with P-256", "{'typ':'dpop+jwt','alg':'RS256','jwk':$J}", CLAIMS(""), K_P256, "ES256", "jwk cannot be used with alg \"RS256\": it is for ES256"},
    {"alg: ES256 with RSA", HEADER, CLAIMS(""), K_RSA, "RS256", "jwk cannot be used with alg \"ES256\": it is for RS256"},
    {"alg: PS256, signed RS256", "{'typ':'dpop+jwt','alg':'PS256','jwk':$J}", CLAIMS(""), K_RSA, "RS256", "the signature is wrong"},
    {"alg: Ed448 with Ed25519", "{'typ':'dpop+jwt','alg':'Ed448','jwk':$J}", CLAIMS(""), K_ED, "EdDSA", "jwk cannot be used with alg \"Ed448\": it is for Ed25519"},
    {"alg: another of the key's own", "{'typ':'dpop+jwt','alg':'RS256','jwk':{'kty':'RSA','alg':'PS256','e':'AQAB','n':'" RFC7517_RSA_N "'}}", CLAIMS(""), K_RSA, "RS256", "jwk cannot be used with alg \"RS256\": it is for PS256"},
    {"crit", "{'typ':'dpop+jwt','alg':'ES256','jwk':$J,'crit':['x'],'x':1}", CLAIMS(""), K_P256, "ES256", "crit is present"},
    {"crit: empty", "{'typ':'dpop+jwt','alg':'ES256','jwk':$J,'crit':[]}", CLAIMS(""), K_P256, "ES256", "crit is present"},
    {"b64", "{'typ':'dpop+jwt','alg':'ES256','jwk':$J,'b64':true}", CLAIMS(""), K_P256, "ES256", "b64 is present"},
    {"jwk: missing", "{'typ':'dpop+jwt','alg':'ES256'}", CLAIMS(""), K_P256, "ES256", "jwk is missing"},
    {"jwk: missing, a kid", "{'typ':'dpop+jwt','alg':'ES256','kid':'p256'}", CLAIMS(""), K_P256, "ES256", "jwk is missing"},
    {"jwk: null", "{'typ':'dpop+jwt','alg':'ES256','jwk':null}", CLAIMS(""), K_P256, "ES256", "jwk is not an object"},
    {"jwk: a string", "{'typ':'dpop+jwt','alg':'ES256','jwk':'$J'}", CLAIMS(""), K_P256, "ES256", "the header is not JSON"},
    {"jwk: a list", "{'typ':'dpop+jwt','alg':'ES256','jwk':[$J]}", CLAIMS(""), K_P256, "ES256", "jwk is not an object"},
    {"jwk: empty", "{'typ':'dpop+jwt','alg':'ES256','jwk':{}}", CLAIMS(""), K_P256, "ES256", "jwk cannot be used with alg \"ES256\": no kty"},
    {"jwk: a set", "{'typ':'dpop+jwt','alg':'ES256','jwk':{'keys':[$J]}}", CLAIMS(""), K_P256, "ES256", "jwk cannot be used with alg \"ES256\": no kty"},
    {"jwk: RFC 7517's private EC key", "{'typ':'dpop+jwt','alg':'ES256','jwk':{'kty':'EC','crv':'P-256','x':'" RFC7517_EC_X "','y':'" RFC7517_EC_Y "','d':'" RFC7517_EC_D "'}}", CLAIMS(""), K_P256, "ES256", "jwk has the private member d"},
    {"jwk: RFC 8037's private key", "{'typ':'dpop+jwt','alg':'EdDSA','jwk':{'kty':'OKP','crv':'Ed25519','x':'" RFC8037_X "','d':'" RFC8037_D "'}}", CLAIMS(""), K_ED, "EdDSA", "jwk has the private member d"},
    {"jwk: d is null", "{'typ':'dpop+jwt','alg':'ES256','jwk':{'kty':'EC','d':null}}", CLAIMS(""), K_P256, "ES256", "jwk has the private member d"},
    {"jwk: p", "{'typ':'dpop+jwt','alg':'RS256','jwk':{'kty':'RSA','p':'AQ'}}", CLAIMS(""), K_RSA, "RS256", "jwk has the private member p"},
    {"jwk: q", "{'typ':'dpop+jwt','alg':'RS256','jwk':{'kty':'RSA','q':'AQ'}}", CLAIMS(""), K_RSA, "RS256", "jwk has the private member q"},
    {"jwk: dp", "{'typ':'dpop+jwt','alg':'RS256','jwk':{'kty':'RSA','dp':'AQ'}}", CLAIMS(""), K_RSA, "RS256", "jwk has the private member dp"},
    {"jwk: dq", "{'typ':'dpop+jwt','alg':'RS256','jwk':{'kty':'RSA','dq':'AQ'}}", CLAIMS(""), K_RSA, "RS256", "jwk has the private member dq"},
    {"jwk: qi", "{'typ':'dpop+jwt','alg':'RS256','jwk':{'kty':'RSA','qi':'AQ'}}", CLAIMS(""), K_RSA, "RS256", "jwk has the private member qi"},
    {"jwk: oth", "{'typ':'dpop+jwt','alg':'RS256','jwk':{'kty':'RSA','oth':[]}}", CLAIMS(""), K_RSA, "RS256", "jwk has the private member oth"},
    {"jwk: k", "{'typ':'dpop+jwt','alg':'ES256','jwk':{'kty':'EC','k':'AQ'}}", CLAIMS(""), K_P256, "ES256", "jwk has the private member k"},
    {"jwk: oct", "{'typ':'dpop+jwt','alg':'ES256','jwk':{'kty':'oct','k':'" RFC7517_HMAC_K "'}}", CLAIMS(""), K_P256, "ES256", "jwk is a symmetric key"},
    {"jwk: oct without k", "{'typ':'dpop+jwt','alg':'ES256','jwk':{'kty':'oct'}}", CLAIMS(""), K_P256, "ES256", "jwk is a symmetric key"},
    {"jwk: unknown kty", "{'typ':'dpop+jwt','alg':'ES256','jwk':{'kty':'AKP','pub':'AQ'}}", CLAIMS(""), K_P256, "ES256", "jwk cannot be used with alg \"ES256\": kty is \"AKP\""},
    {"jwk: ec in small letters", "{'typ':'dpop+jwt','alg':'ES256','jwk':{'kty':'ec'}}", CLAIMS(""), K_P256, "ES256", "jwk cannot be used with alg \"ES256\": kty is \"ec\""},
    {"jwk: secp256k1", "{'typ':'dpop+jwt','alg':'ES256','jwk':{'kty':'EC','crv':'secp256k1','x':'" RFC7517_EC_X "','y':'" RFC7517_EC_Y "'}}", CLAIMS(""), K_P256, "ES256", "jwk cannot be used with alg \"ES256\": crv is \"secp256k1\""},
    {"jwk: X25519", "{'typ':'dpop+jwt','alg':'EdDSA','jwk':{'kty':'OKP','crv':'X25519','x':'" RFC8037_X "'}}", CLAIMS(""), K_ED, "EdDSA", "jwk cannot be used with alg \"EdDSA\": crv is \"X25519\""},
    {"jwk: not on the curve", "{'typ':'dpop+jwt','alg':'ES256','jwk':{'kty':'EC','crv':'P-256','x':'" RFC7517_EC_X "','y':'" RFC7517_EC_X "'}}", CLAIMS(""), K_P256, "ES256", "jwk cannot be used with alg \"ES256\": the point is not on the curve"},
    {"jwk: y is missing", "{'typ':'dpop+jwt','alg':'ES256','jwk':{'kty':'EC','crv':'P-256','x':'" RFC7517_EC_X "'}}", CLAIMS(""), K_P256, "ES256", "jwk cannot be used with alg \"ES256\": no y"},
    {"jwk: x is short", "{'typ':'dpop+jwt','alg':'ES256','jwk':{'kty':'EC','crv':'P-256','x':'AQ','y':'" RFC7517_EC_Y "'}}", CLAIMS(""), K_P256, "ES256", "jwk cannot be used with alg \"ES256\": x of 1 bytes"},
    {"jwk: RSA with e 1", "{'typ':'dpop+jwt','alg':'RS256','jwk':{'kty':'RSA','e':'AQ','n':'" RFC7517_RSA_N "'}}", CLAIMS(""), K_RSA, "RS256", "jwk cannot be used with alg \"RS256\": RSA exponent"},
    {"jwk: RSA of 8 bits", "{'typ':'dpop+jwt','alg':'RS256','jwk':{'kty':'RSA','e':'AQAB','n':'_w'}}", CLAIMS(""), K_RSA, "RS256", "jwk cannot be used with alg \"RS256\": RSA key of 8 bits"},
    {"jwk: for encryption", "{'typ':'dpop+jwt','alg':'ES256','jwk':{'kty':'EC','use':'enc','crv':'P-256','x':'" RFC7517_EC_X "','y':'" RFC7517_EC_Y "'}}", CLAIMS(""), K_P256, "ES256", "jwk cannot be used with alg \"ES256\": use is \"enc\""},
    {"jwk: a member twice", "{'typ':'dpop+jwt','alg':'ES256','jwk':{'kty':'EC','kty':'EC'}}", CLAIMS(""), K_P256, "ES256", "the header is not JSON: "},
    {"jwk: another's", "{'typ':'dpop+jwt','alg':'ES256','jwk':{'kty':'EC','crv':'P-256','x':'" RFC7517_EC_X "','y':'" RFC7517_EC_Y "'}}", CLAIMS(""), K_P256, "ES256", "its key is cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s, expected the one that the token is bound to, \""},
    {"jti: missing", HEADER, "{'htm':'POST','htu':'" URI "','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "jti is missing"},
    {"jti: empty", HEADER, "{'jti':'','htm':'POST','htu':'" URI "','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "jti is empty"},
    {"jti: a number", HEADER, "{'jti':7,'htm':'POST','htu':'" URI "','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "jti is not a string"},
    {"jti: null", HEADER, "{'jti':null,'htm':'POST','htu':'" URI "','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "jti is not a string"},
    {"jti: 256 bytes", HEADER, "{'jti':'" JTI_256 "','htm':'POST','htu':'" URI "','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", NULL},
    {"jti: 257 bytes", HEADER, "{'jti':'" JTI_256 "x','htm':'POST','htu':'" URI "','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "jti has 257 bytes, expected at most 256"},
    {"jti: twice", HEADER, CLAIMS(",'jti':'other'"), K_P256, "ES256", "the claims part is not JSON: "},
    {"htm: missing", HEADER, "{'jti':'a','htu':'" URI "','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "htm is missing"},
    {"htm: another", HEADER, "{'jti':'a','htm':'GET','htu':'" URI "','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "htm is \"GET\", expected \"POST\""},
    {"htm: small letters", HEADER, "{'jti':'a','htm':'post','htu':'" URI "','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "htm is \"post\", expected \"POST\""},
    {"htm: a list", HEADER, "{'jti':'a','htm':['POST'],'htu':'" URI "','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "htm is not a string"},
    {"htm: behind a NUL", HEADER, "{'jti':'a','htm':'POST\\u0000','htu':'" URI "','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "htm is "},
    {"htu: missing", HEADER, "{'jti':'a','htm':'POST','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "htu is missing"},
    {"htu: another host", HEADER, "{'jti':'a','htm':'POST','htu':'https://evil.example/v1/chat','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "htu is \"https://evil.example/v1/chat\", expected \"" URI "\""},
    {"htu: http", HEADER, "{'jti':'a','htm':'POST','htu':'http://api.example.com/v1/chat','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "htu is \"http://api.example.com/v1/chat\", expected"},
    {"htu: another port", HEADER, "{'jti':'a','htm':'POST','htu':'https://api.example.com:8443/v1/chat','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "htu is \"https://api.example.com:8443/v1/chat\", expected"},
    {"htu: a slash more", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "/','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "htu is \"" URI "/\", expected"},
    {"htu: a path", HEADER, "{'jti':'a','htm':'POST','htu':'/v1/chat','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "htu is not a URI that can be compared: it is neither http nor https"},
    {"htu: a user", HEADER, "{'jti':'a','htm':'POST','htu':'https://api.example.com@evil.example/v1/chat','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "htu is not a URI that can be compared: it has a user"},
    {"htu: a list", HEADER, "{'jti':'a','htm':'POST','htu':['" URI "'],'iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", "htu is not a string"},
    {"htu: other spelling", HEADER, "{'jti':'a','htm':'POST','htu':'HTTPS://API.example.com:443/v2/../%76%31/chat?x#y','iat':1700000000,'ath':'" ATH "'}", K_P256, "ES256", NULL},
    {"iat: missing", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','ath':'" ATH "'}", K_P256, "ES256", "iat is missing"},
    {"iat: a string", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':'1700000000','ath':'" ATH "'}", K_P256, "ES256", "iat is not a number"},
    {"iat: null", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':null,'ath':'" ATH "'}", K_P256, "ES256", "iat is not a number"},
    {"iat: true", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':true,'ath':'" ATH "'}", K_P256, "ES256", "iat is not a number"},
    {"iat: a fraction", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':1700000000.5,'ath':'" ATH "'}", K_P256, "ES256", NULL},
    {"iat: in milliseconds", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':1700000000000,'ath':'" ATH "'}", K_P256, "ES256", "iat is out of range"},
    {"iat: 1e300", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':1e300,'ath':'" ATH "'}", K_P256, "ES256", "iat is out of range"},
    {"iat: 1e999", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':1e999,'ath':'" ATH "'}", K_P256, "ES256", "iat is out of range"},
    {"iat: -1e300", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':-1e300,'ath':'" ATH "'}", K_P256, "ES256", "iat is out of range"},
    {"iat: negative", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':-1,'ath':'" ATH "'}", K_P256, "ES256", "iat is out of range"},
    {"iat: 2^64", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':18446744073709551616,'ath':'" ATH "'}", K_P256, "ES256", "iat is out of range"},
    {"iat: 0", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':0,'ath':'" ATH "'}", K_P256, "ES256", "iat is 1700000000 s ago"},
    {"iat: the year 9999", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':253402300799,'ath':'" ATH "'}", K_P256, "ES256", "iat is 251702300799 s in the future"},
    {"ath: missing", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':1700000000}", K_P256, "ES256", "ath is missing"},
    {"ath: empty", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':1700000000,'ath':''}", K_P256, "ES256", "ath is not the digest"},
    {"ath: of another token", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':1700000000,'ath':'ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0'}", K_P256, "ES256", "ath is not the digest"},
    {"ath: with padding", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':1700000000,'ath':'" ATH "='}", K_P256, "ES256", "ath is not the digest"},
    {"ath: the token itself", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':1700000000,'ath':'" TOKEN "'}", K_P256, "ES256", "ath is not the digest"},
    {"ath: null", HEADER, "{'jti':'a','htm':'POST','htu':'" URI "','iat':1700000000,'ath':null}", K_P256, "ES256", "ath is not a string"},
    {"nonce: a number", HEADER, CLAIMS(",'nonce':7"), K_P256, "ES256", "nonce is not a string"},
    {"nonce: null", HEADER, CLAIMS(",'nonce':null"), K_P256, "ES256", "nonce is not a string"},
    {"claims: a list", HEADER, "[]", K_P256, "ES256", "the claims part is not an object"},
    {"claims: empty", HEADER, "{}", K_P256, "ES256", "jti is missing"},
};
/* clang-format on */

static void test_proof(void **state)
{
    const proof_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_dpop_terms_t terms = terms_of("POST", URI, NOW);
    const char *text = make_token(pool, with_jwk(row->header, jwks[row->key]), row->claims,
                                  pair[row->key], row->alg, FORM_JOSE);
    const char *reason = check(pool, text, strlen(text), &terms, jkts[row->key]);

    if (!row->expected) {
        assert_null(reason);
    } else {
        assert_non_null(reason);
        if (strncmp(reason, row->expected, strlen(row->expected)) != 0) {
            fail_msg("%s, expected %s", reason, row->expected);
        }
        assert_null(strstr(reason, TOKEN));
        assert_null(strstr(reason, "e1j3V_bKic8-LAEB")); /* the jti */
    }
    apr_pool_destroy(pool);
}

/* Each row once more, after proofs with the same header: what is known of a header changes nothing
 * about what is checked. */
static void test_known(void **state)
{
    const proof_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_dpop_terms_t terms = terms_of("POST", URI, NOW);
    const char *header = with_jwk(row->header, jwks[row->key]);
    const char *good = make_token(pool, header, CLAIMS(""), pair[row->key], row->alg, FORM_JOSE);

    keys = la_proof_keys_make(pool);
    check(pool, good, strlen(good), &terms, jkts[row->key]);
    test_proof(state);
    test_proof(state);
    keys = NULL;
    apr_pool_destroy(pool);
}

/* ---- what is right for another request ---- */

typedef struct request_case_t {
    const char *name;
    const char *method;
    const char *uri;
    long long now;
    la_jwa_set_t algorithms;
    const char *token;
    key_e bound; /* to this key */
    const char *expected;
} request_case_t;

static request_case_t requests[] = {
    {"request: the proof's own", "POST", URI, NOW, LA_JWA_DEFAULT, TOKEN, K_P256, NULL},
    {"request: just one algorithm", "POST", URI, NOW, LA_JWA_ES256, TOKEN, K_P256, NULL},
    {"request: another method", "GET", URI, NOW, LA_JWA_DEFAULT, TOKEN, K_P256,
     "htm is \"POST\", expected \"GET\""},
    {"request: the method in small letters", "post", URI, NOW, LA_JWA_DEFAULT, TOKEN, K_P256,
     "htm is \"POST\", expected \"post\""},
    {"request: another path", "POST", URI "s", NOW, LA_JWA_DEFAULT, TOKEN, K_P256,
     "htu is \"" URI "\", expected \"" URI "s\""},
    {"request: 300 s later", "POST", URI, NOW + 300, LA_JWA_DEFAULT, TOKEN, K_P256, NULL},
    {"request: 301 s later", "POST", URI, NOW + 301, LA_JWA_DEFAULT, TOKEN, K_P256,
     "iat is 301 s ago, expected at most 300 s either way"},
    {"request: 300 s earlier", "POST", URI, NOW - 300, LA_JWA_DEFAULT, TOKEN, K_P256, NULL},
    {"request: 301 s earlier", "POST", URI, NOW - 301, LA_JWA_DEFAULT, TOKEN, K_P256,
     "iat is 301 s in the future, expected at most 300 s either way"},
    {"request: ten years later", "POST", URI, NOW + 315360000, LA_JWA_DEFAULT, TOKEN, K_P256,
     "iat is 315360000 s ago"},
    {"request: a clock before 1970", "POST", URI, -1, LA_JWA_DEFAULT, TOKEN, K_P256,
     "iat is 1700000001 s in the future"},
    {"request: a clock at its end", "POST", URI, 9000000000000LL, LA_JWA_DEFAULT, TOKEN, K_P256,
     "iat is 8998300000000 s ago"},
    {"request: another algorithm", "POST", URI, NOW, LA_JWA_ES384 | LA_JWA_OKP, TOKEN, K_P256,
     "alg is \"ES256\", expected one of: ES384 EdDSA"},
    {"request: no algorithm", "POST", URI, NOW, 0, TOKEN, K_P256, "alg is \"ES256\""},
    {"request: another token", "POST", URI, NOW, LA_JWA_DEFAULT, "another", K_P256,
     "ath is not the digest of the token that came"},
    {"request: a token bound to another key", "POST", URI, NOW, LA_JWA_DEFAULT, TOKEN, K_OTHER,
     "its key is "},
};

static void test_request(void **state)
{
    const request_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_dpop_terms_t terms = terms_of(row->method, row->uri, row->now);
    const char *text = make_token(pool, with_jwk(HEADER, jwks[K_P256]), CLAIMS(""), pair[K_P256],
                                  "ES256", FORM_JOSE);
    unsigned char digest[LA_DIGEST_BYTES];
    const char *reason;

    la_digest_sha256(la_slice_of(row->token), digest);
    terms.algorithms = row->algorithms;
    terms.token = digest;
    reason = check(pool, text, strlen(text), &terms, jkts[row->bound]);
    if (!row->expected) {
        assert_null(reason);
    } else {
        assert_non_null(reason);
        assert_memory_equal(reason, row->expected, strlen(row->expected));
    }
    apr_pool_destroy(pool);
}

int main(void)
{
    int failed;

    make_proof_keys();
    for (size_t i = 0; i < ROWS(proofs); i++)
        add(proofs[i].name, test_proof, &proofs[i]);
    for (size_t i = 0; i < ROWS(proofs); i++)
        add(apr_pstrcat(lasting, "known: ", proofs[i].name, NULL), test_known, &proofs[i]);
    for (size_t i = 0; i < ROWS(requests); i++)
        add(requests[i].name, test_request, &requests[i]);
    failed = finish("dpop");
    drop_keys();
    return failed;
}
