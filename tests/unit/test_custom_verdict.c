/* custom.c: the verdict on what comes back. */
#include "customs.h"

/* ---- the verdict ---- */

typedef struct verdict_case_t {
    const char *name;
    const char *line; /* an option line, or NULL */
    int status;
    const char *body;
    la_verdict_e verdict;
    const char *message;    /* unless accepted; or the provider's to the caller, if any */
    const char *principal;  /* accepted */
    const char *attributes; /* accepted */
} verdict_case_t;

#define OK(name, body, principal, attributes)                                                      \
    {                                                                                              \
        "accepted: " name, NULL, 200, body, LA_VERDICT_ACCEPTED, "", principal, attributes         \
    }
#define BAD(body)                                                                                  \
    {                                                                                              \
        "malformed: " body, NULL, 200, body, LA_VERDICT_UNAVAILABLE,                               \
            "Invalid authentication response format", NULL, NULL                                   \
    }
/* An answer that says who the caller is, but not in a way that can be used. */
#define UNUSABLE(body)                                                                             \
    {                                                                                              \
        "unusable: " body, NULL, 200, body, LA_VERDICT_REJECTED,                                   \
            "Invalid authentication response format", NULL, NULL                                   \
    }
#define MAPPED(name, line, body, principal, attributes)                                            \
    {                                                                                              \
        "mapped: " name, line, 200, body, LA_VERDICT_ACCEPTED, "", principal, attributes           \
    }
#define REFUSED(status)                                                                            \
    {                                                                                              \
        "status: " #status, NULL, status, "{\"principal\":\"alice\"}", LA_VERDICT_REJECTED,        \
            "Authentication failed: " #status, NULL, NULL                                          \
    }
#define OUTAGE(status)                                                                             \
    {                                                                                              \
        "status: " #status, NULL, status, "{\"principal\":\"alice\"}", LA_VERDICT_UNAVAILABLE,     \
            "Authentication failed: " #status, NULL, NULL                                          \
    }

