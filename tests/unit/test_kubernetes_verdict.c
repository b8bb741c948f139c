/* kubernetes.c: the verdict on what the API server answers. */
#include "clusters.h"

/* ---- the verdict ---- */

typedef struct verdict_case_t {
    const char *name;
    const char *lines[MAX_LINES];
    int status;
    const char *body;
    la_verdict_e verdict;
    const char *message;    /* unless accepted */
    const char *told;       /* part of the reason, unless accepted */
    const char *principal;  /* accepted */
    const char *attributes; /* accepted */
} verdict_case_t;

#define REJECTED  LA_VERDICT_REJECTED, "Invalid or expired token"
#define MALFORMED LA_VERDICT_UNAVAILABLE, "Authentication service error"

#define SA        "system:serviceaccount:prod:bot"
#define STATUS(s) "{\"kind\":\"TokenReview\",\"status\":" s "}"
#define USER(u)   STATUS("{\"authenticated\":true,\"user\":" u "}")
#define SELF(u)   "{\"kind\":\"SelfSubjectReview\",\"status\":{\"userInfo\":" u "}}"
#define ALICE     "{\"username\":\"alice\"}"
#define AUDS(a)   STATUS("{\"authenticated\":true,\"user\":" ALICE ",\"audiences\":" a "}")
#define FAILURE                                                                                    \
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","           \
    "\"message\":\"Unauthorized\",\"reason\":\"Unauthorized\",\"code\":401}"

/* Accepted: principal, attributes, the answer, more option lines. */
#define YES(name, principal, attributes, body, ...)                                                \
    {                                                                                              \
        "token: " name, {REVIEWER, __VA_ARGS__}, 201, body, LA_VERDICT_ACCEPTED, NULL, NULL,       \
            principal, attributes                                                                  \
    }
#define NO(name, told, body, ...)                                                                  \
    {                                                                                              \
        "token: " name, {REVIEWER, __VA_ARGS__}, 201, body, REJECTED, told, NULL, NULL             \
    }
#define BAD(name, told, body, ...)                                                                 \
    {                                                                                              \
        "token: " name, {REVIEWER, __VA_ARGS__}, 201, body, MALFORMED, told, NULL, NULL            \
    }
#define UNUSABLE(name, told, body, ...)                                                            \
    {                                                                                              \
        "token: " name, {REVIEWER, __VA_ARGS__}, 201, body, LA_VERDICT_REJECTED,                   \
            "Authentication service error", told, NULL, NULL                                       \
    }
#define SELF_BAD(name, body, told)                                                                 \
    {                                                                                              \
        "self: " name, {"Review self"}, 201, body, MALFORMED, told, NULL, NULL                     \
    }
#define SELF_UNUSABLE(name, body, told)                                                            \
    {                                                                                              \
        "self: " name, {"Review self"}, 201, body, LA_VERDICT_REJECTED,                            \
            "Authentication service error", told, NULL, NULL                                       \
    }
#define OUTAGE(line, status, body, told)                                                           \
    {                                                                                              \
        "status: " line " " #status, {line}, status, body, LA_VERDICT_UNAVAILABLE,                 \
            "Token validation failed: " #status, told, NULL, NULL                                  \
    }

