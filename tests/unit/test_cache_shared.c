/* cache.c among others: the partition that floods cannot cross, bytes that mean nothing, sizes it
 * is given, counters and verdicts between threads and processes, and what the bytes give away.
 */
#include "table_validate.h"

#include "caches.h"

#include <openssl/sha.h>

/* ---- partitions ------------------------------------------------------------------------------ */

#define HOT   1000
#define FLOOD 100000

static apr_uint64_t evictions(const la_table_t *table)
{
    la_table_stats_t stats;

    la_table_stats(table, &stats);
    return stats.evictions;
}

/* Row 23 of the faults, below httpd. */
static void test_flood_of_rejections(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < HOT; i++) {
        assert_int_equal(accept_for(i, HOUR, NOW_US), 1);
    }
    for (uint64_t i = 0; i < FLOOD; i++) {
        reject_for(HOT + i, 10 * S, NOW_US + (apr_time_t)i);
    }
    for (uint64_t i = 0; i < HOT; i++) {
        assert_int_equal(get(i, NOW_US + FLOOD), LA_CACHE_HIT);
    }
    assert_int_equal(evictions(la_cache_accepted(cache)), 0);
    assert_true(evictions(la_cache_rejected(cache)) > FLOOD / 2);
    assert_null(la_table_validate(la_cache_accepted(cache)));
    assert_null(la_table_validate(la_cache_rejected(cache)));
}

/* Row 16: more than it holds. Who is evicted is a miss; who is not is right. */
static void test_flood_of_acceptances(void **state)
{
    int hits = 0;

    (void)state;
    for (uint64_t i = 0; i < 3000; i++) {
        la_cache_times_t times = {.ttl_us = HOUR};
        la_cache_key_t key = key_of(i);

        assert_int_equal(la_cache_accept(cache, &key, asked(cache),
                                         caller(pool, apr_psprintf(pool, "caller-%d", (int)i)),
                                         &times, NOW_US + (apr_time_t)i),
                         1);
    }
    reject_for(5000, HOUR, NOW_US);
    for (uint64_t i = 0; i < 3000; i++) {
        la_cache_found_t found;

        if (find(i, NOW_US + 3000, &found) == LA_CACHE_HIT) {
            assert_string_equal(la_identity_principal(found.identity).data,
                                apr_psprintf(pool, "caller-%d", (int)i));
            hits++;
        }
    }
    assert_in_range(hits, 128, 2999);
    assert_true(evictions(la_cache_accepted(cache)) >= (apr_uint64_t)(3000 - hits));
    assert_int_equal(get(5000, NOW_US), LA_CACHE_NEGATIVE);
}

/* ---- sizes ------------------------------------------------------------------------------------
 */

typedef struct format_case_t {
    const char *name;
    apr_ssize_t more; /* than the least */
    apr_size_t shift;
    apr_status_t expected;
} format_case_t;

static format_case_t format_cases[] = {
    {"format: the least", 0, 0, APR_SUCCESS},   {"format: a byte less", -1, 0, APR_ENOSPC},
    {"format: a byte more", 1, 0, APR_SUCCESS}, {"format: an odd number", 4321, 0, APR_SUCCESS},
    {"format: misaligned", 0, 8, APR_EINVAL},
};

static void test_format(void **state)
{
    const format_case_t *row = *state;
    apr_size_t wanted = la_cache_bytes_min() + (apr_size_t)row->more;
    apr_size_t room = (wanted + 2 * LA_TABLE_ALIGN) / LA_TABLE_ALIGN * LA_TABLE_ALIGN;
    char *block = aligned_alloc(LA_TABLE_ALIGN, room);

    memset(block, 0, row->shift + wanted);
    memset(block + row->shift + wanted, 0x5a, room - row->shift - wanted);
    assert_int_equal(la_cache_format(block + row->shift, wanted), row->expected);
    if (row->expected == APR_SUCCESS) {
        assert_int_equal(la_cache_attach(block, wanted, secret, test_holder(), pool, &cache),
                         APR_SUCCESS);
        for (uint64_t i = 0; i < 1000; i++) {
            assert_int_equal(accept_for(i, HOUR, NOW_US), 1);
            reject_for(i + 1000, HOUR, NOW_US);
            assert_int_equal(get(i, NOW_US), LA_CACHE_HIT);
            assert_int_equal(get(i + 1000, NOW_US), LA_CACHE_NEGATIVE);
        }
    }
    for (apr_size_t i = row->shift + wanted; i < room; i++) {
        assert_int_equal(block[i], 0x5a);
    }
    free(block);
}

