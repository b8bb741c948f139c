/* assertion.c and reuse.c: what an assertion says, whom it serves again and for how long. */
#include "signers.h"

#include "base/base64url.h"
#include "jose/jwk.h"
#include "jose/jwt.h"
#include "signer/reuse.h"

#include <openssl/err.h>

#define CLIENT_ID "0123456789abcdef0123456789abcdef"
#define SIGNER    "Key file:es256.pem;Issuer https://api.example.com;Audience ogx"

#define S APR_USEC_PER_SEC

static const apr_time_t now = APR_TIME_C(1800000000) * S + 900000;

/* ---- identities ---- */

/* Categories with their values: "roles=admin,dev;teams=". */
static const la_identity_t *identity_of(const char *categories, apr_time_t end)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    const la_identity_t *identity;
    char *rest = apr_pstrdup(pool, categories);
    char *category;

    assert_null(la_identity_set_principal(builder, LA_SLICE("alice")));
    while ((category = strsep(&rest, ";")) != NULL) {
        char *values = category;
        char *name = strsep(&values, "=");
        char *value;

        if (*name)
            la_identity_add_category(builder, la_slice_of(name));
        while (values && *values && (value = strsep(&values, ",")) != NULL)
            la_identity_add(builder, la_slice_of(name), la_slice_of(value));
    }
    assert_null(la_identity_build(builder, pool, &identity));
    return la_identity_ending(pool, identity, end);
}

static la_assertion_t asserted_of(const char *categories, apr_time_t end)
{
    return (la_assertion_t){.identity = identity_of(categories, end),
                            .principal = "alice",
                            .client_id = CLIENT_ID,
                            .now = now};
}

/* ---- what it says ---- */

/* The claims of an assertion whose signature holds, as they stand in it. */
static la_slice_t claims_of(const la_signer_t *signer, const char *text)
{
    apr_array_header_t *signers = apr_array_make(pool, 1, sizeof(const la_signer_t *));
    const la_jwks_t *keys;
    const char *reason;
    la_slice_t claims;
    const char *dot;
    la_jwt_t jwt;

    assert_non_null(text);
    assert_int_equal(strncmp(text, LA_ASSERTION_PREFIX, strlen(LA_ASSERTION_PREFIX)), 0);
    text += strlen(LA_ASSERTION_PREFIX);
    APR_ARRAY_PUSH(signers, const la_signer_t *) = signer;
    assert_null(la_jwks_parse(pool, la_signer_jwks(pool, signers, now), LA_JWA_DEFAULT, &keys));
    assert_int_equal(la_jwt_parse(pool, slice_of_text(text), &jwt, &reason), LA_JWT_GOOD);
    assert_int_equal(la_jwt_verify(pool, &jwt, keys, LA_JWA_DEFAULT, &reason), LA_JWT_VERIFIED);
    dot = strchr(text, '.') + 1;
    assert_int_equal(
        la_base64url_decode(pool, (la_slice_t){dot, (apr_size_t)(strchr(dot, '.') - dot)}, &claims),
        1);
    return claims;
}

static const char *make(const la_signer_t *signer, la_assertion_t asserted, apr_time_t *ends)
{
    unsigned held;
    const la_signing_key_t *key = la_signer_hold(signer, now, &held);
    const char *text;

    asserted.signer = signer;
    text = la_assertion_make(&asserted, key, pool, ends);
    la_signer_release(signer, held);
    return text;
}

/* The claims with `jti`, which is another one each time, as J. */
static const char *plain(la_slice_t claims)
{
    char *text = apr_pstrmemdup(pool, claims.data, claims.len);
    char *jti = strstr(text, "\"jti\":\"");

    assert_non_null(jti);
    jti += strlen("\"jti\":\"");
    assert_int_equal(strcspn(jti, "\""), 22);
    *jti = 'J';
    memmove(jti + 1, jti + 22, strlen(jti + 22) + 1);
    return text;
}

