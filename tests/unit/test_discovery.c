/* discovery.c: where an issuer's metadata is looked for and what of it is believed; and from there
 * to a key set, which provider/jwt.c fetches. The HTTP client is replaced by servers that a test
 * writes down, URL by URL; what is at no written URL is 404.
 */
#include "support.h"

#define la_http_call fake_http_call
#include "provider/discovery.c"
#include "provider/jwt.c"

#define MAX_PAGES 3

/* What is at a URL. A status of 0 is a failed connection. */
typedef struct page_t {
    const char *url;
    int status;
    const char *body;
} page_t;

static const page_t *pages;
static char asked[1024];                /* the URLs, each with a line end */
static const char *asked_authorization; /* of the last */
static apr_time_t asked_deadline_us;    /* the same of all */

static void check_fields(const la_http_request_t *request)
{
    int is_metadata = strstr(request->url, "/.well-known/") != NULL;

    asked_authorization = apr_table_get(request->headers, "Authorization");
    assert_true(!is_metadata || !asked_authorization);
    assert_string_equal(apr_table_get(request->headers, "Accept"),
                        is_metadata ? "application/json"
                                    : "application/jwk-set+json, application/json");
}

void fake_http_call(la_http_t *http, const la_http_request_t *request, apr_pool_t *pool,
                    la_http_response_t *response)
{
    static const page_t nothing = {"", 404, "{}"};
    const page_t *page = &nothing;

    assert_null(http);
    assert_string_equal(request->method, "GET");
    apr_cpystrn(asked, apr_pstrcat(pool, asked, request->url, "\n", NULL), sizeof(asked));
    if (request->headers) {
        check_fields(request);
    }
    assert_true(!asked_deadline_us || asked_deadline_us == request->deadline_us);
    asked_deadline_us = request->deadline_us;
    for (int i = 0; i < MAX_PAGES && pages[i].url; i++) {
        page = strcmp(pages[i].url, request->url) == 0 ? &pages[i] : page;
    }
    *response = (la_http_response_t){.reason = "connection refused"};
    if (page->status) {
        *response = (la_http_response_t){.outcome = LA_HTTP_ANSWERED,
                                         .status = page->status,
                                         .body = slice_of_text(page->body),
                                         .headers = apr_table_make(pool, 1)};
    }
}

static void serve(const page_t *served)
{
    pages = served;
    asked[0] = '\0';
    asked_deadline_us = 0;
}

/* ---- finding ---- */

typedef struct find_case_t {
    const char *name;
    const char *issuer;
    page_t pages[MAX_PAGES];
    const char *url;   /* what is found, or NULL */
    const char *error; /* else: part of the reason */
    int calls;
} find_case_t;

#define H      "https://idp.example.com"
#define OIDC   "/.well-known/openid-configuration"
#define OAUTH_ "/.well-known/oauth-authorization-server"
#define KEYS   H "/keys"

#define META(issuer, uri) "{\"issuer\":\"" issuer "\",\"jwks_uri\":\"" uri "\"}"

/* One document at the first place, which decides. */
#define ONE(name, body, url, error)                                                                \
    {                                                                                              \
        name, H, {{H OIDC, 200, body}}, url, error, 1                                              \
    }
/* A status at the first place, after which nothing else may be asked. */
#define STOPS(status)                                                                              \
    {                                                                                              \
        "stops at: " #status, H, {{H OIDC, status, ""}, {H OAUTH_, 200, META(H, KEYS)}}, NULL,     \
            "openid-configuration: the answer was " #status, 1                                     \
    }
#define GOES_ON(status)                                                                            \
    {                                                                                              \
        "goes on after: " #status, H, {{H OIDC, status, ""}, {H OAUTH_, 200, META(H, KEYS)}},      \
            KEYS, NULL, 2                                                                          \
    }

/* Metadata at one place. */
#define PLACE(name, issuer, place, calls)                                                          \
    {                                                                                              \
        "place: " name, issuer, {{place, 200, META(issuer, KEYS)}}, KEYS, NULL, calls              \
    }