static verdict_case_t verdict_cases[] = {
    YES("a service account", SA,
        "{\"roles\":[\"" SA "\"],\"teams\":[\"system:serviceaccounts\",\"system:authenticated\"]}",
        USER("{\"username\":\"" SA "\",\"uid\":\"u-1\",\"groups\":[\"system:serviceaccounts\","
             "\"system:authenticated\"],\"extra\":{\"authentication.kubernetes.io/pod-name\":"
             "[\"p\"]}}"),
        NULL),
    YES("a name with spaces is one role", "x admin", "{\"roles\":[\"x admin\"]}",
        USER("{\"username\":\"x admin\"}"), NULL),
    YES("null members are absent", "alice", "{\"roles\":[\"alice\"]}",
        USER("{\"username\":\"alice\",\"groups\":null,\"extra\":null}"), NULL),
    YES("uid and extra, mapped", "a", "{\"ids\":[\"u 1\"],\"teams\":[\"x y\",\"z\"]}",
        USER("{\"username\":\"a\",\"uid\":\"u 1\",\"extra\":{\"example.org/t\":[\"x y\",\"z\"]}}"),
        "Claim uid ids", "Claim extra.example.org/t teams"),
    YES("another principal", "u-1", "{\"roles\":[\"alice\"]}",
        USER("{\"username\":\"alice\",\"uid\":\"u-1\"}"), "PrincipalClaim uid"),
    YES("authenticated and an error", "alice", "{\"roles\":[\"alice\"]}",
        STATUS("{\"authenticated\":true,\"error\":\"x\",\"user\":" ALICE "}"), NULL),
    NO("authenticated false", "status.authenticated is not true",
       STATUS("{\"authenticated\":false,\"user\":" ALICE "}"), NULL),
    NO("authenticated left out", "status.authenticated is not true", STATUS("{\"user\":{}}"), NULL),
    NO("an empty status", "status.authenticated is not true", STATUS("{}"), NULL),
    NO("authenticated null", "status.authenticated is not true", STATUS("{\"authenticated\":null}"),
       NULL),
    NO("an error", "status.authenticated is not true",
       STATUS("{\"user\":{},\"error\":\"[invalid bearer token, caller\\\"s-token]\"}"), NULL),
    NO("an error in words", "status.authenticated is not true: \"token expired\"",
       STATUS("{\"error\":\"token expired\"}"), NULL),
    NO("an error with a part of the token", "status.authenticated is not true",
       STATUS("{\"error\":\"aller\\\"s-toke\"}"), NULL),
    NO("anonymous", "system:anonymous", USER("{\"username\":\"system:anonymous\"}"), NULL),
    UNUSABLE("another principal, absent", "no principal, expected one of: ", USER(ALICE),
             "PrincipalClaim uid"),
    BAD("authenticated \"true\"", "status.authenticated is a string, expected a boolean",
        STATUS("{\"authenticated\":\"true\",\"user\":" ALICE "}"), NULL),
    BAD("authenticated 1", "status.authenticated is a number, expected a boolean",
        STATUS("{\"authenticated\":1,\"user\":" ALICE "}"), NULL),
    BAD("authenticated twice", "duplicate",
        STATUS("{\"authenticated\":false,\"authenticated\":true,\"user\":" ALICE "}"), NULL),
    BAD("no status", "status is missing, expected an object", "{\"kind\":\"TokenReview\"}", NULL),
    BAD("status null", "status is missing", STATUS("null"), NULL),
    BAD("status a list", "status is a list, expected an object",
        STATUS("[{\"authenticated\":true}]"), NULL),
    BAD("a Status object", "status is a string, expected an object", FAILURE, NULL),
    UNUSABLE("no user", "no principal, expected one of: ", STATUS("{\"authenticated\":true}"),
             NULL),
    UNUSABLE("user null", "no principal, expected one of: ", USER("null"), NULL),
    UNUSABLE("user a string", "no principal, expected one of: ", USER("\"alice\""), NULL),
    UNUSABLE("no username", "no principal, expected one of: ", USER("{\"groups\":[\"a\"]}"), NULL),
    UNUSABLE("username empty", "empty", USER("{\"username\":\"\"}"), NULL),
    YES("username 7", "7", "{\"roles\":[\"7\"]}", USER("{\"username\":7}"), NULL),
    UNUSABLE("username null", "no principal, expected one of: ", USER("{\"username\":null}"), NULL),
    UNUSABLE("username with a blank behind it", "blank", USER("{\"username\":\"a \"}"), NULL),
    UNUSABLE("username a list", "username is a list, expected a string",
             USER("{\"username\":[\"alice\"]}"), NULL),
    UNUSABLE("username with a line break", "control", USER("{\"username\":\"a\\r\\nb\"}"), NULL),
    BAD("not JSON", "not JSON", "<html>", NULL),
    BAD("empty", "not JSON", "", NULL),
    BAD("a list", "the answer is a list, expected an object", "[]", NULL),
    BAD("more after it", "not JSON", USER(ALICE) "x", NULL),
    YES("the audience", "alice", "{\"roles\":[\"alice\"]}", AUDS("[\"llm\"]"), "Audience llm"),
    YES("one of the audiences", "alice", "{\"roles\":[\"alice\"]}", AUDS("[\"x\",\"llm\"]"),
        "Audience a llm"),
    YES("an audience that was not asked for", "alice", "{\"roles\":[\"alice\"]}", AUDS("[\"x\"]"),
        NULL),
    NO("other audiences", "audiences", AUDS("[\"llm2\",\"LLM\",\"ll\"]"), "Audience llm"),
    NO("audiences not answered", "audiences", USER(ALICE), "Audience llm"),
    NO("audiences empty", "audiences", AUDS("[]"), "Audience llm"),
    NO("audiences a string", "audiences", AUDS("\"llm\""), "Audience llm"),
    NO("audiences an object", "audiences", AUDS("{\"llm\":\"llm\"}"), "Audience llm"),
    NO("audiences of no strings", "audiences", AUDS("[null,7,[\"llm\"]]"), "Audience llm"),
    NO("an audience with a NUL", "audiences", AUDS("[\"llm\\u0000x\"]"), "Audience llm"),
    {"status: 200",
     {REVIEWER},
     200,
     USER(ALICE),
     LA_VERDICT_ACCEPTED,
     NULL,
     NULL,
     "alice",
     "{\"roles\":[\"alice\"]}"},
    OUTAGE(REVIEWER, 400, FAILURE, "answered 400"),
    OUTAGE(REVIEWER, 401, FAILURE, "ReviewerToken"),
    OUTAGE(REVIEWER, 403, FAILURE, "system:auth-delegator"),
    OUTAGE(REVIEWER, 404, FAILURE, "answered 404"),
    OUTAGE(REVIEWER, 429, FAILURE, "answered 429"),
    OUTAGE(REVIEWER, 500, FAILURE, "answered 500"),
    OUTAGE(REVIEWER, 202, USER(ALICE), "answered 202"),
    OUTAGE(REVIEWER, 302, "", "answered 302"),
    OUTAGE("Review self", 200, SELF(ALICE), "answered 200"),
    OUTAGE("Review self", 403, FAILURE, "system:basic-user"),
    OUTAGE("Review self", 404, FAILURE, "answered 404"),
    OUTAGE("Review self", 500, FAILURE, "answered 500"),
    {"self: a user",
     {"Review self"},
     201,
     SELF("{\"username\":\"jane doe\",\"groups\":[\"dev\",\"a b\"]}"),
     LA_VERDICT_ACCEPTED,
     NULL,
     NULL,
     "jane doe",
     "{\"roles\":[\"jane doe\"],\"teams\":[\"dev\",\"a b\"]}"},
    {"self: anonymous",
     {"Review self"},
     201,
     SELF("{\"username\":\"system:anonymous\"}"),
     REJECTED,
     "system:anonymous",
     NULL,
     NULL},
    {"self: 401",
     {"Review self"},
     401,
     FAILURE,
     REJECTED,
     "selfsubjectreviews answered 401",
     NULL,
     NULL},
    SELF_UNUSABLE("no user", STATUS("{}"), "no principal, expected one of: "),
    SELF_UNUSABLE("a token review", USER(ALICE), "no principal, expected one of: "),
    SELF_BAD("no status", "{}", "status is missing"),
    SELF_BAD("a Status object", FAILURE, "status is a string"),
};