static verdict_case_t verdict_cases[] = {
    OK("the specification's",
       "{\"principal\": \"alice\", \"attributes\": {\"roles\": [\"admin\"], "
       "\"scopes\": [\"telemetry.read\"]}}",
       "alice", "{\"roles\":[\"admin\"],\"scopes\":[\"telemetry.read\"]}"),
    OK("nothing said", "{}", "", "{}"),
    OK("unknown members", "{\"x\":[1,{\"y\":null}]}", "", "{}"),
    OK("access_attributes", "{\"principal\":\"a\",\"access_attributes\":{\"teams\":[\"x\"]}}", "a",
       "{\"teams\":[\"x\"]}"),
    OK("attributes go before access_attributes",
       "{\"access_attributes\":{\"a\":[\"1\"]},\"attributes\":{\"b\":[\"2\"]}}", "",
       "{\"b\":[\"2\"]}"),
    OK("null attributes leave access_attributes",
       "{\"attributes\":null,\"access_attributes\":{\"a\":[\"1\"]}}", "", "{\"a\":[\"1\"]}"),
    OK("null attributes", "{\"attributes\":null,\"access_attributes\":null}", "", "{}"),
    OK("one string is one value", "{\"attributes\":{\"scopes\":\"a b\"}}", "",
       "{\"scopes\":[\"a b\"]}"),
    OK("an empty list", "{\"attributes\":{\"roles\":[]}}", "", "{\"roles\":[]}"),
    OK("a null expires_in", "{\"expires_in\":null}", "", "{}"),
    OK("a null message", "{\"message\":null}", "", "{}"),
    OK("expires_in", "{\"expires_in\":1.5e2}", "", "{}"),
    OK("a category named principal is none", "{\"attributes\":{\"principal\":[\"root\"]}}", "",
       "{\"principal\":[\"root\"]}"),
    {"accepted: with a message", NULL, 200, "{\"message\":\"Hi\\nthere\"}", LA_VERDICT_ACCEPTED,
     "Hi there", "", "{}"},
    BAD(""),
    BAD("alice"),
    BAD("{\"principal\":\"alice\""),
    BAD("{\"principal\":\"alice\"}}"),
    BAD("{'principal':'alice'}"),
    BAD("{\"principal\":\"alice\",\"principal\":\"root\"}"),
    BAD("[]"),
    BAD("null"),
    BAD("\"alice\""),
    OK("a number is a principal", "{\"principal\":7}", "7", "{}"),
    OK("a null principal", "{\"principal\":null}", "", "{}"),
    OK("a null category", "{\"attributes\":{\"roles\":null}}", "", "{}"),
    OK("null values", "{\"attributes\":{\"roles\":[null,\"a\"]}}", "", "{\"roles\":[\"a\"]}"),
    OK("numbers and booleans", "{\"attributes\":{\"level\":7,\"x\":[\"a\",1.5,true]}}", "",
       "{\"level\":[\"7\"],\"x\":[\"a\",\"1.5\",\"true\"]}"),
    OK("a message that is no string", "{\"message\":7}", "", "{}"),
    OK("a message that is a list", "{\"message\":[]}", "", "{}"),
    UNUSABLE("{\"principal\":[\"alice\"]}"),
    UNUSABLE("{\"principal\":true}"),
    UNUSABLE("{\"principal\":\"\"}"),
    UNUSABLE("{\"principal\":\" a\"}"),
    UNUSABLE("{\"principal\":\"a\\nb\"}"),
    UNUSABLE("{\"principal\":\"a\\u0000\"}"),
    UNUSABLE("{\"attributes\":[]}"),
    UNUSABLE("{\"attributes\":\"admin\"}"),
    UNUSABLE("{\"attributes\":false}"),
    UNUSABLE("{\"access_attributes\":[]}"),
    UNUSABLE("{\"attributes\":{\"roles\":{}}}"),
    UNUSABLE("{\"attributes\":{\"roles\":[[\"a\"]]}}"),
    UNUSABLE("{\"attributes\":{\"\":[\"a\"]}}"),
    UNUSABLE("{\"expires_in\":\"60\"}"),
    UNUSABLE("{\"expires_in\":true}"),
    UNUSABLE("{\"expires_in\":1e999}"),
    MAPPED("Claim takes the named ones only", "Claim groups teams",
           "{\"principal\":\"a\",\"groups\":\"x y\",\"attributes\":{\"roles\":[\"r\"]}}", "a",
           "{\"teams\":[\"x y\"]}"),
    MAPPED("Claim split", "Claim groups teams split", "{\"groups\":\"x y\"}", "",
           "{\"teams\":[\"x\",\"y\"]}"),
    MAPPED("Claim keys", "Claim r roles KEYS", "{\"r\":{\"x\":{},\"y\":1}}", "",
           "{\"roles\":[\"x\",\"y\"]}"),
    MAPPED("Claim, from the attributes too", "Claim roles roles",
           "{\"attributes\":{\"roles\":[\"r\",7]}}", "", "{\"roles\":[\"r\",\"7\"]}"),
    MAPPED("Claim, a path", "Claim realm_access.roles roles",
           "{\"realm_access\":{\"roles\":[\"r\"]}}", "", "{\"roles\":[\"r\"]}"),
    MAPPED("Claim, the answer before the attributes", "Claim x y",
           "{\"attributes\":{\"x\":\"inner\"},\"x\":\"outer\"}", "", "{\"y\":[\"outer\"]}"),
    MAPPED("PrincipalClaim, the first present", "PrincipalClaim sub user",
           "{\"user\":\"u\",\"principal\":7}", "u", "{}"),
    MAPPED("PrincipalClaim, in the attributes", "PrincipalClaim sub",
           "{\"attributes\":{\"sub\":\"s\"}}", "s", "{\"sub\":[\"s\"]}"),
    MAPPED("PrincipalClaim, none present", "PrincipalClaim sub", "{\"principal\":\"alice\"}", "",
           "{}"),
    {"mapped: PrincipalClaim, present but no string", "PrincipalClaim sub user", 200,
     "{\"sub\":[7],\"user\":\"u\"}", LA_VERDICT_REJECTED, "Invalid authentication response format",
     NULL, NULL},
    {"mapped: Claim, attributes of a wrong type", "Claim a b", 200, "{\"attributes\":[]}",
     LA_VERDICT_REJECTED, "Invalid authentication response format", NULL, NULL},
    REFUSED(400),
    REFUSED(401),
    REFUSED(403),
    REFUSED(404),
    REFUSED(418),
    REFUSED(499),
    OUTAGE(408),
    OUTAGE(425),
    OUTAGE(429),
    OUTAGE(201),
    OUTAGE(204),
    OUTAGE(206),
    OUTAGE(302),
    OUTAGE(399),
    OUTAGE(500),
    OUTAGE(503),
    OUTAGE(599),
};

