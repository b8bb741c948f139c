/* introspection.c: its verdicts. JSON is written with ' for ". */
#include "introspections.h"

typedef struct verdict_case_t {
    const char *name;
    la_verdict_e verdict;
    int status;
    const char *line; /* one more option */
    const char *body;
    const char *who;        /* accepted: the principal; else part of the reason */
    const char *more;       /* accepted: the attributes; unavailable: the message */
    apr_time_t expires_sec; /* accepted; 0: never */
} verdict_case_t;

#define EXP           2000000300
#define EXP_TEXT      "'exp':2000000300"
#define ACTIVE(rest)  "{'active':true" rest "}"
#define SUB           ",'sub':'al'"
#define AL            "{'roles':['al']}"
#define INTROSPECTION "Token introspection error"

#define YES(name, line, rest, expires)                                                             \
    {                                                                                              \
        "accepted: " name, LA_VERDICT_ACCEPTED, 200, line, ACTIVE(SUB rest), "al", AL, expires     \
    }
#define WHO(name, line, rest, who, attributes)                                                     \
    {                                                                                              \
        "identity: " name, LA_VERDICT_ACCEPTED, 200, line, ACTIVE(rest), who, attributes, 0        \
    }
#define NO(name, line, status, body, why)                                                          \
    {                                                                                              \
        "rejected: " name, LA_VERDICT_REJECTED, status, line, body, why, NULL, 0                   \
    }
#define NOT(name, line, rest, why) NO(name, line, 200, ACTIVE(SUB rest), why)
#define BAD_BODY(name, body, why)                                                                  \
    {                                                                                              \
        "malformed: " name, LA_VERDICT_UNAVAILABLE, 200, NULL, body, why, INTROSPECTION, 0         \
    }
/* An active token of a caller who cannot be used. */
#define UNUSABLE(name, rest, why)                                                                  \
    {                                                                                              \
        "unusable: " name, LA_VERDICT_REJECTED, 200, NULL, ACTIVE(rest), why, INTROSPECTION, 0     \
    }
#define STATUS(number, body, why)                                                                  \
    {                                                                                              \
        "status: " #number " " body, LA_VERDICT_UNAVAILABLE, number, NULL, body, why,              \
            "Token introspection failed: " #number, 0                                              \
    }