static void test_attach_to_other_bytes(void **state)
{
    la_cache_t *other;

    (void)state;
    assert_int_equal(la_cache_attach(bytes, size / 2, secret, test_holder(), pool, &other),
                     APR_ENOSPC);
    assert_null(other);
    memset(bytes, 0, size);
    assert_int_equal(la_cache_attach(bytes, size, secret, test_holder(), pool, &other),
                     APR_EGENERAL);
    assert_null(other);
    assert_int_equal(la_cache_format(bytes, size), APR_SUCCESS);
    assert_int_equal(
        la_cache_attach(bytes, size - LA_TABLE_ALIGN, secret, test_holder(), pool, &other),
        APR_ENOSPC);
    assert_null(other);
}

/* ---- garbage ------------------------------------------------------------------------------------
 */

typedef struct garbage_case_t {
    const char *name;
    int among_rejected;
    apr_ssize_t len; /* negative: so much less than all */
    apr_ssize_t spoilt;
} garbage_case_t;

/* A sound identity, or a message, but for what is done to it. */
static garbage_case_t garbage_cases[] = {
    {"garbage: no identity at all", 0, 0, -1},
    {"garbage: identity cut short", 0, -1, -1},
    {"garbage: half an identity", 0, 40, -1},
    {"garbage: identity of another layout", 0, -0x10000, 0},
    {"garbage: identity of a wrong size", 0, -0x10000, 4},
    {"garbage: principal out of bounds", 0, -0x10000, 9},
    {"garbage: too many categories", 0, -0x10000, 34},
    {"garbage: no message", 1, 0, -1},
    {"garbage: message without an end", 1, 2, -1},
};

static void test_garbage(void **state)
{
    const garbage_case_t *row = *state;
    la_table_meta_t meta = {.stored_us = NOW_US, .expires_us = NOW_US + HOUR};
    const la_table_t *table =
        row->among_rejected ? la_cache_rejected(cache) : la_cache_accepted(cache);
    const la_identity_t *alice = caller(pool, "alice");
    apr_size_t all = row->among_rejected ? 3 : la_identity_size(alice);
    char *value = apr_pmemdup(pool, row->among_rejected ? (const void *)"no" : alice, all);
    la_cache_key_t key = key_of(1);
    apr_size_t len = row->len >= 0 ? (apr_size_t)row->len : row->len == -1 ? all - 1 : all;

    la_table_put(table, key.bytes, &meta, (la_slice_t){value, all}, NULL);
    assert_int_not_equal(get(1, NOW_US), LA_CACHE_MISS); /* sound so far */
    if (row->spoilt >= 0) {
        value[row->spoilt] ^= 0x55;
    }
    la_table_put(table, key.bytes, &meta, (la_slice_t){value, len}, NULL);
    assert_int_equal(get(1, NOW_US), LA_CACHE_MISS);
}

/* Random bytes all over: misses, no crash, in time; and what is kept then is right if it is found.
 */
static void test_bytes_of_garbage(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t random = seed;

        memset(bytes, 0, size);
        assert_int_equal(la_cache_format(bytes, size), APR_SUCCESS);
        for (uint64_t i = 0; i < 50; i++) {
            accept_for(i, HOUR, NOW_US);
            reject_for(100 + i, HOUR, NOW_US);
        }
        for (apr_size_t i = 0; i + 8 <= size; i += 8) {
            uint64_t word = next_random(&random);

            if (seed % 2 || word % 3 == 0) {
                memcpy((char *)bytes + i, &word, 8);
            }
        }
        for (uint64_t i = 0; i < 200; i++) {
            get(i, NOW_US);
            accept_for(i, HOUR, NOW_US);
            get(i, NOW_US);
            reject_for(i, HOUR, NOW_US);
        }
    }
}

/* ---- between threads and processes
 * ------------------------------------------------------------------ */

/* Another process with a handle of its own: exit code 1 when it did not find what the parent kept.
 */
static int keep_in_process(void *unused)
{
    la_cache_t *inherited = cache;

    (void)unused;
    if (la_cache_attach(bytes, size, secret, test_holder(), pool, &cache) != APR_SUCCESS ||
        cache == inherited) {
        return 2;
    }
    if (get(1, NOW_US) != LA_CACHE_HIT || get(2, NOW_US) != LA_CACHE_NEGATIVE) {
        return 1;
    }
    accept_for(3, HOUR, NOW_US);
    reject_for(1, HOUR, NOW_US);
    return 0;
}

