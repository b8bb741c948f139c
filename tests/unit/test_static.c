/* static.c: startup, the verdict on a key, and what happens when the file changes. The file's form
 * is tested in test_static_keys.c.
 */
#include "support.h"

#include "io/reload.h"
#include "provider/api_key.h"
#include "provider/provider.h"

#include <pthread.h>

#define START   (APR_TIME_C(1798761600) * APR_USEC_PER_SEC) /* 2027-01-01T00:00:00Z */
#define INSTANT "2027-01-01T00:00:00Z"

/* An entry for a key, in `pool`; `more` follows the principal. */
static const char *entry(apr_pool_t *pool, const char *key, const char *principal, const char *more)
{
    unsigned char digest[LA_DIGEST_BYTES];
    char hex[2 * LA_DIGEST_BYTES + 1];

    assert_int_equal(la_digest_sha256(slice_of_text(key), digest), APR_SUCCESS);
    for (int i = 0; i < LA_DIGEST_BYTES; i++)
        apr_snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return apr_psprintf(pool, "{\"sha256\":\"%s\",\"principal\":\"%s\"%s}", hex, principal, more);
}

/* Writes keys.json with these entries, NULL at the end. */
static void write_keys(apr_pool_t *pool, const char *first, ...)
{
    const char *text = "{\"keys\":[";
    va_list entries;

    va_start(entries, first);
    for (const char *e = first; e; e = va_arg(entries, const char *))
        text = apr_pstrcat(pool, text, e == first ? "" : ",", e, NULL);
    va_end(entries);
    write_text(pool, "keys.json", apr_pstrcat(pool, text, "]}", NULL));
}

static const char *make(apr_pool_t *pool, la_provider_t **provider)
{
    static const char *const words[] = {"keys.json"};
    const char *error;

    *provider = la_provider_make(pool, "keys", &la_static_type);
    error = la_provider_set(*provider, pool, "File", 1, words);
    return error ? error : la_provider_finish(*provider, pool);
}

/* A provider over keys.json in its process. */
static la_provider_t *started(apr_pool_t *pool)
{
    la_provider_t *provider;

    assert_null(make(pool, &provider));
    forget_log();
    assert_int_equal(la_provider_child_init(provider, pool, NULL, NULL), APR_SUCCESS);
    assert_int_equal(log_lines, 0);
    return provider;
}

static void verify(apr_pool_t *pool, const la_provider_t *provider, const char *key, apr_time_t now,
                   la_result_t *result)
{
    unsigned char digest[LA_DIGEST_BYTES];
    la_call_t call = {.token = slice_of_text(key),
                      .digest = digest,
                      .now = now,
                      .path = "/",
                      .client_ip = "10.1.2.3",
                      .headers = apr_table_make(pool, 1)};

    assert_int_equal(la_digest_sha256(call.token, digest), APR_SUCCESS);
    la_provider_verify(provider, &call, pool, result);
}

/* What becomes of a key: the principal that is accepted, or NULL. */
static void expect(const la_provider_t *provider, const char *key, apr_time_t now,
                   const char *principal)
{
    apr_pool_t *request = new_pool();
    la_result_t result;

    verify(request, provider, key, now, &result);
    if (principal) {
        assert_int_equal(result.verdict, LA_VERDICT_ACCEPTED);
        assert_string_equal(la_identity_principal(result.identity).data, principal);
    } else {
        assert_int_equal(result.verdict, LA_VERDICT_NOT_MINE);
        assert_string_equal(result.message, "Invalid API key");
        assert_non_null(strstr(result.reason, "keys.json has its SHA-256"));
        assert_null(result.identity);
    }
    apr_pool_destroy(request);
}

/* ---- startup ---- */

typedef struct start_case_t {
    const char *name;
    const char *text; /* of the file, NULL: there is none */
    const char *error;
} start_case_t;

