/* github.c: its options, its questions, page by page, and its verdicts. The HTTP client is replaced
 * by one that plays a test's script: which answer belongs to which path.
 */
#include "support.h"

#define la_http_call   fake_http_call
#define la_github_type tested_github_type
#include "provider/answer.c"
#include "provider/github.c"

/* ---- the API ---- */

#define MAX_REPLIES 4

typedef struct reply_t {
    const char *path; /* NULL: no more replies */
    int status;       /* 0: a timeout; -1: any other failure */
    const char *body;
    const char *fields; /* "Name: value" lines, or NULL */
} reply_t;

static const reply_t *script;
static const char
    *lists[PAGES_MAX + 2]; /* bodies by page, for a path that the script does not have */
static char asked[8192];   /* the URLs, a line each */
static const apr_table_t *asked_headers;
static apr_time_t asked_deadline;

/* "Name: value" lines as a table. */
static apr_table_t *fields_of(apr_pool_t *pool, const char *lines)
{
    apr_table_t *fields = apr_table_make(pool, 8);
    char *rest = apr_pstrdup(pool, lines ? lines : "");
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

static void play(const reply_t *reply, apr_pool_t *pool, la_http_response_t *response)
{
    *response = (la_http_response_t){.outcome = reply->status > 0    ? LA_HTTP_ANSWERED
                                                : reply->status == 0 ? LA_HTTP_TIMEOUT
                                                                     : LA_HTTP_FAILED,
                                     .status = reply->status};
    if (reply->status > 0) {
        response->body = slice_of_text(apr_pstrdup(pool, reply->body));
        response->headers = fields_of(pool, reply->fields);
    } else {
        response->reason = apr_pstrdup(pool, "connection refused");
    }
}

void fake_http_call(la_http_t *http, const la_http_request_t *request, apr_pool_t *pool,
                    la_http_response_t *response)
{
    const char *path = strchr(strstr(request->url, "//") + 2, '/');
    const char *page = strstr(path, "&page=");
    const reply_t *reply;
    reply_t listed = {path, 200, NULL, NULL};
    apr_size_t len = strlen(asked);

    (void)http;
    assert_string_equal(request->method, "GET");
    apr_snprintf(asked + len, sizeof(asked) - len, "%s\n", request->url);
    assert_true(asked_deadline == 0 || asked_deadline == request->deadline_us);
    asked_deadline = request->deadline_us;
    asked_headers = request->headers;
    for (reply = script; reply < script + MAX_REPLIES && reply->path; reply++) {
        if (strcmp(reply->path, path) == 0) {
            play(reply, pool, response);
            return;
        }
    }
    assert_non_null(page);
    listed.body = lists[strtol(page + 6, NULL, 10)];
    assert_non_null(listed.body);
    play(&listed, pool, response);
}

/* ---- providers from option lines ---- */

#define MAX_LINES 4

static const char *set_line(la_provider_t *provider, apr_pool_t *pool, const char *line)
{
    const char *words[16];
    int count = 0;
    char *rest = apr_pstrdup(pool, line);
    char *word;

    while ((word = strsep(&rest, " ")) != NULL)
        words[count++] = word;
    return la_provider_set(provider, pool, words[0], count - 1, words + 1);
}

static const char *make(apr_pool_t *pool, const char *const *lines, la_provider_t **provider)
{
    const char *error = NULL;

    *provider = la_provider_make(pool, "gh", &la_github_type);
    for (int i = 0; i < MAX_LINES && lines[i] && !error; i++)
        error = set_line(*provider, pool, lines[i]);
    error = error ? error : la_provider_finish(*provider, pool);
    if (!error) {
        assert_int_equal(la_provider_child_init(*provider, pool, NULL, NULL), APR_SUCCESS);
    }
    return error;
}

static void verify(apr_pool_t *pool, const char *const *lines, const reply_t *replies,
                   la_result_t *result)
{
    static const unsigned char digest[LA_DIGEST_BYTES];
    la_call_t call = {.token = LA_SLICE("gho_T\"oken~"),
                      .digest = digest,
                      .now = apr_time_now(),
                      .path = "/",
                      .headers = apr_table_make(pool, 1)};
    la_provider_t *provider;

    asked[0] = '\0';
    asked_deadline = 0;
    script = replies;
    assert_null(make(pool, lines, &provider));
    la_provider_verify(provider, &call, pool, result);
}

/* ---- options ---- */

typedef struct option_case_t {
    const char *name;
    const char *lines[MAX_LINES];
    const char *error; /* part of the message; NULL: accepted */
    const char *root;  /* accepted */
} option_case_t;

#define GOOD(name, root, ...)                                                                      \
    {                                                                                              \
        "option: " name, {__VA_ARGS__}, NULL, root                                                 \
    }
#define WRONG(name, error, ...)                                                                    \
    {                                                                                              \
        "option: " name, {__VA_ARGS__}, error, NULL                                                \
    }

static option_case_t option_cases[] = {
    GOOD("none", "https://api.github.com", NULL),
    GOOD("an enterprise server", "https://ghe.example/api/v3",
         "ApiBase https://ghe.example/api/v3"),
    GOOD("slashes at the end", "https://ghe.example", "ApiBase https://ghe.example//"),
    GOOD("lists", "https://api.github.com", "Organizations on", "Teams ON"),
    WRONG("a query", "ApiBase: must have no query", "ApiBase https://ghe.example/?a=b"),
    WRONG("no URL", "ApiBase: must begin with", "ApiBase ghe.example"),
    WRONG("a password in the URL", "no password", "ApiBase https://u:hunter2@ghe.example"),
    WRONG("organizations of no kind", "Organizations: must be on or off", "Organizations yes"),
    WRONG("teams of no kind", "Teams: must be on or off", "Teams 1"),
    WRONG("teams twice", "only once", "Teams on", "Teams off"),
    WRONG("misspelt", "did you mean Organizations?", "Organisations on"),
    WRONG("another type's", "not an option of a github", "Audience a"),
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
        assert_null(strstr(error, "hunter2"));
    } else {
        assert_null(error);
        assert_string_equal(((github_conf_t *)provider->conf)->base.url, row->root);
        assert_non_null(strstr(provider->hint, "valid GitHub access token ("));
    }
    apr_pool_destroy(pool);
}

