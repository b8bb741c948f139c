/* Tests of src/jose/dpop.c: texts that are no proof, altered ones, signatures of other forms, RFC
 * 9449's own examples, and what is remembered. The checks one by one: test_dpop.c.
 */
#include "dpops.h"

/* ---- texts that are no proof ---- */

typedef struct text_case_t {
    const char *name;
    const char *form; /* P: a proof that holds */
    const char *expected;
} text_case_t;

static text_case_t texts[] = {
    {"text: the proof", "P", NULL},
    {"text: empty", "", "it is not a compact JWS"},
    {"text: opaque", "abc", "it is not a compact JWS"},
    {"text: a part more", "P.x", "it is not a compact JWS"},
    {"text: two, joined", "P, P", "it is not a compact JWS"},
    {"text: two with a comma", "P,P", "it is not a compact JWS"},
    {"text: two with a blank", "P P", "it is not a compact JWS"},
    {"text: ten", "P,P,P,P,P,P,P,P,P,P", "it is not a compact JWS"},
    {"text: blank before", " P", "it is not a compact JWS"},
    {"text: blank behind", "P ", "the signature is not base64url"},
    {"text: comma behind", "P,", "the signature is not base64url"},
    {"text: padding", "P=", "the signature is not base64url"},
    {"text: a JWS in JSON", "{\"payload\":\"\"}", "it is not a compact JWS"},
};

static void test_text(void **state)
{
    const text_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_dpop_terms_t terms = terms_of("POST", URI, NOW);
    const char *proof = make_token(pool, with_jwk(HEADER, jwks[K_P256]), CLAIMS(""), pair[K_P256],
                                   "ES256", FORM_JOSE);
    const char *text = "";
    const char *reason;

    for (const char *p = row->form; *p; p++) {
        text = apr_pstrcat(pool, text, *p == 'P' ? proof : apr_pstrmemdup(pool, p, 1), NULL);
    }
    reason = check(pool, text, strlen(text), &terms, jkts[K_P256]);
    if (!row->expected) {
        assert_null(reason);
    } else {
        assert_string_equal(reason, row->expected);
    }
    apr_pool_destroy(pool);
}

static void test_size(void **state)
{
    apr_pool_t *pool = new_pool();
    la_dpop_terms_t terms = terms_of("POST", URI, NOW);
    char *filler = apr_pcalloc(pool, 80001);
    const char *text;

    (void)state;
    memset(filler, 'x', 80000);
    text = make_token(pool, with_jwk(HEADER, jwks[K_P256]),
                      apr_pstrcat(pool, "{'more':'", filler, "'}", NULL), pair[K_P256], "ES256",
                      FORM_JOSE);
    assert_string_equal(
        check(pool, text, strlen(text), &terms, jkts[K_P256]),
        apr_psprintf(pool, "it has %d characters, expected at most 16384", (int)strlen(text)));
    filler[8000] = '\0';
    text = make_token(pool, with_jwk(HEADER, jwks[K_P256]),
                      apr_psprintf(pool, CLAIMS(",'more':'%s'"), filler), pair[K_P256], "ES256",
                      FORM_JOSE);
    assert_null(check(pool, text, strlen(text), &terms, jkts[K_P256]));
    apr_pool_destroy(pool);
}

/* Each byte of a proof matters: another one in its place, and it does not hold. */
static void test_altered(void **state)
{
    apr_pool_t *pool = new_pool();
    la_dpop_terms_t terms = terms_of("POST", URI, NOW);
    char *text = make_token(pool, with_jwk(HEADER, jwks[K_P256]), CLAIMS(""), pair[K_P256], "ES256",
                            FORM_JOSE);
    size_t len = strlen(text);

    (void)state;
    for (size_t i = 0; i < len; i++) {
        char was = text[i];

        text[i] = was == 'A' ? 'B' : 'A';
        assert_non_null(check(pool, text, len, &terms, jkts[K_P256]));
        text[i] = was;
        assert_non_null(check(pool, text, i, &terms, jkts[K_P256])); /* and cut off there */
    }
    assert_null(check(pool, text, len, &terms, jkts[K_P256]));
    apr_pool_destroy(pool);
}

/* ---- the signature ---- */