static start_case_t start_cases[] = {
    {"start: no file", NULL, "keys.json: open: No such file or directory"},
    {"start: empty", "", "keys.json: unexpected end"},
    {"start: truncated", "{\"keys\":[{\"sha256\":", "keys.json: unexpected end"},
    {"start: an entry's position", "{\"keys\":[{}]}", "keys.json: keys[0]: no sha256"},
    {"start: sound", "{\"keys\":[]}", NULL},
};

static void test_start(void **state)
{
    const start_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    const char *error;

    remove(file_path(pool, "keys.json"));
    if (row->text)
        write_text(pool, "keys.json", row->text);
    error = make(pool, &provider);
    if (row->error) {
        assert_non_null(error);
        assert_non_null(strstr(error, row->error));
    } else {
        assert_null(error);
    }
    apr_pool_destroy(pool);
}

static void test_file_is_required(void **state)
{
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = la_provider_make(pool, "keys", &la_static_type);

    (void)state;
    assert_string_equal(la_provider_finish(provider, pool), "File is missing");
    apr_pool_destroy(pool);
}

static void test_options(void **state)
{
    static const char *const words[] = {"https://host/"};
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = la_provider_make(pool, "keys", &la_static_type);

    (void)state;
    assert_non_null(strstr(la_provider_set(provider, pool, "Endpoint", 1, words), "not an option"));
    assert_non_null(strstr(la_provider_set(provider, pool, "Timeout", 1, words), "not an option"));
    assert_non_null(strstr(la_provider_set(provider, pool, "Fil", 1, words), "did you mean File?"));
    apr_pool_destroy(pool);
}

static void test_hint(void **state)
{
    (void)state;
    assert_string_equal(la_static_type.hint,
                        "Authentication required. Please provide your API key as a Bearer token in "
                        "the Authorization header");
}

/* ---- the verdict ---- */

static void test_lookup(void **state)
{
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    la_result_t result;

    (void)state;
    write_keys(pool, entry(pool, "one", "alice", ",\"attributes\":{\"roles\":[\"ci\"]}"),
               entry(pool, "two", "bob", ""), NULL);
    provider = started(pool);
    expect(provider, "one", START, "alice");
    expect(provider, "two", START, "bob");
    expect(provider, "three", START, NULL);
    expect(provider, "One", START, NULL);
    expect(provider, "one ", START, NULL);
    verify(pool, provider, "one", START, &result);
    assert_true(la_identity_has(result.identity, LA_SLICE("roles"), LA_SLICE("ci")));
    assert_int_equal(result.expires, 0);
    apr_pool_destroy(pool);
}

typedef struct expiry_case_t {
    const char *name;
    const char *more;
    apr_time_t now;
    int accepted;
    const char *reason;
} expiry_case_t;

static expiry_case_t expiry_cases[] = {
    {"expiry: just before", ",\"expires\":\"" INSTANT "\"", START - 1, 1, NULL},
    {"expiry: at the instant", ",\"expires\":\"" INSTANT "\"", START, 0,
     "keys[0] expired at 2027-01-01T00:00:00Z"},
    {"expiry: after", ",\"id\":\"ci\",\"expires\":\"" INSTANT "\"", START + 1, 0, "ci expired at"},
    {"expiry: long ago", ",\"expires\":\"1970-01-01T00:00:00Z\"", START, 0,
     "expired at 1970-01-01"},
    {"not before: early", ",\"not_before\":\"" INSTANT "\",\"expires\":\"" INSTANT "\"", START - 1,
     0, "keys[0] is not valid before 2027-01-01T00:00:00Z"},
    {"disabled", ",\"id\":\"ci\",\"disabled\":true", START, 0, "ci is disabled"},
    {"from elsewhere", ",\"from\":[\"10.1.2.4\"]", START, 0,
     "keys[0] is not accepted from 10.1.2.3"},
    {"from nowhere", ",\"from\":[]", START, 0, "keys[0] is not accepted from 10.1.2.3"},
    {"from there", ",\"from\":[\"10.1.2.3\"],\"expires\":\"" INSTANT "\"", START - 1, 1, NULL},
};

