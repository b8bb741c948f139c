/* validity.c: what claims say of time, audience and issuer. JSON is written with ' for ". The clock stands at 1,000,000. */
#include "support.h"

#include "access/validity.h"

#include "jose.h"

#define NOW 1000000

typedef struct case_t {
    const char *name;
    const char *claims;
    const char *reason; /* NULL: fine */
    double expires;     /* seconds; -1: not looked at */
    int leeway_s;
    const char *audiences; /* one, or two separated by a space; NULL: none demanded */
    const char *resource;
    const char *issuer;
    int require_exp;
} case_t;

#define TYPES(claim, reason)                                                                       \
    {claim ": string", "{'" claim "':'1'}", reason, -1, 0, NULL, NULL, NULL, 0},                   \
        {claim ": null", "{'" claim "':null}", reason, -1, 0, NULL, NULL, NULL, 0},                \
        {claim ": true", "{'" claim "':true}", reason, -1, 0, NULL, NULL, NULL, 0},                \
        {claim ": list", "{'" claim "':[2000000]}", reason, -1, 0, NULL, NULL, NULL, 0},           \
    {                                                                                              \
        claim ": object", "{'" claim "':{}}", reason, -1, 0, NULL, NULL, NULL, 0                   \
    }

/* clang-format off */
static case_t cases[] = {
    {"nothing said, nothing demanded", "{}", NULL, 0, 0, NULL, NULL, NULL, 0},
    {"no object", "[1]", NULL, 0, 0, NULL, NULL, NULL, 0},
    TYPES("exp", "exp is not a number"),
    TYPES("nbf", "nbf is not a number"),
    TYPES("iat", "iat is not a number"),
    {"exp: absent and demanded", "{}", "exp is missing", -1, 0, NULL, NULL, NULL, 1},
    {"exp: later", "{'exp':1000001}", NULL, 1000001, 0, NULL, NULL, NULL, 1},
    {"exp: now", "{'exp':1000000}", "it has expired", -1, 0, NULL, NULL, NULL, 1},
    {"exp: earlier", "{'exp':999999}", "it has expired", -1, 0, NULL, NULL, NULL, 1},
    {"exp: a fraction later", "{'exp':1000000.5}", NULL, 1000000.5, 0, NULL, NULL, NULL, 1},
    {"exp: a fraction earlier", "{'exp':999999.9}", "it has expired", -1, 0, NULL, NULL, NULL, 1},
    {"exp: within the leeway", "{'exp':999941}", NULL, 1000001, 60, NULL, NULL, NULL, 1},
    {"exp: at the end of the leeway", "{'exp':999940}", "it has expired", -1, 60, NULL, NULL, NULL, 1},
    {"exp: 0", "{'exp':0}", "it has expired", -1, 0, NULL, NULL, NULL, 1},
    {"exp: 0, and a leeway beyond now", "{'exp':0}", NULL, 2000000, 2000000, NULL, NULL, NULL, 1},
    {"exp: negative", "{'exp':-1}", "it has expired", -1, 0, NULL, NULL, NULL, 1},
    {"exp: minus the leeway is no end of 0", "{'exp':-60}", "it has expired", -1, 60, NULL, NULL, NULL, 1},
    {"exp: 1e300", "{'exp':1e300}", NULL, 3.2e11, 0, NULL, NULL, NULL, 1},
    {"exp: -1e300", "{'exp':-1e300}", "it has expired", -1, 0, NULL, NULL, NULL, 1},
    {"exp: beyond 64 bits", "{'exp':99999999999999999999999}", NULL, 3.2e11, 0, NULL, NULL, NULL, 1},
    {"exp: 9223372036854775807", "{'exp':9223372036854775807}", NULL, 3.2e11, 0, NULL, NULL, NULL, 1},
    {"exp: tiny", "{'exp':1e-300}", "it has expired", -1, 0, NULL, NULL, NULL, 1},
    {"exp: in exponents", "{'exp':1.000001e6}", NULL, 1000001, 0, NULL, NULL, NULL, 1},
    {"nbf: now", "{'nbf':1000000}", NULL, 0, 0, NULL, NULL, NULL, 0},
    {"nbf: later", "{'nbf':1000001}", "it is not valid yet (nbf)", -1, 0, NULL, NULL, NULL, 0},
    {"nbf: within the leeway", "{'nbf':1000060}", NULL, 0, 60, NULL, NULL, NULL, 0},
    {"nbf: past the leeway", "{'nbf':1000061}", "it is not valid yet (nbf)", -1, 60, NULL, NULL, NULL, 0},
    {"nbf: 1e300", "{'nbf':1e300}", "it is not valid yet (nbf)", -1, 60, NULL, NULL, NULL, 0},
    {"nbf: -1e300", "{'nbf':-1e300}", NULL, 0, 60, NULL, NULL, NULL, 0},
    {"iat: in the future has no say", "{'iat':2000000}", NULL, 0, 0, NULL, NULL, NULL, 0},
    {"iss: another type, not demanded", "{'iss':1}", "iss is not a string", -1, 0, NULL, NULL, NULL, 0},
    {"iss: null, not demanded", "{'iss':null}", "iss is not a string", -1, 0, NULL, NULL, NULL, 0},
    {"iss: any, not demanded", "{'iss':'x'}", NULL, 0, 0, NULL, NULL, NULL, 0},
    {"iss: the one", "{'iss':'https://idp'}", NULL, 0, 0, NULL, NULL, "https://idp", 0},
    {"iss: another", "{'iss':'https://idp2'}", "iss is another issuer", -1, 0, NULL, NULL, "https://idp", 0},
    {"iss: a prefix", "{'iss':'https://id'}", "iss is another issuer", -1, 0, NULL, NULL, "https://idp", 0},
    {"iss: a slash more", "{'iss':'https://idp/'}", "iss is another issuer", -1, 0, NULL, NULL, "https://idp", 0},
    {"iss: another case", "{'iss':'https://IDP'}", "iss is another issuer", -1, 0, NULL, NULL, "https://idp", 0},
    {"iss: NUL behind", "{'iss':'https://idp\\u0000x'}", "iss is another issuer", -1, 0, NULL, NULL, "https://idp", 0},
    {"iss: list", "{'iss':['https://idp']}", "iss is not a string", -1, 0, NULL, NULL, "https://idp", 0},
    {"iss: absent", "{}", "iss is missing", -1, 0, NULL, NULL, "https://idp", 0},
    {"iss: empty", "{'iss':''}", "iss is another issuer", -1, 0, NULL, NULL, "https://idp", 0},
    {"aud: number, not demanded", "{'aud':1}", "aud is neither", -1, 0, NULL, NULL, NULL, 0},
    {"aud: null, not demanded", "{'aud':null}", "aud is neither", -1, 0, NULL, NULL, NULL, 0},
    {"aud: object, not demanded", "{'aud':{'a':1}}", "aud is neither", -1, 0, NULL, NULL, NULL, 0},
    {"aud: mixed list, not demanded", "{'aud':['a',1]}", "aud is neither", -1, 0, NULL, NULL, NULL, 0},
    {"aud: any, not demanded", "{'aud':'x'}", NULL, 0, 0, NULL, NULL, NULL, 0},
    {"aud: empty list, not demanded", "{'aud':[]}", NULL, 0, 0, NULL, NULL, NULL, 0},
    {"aud: string", "{'aud':'a'}", NULL, 0, 0, "a", NULL, NULL, 0},
    {"aud: the second of ours", "{'aud':'b'}", NULL, 0, 0, "a b", NULL, NULL, 0},
    {"aud: in a list", "{'aud':['x','a']}", NULL, 0, 0, "a", NULL, NULL, 0},
    {"aud: another", "{'aud':'x'}", "aud is not for us", -1, 0, "a b", NULL, NULL, 0},
    {"aud: others", "{'aud':['x','y']}", "aud is not for us", -1, 0, "a b", NULL, NULL, 0},
    {"aud: a prefix", "{'aud':'llama'}", "aud is not for us", -1, 0, "llama-stack", NULL, NULL, 0},
    {"aud: longer", "{'aud':'llama-stack2'}", "aud is not for us", -1, 0, "llama-stack", NULL, NULL, 0},
    {"aud: both in one string", "{'aud':'a b'}", "aud is not for us", -1, 0, "a b", NULL, NULL, 0},
    {"aud: NUL behind", "{'aud':'a\\u0000'}", "aud is not for us", -1, 0, "a", NULL, NULL, 0},
    {"aud: another case", "{'aud':'A'}", "aud is not for us", -1, 0, "a", NULL, NULL, 0},
    {"aud: empty list", "{'aud':[]}", "aud is not for us", -1, 0, "a", NULL, NULL, 0},
    {"aud: empty string", "{'aud':''}", "aud is not for us", -1, 0, "a", NULL, NULL, 0},
    {"aud: absent", "{}", "aud is missing", -1, 0, "a", NULL, NULL, 0},
    {"aud: ours in a mixed list", "{'aud':['a',1]}", "aud is neither", -1, 0, "a", NULL, NULL, 0},
    {"aud: ours in a list with null", "{'aud':['a',null]}", "aud is neither", -1, 0, "a", NULL, NULL, 0},
    {"aud: nested list", "{'aud':[['a']]}", "aud is neither", -1, 0, "a", NULL, NULL, 0},
    {"resource: accepted", "{'aud':'https://r/'}", NULL, 0, 0, "a", "https://r/", NULL, 0},
    {"resource: beside ours", "{'aud':'a'}", NULL, 0, 0, "a", "https://r/", NULL, 0},
    {"resource: another", "{'aud':'https://r2/'}", "aud is not for us", -1, 0, "a", "https://r/", NULL, 0},
    {"resource: a slash less", "{'aud':'https://r'}", "aud is not for us", -1, 0, "a", "https://r/", NULL, 0},
    {"resource: of another place", "{'aud':'https://r/'}", "aud is not for us", -1, 0, "a", NULL, NULL, 0},
    {"all at once", "{'exp':1000010,'nbf':999990,'iat':999990,'iss':'i','aud':['a']}", NULL, 1000010, 0, "a", NULL, "i", 1},
    {"time is said first", "{'exp':1,'iss':'x','aud':'x'}", "it has expired", -1, 0, "a", NULL, "i", 1},
};
/* clang-format on */

