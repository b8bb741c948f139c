/* Counters in shared memory: sums over threads and processes, buckets, errors that are never torn,
 * and values out of range. */
#include "shm/counters.h"

#include "procs.h"

#include <string.h>

#define PROVIDERS 3u
#define COUNTED   5000
#define S         APR_USEC_PER_SEC

static apr_pool_t *pool;
static void *bytes;
static la_counters_t *stats;

static int make_stats(void **state)
{
    (void)state;
    bytes = shared_alloc(la_counters_bytes(PROVIDERS));
    if (apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return 1;
    }
    stats = la_counters_attach(bytes, PROVIDERS, pool);
    return 0;
}

static int drop_stats(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    shared_free(bytes, la_counters_bytes(PROVIDERS));
    return 0;
}

static void *count_all(void *unused)
{
    for (int i = 0; i < COUNTED; i++) {
        for (unsigned outcome = 0; outcome < LA_COUNTERS_OUTCOMES; outcome++) {
            la_counters_request(stats, outcome);
        }
        la_counters_lookup(stats, 1, 3, 5);
        la_counters_lookup(stats, 2, 0, 0);
        la_counters_call(stats, 1, i);
    }
    return unused;
}

static int count_in_process(void *unused)
{
    count_all(unused);
    return 0;
}

static void test_sums(void **state)
{
    pid_t child = spawn(count_in_process, NULL);
    la_counters_provider_t read;

    (void)state;
    run_threads(4, count_all, NULL);
    assert_int_equal(reap(child), 0);
    for (unsigned outcome = 0; outcome < LA_COUNTERS_OUTCOMES; outcome++) {
        assert_int_equal(la_counters_requests(stats, outcome), 5 * COUNTED);
    }
    la_counters_read(stats, 1, &read);
    assert_int_equal(read.lookups[3][5], 5 * COUNTED);
    assert_int_equal(read.lookups[0][0], 0);
    assert_int_equal(read.calls.count, 5 * COUNTED);
    assert_int_equal(read.calls.sum_us, 5 * (COUNTED - 1) * COUNTED / 2);
    la_counters_read(stats, 2, &read);
    assert_int_equal(read.lookups[0][0], 5 * COUNTED);
    la_counters_read(stats, 0, &read);
    assert_int_equal(read.calls.count, 0);
}

typedef struct bucket_case_t {
    const char *name;
    apr_interval_time_t us;
    int bucket;
} bucket_case_t;

static const bucket_case_t bucket_cases[] = {
    {"bucket: nothing", 0, 0},
    {"bucket: a clock that went back", -5, 0},
    {"bucket: at the first bound", 250, 0},
    {"bucket: past the first bound", 251, 1},
    {"bucket: a second", S, 11},
    {"bucket: at the last bound", 10 * S, 14},
    {"bucket: past the last bound", 10 * S + 1, 15},
    {"bucket: for ever", APR_INT64_MAX, 15},
};

static void test_bucket(void **state)
{
    const bucket_case_t *row = *state;
    la_counters_provider_t read;

    la_counters_call(stats, 0, row->us);
    la_counters_read(stats, 0, &read);
    for (int i = 0; i <= LA_COUNTERS_BUCKETS; i++) {
        assert_int_equal(read.calls.buckets[i], i == row->bucket);
    }
}

static void test_out_of_range(void **state)
{
    la_counters_provider_t read;

    (void)state;
    la_counters_request(stats, LA_COUNTERS_OUTCOMES);
    la_counters_lookup(stats, PROVIDERS, 0, 0);
    la_counters_lookup(stats, 0, LA_COUNTERS_VERDICTS, 0);
    la_counters_lookup(stats, 0, 0, LA_COUNTERS_SOURCES);
    la_counters_call(stats, PROVIDERS, 1);
    la_counters_error(stats, PROVIDERS, "x", 1);
    assert_int_equal(la_counters_first(stats, PROVIDERS, 0), 0);
    for (apr_size_t i = 0; i < la_counters_bytes(PROVIDERS); i++) {
        assert_int_equal(((char *)bytes)[i], 0);
    }
    la_counters_read(stats, PROVIDERS, &read);
    assert_int_equal(read.calls.count, 0);
    assert_int_equal(la_counters_requests(stats, LA_COUNTERS_OUTCOMES), 0);
    assert_int_equal(la_counters_bytes(70000), 0);
}