static find_case_t find_cases[] = {
    ONE("found: the first place", META(H, KEYS), KEYS, NULL),
    ONE("found: on another host", META(H, "https://keys.example.net/a?b=c"),
        "https://keys.example.net/a?b=c", NULL),
    ONE("found: other members", "{\"x\":[1],\"issuer\":\"" H "\",\"jwks_uri\":\"" KEYS "\"}", KEYS,
        NULL),
    PLACE("an issuer with a path", H "/realms/a", H "/realms/a" OIDC, 1),
    PLACE("a path inserted, RFC 8414", H "/realms/a", H OAUTH_ "/realms/a", 2),
    PLACE("a path inserted, OpenID", H "/realms/a", H OIDC "/realms/a", 3),
    PLACE("a slash at the end of the host", H "/", H OIDC, 1),
    PLACE("a slash at the end of the path", H "/a/", H "/a" OIDC, 1),
    PLACE("a slash at the end of the path, inserted", H "/a/", H OAUTH_ "/a", 2),
    {"place: a port",
     "http://[::1]:8080/a",
     {{"http://[::1]:8080" OAUTH_ "/a", 200, META("http://[::1]:8080/a", "http://[::1]:8080/k")}},
     "http://[::1]:8080/k",
     NULL,
     2},
    {"place: nowhere, without a path",
     H,
     {{0}},
     NULL,
     OAUTH_ ": the answer was 404, expected 200",
     2},
    {"place: nowhere, with a path", H "/a", {{0}}, NULL, OIDC "/a: the answer was 404", 3},
    GOES_ON(400),
    GOES_ON(401),
    GOES_ON(403),
    GOES_ON(404),
    GOES_ON(410),
    STOPS(408),
    STOPS(425),
    STOPS(429),
    STOPS(500),
    STOPS(503),
    STOPS(302),
    STOPS(204),
    {"stops at: a failed connection",
     H,
     {{H OIDC, 0, ""}, {H OAUTH_, 200, META(H, KEYS)}},
     NULL,
     OIDC ": connection refused",
     1},
    {"stops at: 500 at the second place",
     H "/a",
     {{H OAUTH_ "/a", 500, ""}, {H OIDC "/a", 200, META(H "/a", KEYS)}},
     NULL,
     OAUTH_ "/a: the answer was 500",
     2},
    {"stops at: a bad document, whatever the next place says",
     H,
     {{H OIDC, 200, "<html>"}, {H OAUTH_, 200, META(H, KEYS)}},
     NULL,
     "not JSON",
     1},
    ONE("bad: empty", "", NULL, "not JSON"),
    ONE("bad: cut", "{\"issuer\":\"" H, NULL, "not JSON"),
    ONE("bad: more behind it", META(H, KEYS) "}", NULL, "not JSON"),
    ONE("bad: issuer twice", "{\"issuer\":\"x\",\"issuer\":\"" H "\",\"jwks_uri\":\"" KEYS "\"}",
        NULL, "duplicate"),
    ONE("bad: a list", "[]", NULL, "not a JSON object"),
    ONE("bad: null", "null", NULL, "not a JSON object"),
    ONE("issuer: absent", "{\"jwks_uri\":\"" KEYS "\"}", NULL, "issuer is missing, expected " H),
    ONE("issuer: null", "{\"issuer\":null,\"jwks_uri\":\"" KEYS "\"}", NULL, "not a string"),
    ONE("issuer: a list", "{\"issuer\":[\"" H "\"],\"jwks_uri\":\"" KEYS "\"}", NULL,
        "not a string"),
    ONE("issuer: another", META("https://evil.example.com", KEYS), NULL,
        "issuer is \"https://evil.example.com"),
    ONE("issuer: a slash more", META(H "/", KEYS), NULL, "issuer is \"" H "/"),
    ONE("issuer: shorter", META("https://idp.example.co", KEYS), NULL, "issuer is"),
    ONE("issuer: in capitals", META("https://IDP.example.com", KEYS), NULL, "issuer is"),
    ONE("issuer: empty", META("", KEYS), NULL, "issuer is \""),
    ONE("issuer: a NUL behind it", META(H "\\u0000", KEYS), NULL, "issuer is \"" H "\\u0000\""),
    ONE("issuer: controls do not reach the log", META("a\\n\\u001b\\u00e9b", KEYS), NULL,
        "issuer is \"a\\n\\u001b\\u00e9b\""),
    {"issuer: a slash less", H "/", {{H OIDC, 200, META(H, KEYS)}}, NULL, "issuer is", 1},
    ONE("url: absent", "{\"issuer\":\"" H "\"}", NULL, "jwks_uri is missing"),
    ONE("url: null", "{\"issuer\":\"" H "\",\"jwks_uri\":null}", NULL, "jwks_uri is not a string"),
    ONE("url: a number", "{\"issuer\":\"" H "\",\"jwks_uri\":1}", NULL, "jwks_uri is not a string"),
    ONE("url: a NUL inside", META(H, KEYS "\\u0000x"), NULL, "jwks_uri is not a string"),
    ONE("url: empty", META(H, ""), NULL, "jwks_uri: must begin with"),
    ONE("url: relative", META(H, "/keys"), NULL, "jwks_uri: must begin with"),
    ONE("url: a file", META(H, "file:///etc/passwd"), NULL, "jwks_uri: must begin with"),
    ONE("url: a password", META(H, "https://a:b@idp.example.com/"), NULL, "no password"),
    ONE("url: a line end", META(H, KEYS "\\r\\nX: y"), NULL, "no control characters"),
    ONE("url: plain http for an https issuer", META(H, "http://idp.example.com/keys"), NULL,
        "expected https"),
    {"url: https for a plain http issuer",
     "http://idp",
     {{"http://idp" OIDC, 200, META("http://idp", KEYS)}},
     KEYS,
     NULL,
     1},
    {"url: the issuer's scheme in capitals",
     "HTTPS://idp",
     {{"HTTPS://idp" OIDC, 200, META("HTTPS://idp", "http://idp/keys")}},
     NULL,
     "expected https",
     1},
};