static void test_expiry(void **state)
{
    const expiry_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    la_result_t result;

    write_keys(pool, entry(pool, "key", "alice", row->more), NULL);
    provider = started(pool);
    verify(pool, provider, "key", row->now, &result);
    if (row->accepted) {
        assert_int_equal(result.verdict, LA_VERDICT_ACCEPTED);
        assert_true(result.expires == START);
    } else {
        assert_int_equal(result.verdict, LA_VERDICT_REJECTED);
        assert_string_equal(result.message, "Invalid API key");
        assert_non_null(strstr(result.reason, row->reason));
        assert_null(result.identity);
    }
    apr_pool_destroy(pool);
}

/* The log tells a mistyped key from one that nobody issued; the client is told the same. */
static void test_mistyped(void **state)
{
    static const unsigned char bytes[LA_API_KEY_RANDOM_BYTES] = {7};
    apr_pool_t *pool = new_pool();
    char *key = apr_pstrdup(pool, la_api_key_make(pool, "lla_", bytes));
    la_provider_t *provider;
    la_result_t result;

    (void)state;
    write_keys(pool, entry(pool, "one", "alice", ""), NULL);
    provider = started(pool);
    expect(provider, key, START, NULL);
    key[20] = key[20] == 'a' ? 'b' : 'a';
    verify(pool, provider, key, START, &result);
    assert_int_equal(result.verdict, LA_VERDICT_NOT_MINE);
    assert_string_equal(result.message, "Invalid API key");
    assert_non_null(strstr(result.reason, "mistyped"));
    write_keys(pool, entry(pool, key, "alice", ""), NULL);
    expect(provider, key, START + LA_RELOAD_INTERVAL_US, "alice");
    apr_pool_destroy(pool);
}

/* ---- changes ---- */

static void test_reload(void **state)
{
    apr_pool_t *pool = new_pool();
    apr_time_t now = START;
    la_provider_t *provider;

    (void)state;
    write_keys(pool, entry(pool, "one", "alice", ""), NULL);
    provider = started(pool);
    expect(provider, "one", now, "alice");
    write_keys(pool, entry(pool, "two", "bob", ""), NULL);
    expect(provider, "one", now + LA_RELOAD_INTERVAL_US - 1, "alice");
    now += LA_RELOAD_INTERVAL_US;
    expect(provider, "one", now, NULL);
    expect(provider, "two", now, "bob");
    assert_int_equal(log_lines, 1);
    assert_int_equal(log_level, LA_LOG_INFO);
    apr_pool_destroy(pool);
}

/* What a request was given stays its own when the version that it came from is gone. */
static void test_result_outlives_its_version(void **state)
{
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    la_result_t accepted;
    la_result_t expired;

    (void)state;
    write_keys(pool, entry(pool, "one", "alice", ""),
               entry(pool, "two", "bob", ",\"id\":\"old\",\"expires\":\"" INSTANT "\""), NULL);
    provider = started(pool);
    verify(pool, provider, "one", START, &accepted);
    verify(pool, provider, "two", START, &expired);
    write_keys(pool, NULL);
    expect(provider, "one", START + LA_RELOAD_INTERVAL_US, NULL);
    assert_string_equal(la_identity_principal(accepted.identity).data, "alice");
    assert_string_equal(expired.reason, "the key old expired at 2027-01-01T00:00:00Z");
    apr_pool_destroy(pool);
}

static void test_change_before_the_first_request(void **state)
{
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;

    (void)state;
    write_keys(pool, entry(pool, "one", "alice", ""), NULL);
    provider = started(pool);
    write_keys(pool, NULL);
    expect(provider, "one", START, NULL);
    apr_pool_destroy(pool);
}