static void test_forms(void **state)
{
    apr_pool_t *pool = new_pool();
    la_dpop_terms_t terms = terms_of("POST", URI, NOW);
    const char *header = with_jwk(HEADER, jwks[K_P256]);
    const char *text = make_token(pool, header, CLAIMS(""), pair[K_OTHER], "ES256", FORM_JOSE);

    (void)state;
    assert_string_equal(check(pool, text, strlen(text), &terms, jkts[K_P256]),
                        "the signature is wrong");
    text = make_token(pool, header, CLAIMS(""), pair[K_P256], "ES256", FORM_DER);
    assert_string_equal(check(pool, text, strlen(text), &terms, jkts[K_P256]),
                        "the signature is wrong");
    text = make_token(pool, header, CLAIMS(""), pair[K_P256], "ES384", FORM_JOSE);
    assert_string_equal(check(pool, text, strlen(text), &terms, jkts[K_P256]),
                        "the signature is wrong");
    text = make_token(pool, with_jwk("{'typ':'dpop+jwt','alg':'PS256','jwk':$J}", jwks[K_RSA]),
                      CLAIMS(""), pair[K_RSA], "PS256", FORM_SHORT_SALT);
    assert_string_equal(check(pool, text, strlen(text), &terms, jkts[K_RSA]),
                        "the signature is wrong");
    apr_pool_destroy(pool);
}

/* ---- an RSA key that is none ---- */

static void test_unsound(void **state)
{
    apr_pool_t *pool = new_pool();
    la_dpop_terms_t terms = terms_of("POST", URI, NOW);
    EVP_PKEY *key = make_unsound_rsa();
    const char *text = make_token(
        pool, with_jwk("{'typ':'dpop+jwt','alg':'RS256','jwk':$J}", rsa_jwk(key, "k", "")),
        CLAIMS(""), key, "RS256", FORM_JOSE);
    char jkt[LA_THUMBPRINT_LEN + 1];

    (void)state;
    keys = la_proof_keys_make(pool);
    assert_int_equal(la_thumbprint_of(key, jkt), 1);
    for (int round = 0; round < 2; round++) { /* and it is not kept */
        assert_string_equal(check(pool, text, strlen(text), &terms, jkt), "RSA modulus is unsound");
    }
    keys = NULL;
    EVP_PKEY_free(key);
    apr_pool_destroy(pool);
}

/* ---- RFC 9449's own example (section 7.1, figures 12 and 13) ---- */

#define RFC_JKT "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
#define RFC_PROOF                                                                                  \
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNo" \
    "UklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERW" \
    "clUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR" \
    "1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCw" \
    "iYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-E" \
    "y71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
/* Section 4.1, figure 2: for the token endpoint, without ath. */
#define RFC_TOKEN_PROOF                                                                            \
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNo" \
    "UklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERW" \
    "clUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh" \
    "0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8" \
    "v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"

static void test_rfc(void **state)
{
    apr_pool_t *pool = new_pool();
    la_dpop_terms_t terms =
        terms_of("GET", "https://resource.example.org/protectedresource", 1562262618);
    la_dpop_t proof;

    (void)state;
    assert_null(check(pool, RFC_PROOF, strlen(RFC_PROOF), &terms, RFC_JKT));
    assert_null(la_dpop_parse(pool, NULL, LA_SLICE(RFC_PROOF), &proof));
    assert_true(la_slice_is(proof.jti, "e1j3V_bKic8-LAEB"));
    assert_true(proof.iat == APR_TIME_C(1562262618) * APR_USEC_PER_SEC);
    assert_true(la_dpop_until(&proof) == APR_TIME_C(1562262918) * APR_USEC_PER_SEC + 1);
    assert_null(proof.nonce.data);
    assert_string_equal(la_dpop_parse(pool, NULL, LA_SLICE(RFC_TOKEN_PROOF), &proof),
                        "ath is missing");
    apr_pool_destroy(pool);
}

/* ---- what is remembered ---- */

static void test_digest(void **state)
{
    la_dpop_t a = {.jti = LA_SLICE("one")};
    la_dpop_t b = {.jti = LA_SLICE("two")};
    unsigned char first[LA_DIGEST_BYTES];
    unsigned char second[LA_DIGEST_BYTES];

    (void)state;
    assert_int_equal(la_dpop_digest(&a, jkts[K_P256], first), APR_SUCCESS);
    assert_int_equal(la_dpop_digest(&a, jkts[K_P256], second), APR_SUCCESS);
    assert_memory_equal(first, second, LA_DIGEST_BYTES);
    assert_int_equal(la_dpop_digest(&b, jkts[K_P256], second), APR_SUCCESS);
    assert_memory_not_equal(first, second, LA_DIGEST_BYTES); /* another jti */
    assert_int_equal(la_dpop_digest(&a, jkts[K_OTHER], second), APR_SUCCESS);
    assert_memory_not_equal(first, second, LA_DIGEST_BYTES); /* another key */
}

int main(void)
{
    int failed;

    make_proof_keys();
    for (size_t i = 0; i < ROWS(texts); i++)
        add(texts[i].name, test_text, &texts[i]);
    add("100 KB", test_size, NULL);
    add("each byte altered", test_altered, NULL);
    add("signatures of other forms and keys", test_forms, NULL);
    add("an unsound RSA key", test_unsound, NULL);
    add("RFC 9449, section 7.1", test_rfc, NULL);
    add("what is remembered", test_digest, NULL);
    failed = finish("dpop_text");
    drop_keys();
    return failed;
}
