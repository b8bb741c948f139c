/* What the tests of cache.c share: a cache in memory of its own, callers to keep in it, and its
 * clock. */
#ifndef LA_TEST_CACHES_H
#define LA_TEST_CACHES_H

#include "lookup/cache.h"

#include "lives.h"
#include "procs.h"

#include <stdlib.h>

#include <apr_strings.h>

#define NOW_US APR_TIME_C(1700000000000000)
#define S      APR_USEC_PER_SEC
#define HOUR   (3600 * APR_TIME_C(1000000))
#define YEAR   (365 * 24 * HOUR)

static unsigned char secret[LA_CACHE_SECRET_BYTES] = "a secret that nobody can know...";
static apr_pool_t *pool;
static void *bytes;
static apr_size_t size;
static la_cache_t *cache;

/* As if the provider had been asked just now for a token whose digest begins with `first`. */
static inline const la_cache_asked_t *asked_for(const la_cache_t *c, unsigned char first)
{
    static _Thread_local unsigned char digest[LA_DIGEST_BYTES];
    static _Thread_local la_cache_asked_t question;

    digest[0] = first;
    question = la_cache_asked(c, digest);
    return &question;
}

static inline const la_cache_asked_t *asked(const la_cache_t *c)
{
    return asked_for(c, 0);
}

static inline int make_cache_of(apr_size_t wanted)
{
    size = wanted;
    bytes = shared_alloc(size);
    return apr_pool_create(&pool, NULL) != APR_SUCCESS ||
           la_cache_format(bytes, size) != APR_SUCCESS ||
           la_cache_attach(bytes, size, secret, test_holder(), pool, &cache) != APR_SUCCESS;
}

static inline int make_cache(void **state)
{
    (void)state;
    return make_cache_of(la_cache_bytes_min());
}

static inline int make_large_cache(void **state)
{
    (void)state;
    return make_cache_of((apr_size_t)4 << 20);
}

static inline int drop_cache(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    shared_free(bytes, size);
    return 0;
}

typedef int fixture_t(void **state);

static inline void add_on(const char *name, CMUnitTestFunction function, void *row, fixture_t *make)
{
    add(name, function, row);
    tests[test_count - 1].setup_func = make;
    tests[test_count - 1].teardown_func = drop_cache;
}

#define ADD_ROWS(table, function)                                                                  \
    for (size_t row = 0; row < ROWS(table); row++)                                                 \
    add_on((table)[row].name, function, &(table)[row], make_cache)

/* The key of token number so-and-so. */
static inline la_cache_key_t key_of(uint64_t number)
{
    la_slice_t part = {(const char *)&number, sizeof(number)};
    la_cache_key_t key;

    assert_int_equal(la_cache_key(cache, &part, 1, &key), APR_SUCCESS);
    return key;
}

static inline const la_identity_t *caller(apr_pool_t *p, const char *principal)
{
    la_identity_builder_t *builder = la_identity_builder_make(p);
    const la_identity_t *identity;

    assert_null(la_identity_set_principal(builder, la_slice_of(principal)));
    la_identity_set_message(builder, LA_SLICE("welcome"));
    la_identity_add(builder, LA_SLICE("roles"), LA_SLICE("admin"));
    la_identity_add(builder, LA_SLICE("roles"), LA_SLICE("a,b"));
    la_identity_add_category(builder, LA_SLICE("teams"));
    assert_null(la_identity_build(builder, p, &identity));
    return identity;
}

/* A caller of exactly `len` bytes. */
static inline const la_identity_t *caller_of(apr_size_t len)
{
    apr_size_t least = la_identity_size(caller(pool, "x"));
    char *principal = apr_palloc(pool, len - least + 2);

    memset(principal, 'x', len - least + 1);
    principal[len - least + 1] = '\0';
    return caller(pool, principal);
}

static inline int same_caller(const la_identity_t *a, const la_identity_t *b)
{
    return la_identity_size(a) == la_identity_size(b) && memcmp(a, b, la_identity_size(a)) == 0;
}

static inline int accept_for(uint64_t number, apr_interval_time_t ttl_us, apr_time_t now)
{
    la_cache_key_t key = key_of(number);
    la_cache_times_t times = {.ttl_us = ttl_us};

    return la_cache_accept(cache, &key, asked(cache), caller(pool, "alice"), &times, now);
}

static inline void reject_for(uint64_t number, apr_interval_time_t ttl_us, apr_time_t now)
{
    la_cache_key_t key = key_of(number);

    la_cache_reject(cache, &key, asked(cache), "no", ttl_us, now);
}

static inline la_cache_e find(uint64_t number, apr_time_t now, la_cache_found_t *found)
{
    la_cache_key_t key = key_of(number);

    return la_cache_get(cache, &key, now, pool, found);
}

/* As find(), and checks that what is found belongs to what is returned. */
static inline la_cache_e get(uint64_t number, apr_time_t now)
{
    la_cache_found_t found;
    la_cache_e verdict = find(number, now, &found);

    switch (verdict) {
    case LA_CACHE_HIT:
    case LA_CACHE_STALE:
        assert_non_null(found.identity);
        assert_true(same_caller(found.identity, caller(pool, "alice")));
        assert_null(found.message);
        break;
    case LA_CACHE_NEGATIVE:
        assert_null(found.identity);
        assert_string_equal(found.message, "no");
        break;
    case LA_CACHE_MISS:
        assert_null(found.identity);
        assert_null(found.message);
        break;
    }
    return verdict;
}

#endif
