/* lookup.c: what a verdict depends on besides the token: CacheVary, the provider's definition, its
 * Match. */
#include "lookups.h"

/* ---- what it depends on
 * ----------------------------------------------------------------------------------- */

typedef struct asked_t {
    const char *token;
    const char *path;
    const char *query;
    const char *ip;
    const char *tenant;
    const char *header;
} asked_t;

typedef struct vary_case_t {
    const char *name;
    const char *vary; /* p: path, q: params, i: client_ip, t: header:X-Tenant, o: header:X-Other */
    asked_t other;    /* than "token", "/v1", "a=1", "127.0.0.1", "blue", no X-Other */
    int same;
} vary_case_t;

#define T "token"
#define P "/v1"
#define Q "a=1"
#define I "127.0.0.1"
#define B "blue"

static vary_case_t vary_cases[] = {
    {"vary: all, nothing differs", "pqito", {T, P, Q, I, B, NULL}, 1},
    {"vary: nothing, all but the token differ", "", {T, "/x", NULL, "::1", "red", "x"}, 1},
    {"vary: nothing, the token differs", "", {"tokem", P, Q, I, B, NULL}, 0},
    {"vary: path, it differs", "p", {T, "/v2", Q, I, B, NULL}, 0},
    {"vary: path, a slash more", "p", {T, "/v1/", Q, I, B, NULL}, 0},
    {"vary: path, another case", "p", {T, "/V1", Q, I, B, NULL}, 0},
    {"vary: path, all others differ", "p", {T, P, "a=2", "::1", "red", "x"}, 1},
    {"vary: params, they differ", "q", {T, P, "a=2", I, B, NULL}, 0},
    {"vary: params, absent", "q", {T, P, NULL, I, B, NULL}, 0},
    {"vary: params, empty", "q", {T, P, "", I, B, NULL}, 0},
    {"vary: params, all others differ", "q", {T, "/x", Q, "::1", "red", "x"}, 1},
    {"vary: client_ip, it differs", "i", {T, P, Q, "127.0.0.2", B, NULL}, 0},
    {"vary: client_ip, all others differ", "i", {T, "/x", NULL, I, "red", "x"}, 1},
    {"vary: header, it differs", "t", {T, P, Q, I, "red", NULL}, 0},
    {"vary: header, empty", "t", {T, P, Q, I, "", NULL}, 0},
    {"vary: header, absent", "t", {T, P, Q, I, NULL, NULL}, 0},
    {"vary: header, all others differ", "t", {T, "/x", NULL, "::1", B, "x"}, 1},
    {"vary: two headers, the second comes", "to", {T, P, Q, I, B, ""}, 0},
    {"vary: two headers, the value moves", "to", {T, P, Q, I, NULL, B}, 0},
    {"vary: path and params, moved", "pq", {T, "/v1a", "=1", I, B, NULL}, 0},
};

static la_vary_t vary_of(const char *letters)
{
    la_vary_t vary = {.path = strchr(letters, 'p') != NULL,
                      .params = strchr(letters, 'q') != NULL,
                      .client_ip = strchr(letters, 'i') != NULL};

    if (strpbrk(letters, "to")) {
        vary.headers = apr_array_make(pool, 2, sizeof(const char *));
    }
    if (strchr(letters, 't')) {
        APR_ARRAY_PUSH(vary.headers, const char *) = "x-tenant";
    }
    if (strchr(letters, 'o')) {
        APR_ARRAY_PUSH(vary.headers, const char *) = "X-OTHER";
    }
    return vary;
}

static la_source_e ask(const asked_t *asked, la_cache_key_memo_t *memo)
{
    visit_t *visit = make_visit(asked->token);
    apr_table_t *headers = apr_table_make(pool, 4);

    visit->call.path = asked->path;
    visit->call.query = asked->query;
    visit->call.client_ip = asked->ip;
    visit->call.headers = headers;
    visit->call.memo = memo;
    apr_table_setn(headers, "Accept", "*/*");
    if (asked->tenant) {
        apr_table_setn(headers, "X-Tenant", asked->tenant);
    }
    if (asked->header) {
        apr_table_setn(headers, "X-Other", asked->header);
    }
    run_visit(visit);
    assert_int_equal(visit->result.verdict, LA_VERDICT_ACCEPTED);
    return visit->result.source;
}