static verdict_case_t verdict_cases[] = {
    YES("no end", NULL, "", 0),
    YES("an end", NULL, "," EXP_TEXT, EXP),
    YES("an end, with leeway", "Leeway 10s", "," EXP_TEXT, EXP + 10),
    YES("past its end, within the leeway", "Leeway 10s", ",'exp':1999999991", 2000000001),
    YES("begun", NULL, ",'nbf':2000000000", 0),
    YES("begins within the leeway", "Leeway 10s", ",'nbf':2000000010", 0),
    YES("an end that is no whole number", NULL, ",'exp':2000000300.0", EXP),
    YES("nobody asks for the audience", NULL, ",'aud':'else'", 0),
    YES("the audience", "Audience a b", ",'aud':'b'", 0),
    YES("one of its audiences", "Audience a b", ",'aud':['x','a']", 0),
    YES("the issuer", "ExpectIssuer i", ",'iss':'i'", 0),
    YES("the issuer where it was found", "Issuer " ISS, ",'iss':'" ISS "'", 0),
    YES("no issuer, where it was found", BY, "", 0),
    YES("null claims are absent", BY, ",'exp':null,'nbf':null,'iss':null,'aud':null,'iat':null", 0),
    YES("a bearer token", NULL, ",'token_type':'Bearer','token_use':'access','typ':'at+jwt'", 0),
    YES("Keycloak's access token", NULL, ",'typ':'Bearer'", 0),
    YES("kinds that are no strings", NULL, ",'token_type':7,'token_use':['id'],'typ':null", 0),
    YES("a long kind", NULL, ",'token_type':'refreshrefreshrefreshrefresh'", 0),
    YES("nobody asks for the issuer", NULL, ",'iss':'else'", 0),
    WHO("sub first", NULL, ",'client_id':'c','username':'u','sub':'s'", "s", "{'roles':['s','u']}"),
    WHO("username", NULL, ",'username':'u v','client_id':'c'", "u v", "{'roles':['u v']}"),
    WHO("sub 7", NULL, ",'sub':7,'username':'al'", "7", "{'roles':['7','al']}"),
    WHO("sub null", NULL, ",'sub':null,'username':'al'", "al", AL),
    WHO("client_id", NULL, ",'client_id':'c','token_type':'Bearer'", "c", "{}"),
    WHO("every claim", NULL,
        ",'sub':'al','username':'u','groups':['g h',7,true,null,{}],'team':'t','project':'p',"
        "'tenant':'n','namespace':'m n','scope':'a b','scp':['b','c']",
        "al",
        "{'roles':['al','u'],'teams':['g h','7','true','t'],'projects':['p'],'namespaces':['n',"
        "'m n'],'scopes':['a','b','c']}"),
    WHO("PrincipalClaim", "PrincipalClaim x.y", ",'sub':'s','x':{'y':'z'}", "z", "{'roles':['s']}"),
    WHO("Claim", "Claim r.x roles", ",'sub':'s','r':{'x':['r']}", "s", "{'roles':['r']}"),
    NO("active false", NULL, 200, "{'active':false}", "active is "),
    NO("active false for a caller", NULL, 200, "{'active':false,'sub':'al'}", "active is "),
    NO("active 'true'", NULL, 200, "{'active':'true','sub':'al'}", "active is "),
    NO("active 'false'", NULL, 200, "{'active':'false','sub':'al'}", "active is "),
    NO("active 1", NULL, 200, "{'active':1,'sub':'al'}", "active is "),
    NO("active null", NULL, 200, "{'active':null,'sub':'al'}", "active is "),
    NO("active [true]", NULL, 200, "{'active':[true],'sub':'al'}", "active is "),
    NO("active {}", NULL, 200, "{'active':{},'sub':'al'}", "active is "),
    NO("no active", NULL, 200, "{'sub':'al'}", "active is "),
    NO("Active", NULL, 200, "{'Active':true,'sub':'al'}", "active is "),
    NO("active inside", NULL, 200, "{'x':{'active':true},'sub':'al'}", "active is "),
    NO("an empty object", NULL, 200, "{}", "active is "),
    NOT("expired", NULL, ",'exp':2000000000", "expired"),
    NOT("expired, with leeway", "Leeway 10s", ",'exp':1999999990", "expired"),
    NOT("exp 0", NULL, ",'exp':0", "expired"),
    NOT("exp -1e300", NULL, ",'exp':-1e300", "expired"),
    NOT("exp a string", NULL, ",'exp':'2000000300'", "exp is a string, expected a finite number"),
    NOT("exp true", NULL, ",'exp':true", "exp is a boolean"),
    NOT("exp 1e999", NULL, ",'exp':1e999", "exp"),
    NOT("not begun", NULL, ",'nbf':2000000001", "nbf"),
    NOT("not begun, with leeway", "Leeway 10s", ",'nbf':2000000011", "nbf"),
    NOT("nbf a string", NULL, ",'nbf':'0'", "nbf is a string"),
    NOT("no audience", "Audience a", "", "aud is missing"),
    NOT("another audience", "Audience a", ",'aud':'A'", "aud is \"A\", expected one of: a"),
    NOT("other audiences", "Audience a", ",'aud':['b','aa']",
        "aud is \"b\", \"aa\", expected one of: a"),
    NOT("no audiences", "Audience a", ",'aud':[]", "aud is an empty list, expected one of: a"),
    NOT("aud an object", "Audience a", ",'aud':{'a':'a'}", "aud is an object"),
    NOT("aud null", "Audience a", ",'aud':null", "aud is missing"),
    NOT("aud with a number", NULL, ",'aud':['a',7]", "aud holds a number"),
    NOT("no issuer", "ExpectIssuer i", "", "iss is missing"),
    NOT("a null issuer", "ExpectIssuer i", ",'iss':null", "iss is missing"),
    NOT("another issuer", "ExpectIssuer i", ",'iss':'I'", "iss is \"I\", expected i"),
    NOT("not the issuer where it was found", BY, ",'iss':'" ISS "/'",
        "iss is \"" ISS "/\", expected " ISS),
    NOT("iss a list", "ExpectIssuer i", ",'iss':['i']", "iss is a list, expected a string"),
    NOT("iss 7", NULL, ",'iss':7", "iss is a number"),
    NOT("token_use refresh", NULL, ",'token_use':'refresh'", ", expected an access token"),
    NOT("token_use refresh_token", NULL, ",'token_use':'refresh_token'",
        ", expected an access token"),
    NOT("token_use id", NULL, ",'token_use':'id'", ", expected an access token"),
    NOT("token_type refresh_token", NULL, ",'token_type':'refresh_token'",
        ", expected an access token"),
    NOT("token_type id_token", NULL, ",'token_type':'ID_Token'", ", expected an access token"),
    NOT("token_type, a URN", NULL, ",'token_type':'urn:ietf:params:oauth:token-type:id_token'",
        ", expected an access token"),
    NOT("typ Refresh", NULL, ",'typ':'Refresh','token_type':'Bearer'",
        ", expected an access token"),
    NOT("typ Offline", NULL, ",'typ':'Offline'", ", expected an access token"),
    NOT("typ ID", NULL, ",'typ':'ID'", ", expected an access token"),
    NO("400 for the type of token", NULL, 400, "{'error':'unsupported_token_type'}",
       "answered 400: unsupported_token_type"),
    BAD_BODY("nothing", "", "not JSON"),
    BAD_BODY("HTML", "<html>", "not JSON"),
    BAD_BODY("a form", "active=true&sub=al", "not JSON"),
    BAD_BODY("more after it", ACTIVE(SUB) "x", "not JSON"),
    BAD_BODY("invalid UTF-8", ACTIVE(",'sub':'\xc3\x28'"), "not JSON"),
    BAD_BODY("active twice", "{'active':false,'active':true,'sub':'al'}", "not JSON"),
    BAD_BODY("null", "null", "the answer is null, expected an object"),
    BAD_BODY("true", "true", "the answer is a boolean"),
    BAD_BODY("a list", "[" ACTIVE(SUB) "]", "the answer is a list"),
    UNUSABLE("no principal", ",'scope':'a'",
             "no principal, expected one of: sub username client_id"),
    UNUSABLE("all null", ",'sub':null,'username':null",
             "no principal, expected one of: sub username client_id"),
    UNUSABLE("sub a list", ",'sub':['al']", ", expected a string"),
    UNUSABLE("sub true", ",'sub':true", ", expected a string"),
    UNUSABLE("sub empty", ",'sub':'','username':'al'", "empty"),
    UNUSABLE("sub with a blank behind it", ",'sub':'al '", "blank"),
    UNUSABLE("sub with a line break", ",'sub':'a\\r\\nb'", "control"),
    UNUSABLE("sub with a NUL", ",'sub':'a\\u0000b'", "control"),
    STATUS(201, ACTIVE(SUB), "answered 201"),
    STATUS(204, "", "answered 204"),
    STATUS(302, "", "answered 302"),
    STATUS(400, "", "answered 400"),
    STATUS(400, "{'error':'invalid_request'}", "answered 400"),
    STATUS(400, "{'error':['unsupported_token_type']}", "answered 400"),
    STATUS(400, "{'error':'unsupported_token_type\\u0000'}", "answered 400"),
    STATUS(400, "{'error':'Unsupported_token_type'}", "answered 400"),
    STATUS(400, "{'error':'unsupported_token_types'}", "answered 400"),
    STATUS(400, "['unsupported_token_type']", "answered 400"),
    STATUS(401, "{'error':'unsupported_token_type'}", "our own credentials: ClientId"),
    STATUS(401, "{'error':'invalid_client'}", "401 to our own credentials: ClientId"),
    STATUS(403, "{'active':false}", "403 to our own credentials: ClientId"),
    STATUS(404, "{'active':false}", "answered 404"),
    STATUS(408, "", "answered 408"),
    STATUS(429, "", "answered 429"),
    STATUS(500, ACTIVE(SUB), "answered 500"),
    STATUS(503, "{'error':'unsupported_token_type'}", "answered 503"),
    STATUS(599, "", "answered 599"),
};