static void test_error(void **state)
{
    char longest[400];
    la_counters_provider_t read;

    (void)state;
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    la_counters_error(stats, 1, "a\r\nb\x7f", 42);
    la_counters_read(stats, 1, &read);
    assert_string_equal(read.error, "a  b ");
    assert_int_equal(read.error_at, 42);
    la_counters_error(stats, 1, longest, 43);
    la_counters_read(stats, 1, &read);
    assert_int_equal(strlen(read.error), LA_COUNTERS_ERROR_BYTES);
    la_counters_read(stats, 0, &read);
    assert_int_equal(read.error_at, 0);
}

static void *write_errors(void *letter)
{
    char text[LA_COUNTERS_ERROR_BYTES + 1] = {0};

    memset(text, *(const char *)letter, LA_COUNTERS_ERROR_BYTES);
    for (int i = 0; i < 20000; i++) {
        la_counters_error(stats, 1, text, text[0]);
    }
    return NULL;
}

static void test_error_is_whole(void **state)
{
    pthread_t writers[2];
    char letters[2] = {'a', 'b'};

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&writers[i], NULL, write_errors, &letters[i]), 0);
    }
    for (int i = 0; i < 20000; i++) {
        la_counters_provider_t read;

        la_counters_read(stats, 1, &read);
        for (apr_size_t at = 0; at < strlen(read.error); at++) {
            assert_int_equal(read.error[at], read.error_at);
        }
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(writers[i], NULL);
    }
}

static int write_errors_for_ever(void *event)
{
    for (;;) {
        la_counters_error(stats, 0, "endpoint answered 500", 1);
        event_set(event);
    }
    return 0;
}

/* Killed at any instruction: what was kept before is kept, and so is what comes. */
static void test_dead_writer(void **state)
{
    event_t *event = shared_alloc(sizeof(*event));

    (void)state;
    for (int kills = 1; kills <= 200; kills++) {
        pid_t child = spawn(write_errors_for_ever, event);
        la_counters_provider_t read;

        event_wait(event, atomic_load(event) + 1 + (uint32_t)kills % 7);
        kill(child, SIGKILL);
        reap(child);
        la_counters_read(stats, 0, &read);
        assert_string_equal(read.error, "endpoint answered 500");
        la_counters_error(stats, 0, "down", kills);
        la_counters_read(stats, 0, &read);
        assert_string_equal(read.error, "down");
        assert_int_equal(read.error_at, kills);
    }
    shared_free(event, sizeof(*event));
}

static void test_garbage(void **state)
{
    la_counters_provider_t read;

    (void)state;
    memset(bytes, 0xfe, la_counters_bytes(PROVIDERS));
    la_counters_read(stats, 0, &read);
    assert_int_equal(read.error_at, 0);
    assert_string_equal(read.error, "");
    la_counters_error(stats, 0, "x", 1);
    la_counters_read(stats, 0, &read);
    assert_string_equal(read.error, "x");
}

static void test_first(void **state)
{
    (void)state;
    assert_int_equal(la_counters_first(stats, 0, 0), 1);
    assert_int_equal(la_counters_first(stats, 0, 0), 0);
    assert_int_equal(la_counters_first(stats, 0, 1), 1);
    assert_int_equal(la_counters_first(stats, 1, 0), 1);
}

static void test_copy(void **state)
{
    void *other_bytes = shared_alloc(la_counters_bytes(1));
    la_counters_t *other = la_counters_attach(other_bytes, 1, pool);
    la_counters_provider_t read;

    (void)state;
    la_counters_request(stats, 2);
    la_counters_lookup(stats, 2, 1, 1);
    la_counters_error(stats, 2, "down", 7);
    la_counters_copy(other, 0, stats, 2);
    la_counters_copy(other, 1, stats, 2);
    la_counters_copy_requests(other, stats);
    la_counters_read(other, 0, &read);
    assert_int_equal(read.lookups[1][1], 1);
    assert_string_equal(read.error, "down");
    assert_int_equal(la_counters_requests(other, 2), 1);
    shared_free(other_bytes, la_counters_bytes(1));
}