static void test_verdict(void **state)
{
    const verdict_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    la_result_t result;

    answer = (la_http_response_t){
        .outcome = LA_HTTP_ANSWERED, .status = row->status, .body = slice_of_text(row->body)};
    assert_null(make(pool, row->lines, &provider));
    verify_token(pool, provider, CALLER, &result);
    assert_int_equal(result.verdict, row->verdict);
    assert_int_equal(result.timed_out, 0);
    if (row->verdict == LA_VERDICT_ACCEPTED) {
        assert_string_equal(la_identity_principal(result.identity).data, row->principal);
        assert_string_equal(la_identity_attributes_json(result.identity).data, row->attributes);
    } else {
        assert_null(result.identity);
        assert_string_equal(result.message, row->message);
        assert_non_null(strstr(result.reason, row->told));
        assert_null(strstr(result.reason, "s-tok"));
        assert_null(strstr(result.reason, "s3cret"));
    }
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
    static const char *const lines[MAX_LINES] = {REVIEWER};
    const failure_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    la_result_t result;

    answer = (la_http_response_t){.outcome = row->outcome, .reason = "connection refused"};
    assert_null(make(pool, lines, &provider));
    verify_token(pool, provider, CALLER, &result);
    assert_int_equal(result.verdict, LA_VERDICT_UNAVAILABLE);
    assert_int_equal(result.timed_out, row->outcome == LA_HTTP_TIMEOUT);
    assert_string_equal(result.message, row->message);
    assert_string_equal(strstr(result.reason, ": "), ": connection refused");
    assert_int_equal(strncmp(result.reason, "https://", 8), 0);
    apr_pool_destroy(pool);
}

