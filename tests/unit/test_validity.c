/* validity.c: what claims say of time, audience and issuer. JSON is written with ' for ". The clock
 * stands at 1,000,000. */
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

#define NINETY                                                                                     \
    "123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
#define HUNDRED NINETY "1234567890"

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
    TYPES("exp", "exp is "),
    TYPES("nbf", "nbf is "),
    TYPES("iat", "iat is "),
    {"exp: a string", "{'exp':'1'}", "exp is a string, expected a finite number", -1, 0, NULL, NULL, NULL, 0},
    {"exp: absent and demanded", "{}", "exp is missing", -1, 0, NULL, NULL, NULL, 1},
    {"exp: later", "{'exp':1000001}", NULL, 1000001, 0, NULL, NULL, NULL, 1},
    {"exp: now", "{'exp':1000000}", "it expired at 1970-01-12T13:46:40Z", -1, 0, NULL, NULL, NULL, 1},
    {"exp: earlier", "{'exp':999999}", "it expired at 1970-01-12T13:46:39Z", -1, 0, NULL, NULL, NULL, 1},
    {"exp: a fraction later", "{'exp':1000000.5}", NULL, 1000000.5, 0, NULL, NULL, NULL, 1},
    {"exp: a fraction earlier", "{'exp':999999.9}", "it expired at 1970-01-12T13:46:39Z", -1, 0, NULL, NULL, NULL, 1},
    {"exp: within the leeway", "{'exp':999941}", NULL, 1000001, 60, NULL, NULL, NULL, 1},
    {"exp: at the end of the leeway", "{'exp':999940}", "it expired at 1970-01-12T13:45:40Z", -1, 60, NULL, NULL, NULL, 1},
    {"exp: 0", "{'exp':0}", "it expired at 1970-01-01T00:00:00Z", -1, 0, NULL, NULL, NULL, 1},
    {"exp: 0, and a leeway beyond now", "{'exp':0}", NULL, 2000000, 2000000, NULL, NULL, NULL, 1},
    {"exp: negative", "{'exp':-1}", "it expired at 1969-12-31T23:59:59Z", -1, 0, NULL, NULL, NULL, 1},
    {"exp: minus the leeway is no end of 0", "{'exp':-60}", "it expired at 1969-12-31T23:59:00Z", -1, 60, NULL, NULL, NULL, 1},
    {"exp: 1e300", "{'exp':1e300}", NULL, 3.2e11, 0, NULL, NULL, NULL, 1},
    {"exp: -1e300", "{'exp':-1e300}", "it expired at -", -1, 0, NULL, NULL, NULL, 1},
    {"exp: beyond 64 bits", "{'exp':99999999999999999999999}", NULL, 3.2e11, 0, NULL, NULL, NULL, 1},
    {"exp: 9223372036854775807", "{'exp':9223372036854775807}", NULL, 3.2e11, 0, NULL, NULL, NULL, 1},
    {"exp: tiny", "{'exp':1e-300}", "it expired at 1970-01-01T00:00:00Z", -1, 0, NULL, NULL, NULL, 1},
    {"exp: in exponents", "{'exp':1.000001e6}", NULL, 1000001, 0, NULL, NULL, NULL, 1},
    {"nbf: now", "{'nbf':1000000}", NULL, 0, 0, NULL, NULL, NULL, 0},
    {"nbf: later", "{'nbf':1000001}", "it is not valid before 1970-01-12T13:46:41Z (nbf)", -1, 0, NULL, NULL, NULL, 0},
    {"nbf: within the leeway", "{'nbf':1000060}", NULL, 0, 60, NULL, NULL, NULL, 0},
    {"nbf: past the leeway", "{'nbf':1000061}", "it is not valid before 1970-01-12T13:47:41Z (nbf)", -1, 60, NULL, NULL, NULL, 0},
    {"nbf: 1e300", "{'nbf':1e300}", "it is not valid before 12110-", -1, 60, NULL, NULL, NULL, 0},
    {"nbf: -1e300", "{'nbf':-1e300}", NULL, 0, 60, NULL, NULL, NULL, 0},
    {"iat: in the future has no say", "{'iat':2000000}", NULL, 0, 0, NULL, NULL, NULL, 0},
    {"iss: another type, not demanded", "{'iss':1}", "iss is a number, expected a string", -1, 0, NULL, NULL, NULL, 0},
    {"iss: null, not demanded", "{'iss':null}", "iss is null, expected a string", -1, 0, NULL, NULL, NULL, 0},
    {"iss: any, not demanded", "{'iss':'x'}", NULL, 0, 0, NULL, NULL, NULL, 0},
    {"iss: the one", "{'iss':'https://idp'}", NULL, 0, 0, NULL, NULL, "https://idp", 0},
    {"iss: another", "{'iss':'https://idp2'}", "iss is \"https://idp2\", expected https://idp", -1, 0, NULL, NULL, "https://idp", 0},
    {"iss: a prefix", "{'iss':'https://id'}", "iss is \"https://id\", expected https://idp", -1, 0, NULL, NULL, "https://idp", 0},
    {"iss: a slash more", "{'iss':'https://idp/'}", "iss is \"https://idp/\", expected https://idp", -1, 0, NULL, NULL, "https://idp", 0},
    {"iss: another case", "{'iss':'https://IDP'}", "iss is \"https://IDP\", expected https://idp", -1, 0, NULL, NULL, "https://idp", 0},
    {"iss: NUL behind", "{'iss':'https://idp\\u0000x'}", "iss is \"https://idp\\u0000x\", expected https://idp", -1, 0, NULL, NULL, "https://idp", 0},
    {"iss: list", "{'iss':['https://idp']}", "iss is a list, expected a string", -1, 0, NULL, NULL, "https://idp", 0},
    {"iss: absent", "{}", "iss is missing", -1, 0, NULL, NULL, "https://idp", 0},
    {"iss: empty", "{'iss':''}", "iss is \"\", expected https://idp", -1, 0, NULL, NULL, "https://idp", 0},
    {"aud: number, not demanded", "{'aud':1}", "aud is a number, expected a string or a list of strings", -1, 0, NULL, NULL, NULL, 0},
    {"aud: null, not demanded", "{'aud':null}", "aud is null, expected", -1, 0, NULL, NULL, NULL, 0},
    {"aud: object, not demanded", "{'aud':{'a':1}}", "aud is an object, expected", -1, 0, NULL, NULL, NULL, 0},
    {"aud: mixed list, not demanded", "{'aud':['a',1]}", "aud holds a number, expected strings", -1, 0, NULL, NULL, NULL, 0},
    {"aud: any, not demanded", "{'aud':'x'}", NULL, 0, 0, NULL, NULL, NULL, 0},
    {"aud: empty list, not demanded", "{'aud':[]}", NULL, 0, 0, NULL, NULL, NULL, 0},
    {"aud: string", "{'aud':'a'}", NULL, 0, 0, "a", NULL, NULL, 0},
    {"aud: the second of ours", "{'aud':'b'}", NULL, 0, 0, "a b", NULL, NULL, 0},
    {"aud: in a list", "{'aud':['x','a']}", NULL, 0, 0, "a", NULL, NULL, 0},
    {"aud: another", "{'aud':'x'}", "aud is \"x\", expected one of: a b", -1, 0, "a b", NULL, NULL, 0},
    {"aud: others", "{'aud':['x','y']}", "aud is \"x\", \"y\", expected one of: a b", -1, 0, "a b", NULL, NULL, 0},
    {"aud: a prefix", "{'aud':'llama'}", "aud is \"llama\", expected one of: llama-stack", -1, 0, "llama-stack", NULL, NULL, 0},
    {"aud: longer", "{'aud':'llama-stack2'}", "aud is \"llama-stack2\", expected one of: llama-stack", -1, 0, "llama-stack", NULL, NULL, 0},
    {"aud: both in one string", "{'aud':'a b'}", "aud is \"a b\", expected one of: a b", -1, 0, "a b", NULL, NULL, 0},
    {"aud: NUL behind", "{'aud':'a\\u0000'}", "aud is \"a\\u0000\", expected one of: a", -1, 0, "a", NULL, NULL, 0},
    {"aud: another case", "{'aud':'A'}", "aud is \"A\", expected one of: a", -1, 0, "a", NULL, NULL, 0},
    {"aud: empty list", "{'aud':[]}", "aud is an empty list, expected one of: a", -1, 0, "a", NULL, NULL, 0},
    {"aud: empty string", "{'aud':''}", "aud is \"\", expected one of: a", -1, 0, "a", NULL, NULL, 0},
    {"aud: absent", "{}", "aud is missing", -1, 0, "a", NULL, NULL, 0},
    {"aud: ours in a mixed list", "{'aud':['a',1]}", "aud holds a number, expected strings", -1, 0, "a", NULL, NULL, 0},
    {"aud: ours in a list with null", "{'aud':['a',null]}", "aud holds null, expected strings", -1, 0, "a", NULL, NULL, 0},
    {"aud: nested list", "{'aud':[['a']]}", "aud holds a list, expected strings", -1, 0, "a", NULL, NULL, 0},
    {"resource: accepted", "{'aud':'https://r/'}", NULL, 0, 0, "a", "https://r/", NULL, 0},
    {"resource: beside ours", "{'aud':'a'}", NULL, 0, 0, "a", "https://r/", NULL, 0},
    {"resource: another", "{'aud':'https://r2/'}", "aud is \"https://r2/\", expected one of: https://r/ a", -1, 0, "a", "https://r/", NULL, 0},
    {"resource: a slash less", "{'aud':'https://r'}", NULL, 0, 0, "a", "https://r/", NULL, 0},
    {"resource: alone", "{'aud':['x','https://R:443']}", NULL, 0, 0, NULL, "https://r/", NULL, 0},
    {"resource: alone, and another", "{'aud':'a'}", "aud is \"a\", expected one of: https://r/", -1, 0, NULL, "https://r/", NULL, 0},
    {"resource: alone, and no audience", "{}", "aud is missing, expected one of: https://r/", -1, 0, NULL, "https://r/", NULL, 0},
    {"resource: ours are compared byte for byte", "{'aud':'https://A'}", "aud is \"https://A\", expected one of: https://r/ https://a", -1, 0, "https://a", "https://r/", NULL, 0},
    {"resource: of another place", "{'aud':'https://r/'}", "aud is \"https://r/\", expected one of: a", -1, 0, "a", NULL, NULL, 0},
    {"all at once", "{'exp':1000010,'nbf':999990,'iat':999990,'iss':'i','aud':['a']}", NULL, 1000010, 0, "a", NULL, "i", 1},
    {"said: missing audience", "{}", "aud is missing, expected one of: https://r/ a b", -1, 0, "a b", "https://r/", NULL, 0},
    {"said: missing issuer", "{}", "iss is missing, expected https://idp", -1, 0, NULL, NULL, "https://idp", 0},
    {"said: control bytes and quotes", "{'aud':'a\\n\\u001b\\u007f\\u0022'}", "aud is \"a\\n\\u001b\\u007f\\\"\", expected one of: a", -1, 0, "a", NULL, NULL, 0},
    {"said: beyond ASCII", "{'iss':'\xc3\xa9'}", "iss is \"\\u00e9\", expected i", -1, 0, NULL, NULL, "i", 0},
    {"said: three of five audiences", "{'aud':['1','2','3','4','5']}", "aud is \"1\", \"2\", \"3\" and 2 more, expected one of: a", -1, 0, "a", NULL, NULL, 0},
    {"said: three audiences", "{'aud':['1','2','3']}", "aud is \"1\", \"2\", \"3\", expected one of: a", -1, 0, "a", NULL, NULL, 0},
    {"said: a hundred bytes", "{'iss':'" HUNDRED "'}", "iss is \"" HUNDRED "\", expected i", -1, 0, NULL, NULL, "i", 0},
    {"said: a byte more", "{'iss':'" HUNDRED "y'}", "iss is \"" HUNDRED "\"..., expected i", -1, 0, NULL, NULL, "i", 0},
    {"said: no half character", "{'iss':'y" NINETY "12345678\xc3\xa9'}", "iss is \"y" NINETY "12345678\"..., expected i", -1, 0, NULL, NULL, "i", 0},
    {"time is said first", "{'exp':1,'iss':'x','aud':'x'}", "it expired at 1970-01-01T00:00:01Z", -1, 0, "a", NULL, "i", 1},
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
    reason = la_validity_check(pool, claims, &terms, &expires);
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
                {"{'aud':[null]}", "aud is an empty list, expected one of: a"},
                {"{'aud':[null,1]}", "aud holds a number, expected strings"},
                {"{'aud':null}", "aud is missing, expected one of: a"}};
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
        reason = la_validity_check(pool, claims, &terms, &expires);
        assert_string_equal(reason ? reason : "", rows[i].reason ? rows[i].reason : "");
    }
    apr_pool_destroy(pool);
}

static void test_foreign(void **state)
{
    static const struct {
        const char *claims;
        const char *reason; /* empty: it is not */
    } rows[] = {{"{'iss':'i'}", ""},
                {"{'iss':'j'}", "iss is \"j\", expected i"},
                {"{'iss':''}", "iss is \"\", expected i"},
                {"{}", ""},
                {"{'iss':1}", ""},
                {"{'iss':['j']}", ""},
                {"{'iss':null}", ""},
                {"[1]", ""}};
    apr_pool_t *pool = new_pool();

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        const la_json_t *claims;
        const char *reason;

        assert_null(la_json_parse(pool, slice_of_text(unquote(pool, rows[i].claims)), &claims));
        reason = la_validity_foreign(pool, claims, "i");
        assert_string_equal(reason ? reason : "", rows[i].reason);
        assert_null(la_validity_foreign(pool, claims, NULL));
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
