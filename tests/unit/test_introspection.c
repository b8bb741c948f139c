/* introspection.c: its options, the questions it asks, and where it asks them. */
#include "introspections.h"

/* ---- options ---- */

typedef struct option_case_t {
    const char *name;
    const char *error;   /* part of the message; NULL: accepted */
    const char *warning; /* part of the one line logged; NULL: none */
    const char *hint;    /* accepted: its end */
    const char *issuer;
    const char *lines[MAX_LINES];
} option_case_t;

#define OPTION(name, error, warning, hint, issuer, ...)                                            \
    {                                                                                              \
        name, error, warning, hint, issuer,                                                        \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define BEARER_TOKEN "Please provide a valid OAuth2 Bearer token "
#define VALIDATED    BEARER_TOKEN "validated by idp.example.com:8443"
#define FROM         BEARER_TOKEN "from "

#define GOOD(name, ...)            OPTION("good: " name, NULL, NULL, VALIDATED, NULL, __VA_ARGS__)
#define NAMES(name, end, url, ...) OPTION("names: " name, NULL, NULL, FROM end, url, __VA_ARGS__)
#define WARNS(name, text, hint, issuer, ...)                                                       \
    OPTION("warns: " name, NULL, text, hint, issuer, __VA_ARGS__)
#define BAD(name, error, ...) OPTION("bad: " name, error, NULL, NULL, NULL, __VA_ARGS__)

static option_case_t option_cases[] = {
    GOOD("basic by default", AT, ID, SECRET),
    GOOD("basic", AT, ID, SECRET, "ClientAuth BASIC"),
    GOOD("post", AT, ID, SECRET, "ClientAuth post"),
    GOOD("bearer", AT, SECRET, "ClientAuth bearer"),
    GOOD("none", AT, NONE),
    GOOD("none with an id", AT, ID, NONE),
    GOOD("all the rest", AT, NONE, "Audience a b", "Leeway 5s", "CacheTTL 1m"),
    NAMES("an issuer", ISS, ISS, BY, NONE),
    NAMES("an issuer's endpoint", ISS, ISS, AT, BY, NONE),
    NAMES("an issuer that signs another name", ISS, ISS, BY, NONE, "ExpectIssuer urn:x"),
    NAMES("an expected issuer", ISS, ISS, AT, NONE, "ExpectIssuer " ISS),
    NAMES("an expected issuer that is no URL", "corp", NULL, AT, NONE, "ExpectIssuer corp"),
    WARNS("plain http", "LA0006: provider idp: Endpoint is plain http", "validated by idp", NULL,
          "Endpoint http://idp/i", NONE),
    WARNS("a plain http issuer", "LA0006: provider idp: Issuer is plain http", "from http://idp",
          "http://idp", "Issuer http://idp", NONE),
    NAMES("a plain http issuer that is not called", "http://idp", "http://idp", AT,
          "Issuer http://idp", NONE),
    NAMES("a plain http issuer at home", "http://[::1]:8", "http://[::1]:8",
          "Issuer http://[::1]:8", NONE),
    BAD("neither endpoint nor issuer", "Endpoint or Issuer is missing", NONE),
    BAD("no credentials", "ClientId and ClientSecret are needed", AT),
    BAD("no secret", "ClientId and ClientSecret are needed", AT, ID),
    BAD("no id", "ClientId and ClientSecret are needed", AT, SECRET),
    BAD("post without a secret", "ClientId and ClientSecret are needed", AT, ID, "ClientAuth post"),
    BAD("post without an id", "ClientId and ClientSecret are needed", AT, SECRET,
        "ClientAuth post"),
    BAD("bearer without a secret", "ClientAuth bearer needs ClientSecret", AT, "ClientAuth bearer"),
    BAD("bearer with an id", "no use for ClientId", AT, ID, SECRET, "ClientAuth bearer"),
    BAD("none with a secret", "no use for ClientSecret", AT, SECRET, NONE),
    BAD("another way", "'jwt' is none of basic|post|bearer|none", AT, "ClientAuth jwt"),
    BAD("an empty id", "ClientId: may not be empty", AT, "ClientId ", SECRET),
    BAD("an empty secret", "ClientSecret: the value is empty", AT, ID, "ClientSecret "),
    BAD("a secret with a line break", "control", AT, ID, "ClientSecret s3\ncret"),
    BAD("an endpoint that is no URL", "Endpoint: must begin with", "Endpoint idp", NONE),
    BAD("an issuer with a query", "Issuer: must have no query", "Issuer https://idp?s3cret", NONE),
    BAD("an issuer with a password", "no password", "Issuer https://u:s3cret@idp", NONE),
    BAD("an empty audience", "Audience: a name may not be empty", AT, NONE, "Audience "),
    BAD("an empty iss", "ExpectIssuer: may not be empty", AT, NONE, "ExpectIssuer "),
    BAD("a leeway that is none", "is no duration", AT, NONE, "Leeway soon"),
    BAD("another type's option", "JwksUri", AT, NONE, "JwksUri " URL),
};

static void test_option(void **state)
{
    const option_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    const char *error = make(pool, row->lines, &provider);

    if (row->error) {
        assert_non_null(error ? strstr(error, row->error) : NULL);
        assert_null(strstr(error, "cret@"));
        assert_null(strstr(error, "s3"));
    } else {
        const char *hint = provider->hint;

        assert_null(error);
        assert_int_equal(log_lines, row->warning != NULL);
        assert_true(!row->warning || log_level == LA_LOG_WARNING);
        assert_non_null(strstr(logged, row->warning ? row->warning : ""));
        assert_non_null(strstr(hint, row->hint));
        assert_string_equal(strstr(hint, row->hint), row->hint);
        assert_string_equal(apr_pstrcat(pool, "", provider->issuer, NULL),
                            row->issuer ? row->issuer : "");
    }
    apr_pool_destroy(pool);
}

/* ---- the question ---- */

typedef struct question_case_t {
    const char *name;
    const char *token;
    const char *authorization; /* NULL: no such field */
    const char *body;
    const char *lines[MAX_LINES];
} question_case_t;

#define QUESTION(name, token, authorization, body, ...)                                            \
    {                                                                                              \
        "question: " name, token, authorization, body,                                             \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define HINT "&token_type_hint=access_token"

static question_case_t question_cases[] = {
    QUESTION("basic", "t", "Basic bGxtOnMzY3JldA==", "token=t" HINT, AT, ID, SECRET),
    /* RFC 6749 section 2.3.1: "gate+way%3a1:pa+ss%2bw%25rd%3a%26%3d%2f%3f%27%5c" */
    QUESTION("basic, characters that are encoded", "t",
             "Basic Z2F0ZSt3YXklM2ExOnBhK3NzJTJidyUyNXJkJTNhJTI2JTNkJTJmJTNmJTI3JTVj",
             "token=t" HINT, AT, "ClientId gate~way:1", "ClientSecret pa~ss+w%rd:&=/?'\\"),
    QUESTION("post", "t", NULL, "token=t" HINT "&client_id=llm&client_secret=s3cret", AT, ID,
             SECRET, "ClientAuth post"),
    QUESTION("post, characters that are encoded", "t", NULL,
             "token=t" HINT "&client_id=a+b%26c&client_secret=d%3de%2b%c3%a9", AT, "ClientId a~b&c",
             "ClientSecret d=e+\xc3\xa9", "ClientAuth post"),
    QUESTION("bearer", "t", "Bearer s3cret", "token=t" HINT, AT, SECRET, "ClientAuth bearer"),
    QUESTION("none", "t", NULL, "token=t" HINT, AT, NONE),
    QUESTION("none with an id", "t", NULL, "token=t" HINT "&client_id=llm", AT, ID, NONE),
    QUESTION("a token that would add a parameter", "t&active=1&token=u%00", NULL,
             "token=t%26active%3d1%26token%3du%2500" HINT, AT, NONE),
    QUESTION("a token of every kind of character", "aZ09-._~+/=!\"#$'()*:;<>?@[\\]^`{|}", NULL,
             "token=aZ09-._%7e%2b%2f%3d%21%22%23%24%27%28%29*%3a%3b%3c%3e%3f%40%5b%5c%5d%5e%60%7b"
             "%7c%7d" HINT,
             AT, NONE),
};

static void test_question(void **state)
{
    const question_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = started(pool, row->lines);
    const char *authorization;
    la_result_t result;

    verify(pool, provider, row->token, &result);
    assert_int_equal(out.calls, 1);
    assert_string_equal(out.url, URL);
    assert_string_equal(out.body, row->body);
    assert_string_equal(apr_table_get(out.headers, "Content-Type"),
                        "application/x-www-form-urlencoded");
    assert_string_equal(apr_table_get(out.headers, "Accept"), "application/json");
    authorization = apr_table_get(out.headers, "Authorization");
    assert_int_equal(authorization != NULL, row->authorization != NULL);
    assert_string_equal(authorization ? authorization : "",
                        row->authorization ? row->authorization : "");
    assert_int_equal(apr_table_elts(out.headers)->nelts, authorization ? 3 : 2);
    assert_int_equal(out.attached + out.ensured, 0);
    apr_pool_destroy(pool);
}

static void test_secret_is_rotated(void **state)
{
    static const char *const lines[MAX_LINES] = {AT, "ClientSecret file:s", "ClientAuth bearer"};
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    la_result_t result;
    la_call_t call = {.token = LA_SLICE("t"), .now = NOW};

    (void)state;
    write_text(pool, "s", "old\n");
    provider = started(pool, lines);
    la_provider_verify(provider, &call, pool, &result);
    assert_string_equal(apr_table_get(out.headers, "Authorization"), "Bearer old");
    write_text(pool, "s", "new\n");
    call.now += 2 * APR_USEC_PER_SEC;
    la_provider_verify(provider, &call, pool, &result);
    assert_string_equal(apr_table_get(out.headers, "Authorization"), "Bearer new");
    apr_pool_destroy(pool);
}

/* ---- discovery ---- */

typedef struct issuer_case_t {
    const char *name;
    const char *iss;  /* in the answer */
    const char *line; /* one more option */
    la_verdict_e verdict;
} issuer_case_t;

static issuer_case_t issuer_cases[] = {
    {"discovery: the issuer's token", ISS, NULL, LA_VERDICT_ACCEPTED},
    {"discovery: another issuer's", "https://idp.example.com/b", NULL, LA_VERDICT_REJECTED},
    {"discovery: ExpectIssuer's token", "i", "ExpectIssuer i", LA_VERDICT_ACCEPTED},
    {"discovery: not ExpectIssuer's", ISS, "ExpectIssuer i", LA_VERDICT_REJECTED},
};

static void test_discovered(void **state)
{
    const issuer_case_t *row = *state;
    const char *lines[MAX_LINES] = {BY, NONE, "Timeout 4s", row->line};
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = started(pool, lines);
    apr_time_t begun = la_clock_us();
    la_result_t result;

    out.known = "https://idp.example.com/a/i";
    out.answer = (la_http_response_t){
        .outcome = LA_HTTP_ANSWERED,
        .status = 200,
        .body = slice_of_text(
            json(pool, apr_psprintf(pool, "{'active':true,'sub':'al','iss':'%s'}", row->iss)))};
    verify(pool, provider, "t", &result);
    assert_int_equal(result.verdict, row->verdict);
    assert_int_equal(out.calls, 1);
    assert_string_equal(out.url, out.known);
    assert_true(out.deadline_us >= begun + 4 * APR_USEC_PER_SEC);
    assert_true(out.deadline_us <= la_clock_us() + 4 * APR_USEC_PER_SEC);
    assert_int_equal(out.attached, 1);
    la_introspection_type.tick(provider, pool);
    assert_int_equal(out.ticked, 1);
    apr_pool_destroy(pool);
}

static void test_not_discovered(void **state)
{
    static const char *const lines[MAX_LINES] = {BY, NONE};
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = started(pool, lines);
    la_result_t result;

    (void)state;
    verify(pool, provider, "t", &result);
    assert_int_equal(result.verdict, LA_VERDICT_UNAVAILABLE);
    assert_string_equal(result.message, LA_MESSAGE_ERROR);
    assert_int_equal(out.calls, 0);
    assert_int_equal(out.ensured, 1);
    apr_pool_destroy(pool);
}

static void test_endpoint_is_not_discovered(void **state)
{
    static const char *const lines[MAX_LINES] = {AT, BY, NONE};
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = started(pool, lines);
    la_result_t result;

    (void)state;
    verify(pool, provider, "t", &result);
    assert_string_equal(out.url, URL);
    la_introspection_type.tick(provider, pool);
    assert_int_equal(out.attached + out.ensured + out.ticked, 0);
    apr_pool_destroy(pool);
}

static void test_fetch(void **state)
{
    static const char *const lines[MAX_LINES] = {BY, NONE};
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = started(pool, lines);
    la_slice_t bytes;

    (void)state;
    assert_true(out.source->refresh_us == apr_time_from_sec(3600));
    assert_string_equal(out.source->fetch(provider, pool, &bytes), "404");
    assert_int_equal(bytes.len, 0);
    out.found = URL;
    assert_null(out.source->fetch(provider, pool, &bytes));
    assert_int_equal(bytes.len, strlen(URL));
    assert_memory_equal(bytes.data, URL, bytes.len);
    assert_string_equal(out.looked_up, ISS);
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(option_cases); i++) {
        add(option_cases[i].name, test_option, &option_cases[i]);
    }
    for (size_t i = 0; i < ROWS(question_cases); i++) {
        add(question_cases[i].name, test_question, &question_cases[i]);
    }
    add("secret: rotated", test_secret_is_rotated, NULL);
    for (size_t i = 0; i < ROWS(issuer_cases); i++) {
        add(issuer_cases[i].name, test_discovered, &issuer_cases[i]);
    }
    add("discovery: not found yet", test_not_discovered, NULL);
    add("discovery: an endpoint is configured", test_endpoint_is_not_discovered, NULL);
    add("discovery: the fetch", test_fetch, NULL);
    return finish("introspection");
}
