/* custom.c: its options, the question it asks, and the verdict on what comes back. The HTTP client is replaced by
 * one that keeps the question and gives the answer that a test chose; provider.c is the real one.
 */
#include "support.h"

#define la_http_call   fake_http_call
#define la_custom_type tested_custom_type
#include "provider/custom.c"

static la_http_response_t answer; /* what the endpoint says */

static struct question_t {
    const char *method;
    const char *url;
    const apr_table_t *headers;
    const char *body;
} asked;

void fake_http_call(la_http_t *http, const la_http_request_t *request, apr_pool_t *pool,
                    la_http_response_t *response)
{
    (void)http;
    asked.method = request->method;
    asked.url = request->url;
    asked.headers = apr_table_clone(pool, request->headers);
    asked.body = apr_pstrmemdup(pool, request->body.data, request->body.len);
    *response = answer;
    response->headers = apr_table_make(pool, 1);
}

/* ---- providers from option lines ---- */

#define MAX_LINES 4

/* Sets one line, split at single spaces; `|` stands for a space inside a word. */
static const char *set_line(la_provider_t *provider, apr_pool_t *pool, const char *line)
{
    const char *words[16];
    int count = 0;
    char *rest = apr_pstrdup(pool, line);
    char *word;
    char *p;

    while ((word = strsep(&rest, " ")) != NULL) {
        for (p = word; (p = strchr(p, '|')) != NULL;)
            *p = ' ';
        words[count++] = word;
    }
    return la_provider_set(provider, pool, words[0], count - 1, words + 1);
}

static const char *make(apr_pool_t *pool, const char *const *lines, la_provider_t **provider)
{
    const char *error = NULL;

    *provider = la_provider_make(pool, "corp", &la_custom_type);
    for (int i = 0; i < MAX_LINES && lines[i] && !error; i++)
        error = set_line(*provider, pool, lines[i]);
    return error ? error : la_provider_finish(*provider, pool);
}

#define ENDPOINT "Endpoint https://auth.example.com:8443/validate"

/* ---- options ---- */

typedef struct option_case_t {
    const char *name;
    const char *lines[MAX_LINES];
    const char *error; /* part of the message; NULL: accepted */
} option_case_t;

static option_case_t option_cases[] = {
    {"option: endpoint only", {ENDPOINT}, NULL},
    {"option: no endpoint", {NULL}, "Endpoint is missing"},
    {"option: endpoint is no URL", {"Endpoint auth.example.com"}, "Endpoint: must begin with"},
    {"option: endpoint with a password", {"Endpoint http://a:hunter2@host/"}, "no password"},
    {"option: endpoint twice", {ENDPOINT, ENDPOINT}, "only once"},
    {"option: category that is not UTF-8", {ENDPOINT, "Claim a \xff"}, "must be UTF-8"},
    {"option: category in UTF-8", {ENDPOINT, "Claim a \xc3\xa9"}, NULL},
    {"option: send all", {ENDPOINT, "SendHeaders ALL"}, NULL},
    {"option: send none", {ENDPOINT, "SendHeaders none"}, NULL},
    {"option: send named", {ENDPOINT, "SendHeaders user-agent X-Request-Id"}, NULL},
    {"option: send nothing named", {ENDPOINT, "SendHeaders"}, "takes"},
    {"option: send all and a name", {ENDPOINT, "SendHeaders all accept"}, "all stands alone"},
    {"option: send a name and none", {ENDPOINT, "SendHeaders accept none"}, "none stands alone"},
    {"option: send authorization", {ENDPOINT, "SendHeaders Authorization"}, "never sent"},
    {"option: send proxy-authorization", {ENDPOINT, "SendHeaders a Proxy-Authorization"}, "never"},
    {"option: send no token", {ENDPOINT, "SendHeaders x:y"}, "no name of a header field"},
    {"option: send an empty name", {ENDPOINT, "SendHeaders a  b"}, "no name of a header field"},
    {"option: secret header", {ENDPOINT, "SecretHeader X-Key s3cret"}, NULL},
    {"option: secret header, no value", {ENDPOINT, "SecretHeader X-Key"}, "takes NAME SECRET"},
    {"option: secret header, no token", {ENDPOINT, "SecretHeader X:Key s3cret"}, "no name"},
    {"option: secret header, host", {ENDPOINT, "SecretHeader Host s3cret"}, "HTTP client"},
    {"option: secret header, length", {ENDPOINT, "SecretHeader content-length 0"}, "HTTP client"},
    {"option: secret header, type", {ENDPOINT, "SecretHeader Content-Type a"}, "HTTP client"},
    {"option: secret header, coding",
     {ENDPOINT, "SecretHeader Transfer-Encoding a"},
     "HTTP client"},
    {"option: secret header, connection", {ENDPOINT, "SecretHeader CONNECTION a"}, "HTTP client"},
    {"option: secret header, expect", {ENDPOINT, "SecretHeader Expect a"}, "HTTP client"},
    {"option: secret header, control character", {ENDPOINT, "SecretHeader X s3\ncret"}, "control"},
    {"option: secret header, absent file",
     {ENDPOINT, "SecretHeader X file:absent"},
     "No such file"},
    {"option: misspelt", {"Endpont http://host/"}, "did you mean Endpoint?"},
    {"option: another type's", {ENDPOINT, "File conf/keys.json"}, "not an option of a custom"},
};