static int lines_of(const char *text)
{
    int count = 0;

    for (; *text; text++) {
        count += *text == '\n';
    }
    return count;
}

static void test_find(void **state)
{
    const find_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    const char *url = "unset";
    const char *error;

    serve(row->pages);
    error = la_discovery_find(NULL, row->issuer, "jwks_uri", 4711, pool, &url);
    if (row->url) {
        assert_null(error);
        assert_string_equal(url, row->url);
    } else {
        assert_null(url);
        assert_non_null(error);
        if (!strstr(error, row->error)) {
            fail_msg("reason: %s", error);
        }
    }
    assert_int_equal(lines_of(asked), row->calls);
    assert_int_equal(asked_deadline_us, 4711);
    apr_pool_destroy(pool);
}

static void test_order(void **state)
{
    static const page_t none[MAX_PAGES] = {{NULL, 0, NULL}};
    apr_pool_t *pool = new_pool();
    const char *url;

    (void)state;
    serve(none);
    assert_non_null(la_discovery_find(NULL, H "/a/b", "jwks_uri", 1, pool, &url));
    assert_string_equal(asked, H "/a/b" OIDC "\n" H OAUTH_ "/a/b\n" H OIDC "/a/b\n");
    apr_pool_destroy(pool);
}

static void test_other_member(void **state)
{
    static const page_t one[MAX_PAGES] = {
        {H OIDC, 200, "{\"issuer\":\"" H "\",\"introspection_endpoint\":\"" H "/check\"}"}};
    apr_pool_t *pool = new_pool();
    const char *url;

    (void)state;
    serve(one);
    assert_null(la_discovery_find(NULL, H, "introspection_endpoint", 1, pool, &url));
    assert_string_equal(url, H "/check");
    apr_pool_destroy(pool);
}

static void test_reason_without_query(void **state)
{
    static const page_t failing[MAX_PAGES] = {{H "/k?code=s3cret", 0, ""}};
    apr_pool_t *pool = new_pool();
    la_slice_t body;
    int status;

    (void)state;
    serve(failing);
    assert_string_equal(la_discovery_get(NULL, H "/k?code=s3cret", NULL, 1, pool, &body, &status),
                        H "/k: connection refused");
    assert_int_equal(status, 0);
    assert_string_equal(la_discovery_get(NULL, H "/x?code=s3cret", NULL, 1, pool, &body, &status),
                        H "/x: the answer was 404, expected 200");
    assert_int_equal(status, 404);
    assert_int_equal(body.len, 0);
    apr_pool_destroy(pool);
}

/* ---- issuers and origins ---- */

typedef struct issuer_case_t {
    const char *name;
    const char *issuer;
    const char *error; /* part of it; NULL: good */
    int exposed;
} issuer_case_t;