static void test_case(void **state)
{
    const case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_validity_terms_t terms = {.now = (apr_time_t)NOW * APR_USEC_PER_SEC,
                                 .leeway_us = (apr_interval_time_t)row->leeway_s * APR_USEC_PER_SEC,
                                 .resource = row->resource,
                                 .issuer = row->issuer,
                                 .require_exp = row->require_exp};
    apr_time_t expires = -1;
    const la_json_t *claims;
    const char *reason;
    char *rest = row->audiences ? apr_pstrdup(pool, row->audiences) : NULL;
    apr_array_header_t *audiences = apr_array_make(pool, 2, sizeof(const char *));

    while (rest) {
        APR_ARRAY_PUSH(audiences, const char *) = strsep(&rest, " ");
    }
    terms.audiences = row->audiences ? audiences : NULL;
    assert_null(la_json_parse(pool, slice_of_text(unquote(pool, row->claims)), &claims));
    reason = la_validity_check(claims, &terms, &expires);
    if (row->reason) {
        assert_non_null(reason);
        assert_int_equal(strncmp(reason, row->reason, strlen(row->reason)), 0);
    } else {
        assert_null(reason);
        assert_true(expires == (apr_time_t)(row->expires * APR_USEC_PER_SEC));
    }
    apr_pool_destroy(pool);
}