static void test_option(void **state)
{
    const option_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    const char *error = make(pool, row->lines, &provider);

    if (row->error) {
        assert_non_null(error);
        assert_non_null(strstr(error, row->error));
        assert_null(strstr(error, "s3"));
        assert_null(strstr(error, "hunter2"));
    } else {
        assert_null(error);
    }
    apr_pool_destroy(pool);
}

static void test_hint(void **state)
{
    static const char *const lines[MAX_LINES] = {ENDPOINT};
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;

    (void)state;
    assert_null(make(pool, lines, &provider));
    assert_string_equal(provider->type->hint(provider, pool),
                        "Authentication required. Please provide your API key as a Bearer token "
                        "(validated by auth.example.com:8443)");
    apr_pool_destroy(pool);
}

/* ---- the question ---- */

typedef struct question_case_t {
    const char *name;
    const char *send; /* the SendHeaders line, or NULL */
    const char *path;
    const char *query;
    const char *fields; /* "Name: value" lines */
    const char *json;   /* of "request" */
} question_case_t;

#define FIELDS                                                                                     \
    "User-Agent: curl/8.0\nAuthorization: Bearer tok\nproxy-AUTHORIZATION: Basic x\n"              \
    "Accept: a\nX-Up: Q\naccept: b"

static question_case_t question_cases[] = {
    {"question: bare", NULL, "/", NULL, "", "{\"path\":\"/\",\"headers\":{},\"params\":{}}"},
    {"question: the specification's", NULL, "/v1/models", "limit=100&tag=a&tag=b",
     "User-Agent: curl/8.0\nContent-Type: application/json",
     "{\"path\":\"/v1/models\",\"headers\":{\"user-agent\":\"curl/8.0\","
     "\"content-type\":\"application/json\"},"
     "\"params\":{\"limit\":[\"100\"],\"tag\":[\"a\",\"b\"]}}"},
    {"question: all but credentials, repeated ones joined", NULL, "/", "", FIELDS,
     "{\"path\":\"/\",\"headers\":{\"user-agent\":\"curl/8.0\",\"accept\":\"a, b\","
     "\"x-up\":\"Q\"},\"params\":{}}"},
    {"question: all, said so", "SendHeaders all", "/", NULL, "A: 1",
     "{\"path\":\"/\",\"headers\":{\"a\":\"1\"},\"params\":{}}"},
    {"question: no headers", "SendHeaders none", "/", NULL, FIELDS,
     "{\"path\":\"/\",\"headers\":{},\"params\":{}}"},
    {"question: named headers", "SendHeaders ACCEPT x-absent accept", "/", NULL, FIELDS,
     "{\"path\":\"/\",\"headers\":{\"accept\":\"a, b\"},\"params\":{}}"},
    {"question: an empty header", NULL, "/", NULL,
     "A: ", "{\"path\":\"/\",\"headers\":{\"a\":\"\"},\"params\":{}}"},
    {"question: bytes that are not UTF-8", NULL, "/\xff\xc3\xa9", "\xfe=\xfe",
     "X: caf\xe9 \xc3\xa9",
     "{\"path\":\"/\\ufffd\\u00e9\",\"headers\":{\"x\":\"caf\\ufffd \\u00e9\"},"
     "\"params\":{\"\\ufffd\":[\"\\ufffd\"]}}"},
    {"question: quotes and controls", NULL, "/\"\\\n", NULL, "X: \"\t\"",
     "{\"path\":\"/\\\"\\\\\\n\",\"headers\":{\"x\":\"\\\"\\t\\\"\"},\"params\":{}}"},
};

/* "Name: value" lines as a table. */
static apr_table_t *fields_of(apr_pool_t *pool, const char *lines)
{
    apr_table_t *fields = apr_table_make(pool, 8);
    char *rest = apr_pstrdup(pool, lines);
    char *line;

    while ((line = strsep(&rest, "\n")) != NULL) {
        char *value = strstr(line, ": ");

        if (value) {
            *value = '\0';
            apr_table_addn(fields, line, value + 2);
        }
    }
    return fields;
}

static void verify(apr_pool_t *pool, const la_provider_t *provider, const char *path,
                   const char *query, const char *fields, la_result_t *result)
{
    static const unsigned char digest[LA_TOKEN_DIGEST_BYTES];
    la_call_t call = {.token = LA_SLICE("tok\"en"),
                      .digest = digest,
                      .now = apr_time_now(),
                      .path = path,
                      .query = query,
                      .headers = fields_of(pool, fields)};

    la_provider_verify(provider, &call, pool, result);
}

