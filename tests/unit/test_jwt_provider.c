/* provider/jwt.c: its options and its verdicts. Tokens are signed here, with keys made by OpenSSL,
 * and judged by the real core with the real keys of a file. For what hangs on a shared document
 * that is replaced, and with it the keys in force. How it fetches that document: test_discovery.c.
 * JSON is written with ' for ".
 */
#include "jwts.h"

/* ---- options ---- */

typedef struct option_case_t {
    const char *name;
    const char *error;   /* part of the message; NULL: accepted */
    const char *warning; /* part of the one line logged; NULL: none */
    const char *hint;    /* accepted: its end */
    const char *issuer;
    const char *lines[MAX_LINES];
} option_case_t;

#define GOOD_FILE "JwksFile good.json"

#define PLAIN "Bearer token in the Authorization header"
#define FROM  "provide a valid OAuth2 Bearer token from "
#define OPTION(name, error, warning, hint, issuer, ...)                                            \
    {                                                                                              \
        name, error, warning, hint, issuer,                                                        \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define GOOD(name, ...)            OPTION("good: " name, NULL, NULL, PLAIN, NULL, __VA_ARGS__)
#define NAMES(name, end, url, ...) OPTION("names: " name, NULL, NULL, FROM end, url, __VA_ARGS__)
#define WARNS(name, text, ...)     OPTION("warns: " name, NULL, text, PLAIN, NULL, __VA_ARGS__)
#define BAD(name, error, ...)      OPTION("bad: " name, error, NULL, NULL, NULL, __VA_ARGS__)

static option_case_t option_cases[] = {
    GOOD("a URI", URI_LINE, "JwksToken s3cret", "JwksRefresh 10m", "Leeway 0"),
    GOOD("algorithms", GOOD_FILE, "Algorithms ES256 EdDSA Ed25519 Ed448 RS256 HS512"),
    GOOD("plain http at home", "JwksUri http://127.0.0.1:8080/k"),
    NAMES("an issuer", ISS, ISS, "Issuer " ISS),
    NAMES("a plain http issuer at home", "http://[::1]", "http://[::1]", "Issuer http://[::1]"),
    NAMES("an issuer's URI", ISS, ISS, URI_LINE, "Issuer " ISS),
    NAMES("an issuer's file", "http://idp", "http://idp", GOOD_FILE, "Issuer http://idp"),
    NAMES("issuer and another iss", ISS, ISS, "Issuer " ISS, "ExpectIssuer urn:x"),
    NAMES("an iss", ISS, ISS, GOOD_FILE, "ExpectIssuer " ISS),
    NAMES("an iss that is no URL", "corp", NULL, GOOD_FILE, "ExpectIssuer corp"),
    WARNS("Audience none", "LA0071: provider idp: Audience is none", GOOD_FILE, "Audience NONE"),
    WARNS("plain http", "LA0006: provider idp: JwksUri is plain http", "JwksUri http://idp/k"),
    BAD("no source", "JwksUri, JwksFile or Issuer is missing", "ExpectIssuer " ISS),
    BAD("two sources", "two sources", GOOD_FILE, URI_LINE),
    BAD("a file without keys", "empty.json", "JwksFile empty.json"),
    BAD("an empty iss", "ExpectIssuer: may not be empty", GOOD_FILE, "ExpectIssuer "),
    BAD("algorithm none", "'none' is not a signature algorithm", GOOD_FILE,
        "Algorithms RS256 none"),
    GOOD("binding", GOOD_FILE, "Binding dpop", "DPoPNonce on"),
    GOOD("binding, one algorithm of many", GOOD_FILE, "Binding dpop", "Algorithms HS256 EdDSA"),
    BAD("binding with secrets alone", "cannot sign a proof", GOOD_FILE, "Binding dpop",
        "Algorithms HS256"),
    GOOD("certificates with secrets alone", URI_LINE, "Binding mtls", "Algorithms HS256"),
    BAD("no algorithm of any key", "good.json", GOOD_FILE, "Algorithms ES384"),
    BAD("audience none and another", "none stands alone", GOOD_FILE, "Audience a None"),
    BAD("token with a control character", "control", URI_LINE, "JwksToken s3\ncret"),
    BAD("token for a file", "no use with JwksFile", GOOD_FILE, "JwksToken s3cret"),
    BAD("refresh of a file", "no use with JwksFile", GOOD_FILE, "JwksRefresh 10m"),
};

static void test_option(void **state)
{
    const option_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    const char *error = make(pool, row->lines, &provider);

    if (row->error) {
        assert_non_null(error ? strstr(error, row->error) : NULL);
        assert_null(strstr(error, "cret"));
    } else {
        assert_null(error);
        assert_int_equal(log_lines, row->warning != NULL);
        assert_true(!row->warning || log_level == LA_LOG_WARNING);
        assert_non_null(strstr(logged, row->warning ? row->warning : ""));
        assert_non_null(strstr(provider->hint, row->hint));
        assert_string_equal(apr_pstrcat(pool, "", provider->issuer, NULL),
                            row->issuer ? row->issuer : "");
    }
    apr_pool_destroy(pool);
}

/* ---- the verdict, with the keys of a file ---- */

#define ROW(name, verdict, line, header, claims, who, attributes, key)                             \
    {                                                                                              \
        name, LA_VERDICT_##verdict, line, header, claims, who, attributes, key                     \
    }
#define YES(name, line, header, claims, key)                                                       \
    ROW("accepted: " name, ACCEPTED, line, header, "{" claims "}", "al", "{'roles':['al']}", key)
#define WHO(name, line, claims, who, attributes)                                                   \
    ROW("identity: " name, ACCEPTED, line, ED, "{" AUD EXP claims "}", who, attributes, &known)
#define NO(name, line, header, claims, why)                                                        \
    ROW("rejected: " name, REJECTED, line, header, "{" claims "}", why, NULL, &known)
#define NOT(name, line, claims)                                                                    \
    ROW("not mine: " name, NOT_MINE, line, ED, "{" claims "}", "iss", NULL, &stranger)
#define FORM(token, verdict) ROW("form: " token, verdict, NULL, token, NULL, "", NULL, NULL)

static verdict_case_t verdict_cases[] = {
    YES("EdDSA", NULL, ED, AUD EXP SUB, &known),
    YES("its new name", "Algorithms Ed25519", "{'alg':'Ed25519'}", AUD EXP SUB, &known),
    YES("HS256 where it is listed", "Algorithms HS256", HS, AUD EXP SUB, &secret),
    YES("an audience", "Audience a b", ED, "'aud':['c','b']," EXP SUB, &known),
    YES("no audience demanded", "Audience none", ED, EXP SUB, &known),
    YES("the iss", "Issuer " ISS, ED, AUD EXP SUB ",'iss':'" ISS "'", &known),
    YES("the typ", "RequireType at+jwt", TYP("'AT+JWT'"), AUD EXP SUB, &known),
    YES("within the leeway", NULL, ED, AUD SUB ",'exp':1999999941", &known),
    YES("without exp", "RequireExp off", ED, AUD SUB, &known),
    ROW("rejected: no HMAC", REJECTED, NULL, HS, "{" AUD EXP SUB "}", "", NULL, &secret),
    NO("no listed algorithm", "Algorithms RS256 HS256", ED, AUD EXP SUB,
       "alg is EdDSA, expected one of: RS256 HS256"),
    NO("crit", NULL, "{'alg':'EdDSA','kid':'ed','crit':['x'],'x':1}", AUD EXP SUB, ""),
    NO("a kid that the file does not have", NULL, "{'alg':'EdDSA','kid':'x'}", AUD EXP SUB,
       "its key is unknown: kid \"x\""),
    NO("no typ", "RequireType at+jwt", ED, AUD EXP SUB, "typ is missing, expected at+jwt"),
    NO("another typ", "RequireType at+jwt", TYP("'JWT'"), AUD EXP SUB,
       "typ is \"JWT\", expected at+jwt"),
    NO("no audience", NULL, ED, EXP SUB, "aud is missing, expected one of: "),
    NO("another audience", NULL, ED, "'aud':'x'," EXP SUB, "aud is \"x\", expected one of: "),
    NO("no iss where it is demanded", "ExpectIssuer b", ED, AUD EXP SUB,
       "iss is missing, expected b"),
    NO("an iss of a wrong type", "ExpectIssuer b", ED, AUD EXP SUB ",'iss':['b']", ""),
    NO("no exp", NULL, ED, AUD SUB, ""),
    NO("past exp", NULL, ED, AUD SUB ",'exp':1999999940", "it expired at 2033-05-18T03:32:20Z"),
    NO("past exp, no leeway", "Leeway 0", ED, AUD SUB ",'exp':2000000000",
       "it expired at 2033-05-18T03:33:20Z"),
    NO("before nbf", NULL, ED, AUD EXP SUB ",'nbf':2000000061",
       "it is not valid before 2033-05-18T03:34:21Z (nbf)"),
    NO("no principal", NULL, ED, AUD EXP "'groups':'a'", "no principal, expected one of: "),
    NO("a principal of a wrong type", NULL, ED, AUD EXP "'sub':[7],'username':'al'",
       "sub is a list, expected a string"),
    NO("a principal with a blank behind it", NULL, ED, AUD EXP "'sub':'al '", "blank"),
    NO("a principal with controls", NULL, ED, AUD EXP "'sub':'a\\nb'", "control"),
    ROW("rejected: forged", REJECTED, NULL, ED, "{" AUD EXP SUB "}", "", NULL, &stranger),
    FORM("opaque", NOT_MINE),
    FORM("a.b.c", NOT_MINE),
    FORM("eyJhIjoxfQ.e30.a.b.c", NOT_MINE),
    FORM("eyJhbGciOiJub25lIn0.e30.", REJECTED),
    NOT("another issuer's, whatever its signature", "Issuer " ISS, "'iss':'b'," AUD EXP SUB),
    NOT("another issuer's, expired", "ExpectIssuer " ISS, "'iss':'" ISS "/','exp':1"),
    WHO("every claim", NULL,
        SUB ",'username':'u v','groups':['g h',7],'team':'t','project':'p','tenant':'n',"
            "'namespace':'m n','scope':'a b','scp':['b','c']",
        "al",
        "{'roles':['al','u v'],'teams':['g h','7','t'],'projects':['p'],'namespaces':['n','m n'],"
        "'scopes':['a','b','c']}"),
    WHO("username", NULL, "'username':'u','client_id':'c'", "u", "{'roles':['u']}"),
    WHO("client_id", NULL, "'client_id':'c','x':null", "c", "{}"),
    WHO("PrincipalClaim", "PrincipalClaim x.y", "'sub':'s','x':{'y':'z'}", "z", "{'roles':['s']}"),
    WHO("Claim", "Claim r.x roles", SUB ",'r':{'x':['r']}", "al", "{'roles':['r']}"),
};

static void test_verdict(void **state)
{
    const verdict_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = started(pool, FILE_LINE, row->line);
    const char *token = row->claims ? sign(pool, *row->key, row->header, row->claims) : row->header;
    la_result_t result;

    verify(pool, provider, token, &result);
    expect(pool, &result, row);
    assert_true(result.epoch && result.epoch == la_jwt_type.epoch(provider, NOW));
    if (row->verdict == LA_VERDICT_ACCEPTED && strstr(row->claims, EXP)) {
        assert_true(result.expires == APR_TIME_C(2000000360) * APR_USEC_PER_SEC);
    }
    assert_int_equal(out.ensured + out.renewed, 0);
    apr_pool_destroy(pool);
}

/* ---- at a place with LlamaAuthResource ---- */

typedef struct resource_case_t {
    const char *name;
    const char *line;
    const char *aud;
    int here;      /* accepted at the resource */
    int elsewhere; /* accepted at a place without one */
} resource_case_t;

static resource_case_t resource_cases[] = {
    {"resource: itself", NULL, "'https://api/x'", 1, 0},
    {"resource: itself, written otherwise", NULL, "'HTTPS://API:443/x'", 1, 0},
    {"resource: itself, in a list", "Audience a", "['b','https://api/x']", 1, 0},
    {"resource: another one", NULL, "'https://api/X'", 0, 0},
    {"resource: the default audience does not count", NULL, "'llama-stack'", 0, 1},
    {"resource: Audience counts", "Audience a", "'a'", 1, 1},
    {"resource: Audience in place of the default", "Audience a", "'llama-stack'", 0, 0},
    {"resource: the default audience, written", "Audience llama-stack", "'llama-stack'", 1, 1},
    {"resource: Audience none does not count", "Audience none", "'b'", 0, 1},
    {"resource: Audience none, and itself", "Audience none", "'https://api/x'", 1, 1},
    {"resource: no audience", "Audience none", "[]", 0, 1},
};

static void test_resource(void **state)
{
    const resource_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = started(pool, FILE_LINE, row->line);
    const char *token =
        sign(pool, known, ED, apr_pstrcat(pool, "{'aud':", row->aud, "," EXP SUB "}", NULL));
    la_result_t result;

    resource = "https://api/x";
    verify(pool, provider, token, &result);
    assert_int_equal(result.verdict, row->here ? LA_VERDICT_ACCEPTED : LA_VERDICT_REJECTED);
    resource = NULL;
    verify(pool, provider, token, &result);
    assert_int_equal(result.verdict, row->elsewhere ? LA_VERDICT_ACCEPTED : LA_VERDICT_REJECTED);
    apr_pool_destroy(pool);
}

/* ---- tokens bound to a key ---- */

typedef struct bound_case_t {
    const char *name;
    const char *cnf;
    apr_uint32_t members; /* 0: bound to nothing */
} bound_case_t;

static bound_case_t bound_cases[] = {
    {"bound: to nothing", "", 0},
    {"bound: to a key", ",'cnf':{'jkt':'0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I'}}", 1},
    {"bound: to a certificate",
     ",'cnf':{'x5t#S256':'0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I'}}", 2},
    {"bound: to what we do not know", ",'cnf':{'kid':'a'}}", 4},
    {"bound: to null", ",'cnf':null}", 4},
};

static void test_bound(void **state)
{
    const bound_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = started(pool, FILE_LINE, NULL);
    const char *claims = apr_pstrcat(pool, "{" AUD EXP SUB, *row->cnf ? row->cnf : "}", NULL);
    const la_confirmation_t *confirmation;
    la_result_t result;

    verify(pool, provider, sign(pool, known, ED, claims), &result);
    assert_int_equal(result.verdict, LA_VERDICT_ACCEPTED);
    confirmation = la_identity_confirmation(result.identity);
    assert_int_equal(confirmation ? confirmation->members : 0, row->members);
    apr_pool_destroy(pool);
}

typedef struct proof_case_t {
    const char *name;
    const char *line;
    la_jwa_set_t algorithms;
} proof_case_t;

static proof_case_t proof_cases[] = {
    {"proof: by default", NULL, LA_JWA_DEFAULT},
    {"proof: Algorithms", "Algorithms EdDSA PS512", LA_JWA_OKP | LA_JWA_PS512},
    {"proof: none with a secret", "Algorithms HS256 EdDSA", LA_JWA_OKP},
    {"proof: with nothing else than secrets", "Algorithms HS256 HS512", 0},
};

static void test_proof_algorithms(void **state)
{
    const proof_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = started(pool, FILE_LINE, row->line);

    assert_int_equal(la_provider_proof_algorithms(provider), row->algorithms);
    assert_int_equal(provider->common.binding, LA_BINDING_CHECK);
    assert_int_equal(provider->common.dpop_nonce, 0);
    apr_pool_destroy(pool);
}

/* A type that reads no cnf: nothing that it says of one is looked at. */
static void test_types_without_binding(void **state)
{
    static const la_provider_type_t *const types_without[] = {&la_static_type, &la_github_type,
                                                              &la_kubernetes_type};
    const char *words[] = {"check"};
    apr_pool_t *pool = new_pool();

    (void)state;
    for (size_t i = 0; i < ROWS(types_without); i++) {
        la_provider_t *provider = la_provider_make(pool, "p", types_without[i]);

        assert_int_equal(provider->common.binding, LA_BINDING_IGNORE);
        assert_int_equal(la_provider_proof_algorithms(provider), LA_JWA_DEFAULT);
        assert_non_null(strstr(la_provider_set(provider, pool, "Binding", 1, words),
                               "Binding is not an option of a"));
        assert_non_null(strstr(la_provider_set(provider, pool, "DPoPNonce", 1, words),
                               "DPoPNonce is not an option of a"));
    }
    apr_pool_destroy(pool);
}

int main(void)
{
    apr_pool_t *pool;
    int failed;

    start();
    pool = new_pool();
    make_keys(pool);
    for (size_t i = 0; i < ROWS(option_cases); i++) {
        add(option_cases[i].name, test_option, &option_cases[i]);
    }
    for (size_t i = 0; i < ROWS(verdict_cases); i++) {
        add(verdict_cases[i].name, test_verdict, &verdict_cases[i]);
    }
    for (size_t i = 0; i < ROWS(resource_cases); i++) {
        add(resource_cases[i].name, test_resource, &resource_cases[i]);
    }
    for (size_t i = 0; i < ROWS(bound_cases); i++) {
        add(bound_cases[i].name, test_bound, &bound_cases[i]);
    }
    for (size_t i = 0; i < ROWS(proof_cases); i++) {
        add(proof_cases[i].name, test_proof_algorithms, &proof_cases[i]);
    }
    add("binding: types without", test_types_without_binding, NULL);
    failed = finish("jwt_provider");
    EVP_PKEY_free(known);
    EVP_PKEY_free(stranger);
    return failed;
}