/* ---- the verdict ---- */

typedef struct verdict_case_t {
    const char *name;
    const char *lines[MAX_LINES];
    reply_t replies[MAX_REPLIES];
    la_verdict_e verdict;
    const char *told;       /* part of the reason, unless accepted */
    const char *principal;  /* accepted */
    const char *attributes; /* accepted */
} verdict_case_t;

#define OCTOCAT "{\"login\":\"octocat\",\"id\":583231,\"type\":\"User\",\"name\":\"x admin\"}"
#define USER    "/user", 200, OCTOCAT, NULL
#define SCOPES(s)                                                                                  \
    {                                                                                              \
        "/user", 200, OCTOCAT, "X-OAuth-Scopes: " s                                                \
    }
#define ORGS  "/user/orgs?per_page=100&page=1"
#define TEAMS "/user/teams?per_page=100&page=1"

#define YES(name, principal, attributes, line, ...)                                                \
    {                                                                                              \
        "accepted: " name, {line}, {__VA_ARGS__}, LA_VERDICT_ACCEPTED, NULL, principal, attributes \
    }
#define BAD(name, told, line, ...)                                                                 \
    {                                                                                              \
        "malformed: " name, {line}, {__VA_ARGS__}, LA_VERDICT_UNAVAILABLE, told, NULL, NULL        \
    }
#define UNUSABLE(name, told, line, ...)                                                            \
    {                                                                                              \
        "unusable: " name, {line}, {__VA_ARGS__}, LA_VERDICT_REJECTED, told, NULL, NULL            \
    }