#define BEGINNING                                                                                  \
    "{'iss':'https://api.example.com','aud':'ogx','sub':'alice','iat':1799999995,'exp':1800000060" \
    ",'jti':'J','client_id':'" CLIENT_ID "'"

typedef struct claims_case_t {
    const char *name;
    const char *options; /* behind SIGNER */
    const char *categories;
    const char *rest; /* of the claims, with ' for " */
} claims_case_t;

static claims_case_t claims_cases[] = {
    {"nothing", "", "", "}"},
    {"lists under their own names", "", "roles=admin,dev;teams=core",
     ",'roles':['admin','dev'],'teams':['core']}"},
    {"an empty category", "", "roles=", ",'roles':[]}"},
    {"scopes are joined", "", "roles=admin;scopes=a,b,c", ",'scope':'a b c','roles':['admin']}"},
    {"no scopes", "", "scopes=", "}"},
    {"a scope with a blank", "", "scopes=a b,c", ",'scope':'c'}"},
    {"scopes that a reader could split", "",
     "scopes=a\tb,a\xc2\xa0"
     "b,a\xe2\x80\xa8"
     "b,\x7f,d",
     ",'scope':'d'}"},
    {"no scope is left", "", "scopes=a b", "}"},
    {"beyond ASCII", "", "r\xc3\xb6le=\xc3\xb6", ",'r\\u00f6le':['\\u00f6']}"},
    {"categories that are ours", "",
     "iss=x;sub=x;aud=x;exp=x;nbf=x;iat=x;jti=x;client_id=x;scope=x;cnf=x;act=x;roles=r",
     ",'roles':['r']}"},
    {"those in another case", "",
     "SUB=x;Aud=x;Scope=x;Client_Id=x;\xc5\xbf"
     "ub=x;i\xc5\xbf\xc5\xbf=x;subject=r",
     ",'subject':['r']}"},
    {"Claim", ";Claim roles groups", "roles=admin;teams=core;scopes=a",
     ",'scope':'a','groups':['admin']}"},
    {"Claim of scopes", ";Claim scopes permissions;Claim scopes also", "roles=admin;scopes=a b,c",
     ",'scope':'c','permissions':['a b','c'],'also':['a b','c']}"},
    {"Claim of what is ours", ";Claim sub subjects", "sub=x", ",'subjects':['x']}"},
    {"Claim of one", ";Claim one:tenant tenant;Claim tenant tenants", "tenant=acme",
     ",'tenant':'acme','tenants':['acme']}"},
    {"Claim of one of none", ";Claim one:tenant tenant;Claim one:org org", "tenant=", "}"},
    {"Claim of one of two", ";Claim one:tenant tenant", "tenant=acme,other", "}"},
    {"Claim of a category that is not there", ";Claim roles roles", "teams=core", "}"},
};

static void test_claims(void **state)
{
    const claims_case_t *row = *state;
    const la_signer_t *signer = good_signer(apr_pstrcat(pool, SIGNER, row->options, NULL));
    la_assertion_t asserted = asserted_of(row->categories, 0);
    char *expected = apr_pstrcat(pool, BEGINNING, row->rest, NULL);
    char *got;
    apr_time_t ends;

    got = apr_pstrdup(pool, plain(claims_of(signer, make(signer, asserted, &ends))));
    for (char *p = got; *p; p++)
        *p = *p == '"' ? '\'' : *p;
    assert_string_equal(got, expected);
    assert_int_equal(ends, APR_TIME_C(1800000060) * S);
}

/* A quote in a value is escaped: the table above writes both quotes alike. */
static void test_quotes(void **state)
{
    const la_signer_t *signer = good_signer(SIGNER);
    la_assertion_t asserted = asserted_of("ro\"les=a\"b\\", 0);
    apr_time_t ends;

    (void)state;
    asserted.principal = "al\"ice";
    assert_non_null(strstr(claims_of(signer, make(signer, asserted, &ends)).data,
                           "\"ro\\\"les\":[\"a\\\"b\\\\\"]}"));
}