static void test_question(void **state)
{
    const question_case_t *row = *state;
    const char *lines[MAX_LINES] = {ENDPOINT, row->send};
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    la_result_t result;

    assert_null(make(pool, lines, &provider));
    verify(pool, provider, row->path, row->query, row->fields, &result);
    assert_string_equal(asked.body, apr_pstrcat(pool, "{\"api_key\":\"tok\\\"en\",\"request\":",
                                                row->json, "}", NULL));
    assert_string_equal(asked.method, "POST");
    assert_string_equal(asked.url, "https://auth.example.com:8443/validate");
    assert_string_equal(apr_table_get(asked.headers, "Content-Type"), "application/json");
    assert_int_equal(apr_table_elts(asked.headers)->nelts, 2);
    apr_pool_destroy(pool);
}

static void test_secret_header(void **state)
{
    static const char *const lines[MAX_LINES] = {ENDPOINT, "SecretHeader X-Key file:secret"};
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    la_result_t result;

    (void)state;
    write_text(pool, "secret", "hunter2\n");
    assert_null(make(pool, lines, &provider));
    assert_int_equal(provider->type->child_init(provider, pool), APR_SUCCESS);
    verify(pool, provider, "/", NULL, "", &result);
    assert_string_equal(apr_table_get(asked.headers, "X-Key"), "hunter2");
    assert_null(strstr(asked.body, "hunter2"));
    apr_pool_destroy(pool);
}

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
    BAD("{\"principal\":7}"),
    BAD("{\"principal\":null}"),
    BAD("{\"principal\":[\"alice\"]}"),
    BAD("{\"principal\":\"\"}"),
    BAD("{\"principal\":\"a\\nb\"}"),
    BAD("{\"principal\":\"a\\u0000\"}"),
    BAD("{\"attributes\":[]}"),
    BAD("{\"attributes\":\"admin\"}"),
    BAD("{\"attributes\":false}"),
    BAD("{\"access_attributes\":[]}"),
    BAD("{\"attributes\":{\"roles\":null}}"),
    BAD("{\"attributes\":{\"roles\":7}}"),
    BAD("{\"attributes\":{\"roles\":{}}}"),
    BAD("{\"attributes\":{\"roles\":[\"a\",7]}}"),
    BAD("{\"attributes\":{\"roles\":[null]}}"),
    BAD("{\"attributes\":{\"\":[\"a\"]}}"),
    BAD("{\"message\":7}"),
    BAD("{\"message\":[]}"),
    BAD("{\"expires_in\":\"60\"}"),
    BAD("{\"expires_in\":true}"),
    BAD("{\"expires_in\":1e999}"),
    MAPPED("Claim takes the named ones only", "Claim groups teams",
           "{\"principal\":\"a\",\"groups\":\"x y\",\"attributes\":{\"roles\":[\"r\"]}}", "a",
           "{\"teams\":[\"x\",\"y\"]}"),
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
     "{\"sub\":7,\"user\":\"u\"}", LA_VERDICT_UNAVAILABLE, "Invalid authentication response format",
     NULL, NULL},
    {"mapped: Claim, attributes of a wrong type", "Claim a b", 200, "{\"attributes\":[]}",
     LA_VERDICT_UNAVAILABLE, "Invalid authentication response format", NULL, NULL},
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
    if (row->verdict == LA_VERDICT_ACCEPTED) {
        expect_identity(result.identity, row);
    } else {
        assert_null(result.identity);
        assert_string_equal(result.message, row->message);
        assert_non_null(result.reason);
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
    static const char *const lines[MAX_LINES] = {ENDPOINT};
    const failure_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    la_result_t result;

    answer = (la_http_response_t){.outcome = row->outcome, .reason = "connection refused"};
    assert_null(make(pool, lines, &provider));
    verify(pool, provider, "/", NULL, "", &result);
    assert_int_equal(result.verdict, LA_VERDICT_UNAVAILABLE);
    assert_int_equal(result.timed_out, row->outcome == LA_HTTP_TIMEOUT);
    assert_string_equal(result.message, row->message);
    assert_string_equal(result.reason, "connection refused");
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
    assert_int_equal(result.verdict, LA_VERDICT_UNAVAILABLE);
    assert_string_equal(result.message, "Authentication service error");
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(option_cases); i++)
        add(option_cases[i].name, test_option, &option_cases[i]);
    add("hint", test_hint, NULL);
    for (size_t i = 0; i < ROWS(question_cases); i++)
        add(question_cases[i].name, test_question, &question_cases[i]);
    add("question: the secret header", test_secret_header, NULL);
    for (size_t i = 0; i < ROWS(verdict_cases); i++)
        add(verdict_cases[i].name, test_verdict, &verdict_cases[i]);
    for (size_t i = 0; i < ROWS(failure_cases); i++)
        add(failure_cases[i].name, test_failure, &failure_cases[i]);
    add("failure: the identity is too large", test_identity_too_large, NULL);
    return finish("custom");
}