#define NO_USER(told, body)  UNUSABLE(body, told, NULL, {"/user", 200, body, NULL})
#define BAD_USER(told, body) BAD(body, told, NULL, {"/user", 200, body, NULL})
#define BAD_ORGS(told, body)                                                                       \
    BAD("organizations " body, told, "Organizations on", {USER}, {ORGS, 200, body, NULL})
#define BAD_TEAMS(told, body) BAD("teams " body, told, "Teams on", {USER}, {TEAMS, 200, body, NULL})
#define REFUSED(name, told, status, body, fields)                                                  \
    {                                                                                              \
        "rejected: " name, {NULL}, {{"/user", status, body, fields}}, LA_VERDICT_REJECTED, told,   \
            NULL, NULL                                                                             \
    }
#define OUTAGE(name, told, status, body, fields)                                                   \
    {                                                                                              \
        "outage: " name, {NULL}, {{"/user", status, body, fields}}, LA_VERDICT_UNAVAILABLE, told,  \
            NULL, NULL                                                                             \
    }
#define DOCS  ",\"documentation_url\":\"https://docs.github.com/rest\"}"
#define LIMIT "the rate limit is exhausted"

static verdict_case_t verdict_cases[] = {
    YES("a user", "octocat", "{\"roles\":[\"octocat\"]}", NULL, {USER}),
    YES("scopes", "octocat",
        "{\"roles\":[\"octocat\"],\"scopes\":[\"read:org\",\"repo\",\"user\"]}", NULL,
        SCOPES("read:org, repo,user")),
    YES("no scopes", "octocat", "{\"roles\":[\"octocat\"],\"scopes\":[]}", NULL, SCOPES("")),
    YES("no scopes, as libcurl has it", "octocat", "{\"roles\":[\"octocat\"],\"scopes\":[]}", NULL,
        SCOPES("\r")),
    YES("a bot", "dependabot[bot]", "{\"roles\":[\"dependabot[bot]\"]}", NULL,
        {"/user", 200, "{\"login\":\"dependabot[bot]\"}", NULL}),
    YES("organizations", "octocat", "{\"roles\":[\"octocat\"],\"teams\":[\"github\",\"a-b\"]}",
        "Organizations on", {USER},
        {ORGS, 200, "[{\"login\":\"github\",\"id\":1},{\"login\":\"a-b\",\"id\":2}]", NULL}),
    YES("no organizations", "octocat", "{\"roles\":[\"octocat\"],\"teams\":[]}", "Organizations on",
        {USER}, {ORGS, 200, "[]", NULL}),
    YES("teams, which no default claim maps", "octocat", "{\"roles\":[\"octocat\"]}", "Teams on",
        {USER}, {TEAMS, 200, "[{\"slug\":\"core\",\"organization\":{\"login\":\"gh\"}}]", NULL}),
    YES("the id", "octocat", "{\"ids\":[\"583231\"]}", "Claim id ids", {USER}),
    YES("the id as principal", "583231", "{\"roles\":[\"octocat\"]}", "PrincipalClaim id", {USER}),
    YES("no claim but what is documented", "octocat", "{}", "Claim name roles", {USER}),
    UNUSABLE("a principal that is not there", "PrincipalClaim", "PrincipalClaim email", {USER}),
    UNUSABLE("a principal that is a list", "PrincipalClaim scopes is a list",
             "PrincipalClaim scopes", SCOPES("repo")),
    BAD_USER("not JSON", "<html>"),
    BAD_USER("not JSON", ""),
    BAD_USER("a list, expected an object", "[]"),
    BAD_USER("null, expected an object", "null"),
    NO_USER("login is not", "{\"id\":1}"),
    NO_USER("login is not", "{\"login\":null}"),
    NO_USER("login is not", "{\"login\":7}"),
    NO_USER("login is not", "{\"login\":[\"octocat\"]}"),
    NO_USER("login is not", "{\"login\":\"\"}"),
    NO_USER("login is not", "{\"login\":\"x admin\"}"),
    NO_USER("login is not", "{\"login\":\"x\\nadmin\"}"),
    NO_USER("login is not", "{\"login\":\"x\\u0000\"}"),
    NO_USER("login is not", "{\"login\":\"x\\u00e9\"}"),
    NO_USER("login is not", "{\"login\":\"x/admin\"}"),
    BAD_USER("duplicate", "{\"login\":\"x\",\"login\":\"admin\"}"),
    NO_USER("id is a string, expected a number", "{\"login\":\"x\",\"id\":\"1\"}"),
    YES("a null id", "x", "{\"roles\":[\"x\"]}", NULL,
        {"/user", 200, "{\"login\":\"x\",\"id\":null}", NULL}),
    BAD_ORGS("an object, expected a list", "{}"),
    BAD_ORGS("null, expected a list", "null"),
    BAD_ORGS("not JSON", "[{\"login\":\"a\"}"),
    YES("a null organization", "octocat", "{\"roles\":[\"octocat\"],\"teams\":[\"a\"]}",
        "Organizations on", {USER}, {ORGS, 200, "[null,{\"login\":\"a\"}]", NULL}),
    BAD_ORGS("has no name", "[\"github\"]"),
    BAD_ORGS("has no name", "[{\"login\":\"a\"},{\"name\":\"b\"}]"),
    BAD_ORGS("has no name", "[{\"login\":\"a b\"}]"),
    BAD_TEAMS("a string, expected a list", "\"core\""),
    BAD_TEAMS("has no name", "[{\"slug\":\"core\"}]"),
    BAD_TEAMS("has no name", "[{\"slug\":\"core\",\"organization\":null}]"),
    BAD_TEAMS("has no name", "[{\"slug\":\"a/b\",\"organization\":{\"login\":\"gh\"}}]"),
    BAD_TEAMS("has no name", "[{\"organization\":{\"login\":\"gh\"}}]"),
    REFUSED("401", "/user answered 401: \"Bad credentials\"", 401,
            "{\"message\":\"Bad credentials\"" DOCS, NULL),
    REFUSED("401 with the limit reached", "answered 401", 401, "{}", "X-RateLimit-Remaining: 0"),
    REFUSED("403", "/user answered 403: \"Resource not accessible by integration\"", 403,
            "{\"message\":\"Resource not accessible by integration\"" DOCS,
            "X-RateLimit-Remaining: 4999"),
    REFUSED("403, not JSON", "answered 403", 403, "Forbidden", NULL),
    REFUSED("403, a message of no string", "answered 403", 403, "{\"message\":[\"rate limit\"]}",
            NULL),
    OUTAGE("403, the primary limit", LIMIT, 403, "{\"message\":\"API\"" DOCS,
           "X-RateLimit-Remaining: 0"),
    OUTAGE("403, Retry-After", LIMIT, 403, "{}", "Retry-After: 60\nX-RateLimit-Remaining: 9"),
    OUTAGE("403, only the message tells", LIMIT, 403,
           "{\"message\":\"You have exceeded a secondary Rate Limit.\"" DOCS, NULL),
    OUTAGE("403, too many bad logins", LIMIT, 403,
           "{\"message\":\"Maximum number of login attempts exceeded.\"" DOCS, NULL),
    OUTAGE("429", LIMIT, 429, "{}", NULL),
    OUTAGE("404", "answered 404", 404, "{}", NULL),
    OUTAGE("301", "answered 301", 301, "", NULL),
    OUTAGE("304", "answered 304", 304, "", NULL),
    OUTAGE("201 with a user", "answered 201", 201, OCTOCAT, NULL),
    OUTAGE("500", "answered 500", 500, "", NULL),
    OUTAGE("503", "answered 503", 503, "", "Retry-After: 1"),
    OUTAGE("no answer", "connection refused", -1, "", NULL),
    {"rejected: no scope for organizations",
     {"Organizations on"},
     {{USER}, {ORGS, 403, "{\"message\":\"You need at least read:org scope\"}", NULL}},
     LA_VERDICT_REJECTED,
     "/user/orgs answered 403: \"You need at least read:org scope\"",
     NULL,
     NULL},
    BAD("the limit reached between calls", LIMIT, "Teams on", {USER},
        {TEAMS, 403, "{}", "X-RateLimit-Remaining: 0"}),
    BAD("teams that fail", "/user/teams answered 502", "Teams on", {USER}, {TEAMS, 502, "", NULL}),
};