static void expect(apr_pool_t *pool, const la_result_t *result, const verdict_case_t *row)
{
    assert_int_equal(result->verdict, row->verdict);
    assert_int_equal(result->timed_out, 0);
    assert_int_equal(result->unusable, row->verdict == LA_VERDICT_REJECTED && row->more);
    assert_int_equal(result->status, row->status);
    assert_int_equal(result->cause, row->status == 429 || row->status >= 500 ? LA_CAUSE_PROVIDER
                                                                             : LA_CAUSE_ANSWER);
    assert_int_equal(result->max_age_known, 0);
    if (row->verdict == LA_VERDICT_ACCEPTED) {
        assert_string_equal(la_identity_principal(result->identity).data, row->who);
        assert_string_equal(la_identity_attributes_json(result->identity).data,
                            json(pool, row->more));
        assert_true(result->expires == apr_time_from_sec(row->expires_sec));
        return;
    }
    assert_null(result->identity);
    assert_string_equal(result->message, row->more ? row->more : "Token not active");
    assert_non_null(strstr(result->reason, row->who));
    assert_null(strstr(result->reason, "t0ken"));
    assert_null(strstr(result->reason, "s3cret"));
}

static void test_verdict(void **state)
{
    const verdict_case_t *row = *state;
    const char *lines[MAX_LINES] = {AT, ID, SECRET, row->line};
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = started(pool, lines);
    la_result_t result;

    out.answer = (la_http_response_t){.outcome = LA_HTTP_ANSWERED,
                                      .status = row->status,
                                      .body = slice_of_text(json(pool, row->body))};
    verify(pool, provider, "t0ken", &result);
    expect(pool, &result, row);
    assert_int_equal(out.calls, 1);
    apr_pool_destroy(pool);
}