/* ---- until when ---- */

typedef struct end_case_t {
    const char *name;
    const char *options;
    apr_interval_time_t own; /* the token's end after now; 0: none */
    apr_time_t exp;
} end_case_t;

static end_case_t end_cases[] = {
    {"exp: the default", "", 0, 1800000060},
    {"exp: Lifetime", ";Lifetime 10s", 0, 1800000010},
    {"exp: the longest", ";Lifetime 1h", 0, 1800003600},
    {"exp: the token lives longer", "", 61 * S, 1800000060},
    {"exp: the token ends before", ";Lifetime 1h", 59 * S, 1800000059},
    {"exp: the token ends in the same second", "", 50000, 1800000000},
    {"exp: the token has ended", "", -100 * S, 1799999900},
    {"exp: the token ended long ago", "", -APR_TIME_C(2000000000) * S, 1},
};

static void test_end(void **state)
{
    const end_case_t *row = *state;
    const la_signer_t *signer = good_signer(apr_pstrcat(pool, SIGNER, row->options, NULL));
    la_assertion_t asserted = asserted_of("", row->own ? now + row->own : 0);
    apr_time_t ends;
    la_slice_t claims = claims_of(signer, make(signer, asserted, &ends));

    assert_non_null(
        strstr(claims.data, apr_psprintf(pool, "\"exp\":%" APR_TIME_T_FMT ",", row->exp)));
    assert_int_equal(ends, row->exp * S);
}

/* ---- reuse ---- */

static la_reuse_t *reuse;

static void make_reuse(void)
{
    static la_holder_t life;
    int fd;

    assert_int_equal(la_holder_open(&fd), APR_SUCCESS);
    la_holder_init(&life, fd);
    assert_int_equal(la_reuse_make(pool, &life, &reuse), APR_SUCCESS);
}

/* Of the assertion that was got last. */
static int is_new;

static const char *get_from(la_reuse_t *from, const la_signer_t *signer, la_assertion_t asserted,
                            apr_pool_t *in)
{
    const char *text;

    asserted.signer = signer;
    text = la_reuse_get(from, &asserted, in, &is_new);
    assert_non_null(text);
    assert_int_equal(strncmp(text, LA_ASSERTION_PREFIX, strlen(LA_ASSERTION_PREFIX)), 0);
    return text;
}

static const char *get(const la_signer_t *signer, la_assertion_t asserted, apr_time_t at)
{
    asserted.now = at;
    return get_from(reuse, signer, asserted, pool);
}

typedef struct reuse_case_t {
    const char *name;
    const char *options;
    apr_interval_time_t own;
    apr_interval_time_t after;
    int same;
} reuse_case_t;

static reuse_case_t reuse_cases[] = {
    {"reuse: at once", "", 0, 0, 1},
    {"reuse: just below a half", "", 0, 30 * S - 1, 1},
    {"reuse: a half", "", 0, 30 * S, 0},
    {"reuse: Lifetime 10s", ";Lifetime 10s", 0, 5 * S, 0},
    {"reuse: of an hour", ";Lifetime 1h", 0, 1800 * S - 1, 1},
    {"reuse: until the token ends", "", 20 * S, 18 * S, 1},
    {"reuse: not beyond the token's end", "", 20 * S, 20 * S, 0},
    {"reuse: of none that has ended", "", -S, 0, 0},
    {"reuse: the clock goes back a little", "", 0, -S, 1},
    {"reuse: the clock goes back", "", 0, -10 * S, 0},
};

static void test_reuse(void **state)
{
    const reuse_case_t *row = *state;
    const la_signer_t *signer = good_signer(apr_pstrcat(pool, SIGNER, row->options, NULL));
    la_assertion_t asserted = asserted_of("roles=admin", row->own ? now + row->own : 0);
    const char *first = get(signer, asserted, now);
    const char *second = get(signer, asserted, now + row->after);

    assert_int_equal(strcmp(first, second) == 0, row->same);
    assert_int_equal(is_new, !row->same);
    claims_of(signer, second);
}