static void test_broken_version(void **state)
{
    apr_pool_t *pool = new_pool();
    apr_time_t now = START;
    la_provider_t *provider;

    (void)state;
    write_keys(pool, entry(pool, "one", "alice", ""), NULL);
    provider = started(pool);
    write_text(pool, "keys.json", "{\"keys\":[{\"sha256\":\"s3cret\"}]}");
    for (int i = 0; i < 3; i++, now += LA_RELOAD_INTERVAL_US)
        expect(provider, "one", now, "alice");
    assert_int_equal(log_lines, 1);
    assert_int_equal(log_level, LA_LOG_ERROR);
    assert_non_null(strstr(logged, "keys.json: keys[0]: sha256 is not 64 hex digits"));
    assert_null(strstr(logged, "s3cret"));
    remove(file_path(pool, "keys.json"));
    for (int i = 0; i < 3; i++, now += LA_RELOAD_INTERVAL_US)
        expect(provider, "one", now, "alice");
    assert_int_equal(log_lines, 2);
    assert_non_null(strstr(logged, "No such file"));
    write_keys(pool, entry(pool, "two", "bob", ""), NULL);
    expect(provider, "one", now, NULL);
    expect(provider, "two", now, "bob");
    apr_pool_destroy(pool);
}

static void test_unreadable_in_the_child(void **state)
{
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;

    (void)state;
    write_keys(pool, entry(pool, "one", "alice", ""), NULL);
    assert_null(make(pool, &provider));
    remove(file_path(pool, "keys.json"));
    forget_log();
    assert_int_equal(la_provider_child_init(provider, pool, NULL, NULL), APR_SUCCESS);
    assert_int_equal(log_lines, 1);
    assert_int_equal(log_level, LA_LOG_WARNING);
    expect(provider, "one", START, "alice");
    apr_pool_destroy(pool);
}

/* ---- threads ---- */

#define THREADS 4
#define ROUNDS  500

typedef struct reader_t {
    const la_provider_t *provider;
    apr_pool_t *pool;
    int wrong;
} reader_t;

/* Each round a second later, so that each looks at the file. */
static void *read_on(void *data)
{
    reader_t *reader = data;
    la_result_t result;

    for (int i = 0; i < ROUNDS; i++) {
        verify(reader->pool, reader->provider, "one", START + i * LA_RELOAD_INTERVAL_US, &result);
        if (result.verdict != LA_VERDICT_ACCEPTED ||
            strcmp(la_identity_principal(result.identity).data, "alice") != 0)
            reader->wrong++;
        apr_pool_clear(reader->pool);
    }
    return NULL;
}

static void test_threads(void **state)
{
    apr_pool_t *pool = new_pool();
    pthread_t threads[THREADS];
    reader_t readers[THREADS];
    la_provider_t *provider;

    (void)state;
    write_keys(pool, entry(pool, "one", "alice", ""), NULL);
    provider = started(pool);
    for (int i = 0; i < THREADS; i++) {
        readers[i] = (reader_t){provider, new_pool(), 0};
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
    }
    for (int i = 0; i < 100; i++)
        write_keys(pool, entry(pool, "one", "alice", ""), entry(pool, "two", "bob", ""), NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(readers[i].wrong, 0);
        apr_pool_destroy(readers[i].pool);
    }
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(start_cases); i++)
        add(start_cases[i].name, test_start, &start_cases[i]);
    add("File is required", test_file_is_required, NULL);
    add("options of other types are refused", test_options, NULL);
    add("hint", test_hint, NULL);
    add("look-up", test_lookup, NULL);
    for (size_t i = 0; i < ROWS(expiry_cases); i++)
        add(expiry_cases[i].name, test_expiry, &expiry_cases[i]);
    add("a mistyped key", test_mistyped, NULL);
    add("reload", test_reload, NULL);
    add("reload: a result outlives its version", test_result_outlives_its_version, NULL);
    add("reload: changed before the first request", test_change_before_the_first_request, NULL);
    add("reload: a broken version keeps the old", test_broken_version, NULL);
    add("reload: unreadable in the child", test_unreadable_in_the_child, NULL);
    add("reload: with readers in other threads", test_threads, NULL);
    return finish("static");
}