static void assert_varies(const vary_case_t *row, la_cache_key_memo_t *memo)
{
    static const asked_t first = {T, P, Q, I, B, NULL};

    provider->common.vary = vary_of(row->vary);
    assert_int_equal(ask(&first, memo), LA_SOURCE_MISS);
    assert_int_equal(ask(&row->other, memo), row->same ? LA_SOURCE_HIT : LA_SOURCE_MISS);
    assert_int_equal(ask(&row->other, memo), LA_SOURCE_HIT);
    assert_int_equal(ask(&first, memo), LA_SOURCE_HIT);
    assert_int_equal(ask(&first, memo), LA_SOURCE_HIT);
    assert_int_equal(ask(&first, NULL), LA_SOURCE_HIT);
}

/* What a connection remembers makes no difference. */
static void test_vary(void **state)
{
    la_cache_key_memo_t memo = {0};

    assert_varies(*state, NULL);
    provider = make_provider("remembered", 1);
    assert_varies(*state, &memo);
}

/* Paths and queries about as long as what a checksum can be made of, and two providers over one
 * connection. */
enum { MEMO_BYTES = 8650 };

static void test_memo_bounds(void **state)
{
    la_cache_key_memo_t memo = {0};
    char *path = apr_pcalloc(pool, 2 * MEMO_BYTES);
    la_provider_t *other = make_provider("other", 1);
    la_provider_t *corp = provider;

    (void)state;
    corp->common.vary = other->common.vary = vary_of("pq");
    memset(path, 'p', MEMO_BYTES - 3);
    for (size_t len = MEMO_BYTES - 2; len < MEMO_BYTES + 40; len++) {
        asked_t by_path = {T, path, NULL, I, B, NULL};
        asked_t by_query = {T, P, path, I, B, NULL};

        path[len - 1] = 'p';
        for (int round = 0; round < 3; round++) {
            la_source_e expected = round ? LA_SOURCE_HIT : LA_SOURCE_MISS;

            provider = corp;
            assert_int_equal(ask(&by_path, &memo), expected);
            provider = other;
            assert_int_equal(ask(&by_path, &memo), expected);
            assert_int_equal(ask(&by_query, &memo), expected);
        }
    }
}

/* The resource of an .htaccess is read anew for each request, and may stand where another one
 * stood. */
static void test_memo_of_reused_memory(void **state)
{
    la_cache_key_memo_t memo = {0};
    char resource[] = "https://a.example/mcp";
    la_provider_type_t checking = *provider->type;
    static const char *const hosts[] = {"a", "b", "a"};
    static const la_source_e expected[] = {LA_SOURCE_MISS, LA_SOURCE_MISS, LA_SOURCE_HIT};

    (void)state;
    checking.checks_audience = 1;
    provider->type = &checking;
    for (size_t i = 0; i < 3; i++) {
        visit_t *visit = make_visit("token");

        resource[8] = *hosts[i];
        visit->call.resource = resource;
        visit->call.memo = &memo;
        run_visit(visit);
        assert_int_equal(visit->result.source, expected[i]);
    }
}

/* The same token at a provider that is defined otherwise, be it in its name only. */
static void test_other_definition(void **state)
{
    la_result_t result;

    (void)state;
    look("token");
    principal = "bob";
    provider = make_provider("corp2", 1);
    result = look("token");
    assert_caller(&result, "bob");
    assert_source(&result, LA_SOURCE_MISS);
    provider = make_provider("corp", 1); /* as after a restart: the same words, another place */
    result = look("token");
    assert_caller(&result, "alice");
    assert_source(&result, LA_SOURCE_HIT);
}

static void test_match(void **state)
{
    la_result_t result;

    (void)state;
    provider->common.match = "ghp_";
    result = look("token");
    assert_int_equal(result.verdict, LA_VERDICT_NOT_MINE);
    assert_null(result.message);
    assert_non_null(result.reason);
    assert_int_equal(calls(), 0);
    assert_int_equal(counted(LA_SOURCE_MISS), 0);
    result = look("ghp_token");
    assert_caller(&result, "alice");
    assert_int_equal(calls(), 1);
}

int main(void)
{
    ADD_ROWS(vary_cases, test_vary);
    add_in_world("vary: what a connection remembers", test_memo_bounds, NULL);
    add_in_world("vary: a connection remembers what was said, not where",
                 test_memo_of_reused_memory, NULL);
    add_in_world("vary: another definition", test_other_definition, NULL);
    add_in_world("match", test_match, NULL);
    return run_lookups("lookup, what it depends on");
}
