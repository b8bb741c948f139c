/* custom.c: the options, and the question. */
#include "customs.h"

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
    {"option: send a proof", {ENDPOINT, "SendHeaders a dpop"}, "never sent"},
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
    {"option: binding", {ENDPOINT, "Binding REQUIRE"}, NULL},
    {"option: binding of no kind",
     {ENDPOINT, "Binding on"},
     "none of check|require|dpop|mtls|ignore"},
    {"option: binding of two kinds", {ENDPOINT, "Binding dpop mtls"}, "Binding takes check|"},
    {"option: binding twice", {ENDPOINT, "Binding dpop", "Binding mtls"}, "only once"},
    {"option: binding misspelt", {ENDPOINT, "Bindings dpop"}, "did you mean Binding?"},
    {"option: nonces", {ENDPOINT, "DPoPNonce on"}, NULL},
    {"option: nonces misspelt", {ENDPOINT, "DpopNonces on"}, "did you mean DPoPNonce?"},
    {"option: nonces that nobody asks for",
     {ENDPOINT, "Binding ignore", "DPoPNonce on"},
     "no use with Binding ignore"},
    {"option: no nonces, nor bindings", {ENDPOINT, "DPoPNonce off", "Binding ignore"}, NULL},
    {"option: a verdict by the proof",
     {ENDPOINT, "CacheVary path header:dpop"},
     "another one in each"},
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
    assert_string_equal(provider->hint,
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
    {"question: no proof, whoever named it", "SendHeaders all", "/", NULL, "dpop: x\nDPoP: y\nA: 1",
     "{\"path\":\"/\",\"headers\":{\"a\":\"1\"},\"params\":{}}"},
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
    verify(pool, provider, "/", NULL, "", &result);
    assert_string_equal(apr_table_get(asked.headers, "X-Key"), "hunter2");
    assert_null(strstr(asked.body, "hunter2"));
    apr_pool_destroy(pool);
}

/* ---- its bound ---- */

typedef struct bound_case_t {
    const char *name;
    apr_size_t path, query, fields, of_bytes; /* lengths; a number of fields of a length each */
    char byte;
    int asked;
} bound_case_t;

#define KB ((apr_size_t)1024)

static bound_case_t bound_cases[] = {
    {"bound: many fields", 10, 10, 30, 8 * KB, 'x', 1},
    {"bound: too many fields", 10, 10, 33, 8 * KB, 'x', 0},
    {"bound: fields that grow", 10, 10, 5, 8 * KB, '\xff', 1},
    {"bound: fields that grow too much", 10, 10, 6, 8 * KB, '\xff', 0},
    {"bound: one field", 10, 10, 1, 255 * KB, 'x', 1},
    {"bound: too long a field", 10, 10, 1, 8192 * KB, 'x', 0},
    {"bound: too long a path", 8192 * KB, 10, 0, 0, 'x', 0},
    {"bound: a long query", 10, 200 * KB, 0, 0, 'x', 1},
    {"bound: too long a query", 10, 8192 * KB, 0, 0, 'x', 0},
    {"bound: a query that grows too much", 10, 250 * KB, 0, 0, '\xff', 0},
};

static char *repeated(apr_pool_t *pool, char byte, apr_size_t len)
{
    return memset(apr_pcalloc(pool, len + 1), byte, len);
}

/* A request that is too large is nobody's outage but its own. */
static void test_bound(void **state)
{
    static const char *const lines[MAX_LINES] = {ENDPOINT};
    const bound_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    apr_table_t *fields = apr_table_make(pool, 8);
    la_call_t call = {.token = LA_SLICE("t"),
                      .now = apr_time_now(),
                      .path = repeated(pool, row->byte, row->path),
                      .query = apr_pstrcat(pool, "q=", repeated(pool, row->byte, row->query), NULL),
                      .headers = fields};
    la_provider_t *provider;
    la_result_t result;

    for (apr_size_t i = 0; i < row->fields; i++)
        apr_table_setn(fields, apr_psprintf(pool, "X%d", (int)i),
                       repeated(pool, row->byte, row->of_bytes));
    asked.body = NULL;
    answer = (la_http_response_t){
        .outcome = LA_HTTP_ANSWERED, .status = 200, .body = slice_of_text("{}")};
    assert_null(make(pool, lines, &provider));
    la_provider_verify(provider, &call, pool, &result);
    assert_int_equal(asked.body != NULL, row->asked);
    assert_int_equal(result.verdict, row->asked ? LA_VERDICT_ACCEPTED : LA_VERDICT_UNAVAILABLE);
    if (row->asked) {
        assert_true(strlen(asked.body) <= QUESTION_MAX_BYTES);
    } else {
        assert_int_equal(result.cause, LA_CAUSE_REQUEST);
        assert_string_equal(result.message, LA_MESSAGE_ERROR);
        assert_non_null(strstr(result.reason, "SendHeaders"));
    }
    apr_pool_destroy(pool);
}

/* ---- what its verdict depends on ---- */

typedef struct vary_case_t {
    const char *name;
    const char *lines[MAX_LINES];
    int path, params;
    const char *header; /* the one that counts, or NULL */
} vary_case_t;

static vary_case_t vary_cases[] = {
    {"vary: by default", {ENDPOINT}, 1, 1, "Host"},
    {"vary: all headers are sent", {ENDPOINT, "SendHeaders all"}, 1, 1, "Host"},
    {"vary: the host is sent", {ENDPOINT, "SendHeaders accept HOST"}, 1, 1, "Host"},
    {"vary: no host is sent", {ENDPOINT, "SendHeaders accept"}, 1, 1, NULL},
    {"vary: no headers are sent", {ENDPOINT, "SendHeaders none"}, 1, 1, NULL},
    {"vary: nothing, said so", {ENDPOINT, "CacheVary none"}, 0, 0, NULL},
    {"vary: said before", {"CacheVary header:X-Path", ENDPOINT}, 0, 0, "X-Path"},
};

static void test_vary(void **state)
{
    const vary_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    const la_vary_t *vary;
    la_provider_t *provider;

    assert_null(make(pool, row->lines, &provider));
    vary = &provider->common.vary;
    assert_int_equal(vary->path, row->path);
    assert_int_equal(vary->params, row->params);
    assert_int_equal(vary->client_ip, 0);
    assert_int_equal(vary->headers ? vary->headers->nelts : 0, row->header != NULL);
    if (row->header)
        assert_string_equal(APR_ARRAY_IDX(vary->headers, 0, const char *), row->header);
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
    for (size_t i = 0; i < ROWS(bound_cases); i++)
        add(bound_cases[i].name, test_bound, &bound_cases[i]);
    for (size_t i = 0; i < ROWS(vary_cases); i++)
        add(vary_cases[i].name, test_vary, &vary_cases[i]);
    add("question: the secret header", test_secret_header, NULL);
    return finish("custom");
}