static void test_verdict(void **state)
{
    const verdict_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_result_t result;

    verify(pool, row->lines, row->replies, &result);
    assert_int_equal(result.verdict, row->verdict);
    assert_int_equal(result.timed_out, 0);
    assert_int_equal(result.unusable, strncmp(row->name, "unusable", 8) == 0);
    if (row->verdict == LA_VERDICT_ACCEPTED) {
        assert_string_equal(la_identity_principal(result.identity).data, row->principal);
        assert_string_equal(la_identity_attributes_json(result.identity).data, row->attributes);
    } else {
        assert_null(result.identity);
        assert_string_equal(result.message, row->verdict == LA_VERDICT_REJECTED && !result.unusable
                                                ? "GitHub token validation failed. Please check "
                                                  "your token and try again."
                                                : "Authentication service error");
        assert_non_null(strstr(result.reason, row->told));
        assert_null(strstr(result.reason, "gho_"));
    }
    apr_pool_destroy(pool);
}

static void test_timeout(void **state)
{
    static const char *const lines[MAX_LINES] = {"Organizations on"};
    static const reply_t replies[MAX_REPLIES] = {{USER}, {ORGS, 0, NULL, NULL}};
    apr_pool_t *pool = new_pool();
    la_result_t result;

    (void)state;
    verify(pool, lines, replies, &result);
    assert_int_equal(result.verdict, LA_VERDICT_UNAVAILABLE);
    assert_int_equal(result.timed_out, 1);
    assert_string_equal(result.message, "Authentication service timeout");
    for (int i = 0; i < 50; i++)
        memset(apr_palloc(pool, 8000), 'x', 8000); /* what the page's pool held is overwritten */
    assert_non_null(strstr(result.reason, "/user/orgs: connection refused"));
    apr_pool_destroy(pool);
}