static void expect_identity(const la_identity_t *identity, const verdict_case_t *row)
{
    assert_non_null(identity);
    assert_string_equal(la_identity_principal(identity).data, row->principal);
    assert_string_equal(la_identity_attributes_json(identity).data, row->attributes);
    assert_string_equal(la_identity_message(identity).data, row->message);
}

static void test_verdict(void **state)
{
    const verdict_case_t *row = *state;
    const char *lines[MAX_LINES] = {ENDPOINT, row->line};
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    la_result_t result;

    answer = (la_http_response_t){.outcome = LA_HTTP_ANSWERED,
                                  .status = row->status,
                                  .body = slice_of_text(row->body),
                                  .headers = apr_table_make(pool, 1)};
    assert_null(make(pool, lines, &provider));
    verify(pool, provider, "/", NULL, "", &result);
    assert_int_equal(result.verdict, row->verdict);
    assert_int_equal(result.timed_out, 0);
    assert_int_equal(result.status, row->status);
    assert_int_equal(result.unusable, row->status == 200 && row->verdict == LA_VERDICT_REJECTED);
    assert_int_equal(result.cause, row->status == 429 || row->status >= 500 ? LA_CAUSE_PROVIDER
                                                                            : LA_CAUSE_ANSWER);
    if (row->verdict == LA_VERDICT_ACCEPTED) {
        expect_identity(result.identity, row);
    } else {
        assert_null(result.identity);
        assert_string_equal(result.message, row->message);
        assert_non_null(result.reason);
    }
    apr_pool_destroy(pool);
}

/* ---- what the log is told ---- */

typedef struct reason_case_t {
    const char *name;
    int status;
    const char *type; /* Content-Type, or NULL */
    const char *body;
    const char *reason; /* behind the URL; json.c goes on where it ends with a blank */
} reason_case_t;

static reason_case_t reason_cases[] = {
    {"reason: a page", 200, "text/html", "<html>", ": the answer (\"text/html\") is not JSON: "},
    {"reason: no type", 200, NULL, "", ": the answer (no Content-Type) is not JSON: "},
    {"reason: a list", 200, "application/json", "[]", ": the answer is a list, expected an object"},
    {"reason: a principal", 200, NULL, "{\"principal\":[]}",
     ": in the answer principal is a list, expected a string or a 64-bit number"},
    {"reason: an empty principal", 200, NULL, "{\"principal\":\"\"}",
     ": in the answer principal: the principal is empty"},
    {"reason: attributes", 200, NULL, "{\"attributes\":7}",
     ": in the answer attributes is a number, expected an object"},
    {"reason: an attribute", 200, NULL, "{\"attributes\":{\"a\":[{}]}}",
     ": in the answer the attribute \"a\" holds an object, expected strings, numbers and booleans"},
    {"reason: expires_in", 200, NULL, "{\"expires_in\":\"1\"}",
     ": in the answer expires_in is a string, expected a number"},
    {"reason: a refusal", 403, NULL, "", " answered 403"},
    {"reason: no words of the endpoint", 401, NULL, "{\"message\":\"x\",\"error\":\"e\"}",
     " answered 401"},
};

static void test_reason(void **state)
{
    static const char *const lines[MAX_LINES] = {"Endpoint https://auth.example.com/v?key=s3cret"};
    const reason_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    const char *reason;
    la_result_t result;

    answer = (la_http_response_t){.outcome = LA_HTTP_ANSWERED,
                                  .status = row->status,
                                  .content_type = row->type,
                                  .body = slice_of_text(row->body)};
    assert_null(make(pool, lines, &provider));
    verify(pool, provider, "/", NULL, "", &result);
    reason = apr_pstrcat(pool, "https://auth.example.com/v", row->reason, NULL);
    if (reason[strlen(reason) - 1] == ' ') {
        assert_int_equal(strncmp(result.reason, reason, strlen(reason)), 0);
    } else {
        assert_string_equal(result.reason, reason);
    }
    apr_pool_destroy(pool);
}

typedef struct failure_case_t {
    const char *name;
    la_http_e outcome;
    const char *message;
    int status; /* of an answer that was too large */
    la_cause_e cause;
} failure_case_t;