/* ---- the token's own end ---- */

typedef struct end_case_t {
    const char *name;
    const char *token;
    apr_time_t expires;
} end_case_t;

static end_case_t end_cases[] = {
    {"end: opaque", "opaque", 0},
    {"end: one dot", "aGk.eyJleHAiOjEwMH0", 0},
    {"end: exp 100", "aGk.eyJleHAiOjEwMH0.c2ln", 100 * APR_USEC_PER_SEC},
    {"end: exp 100, no signature", "aGk.eyJleHAiOjEwMH0.", 100 * APR_USEC_PER_SEC},
    {"end: exp 0", "aGk.eyJleHAiOjB9.c2ln", 1},
    {"end: exp -5", "aGk.eyJleHAiOi01fQ.c2ln", 1},
    {"end: exp 1e300", "aGk.eyJleHAiOjFlMzAwfQ.c2ln", 0},
    {"end: exp a string", "aGk.eyJleHAiOiIxMDAifQ.c2ln", 0},
    {"end: no exp", "aGk.e30.c2ln", 0},
    {"end: no JSON", "aGk.aGk.c2ln", 0},
    {"end: no base64url", "a.=!.c", 0},
    {"end: nothing between dots", "..", 0},
};

static void test_end(void **state)
{
    static const char *const lines[MAX_LINES] = {REVIEWER};
    const end_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    la_result_t result;

    answer = (la_http_response_t){
        .outcome = LA_HTTP_ANSWERED, .status = 201, .body = slice_of_text(USER(ALICE))};
    assert_null(make(pool, lines, &provider));
    verify_token(pool, provider, row->token, &result);
    assert_int_equal(result.verdict, LA_VERDICT_ACCEPTED);
    assert_int_equal(result.expires, row->expires);
    apr_pool_destroy(pool);
}

static void test_identity_too_large(void **state)
{
    static const char *const lines[MAX_LINES] = {REVIEWER};
    apr_size_t len = LA_IDENTITY_MAX_BYTES;
    apr_pool_t *pool = new_pool();
    char *name = memset(apr_pcalloc(pool, len + 1), 'x', len);
    la_provider_t *provider;
    la_result_t result;

    (void)state;
    answer = (la_http_response_t){
        .outcome = LA_HTTP_ANSWERED,
        .status = 201,
        .body = slice_of_text(apr_pstrcat(pool, "{\"status\":{\"authenticated\":true,\"user\":",
                                          "{\"username\":\"", name, "\"}}}", NULL))};
    assert_null(make(pool, lines, &provider));
    verify_token(pool, provider, CALLER, &result);
    assert_int_equal(result.verdict, LA_VERDICT_REJECTED);
    assert_int_equal(result.unusable, 1);
    assert_string_equal(result.message, "Authentication service error");
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(verdict_cases); i++)
        add(verdict_cases[i].name, test_verdict, &verdict_cases[i]);
    for (size_t i = 0; i < ROWS(failure_cases); i++)
        add(failure_cases[i].name, test_failure, &failure_cases[i]);
    for (size_t i = 0; i < ROWS(end_cases); i++)
        add(end_cases[i].name, test_end, &end_cases[i]);
    add("identity too large", test_identity_too_large, NULL);
    return finish("kubernetes_verdict");
}