static issuer_case_t issuer_cases[] = {
    {"issuer check: https", H "/a", NULL, 0},
    {"issuer check: http", "http://idp.example.com", NULL, 1},
    {"issuer check: no URL", "idp.example.com", "must begin with", 0},
    {"issuer check: a urn", "urn:idp", "must begin with", 0},
    {"issuer check: a query", H "/?a=b", "no query", 0},
    {"issuer check: an empty query", H "?", "no query", 0},
    {"issuer check: a fragment", H "/#a", "no fragment", 0},
    {"issuer check: a password", "https://a:b@idp/", "no password", 0},
    {"exposed: localhost", "http://localhost:8080/a", NULL, 0},
    {"exposed: LOCALHOST", "http://LOCALHOST", NULL, 0},
    {"exposed: 127.0.0.1", "http://127.0.0.1:80", NULL, 0},
    {"exposed: 127.1.2.3", "http://127.1.2.3/", NULL, 0},
    {"exposed: ::1", "http://[::1]:80/", NULL, 0},
    {"exposed: ::2", "http://[::2]/", NULL, 1},
    {"exposed: 128.0.0.1", "http://128.0.0.1", NULL, 1},
    {"exposed: 127.0.0.1.example.com", "http://127.0.0.1.example.com", NULL, 1},
    {"exposed: localhost.example.com", "http://localhost.example.com", NULL, 1},
    {"exposed: a long name",
     "http://localhost-localhost-localhost-localhost-localhost-localhost.example.com", NULL, 1},
};

static void test_issuer(void **state)
{
    const issuer_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_url_t url = {NULL, NULL};
    const la_option_t option = {"Issuer", la_discovery_issuer_option, 0, 1, 1, 0, "URL"};
    const char *error = option.parse(&(la_option_line_t){pool, &option, &url, 1, &row->issuer});

    if (row->error) {
        assert_non_null(error);
        assert_non_null(strstr(error, row->error));
    } else {
        assert_null(error);
        assert_string_equal(url.url, row->issuer);
        assert_int_equal(la_discovery_is_exposed(&url), row->exposed);
    }
    apr_pool_destroy(pool);
}

typedef struct origin_case_t {
    const char *name;
    const char *url;
    int same; /* as https://idp.example.com/realms/a */
} origin_case_t;

static origin_case_t origin_cases[] = {
    {"origin: same", H "/keys", 1},
    {"origin: same, no path", H, 1},
    {"origin: same, a query", H "?a", 1},
    {"origin: same, in capitals", "HTTPS://IDP.example.com/", 1},
    {"origin: a port", H ":8443/keys", 0},
    {"origin: another host", "https://idp.example.org/", 0},
    {"origin: a longer host", H ".evil.org/", 0},
    {"origin: a shorter host", "https://idp.example.co/m", 0},
    {"origin: another scheme", "http://idp.example.com/", 0},
};

static void test_origin(void **state)
{
    const origin_case_t *row = *state;

    assert_int_equal(la_discovery_same_origin(row->url, H "/realms/a"), row->same);
    assert_int_equal(la_discovery_same_origin(H "/realms/a", row->url), row->same);
}

/* ---- key sets ---- */

typedef struct fetch_case_t {
    const char *name;
    const char *lines[2];
    page_t pages[MAX_PAGES];
    const char *error;         /* part of it; NULL: fetched */
    const char *authorization; /* of the last call */
    int calls;
} fetch_case_t;

#define ED_SET                                                                                     \
    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_"                       \
    "7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"
#define OCT_SET                                                                                    \
    "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}]}"
#define URI   "JwksUri " KEYS "?a=b"
#define ELSE  "https://keys.example.net/k"
#define NONE  "Leeway 0"
#define TOKEN "JwksToken s3cret"
#define FETCH(name, source, line, error, authorization, calls, ...)                                \
    {                                                                                              \
        "fetch: " name, {source, line}, {__VA_ARGS__}, error, authorization, calls                 \
    }
/* One page at JwksUri. */
#define AT_URI(name, line, status, body, error, authorization)                                     \
    FETCH(name, URI, line, error, authorization, 1, {KEYS "?a=b", status, body})
/* The issuer's metadata, and what is where they lead. */
#define AT_ISSUER(name, line, url, status, body, error, authorization, calls)                      \
    FETCH(name, "Issuer " H, line, error, authorization, calls, {H OIDC, 200, META(H, url)},       \
          {url, status, body})

