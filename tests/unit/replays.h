/* A memory of proofs for tests: small, so that it fills. Included by one .c per program. */
#ifndef LA_TEST_REPLAYS_H
#define LA_TEST_REPLAYS_H

#include "procs.h"

#include "shm/replay.h"

#define SECONDS(n) ((apr_time_t)(n)*APR_USEC_PER_SEC)
#define MINUTES(n) SECONDS((n)*60)
#define HOURS(n)   MINUTES((n)*60)
#define YEARS(n)   HOURS((n)*24 * 365)

#define BYTES LA_REPLAY_BYTES_MIN

/* When the memory begins: 21 s and a half into a minute. */
#define BEGIN (MINUTES(30000000) + SECONDS(21) + APR_USEC_PER_SEC / 2)

/* The lock stands behind four words, as replay.c draws. */
#define LOCK_AT 32

static unsigned char *memory;
static la_replay_t *replay;
static la_holder_t life;
static apr_pool_t *pool;

static const uint64_t points[2] = {UINT64_C(0x123456789abcdef), UINT64_C(0xfedcba987654321)};

static inline int set_up(void **state)
{
    static int fd = -1;

    (void)state;
    if (fd < 0) {
        assert_int_equal(la_holder_open(&fd), APR_SUCCESS);
    }
    la_holder_init(&life, fd);
    apr_pool_create(&pool, NULL);
    memory = shared_alloc(BYTES);
    assert_int_equal(la_replay_format(memory, BYTES, BEGIN), APR_SUCCESS);
    assert_int_equal(la_replay_attach(memory, BYTES, points, &life, pool, &replay), APR_SUCCESS);
    return 0;
}

/* A memory as large as in httpd, to be freed by shared_free(). */
static inline unsigned char *attach_whole(void)
{
    unsigned char *bytes = shared_alloc(LA_REPLAY_BYTES);

    assert_int_equal(la_replay_format(bytes, LA_REPLAY_BYTES, BEGIN), APR_SUCCESS);
    assert_int_equal(la_replay_attach(bytes, LA_REPLAY_BYTES, points, &life, pool, &replay),
                     APR_SUCCESS);
    return bytes;
}

static inline int tear_down(void **state)
{
    (void)state;
    shared_free(memory, BYTES);
    apr_pool_destroy(pool);
    return 0;
}

/* Remembers a digest that is made of a number, of an owner that is. */
static inline la_replay_e remember_of(uint64_t owner, uint64_t number, apr_time_t issued,
                                      apr_time_t until, apr_time_t now, la_replay_matter_e *matter)
{
    unsigned char digest[LA_DIGEST_BYTES] = {0};
    la_slice_t name = {(const char *)&owner, sizeof(owner)};
    la_replay_item_t item = {digest, {LA_SLICE("owners"), name}, issued, until};

    for (unsigned i = 0; i < 4; i++) {
        uint64_t word = next_random(&number);

        memcpy(digest + 8 * i, &word, 8);
    }
    return la_replay_remember(replay, &item, now, matter);
}

/* One of many owners', so that none takes much. */
static inline la_replay_e remember_until(uint64_t number, apr_time_t issued, apr_time_t until,
                                         apr_time_t now, la_replay_matter_e *matter)
{
    return remember_of(number % 1000, number, issued, until, now, matter);
}

/* As a proof is that was issued at that time, and is checked at another. */
static inline la_replay_e remember(uint64_t number, apr_time_t issued, apr_time_t now)
{
    la_replay_matter_e matter;

    return remember_until(number, issued, issued + SECONDS(301), now, &matter);
}

static inline void add_in(const char *name, CMUnitTestFunction function, void *row)
{
    add(name, function, row);
    tests[test_count - 1].setup_func = set_up;
    tests[test_count - 1].teardown_func = tear_down;
}

#endif