/* Whatever differs, the other's assertion is not sent. */
static void test_reuse_apart(void **state)
{
    const la_signer_t *signer = good_signer(SIGNER);
    const la_signer_t *other = good_signer(SIGNER);
    la_assertion_t one = asserted_of("roles=admin", 0);
    la_assertion_t others[] = {asserted_of("roles=dev", 0), asserted_of("role=admin", 0),
                               asserted_of("roles=admin", now + 3600 * S),
                               asserted_of("roles=admin;scopes=a", 0), one};
    const char *first = get(signer, one, now);

    (void)state;
    others[4].client_id = "0123456789abcdef0123456789abcdee";
    assert_string_not_equal(get(other, one, now), first);
    for (size_t i = 0; i < ROWS(others); i++)
        assert_string_not_equal(get(signer, others[i], now), first);
    assert_string_equal(get(signer, one, now), first);
}

/* A new version of the key signs at once. */
static void test_reuse_new_key(void **state)
{
    la_assertion_t asserted = asserted_of("roles=admin", 0);
    const la_signer_t *signer;
    const char *first;

    (void)state;
    write_key("rotating.pem", EVP_EC_gen("P-256"));
    signer = good_signer("Key file:rotating.pem;Issuer i;Audience a");
    first = get(signer, asserted, now);
    write_key("rotating.pem", EVP_EC_gen("P-256"));
    assert_string_not_equal(get(signer, asserted, now + 2 * S), first);
}

/* More callers than there is room for are served all the same, the latest again. */
static void test_reuse_full(void **state)
{
    const la_signer_t *signer = good_signer("Key file:eddsa.pem;Issuer i;Audience a");
    la_assertion_t asserted = asserted_of("", 0);
    apr_pool_t *scratch = new_pool();
    int again = 0;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        const char *first;

        asserted.client_id = apr_psprintf(scratch, "%032d", i);
        first = get_from(reuse, signer, asserted, scratch);
        again += strcmp(get_from(reuse, signer, asserted, scratch), first) == 0;
        apr_pool_clear(scratch);
    }
    assert_true(again > 2900);
    apr_pool_destroy(scratch);
}

/* An identity that is too large to be kept, and a process that keeps none. */
static void test_reuse_none(void **state)
{
    const la_signer_t *signer = good_signer(SIGNER);
    la_assertion_t asserted = asserted_of("roles=admin", 0);
    la_assertion_t large;
    char *categories = apr_palloc(pool, 20006);

    (void)state;
    memset(categories, 'x', 20005);
    memcpy(categories, "roles=", 6);
    categories[20005] = '\0';
    large = asserted_of(categories, 0);
    assert_string_not_equal(get(signer, large, now), get(signer, large, now));
    claims_of(signer, get(signer, large, now));
    assert_string_not_equal(get_from(NULL, signer, asserted, pool),
                            get_from(NULL, signer, asserted, pool));
}

int main(void)
{
    start();
    write_signer_keys();
    make_reuse();
    for (size_t i = 0; i < ROWS(claims_cases); i++)
        add(claims_cases[i].name, test_claims, &claims_cases[i]);
    add("quotes", test_quotes, NULL);
    for (size_t i = 0; i < ROWS(end_cases); i++)
        add(end_cases[i].name, test_end, &end_cases[i]);
    for (size_t i = 0; i < ROWS(reuse_cases); i++)
        add(reuse_cases[i].name, test_reuse, &reuse_cases[i]);
    add("reuse: apart", test_reuse_apart, NULL);
    add("reuse: a new key", test_reuse_new_key, NULL);
    add("reuse: full", test_reuse_full, NULL);
    add("reuse: none", test_reuse_none, NULL);
    return finish("assertion");
}