static fetch_case_t fetch_cases[] = {
    AT_URI("a key set", "Timeout 2s", 200, ED_SET, NULL, NULL),
    AT_URI("with a token", TOKEN, 200, ED_SET, NULL, "Bearer s3cret"),
    AT_URI("401 with a token", TOKEN, 401, "", KEYS ": the answer was 401", "Bearer s3cret"),
    AT_URI("201", NONE, 201, ED_SET, "the answer was 201", NULL),
    AT_URI("500", NONE, 500, ED_SET, "the answer was 500", NULL),
    AT_URI("no connection", NONE, 0, "", "connection refused", NULL),
    AT_URI("garbage", NONE, 200, "<html>", "", NULL),
    AT_URI("no keys", NONE, 200, "{\"keys\":[]}", "", NULL),
    AT_URI("secrets that nobody listed", NONE, 200, OCT_SET, "", NULL),
    AT_URI("secrets", "Algorithms HS256", 200, OCT_SET, NULL, NULL),
    AT_URI("no key of a listed algorithm", "Algorithms RS256", 200, ED_SET, "", NULL),
    AT_ISSUER("discovered", NONE, KEYS, 200, ED_SET, NULL, NULL, 2),
    AT_ISSUER("discovered elsewhere", NONE, ELSE, 200, ED_SET, NULL, NULL, 2),
    AT_ISSUER("discovered, with a token", TOKEN, KEYS, 200, ED_SET, NULL, "Bearer s3cret", 2),
    AT_ISSUER("a token stays with the issuer", TOKEN, ELSE, 200, ED_SET, NULL, NULL, 2),
    AT_ISSUER("and the log says so", TOKEN, ELSE, 401, "",
              "401, expected 200 (JwksToken is sent only to", NULL, 2),
    AT_ISSUER("discovered badly", TOKEN, "http://idp/k", 200, ED_SET, "expected https", NULL, 1),
};

/* A provider whose lines have one argument. */
static la_provider_t *made(apr_pool_t *pool, const char *const lines[2])
{
    static la_provider_child_t child;
    la_provider_t *provider = la_provider_make(pool, "idp", &la_jwt_type);

    provider->child = &child;
    for (int i = 0; i < 2; i++) {
        const char *argument = strchr(lines[i], ' ') + 1;
        const char *option = apr_pstrmemdup(pool, lines[i], (apr_size_t)(argument - 1 - lines[i]));

        assert_null(la_provider_set(provider, pool, option, 1, &argument));
    }
    assert_null(la_provider_finish(provider, pool));
    return provider;
}

static void test_fetch(void **state)
{
    const fetch_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = made(pool, row->lines);
    apr_time_t deadline_us = la_clock_us() + provider->common.http.timeout_us;
    const char *error;
    la_slice_t bytes;

    serve(row->pages);
    error = ((jwt_conf_t *)provider->conf)->source.fetch(provider, pool, &bytes);
    assert_int_equal(error == NULL, row->error == NULL);
    assert_non_null(strstr(error ? error : "", row->error ? row->error : ""));
    assert_null(strstr(error ? error : "", "s3cret"));
    assert_int_equal(lines_of(asked), row->calls);
    assert_string_equal(apr_pstrcat(pool, "", asked_authorization, NULL),
                        row->authorization ? row->authorization : "");
    assert_true(asked_deadline_us >= deadline_us &&
                asked_deadline_us < deadline_us + APR_USEC_PER_SEC);
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(find_cases); i++) {
        add(find_cases[i].name, test_find, &find_cases[i]);
    }
    add("places in order", test_order, NULL);
    add("another member", test_other_member, NULL);
    add("reasons leave the query out", test_reason_without_query, NULL);
    for (size_t i = 0; i < ROWS(issuer_cases); i++) {
        add(issuer_cases[i].name, test_issuer, &issuer_cases[i]);
    }
    for (size_t i = 0; i < ROWS(origin_cases); i++) {
        add(origin_cases[i].name, test_origin, &origin_cases[i]);
    }
    for (size_t i = 0; i < ROWS(fetch_cases); i++) {
        add(fetch_cases[i].name, test_fetch, &fetch_cases[i]);
    }
    return finish("discovery");
}