typedef struct failure_case_t {
    const char *name;
    la_http_e outcome;
    const char *message;
} failure_case_t;

static failure_case_t failure_cases[] = {
    {"failure: timeout", LA_HTTP_TIMEOUT, "Authentication service timeout"},
    {"failure: any other", LA_HTTP_FAILED, "Authentication service error"},
};

static void test_failure(void **state)
{
    static const char *const lines[MAX_LINES] = {AT, NONE};
    const failure_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = started(pool, lines);
    la_result_t result;

    out.answer = (la_http_response_t){.outcome = row->outcome, .reason = "connection refused"};
    verify(pool, provider, "t", &result);
    assert_int_equal(result.verdict, LA_VERDICT_UNAVAILABLE);
    assert_int_equal(result.timed_out, row->outcome == LA_HTTP_TIMEOUT);
    assert_string_equal(result.message, row->message);
    assert_string_equal(strstr(result.reason, ": "), ": connection refused");
    assert_int_equal(strncmp(result.reason, "https://", 8), 0);
    apr_pool_destroy(pool);
}

typedef struct resource_case_t {
    const char *name;
    const char *line;
    const char *aud;
    int here;      /* accepted at a place with LlamaAuthResource */
    int elsewhere; /* accepted at one without */
} resource_case_t;

static resource_case_t resource_cases[] = {
    {"resource: itself", NONE, ",'aud':['x','https://API/']", 1, 1},
    {"resource: another one", NONE, ",'aud':'https://api/x'", 0, 1},
    {"resource: no audience", NONE, "", 0, 1},
    {"resource: an audience that is null", NONE, ",'aud':null", 0, 1},
    {"resource: Audience counts", "Audience a", ",'aud':'a'", 1, 1},
    {"resource: itself beside Audience", "Audience a", ",'aud':'https://api'", 1, 0},
};

static void test_resource(void **state)
{
    const resource_case_t *row = *state;
    const char *const lines[MAX_LINES] = {AT, NONE, strcmp(row->line, NONE) ? row->line : NULL};
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = started(pool, lines);
    const char *body = apr_pstrcat(pool, "{'active':true,'sub':'al'", row->aud, "}", NULL);
    la_result_t result;

    out.answer = (la_http_response_t){
        .outcome = LA_HTTP_ANSWERED, .status = 200, .body = slice_of_text(json(pool, body))};
    resource = "https://api";
    verify(pool, provider, "t", &result);
    assert_int_equal(result.verdict, row->here ? LA_VERDICT_ACCEPTED : LA_VERDICT_REJECTED);
    resource = NULL;
    verify(pool, provider, "t", &result);
    assert_int_equal(result.verdict, row->elsewhere ? LA_VERDICT_ACCEPTED : LA_VERDICT_REJECTED);
    apr_pool_destroy(pool);
}