/* ---- the question ---- */

static void test_question(void **state)
{
    static const char *const lines[MAX_LINES] = {"ApiBase https://ghe.example/", "Teams on",
                                                 "Organizations on", "Timeout 2s"};
    static const reply_t replies[MAX_REPLIES] = {
        {USER}, {ORGS, 200, "[]", NULL}, {TEAMS, 200, "[]", NULL}};
    apr_pool_t *pool = new_pool();
    apr_time_t before = la_clock_us();
    la_result_t result;

    (void)state;
    verify(pool, lines, replies, &result);
    assert_int_equal(result.verdict, LA_VERDICT_ACCEPTED);
    assert_string_equal(asked, "https://ghe.example/user\n"
                               "https://ghe.example/user/orgs?per_page=100&page=1\n"
                               "https://ghe.example/user/teams?per_page=100&page=1\n");
    assert_in_range(asked_deadline - before, 2000000, 2900000);
    assert_string_equal(apr_table_get(asked_headers, "Authorization"), "Bearer gho_T\"oken~");
    assert_string_equal(apr_table_get(asked_headers, "Accept"), "application/vnd.github+json");
    assert_string_equal(apr_table_get(asked_headers, "X-GitHub-Api-Version"), "2022-11-28");
    assert_int_equal(apr_table_elts(asked_headers)->nelts, 3);
    apr_pool_destroy(pool);
}

/* ---- pages ---- */