static failure_case_t failure_cases[] = {
    {"failure: timeout", LA_HTTP_TIMEOUT, "Authentication service timeout", 0, LA_CAUSE_PROVIDER},
    {"failure: any other", LA_HTTP_FAILED, "Authentication service error", 0, LA_CAUSE_PROVIDER},
    {"failure: too large", LA_HTTP_FAILED, "Authentication service error", 200, LA_CAUSE_ANSWER},
    {"failure: too large an error", LA_HTTP_FAILED, "Authentication service error", 500,
     LA_CAUSE_PROVIDER},
};

static void test_failure(void **state)
{
    static const char *const lines[MAX_LINES] = {ENDPOINT};
    const failure_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    la_result_t result;

    answer = (la_http_response_t){
        .outcome = row->outcome, .reason = "connection refused", .status = row->status};
    assert_null(make(pool, lines, &provider));
    verify(pool, provider, "/", NULL, "", &result);
    assert_int_equal(result.verdict, LA_VERDICT_UNAVAILABLE);
    assert_int_equal(result.timed_out, row->outcome == LA_HTTP_TIMEOUT);
    assert_string_equal(result.message, row->message);
    assert_string_equal(strstr(result.reason, ": "), ": connection refused");
    assert_int_equal(strncmp(result.reason, "https://", 8), 0);
    assert_int_equal(result.cause, row->cause);
    apr_pool_destroy(pool);
}

static void test_identity_too_large(void **state)
{
    static const char *const lines[MAX_LINES] = {ENDPOINT};
    apr_size_t len = LA_IDENTITY_MAX_BYTES;
    apr_pool_t *pool = new_pool();
    char *name = memset(apr_pcalloc(pool, len + 1), 'x', len);
    la_provider_t *provider;
    la_result_t result;

    (void)state;
    answer = (la_http_response_t){
        .outcome = LA_HTTP_ANSWERED,
        .status = 200,
        .body = slice_of_text(apr_pstrcat(pool, "{\"principal\":\"", name, "\"}", NULL))};
    assert_null(make(pool, lines, &provider));
    verify(pool, provider, "/", NULL, "", &result);
    assert_int_equal(result.verdict, LA_VERDICT_REJECTED);
    assert_int_equal(result.unusable, 1);
    assert_string_equal(result.message, "Invalid authentication response format");
    apr_pool_destroy(pool);
}

typedef struct bound_case_t {
    const char *name;
    const char *body;
    apr_uint32_t members; /* 0: bound to nothing */
} bound_case_t;

#define HASH "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

static bound_case_t bound_cases[] = {
    {"bound: to nothing", "{\"principal\":\"al\"}", 0},
    {"bound: among the attributes", "{\"attributes\":{\"cnf\":\"a\"}}", 0},
    {"bound: to a key", "{\"cnf\":{\"jkt\":\"" HASH "\"}}", 1},
    {"bound: to a certificate", "{\"cnf\":{\"x5t#S256\":\"" HASH "\"}}", 2},
    {"bound: to what we do not know", "{\"cnf\":{\"kid\":\"a\"}}", 4},
    {"bound: null is absent", "{\"cnf\":null}", 0},
};

static void test_bound(void **state)
{
    static const char *const lines[MAX_LINES] = {ENDPOINT};
    const bound_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    const la_confirmation_t *confirmation;
    la_provider_t *provider;
    la_result_t result;

    answer = (la_http_response_t){
        .outcome = LA_HTTP_ANSWERED, .status = 200, .body = slice_of_text(row->body)};
    assert_null(make(pool, lines, &provider));
    verify(pool, provider, "/", NULL, "", &result);
    assert_int_equal(result.verdict, LA_VERDICT_ACCEPTED);
    confirmation = la_identity_confirmation(result.identity);
    assert_int_equal(confirmation ? confirmation->members : 0, row->members);
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(verdict_cases); i++)
        add(verdict_cases[i].name, test_verdict, &verdict_cases[i]);
    for (size_t i = 0; i < ROWS(reason_cases); i++) {
        add(reason_cases[i].name, test_reason, &reason_cases[i]);
    }
    for (size_t i = 0; i < ROWS(failure_cases); i++)
        add(failure_cases[i].name, test_failure, &failure_cases[i]);
    for (size_t i = 0; i < ROWS(bound_cases); i++) {
        add(bound_cases[i].name, test_bound, &bound_cases[i]);
    }
    add("failure: the identity is too large", test_identity_too_large, NULL);
    return finish("custom_verdict");
}