static void test_identity_too_large(void **state)
{
    static const char *const lines[MAX_LINES] = {AT, NONE};
    apr_size_t len = LA_IDENTITY_MAX_BYTES;
    apr_pool_t *pool = new_pool();
    char *name = memset(apr_pcalloc(pool, len + 1), 'x', len);
    la_provider_t *provider = started(pool, lines);
    la_result_t result;

    (void)state;
    out.answer = (la_http_response_t){
        .outcome = LA_HTTP_ANSWERED,
        .status = 200,
        .body = slice_of_text(apr_pstrcat(pool, "{\"active\":true,\"sub\":\"", name, "\"}", NULL))};
    verify(pool, provider, "t", &result);
    assert_int_equal(result.verdict, LA_VERDICT_REJECTED);
    assert_int_equal(result.unusable, 1);
    assert_string_equal(result.message, INTROSPECTION);
    apr_pool_destroy(pool);
}

typedef struct bound_case_t {
    const char *name;
    const char *members; /* of the answer */
    apr_uint32_t bits;   /* 0: bound to nothing */
} bound_case_t;

#define HASH "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

static bound_case_t bound_cases[] = {
    {"bound: to nothing", "", 0},
    {"bound: to a key", ",'token_type':'DPoP','cnf':{'jkt':'" HASH "'}", 1},
    {"bound: to a certificate", ",'cnf':{'x5t#S256':'" HASH "'}", 2},
    {"bound: to both", ",'cnf':{'x5t#S256':'" HASH "','jkt':'" HASH "'}", 3},
    {"bound: to what we do not know", ",'cnf':{'kid':'a'}", 4},
    {"bound: null is absent", ",'cnf':null", 0},
    {"bound: to nothing, a bearer token", ",'token_type':'Bearer'", 0},
};

/* A token for DPoP whose key is not told. */
static void test_untold(void **state)
{
    static const char *const ignoring[MAX_LINES] = {AT, NONE, "Binding ignore"};
    static const char *const checking[MAX_LINES] = {AT, NONE};
    static const char *const types[] = {"DPoP'", "dpop'", "DPoP','cnf':null"};
    apr_pool_t *pool = new_pool();
    la_result_t result;

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        la_provider_t *provider = started(pool, i % 2 ? ignoring : checking);
        const char *body =
            apr_pstrcat(pool, "{'active':true,'sub':'al','token_type':'", types[i / 2], "}", NULL);

        out.answer = (la_http_response_t){
            .outcome = LA_HTTP_ANSWERED, .status = 200, .body = slice_of_text(json(pool, body))};
        verify(pool, provider, "t", &result);
        assert_int_equal(result.verdict, i % 2 ? LA_VERDICT_ACCEPTED : LA_VERDICT_REJECTED);
    }
    apr_pool_destroy(pool);
}

static void test_bound(void **state)
{
    static const char *const lines[MAX_LINES] = {AT, NONE};
    const bound_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = started(pool, lines);
    const char *body = apr_pstrcat(pool, "{'active':true,'sub':'al'", row->members, "}", NULL);
    const la_confirmation_t *confirmation;
    la_result_t result;

    out.answer = (la_http_response_t){
        .outcome = LA_HTTP_ANSWERED, .status = 200, .body = slice_of_text(json(pool, body))};
    verify(pool, provider, "t", &result);
    assert_int_equal(result.verdict, LA_VERDICT_ACCEPTED);
    confirmation = la_identity_confirmation(result.identity);
    assert_int_equal(confirmation ? confirmation->members : 0, row->bits);
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(verdict_cases); i++) {
        add(verdict_cases[i].name, test_verdict, &verdict_cases[i]);
    }
    for (size_t i = 0; i < ROWS(failure_cases); i++) {
        add(failure_cases[i].name, test_failure, &failure_cases[i]);
    }
    for (size_t i = 0; i < ROWS(resource_cases); i++) {
        add(resource_cases[i].name, test_resource, &resource_cases[i]);
    }
    for (size_t i = 0; i < ROWS(bound_cases); i++) {
        add(bound_cases[i].name, test_bound, &bound_cases[i]);
    }
    add("bound: to a key that is not told", test_untold, NULL);
    add("identity: too large", test_identity_too_large, NULL);
    return finish("introspection_verdict");
}