/* A page of `count` teams that no other page has. */
static const char *page_of(apr_pool_t *pool, int page, int count)
{
    apr_array_header_t *entries = apr_array_make(pool, count + 1, sizeof(char *));

    for (int i = 0; i < count; i++)
        APR_ARRAY_PUSH(entries, char *) = apr_psprintf(
            pool, "{\"slug\":\"t%d-%d\",\"organization\":{\"login\":\"gh\"}}", page, i);
    return apr_pstrcat(pool, "[", apr_array_pstrcat(pool, entries, ','), "]", NULL);
}

typedef struct page_case_t {
    const char *name;
    int full;   /* pages with 100 entries */
    int rest;   /* entries on the one after them */
    int asked;  /* pages that are asked for */
    int warned; /* what is left out is logged */
} page_case_t;

static page_case_t page_cases[] = {
    {"pages: none", 0, 0, 1, 0},          {"pages: 1 entry", 0, 1, 1, 0},
    {"pages: 99 entries", 0, 99, 1, 0},   {"pages: 100 entries", 1, 0, 2, 0},
    {"pages: 101 entries", 1, 1, 2, 0},   {"pages: 350 entries", 3, 50, 4, 0},
    {"pages: 999 entries", 9, 99, 10, 0}, {"pages: 1000 entries", 10, 0, 10, 1},
};

static void test_pages(void **state)
{
    static const char *const lines[MAX_LINES] = {"Teams on", "Claim teams teams"};
    static const reply_t replies[MAX_REPLIES] = {{USER}};
    const page_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_result_t result;
    int calls = 0;

    for (int page = 1; page <= row->full; page++)
        lists[page] = page_of(pool, page, 100);
    lists[row->full + 1] = page_of(pool, row->full + 1, row->rest);
    forget_log();
    verify(pool, lines, replies, &result);
    assert_int_equal(result.verdict, LA_VERDICT_ACCEPTED);
    for (const char *p = asked; (p = strstr(p, "&page=")) != NULL; p++)
        calls++;
    assert_int_equal(calls, row->asked);
    assert_int_equal(log_lines, row->warned);
    for (int i = 0; i < row->full * 100 + row->rest; i++) {
        const char *team = apr_psprintf(pool, "gh/t%d-%d", i / 100 + 1, i % 100);

        assert_true(la_identity_has(result.identity, LA_SLICE("teams"), slice_of_text(team)));
    }
    apr_pool_destroy(pool);
}

/* ---- the token's end ---- */

typedef struct end_case_t {
    const char *field;
    const char *name;
    apr_int64_t expires_s;
} end_case_t;

#define ENDS "GitHub-Authentication-Token-Expiration: "

static end_case_t end_cases[] = {
    {ENDS "2027-01-01 00:00:00 UTC", "end: it has one", 1798761600},
    {ENDS "1960-01-01 00:00:00 UTC", "end: before 1970", 0},
    {ENDS "soon", "end: no time", 0},
};

static void test_end(void **state)
{
    const end_case_t *row = *state;
    const char *const lines[MAX_LINES] = {NULL};
    const reply_t replies[MAX_REPLIES] = {{"/user", 200, OCTOCAT, row->field}};
    apr_pool_t *pool = new_pool();
    la_result_t result;

    verify(pool, lines, replies, &result);
    assert_int_equal(result.verdict, LA_VERDICT_ACCEPTED);
    assert_true(result.expires ==
                (strstr(row->name, "1970") ? 1 : row->expires_s * APR_USEC_PER_SEC));
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(option_cases); i++)
        add(option_cases[i].name, test_option, &option_cases[i]);
    for (size_t i = 0; i < ROWS(verdict_cases); i++)
        add(verdict_cases[i].name, test_verdict, &verdict_cases[i]);
    add("outage: a timeout between calls", test_timeout, NULL);
    add("question", test_question, NULL);
    for (size_t i = 0; i < ROWS(page_cases); i++)
        add(page_cases[i].name, test_pages, &page_cases[i]);
    for (size_t i = 0; i < ROWS(end_cases); i++)
        add(end_cases[i].name, test_end, &end_cases[i]);
    return finish("github");
}