static void test_between_processes(void **state)
{
    (void)state;
    accept_for(1, HOUR, NOW_US);
    reject_for(2, HOUR, NOW_US);
    assert_int_equal(reap(spawn(keep_in_process, NULL)), 0);
    assert_int_equal(get(3, NOW_US), LA_CACHE_HIT);
    assert_int_equal(get(1, NOW_US), LA_CACHE_NEGATIVE);
}

/* Two callers in turn under one key, in threads that look: never a mixture, never another message.
 */
static void *write_and_look(void *wrong)
{
    la_cache_times_t times = {.ttl_us = HOUR};
    la_cache_key_t key = key_of(1);
    apr_pool_t *own;

    apr_pool_create(&own, NULL);
    for (int i = 0; i < 500; i++) {
        la_cache_found_t found;

        apr_pool_clear(own);
        switch (la_cache_get(cache, &key, NOW_US, own, &found)) {
        case LA_CACHE_HIT:
            if (!same_caller(found.identity, caller(own, "alice")) &&
                !same_caller(found.identity, caller(own, "bob"))) {
                atomic_fetch_add((event_t *)wrong, 1);
            }
            la_cache_reject(cache, &key, asked(cache), "no", HOUR, NOW_US);
            break;
        case LA_CACHE_NEGATIVE:
            if (strcmp(found.message, "no") != 0) {
                atomic_fetch_add((event_t *)wrong, 1);
            }
            la_cache_accept(cache, &key, asked(cache), caller(own, i % 2 ? "alice" : "bob"), &times,
                            NOW_US);
            break;
        case LA_CACHE_STALE:
            atomic_fetch_add((event_t *)wrong, 1);
            break;
        case LA_CACHE_MISS:
            la_cache_accept(cache, &key, asked(cache), caller(own, "bob"), &times, NOW_US);
            break;
        }
    }
    apr_pool_destroy(own);
    return NULL;
}

static void test_threads(void **state)
{
    event_t wrong = 0;

    (void)state;
    run_threads(6, write_and_look, &wrong);
    assert_int_equal(wrong, 0);
    assert_null(la_table_validate(la_cache_accepted(cache)));
    assert_null(la_table_validate(la_cache_rejected(cache)));
}

/* ---- what the bytes give away
 * -------------------------------------------------------------------------- */

static int in_bytes(const void *what, size_t len)
{
    return memmem(bytes, size, what, len) != NULL;
}

static void test_nothing_of_the_token(void **state)
{
    static const char token[] = "a-token-that-must-not-be-found-anywhere";
    unsigned char digest[LA_DIGEST_BYTES];
    la_slice_t parts[] = {LA_SLICE("some provider's definition, 32 b"),
                          {(const char *)digest, sizeof(digest)},
                          LA_SLICE("/a/path/that/depends")};
    la_cache_times_t times = {.ttl_us = HOUR};
    la_cache_key_t key;

    (void)state;
    SHA256((const unsigned char *)token, sizeof(token) - 1, digest);
    assert_int_equal(la_cache_key(cache, parts, 3, &key), APR_SUCCESS);
    la_cache_accept(cache, &key, asked(cache), caller(pool, "alice"), &times, NOW_US);
    la_cache_reject(cache, &key, asked(cache), "no", HOUR, NOW_US);
    la_cache_accept(cache, &key, asked(cache), caller(pool, "alice"), &times, NOW_US);
    assert_true(in_bytes("alice", 5)); /* the search works */
    assert_false(in_bytes(token, 8));
    assert_false(in_bytes(digest, 8));
    assert_false(in_bytes(secret, 8));
    assert_false(in_bytes(parts[0].data, 8));
    assert_false(in_bytes(parts[2].data, 8));
}

int main(void)
{
    add_on("flood: 100,000 rejections", test_flood_of_rejections, NULL, make_large_cache);
    add_on("flood: more acceptances than it holds", test_flood_of_acceptances, NULL, make_cache);
    ADD_ROWS(format_cases, test_format);
    add_on("attach: to other bytes", test_attach_to_other_bytes, NULL, make_cache);
    ADD_ROWS(garbage_cases, test_garbage);
    add_on("garbage: all over", test_bytes_of_garbage, NULL, make_cache);
    add_on("shared: verdicts between processes", test_between_processes, NULL, make_cache);
    add_on("shared: verdicts in turn, in threads", test_threads, NULL, make_cache);
    add_on("secrets: nothing of the token", test_nothing_of_the_token, NULL, make_cache);
    return run_added("cache, shared");
}