static void test_null_items(void **state)
{
    static const struct {
        const char *claims;
        const char *reason;
    } rows[] = {{"{'aud':['a',null]}", NULL},
                {"{'aud':[null,'a']}", NULL},
                {"{'aud':[null]}", "aud is not for us"},
                {"{'aud':[null,1]}", "aud is neither a string nor a list of strings"},
                {"{'aud':null}", "aud is missing"}};
    apr_pool_t *pool = new_pool();
    apr_array_header_t *audiences = apr_array_make(pool, 1, sizeof(const char *));
    la_validity_terms_t terms = {.audiences = audiences, .null_is_absent = 1};

    (void)state;
    APR_ARRAY_PUSH(audiences, const char *) = "a";
    for (size_t i = 0; i < ROWS(rows); i++) {
        const la_json_t *claims;
        const char *reason;
        apr_time_t expires;

        assert_null(la_json_parse(pool, slice_of_text(unquote(pool, rows[i].claims)), &claims));
        reason = la_validity_check(claims, &terms, &expires);
        assert_string_equal(reason ? reason : "", rows[i].reason ? rows[i].reason : "");
    }
    apr_pool_destroy(pool);
}

static void test_foreign(void **state)
{
    static const struct {
        const char *claims;
        int foreign;
    } rows[] = {{"{'iss':'i'}", 0}, {"{'iss':'j'}", 1},   {"{'iss':''}", 1},   {"{}", 0},
                {"{'iss':1}", 0},   {"{'iss':['j']}", 0}, {"{'iss':null}", 0}, {"[1]", 0}};
    apr_pool_t *pool = new_pool();

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        const la_json_t *claims;

        assert_null(la_json_parse(pool, slice_of_text(unquote(pool, rows[i].claims)), &claims));
        assert_int_equal(la_validity_is_foreign(claims, "i"), rows[i].foreign);
        assert_int_equal(la_validity_is_foreign(claims, NULL), 0);
    }
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(cases); i++)
        add(cases[i].name, test_case, &cases[i]);
    add("an answer's audience: null is no item", test_null_items, NULL);
    add("another issuer's", test_foreign, NULL);
    return finish("validity");
}