static la_counters_tokens_t tokens(uint64_t input, uint64_t output)
{
    return (la_counters_tokens_t){input, output};
}

static void *count_tokens(void *unused)
{
    for (int i = 0; i < COUNTED; i++) {
        la_counters_tokens(stats, 1, 2, tokens(3, 4), 90 * S);
    }
    return unused;
}

static int count_tokens_in_process(void *unused)
{
    count_tokens(unused);
    return 0;
}

static void test_tokens(void **state)
{
    pid_t child = spawn(count_tokens_in_process, NULL);
    la_counters_usage_t read;

    (void)state;
    run_threads(4, count_tokens, NULL);
    assert_int_equal(reap(child), 0);
    la_counters_tokens(stats, 1, 0, tokens(0, 0), 90 * S);
    la_counters_tokens(stats, 1, LA_COUNTERS_USAGES, tokens(1, 1), 90 * S);
    la_counters_tokens(stats, PROVIDERS, 0, tokens(1, 1), 90 * S);
    la_counters_read_usage(stats, 1, 100 * S, &read);
    assert_int_equal(read.answers[2], 5 * COUNTED);
    assert_int_equal(read.answers[0], 1);
    assert_int_equal(read.all.input, 15 * COUNTED);
    assert_int_equal(read.all.output, 20 * COUNTED);
    assert_int_equal(read.minutes[LA_COUNTERS_MINUTES - 1].input, 15 * COUNTED);
    assert_int_equal(read.minutes[LA_COUNTERS_MINUTES - 1].output, 20 * COUNTED);
    la_counters_read_usage(stats, 0, 100 * S, &read);
    assert_int_equal(read.all.input + read.answers[2], 0);
}

/* Minutes pass, and what is an hour old is not shown. */
static void test_minutes(void **state)
{
    la_counters_usage_t read;

    (void)state;
    for (uint64_t minute = 0; minute < 200; minute++) {
        la_counters_tokens(stats, 0, 2, tokens(minute + 1, 0), (apr_time_t)minute * 60 * S);
    }
    la_counters_read_usage(stats, 0, 205 * 60 * S, &read);
    for (int i = 0; i < LA_COUNTERS_MINUTES; i++) {
        assert_int_equal(read.minutes[i].input, i < 54 ? 147 + i : 0); /* minute 146 was first */
    }
    la_counters_read_usage(stats, 0, 300 * 60 * S, &read);
    assert_int_equal(read.minutes[0].input, 0);
    la_counters_tokens(stats, 0, 2, tokens(UINT64_MAX, 5), 300 * 60 * S);
    la_counters_tokens(stats, 0, 2, tokens(UINT64_MAX, 5), 300 * 60 * S);
    la_counters_read_usage(stats, 0, 300 * 60 * S, &read);
    assert_int_equal(read.minutes[LA_COUNTERS_MINUTES - 1].input, (UINT64_C(1) << 48) - 1);
    assert_int_equal(read.minutes[LA_COUNTERS_MINUTES - 1].output, 10);
}

static void add_here(const char *name, CMUnitTestFunction function, void *row)
{
    add(name, function, row);
    tests[test_count - 1].setup_func = make_stats;
    tests[test_count - 1].teardown_func = drop_stats;
}

int main(void)
{
    apr_initialize();
    add_here("sums over threads and processes", test_sums, NULL);
    for (size_t i = 0; i < ROWS(bucket_cases); i++) {
        add_here(bucket_cases[i].name, test_bucket, (void *)(uintptr_t)&bucket_cases[i]);
    }
    add_here("what is out of range changes nothing", test_out_of_range, NULL);
    add_here("an error is cut and cleaned", test_error, NULL);
    add_here("an error is read whole or not at all", test_error_is_whole, NULL);
    add_here("a writer that was killed blocks nobody", test_dead_writer, NULL);
    add_here("garbage is no error", test_garbage, NULL);
    add_here("what is told once", test_first, NULL);
    add_here("copies", test_copy, NULL);
    add_here("tokens over threads and processes", test_tokens, NULL);
    add_here("tokens of the last hour", test_minutes, NULL);
    return run_added("stats");
}
