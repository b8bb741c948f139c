/* Meters in a memory of their own for each test. */
#ifndef LA_TEST_METERS_H
#define LA_TEST_METERS_H

#include "support.h"

#include "shm/meter.h"

#include <sys/mman.h>

#define BYTES LA_METERS_BYTES_MIN

#define SECONDS(n) (APR_TIME_C(n) * APR_USEC_PER_SEC)

static apr_pool_t *pool;
static void *bytes;
static la_meters_t *meters;
static la_holder_t life;
static int life_fd = -1;

static const la_meter_now_t begin = {APR_TIME_C(1000000000), APR_TIME_C(1780000000000000)};

static inline int set_up(void **state)
{
    (void)state;
    pool = new_pool();
    bytes = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(bytes != MAP_FAILED);
    if (life_fd < 0) {
        assert_int_equal(la_holder_open(&life_fd), APR_SUCCESS);
    }
    la_holder_init(&life, life_fd);
    assert_int_equal(la_meters_format(bytes, BYTES), APR_SUCCESS);
    assert_int_equal(la_meters_attach(bytes, BYTES, &life, pool, &meters), APR_SUCCESS);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    munmap(bytes, BYTES);
    apr_pool_destroy(pool);
    return 0;
}

static inline la_meter_key_t key_of(uint64_t number)
{
    return (la_meter_key_t){{number | UINT64_C(1) << 63, number * UINT64_C(0x9e3779b97f4a7c15)}};
}

static inline la_meter_now_t later(apr_interval_time_t us)
{
    return (la_meter_now_t){begin.steady_us + us, begin.wall_us + us};
}

static inline la_meter_terms_t window_terms(uint64_t limit)
{
    return (la_meter_terms_t){.limit = limit,
                              .period_us = apr_time_from_sec(60),
                              .room = 1,
                              .cost = 1,
                              .kind = 7,
                              .name = LA_SLICE("alice")};
}

static inline la_meter_terms_t rate_terms(uint64_t limit, uint64_t burst)
{
    la_meter_terms_t terms = window_terms(limit);

    terms.burst = burst;
    return terms;
}

/* How many of `tries` are charged at one time. */
static inline int charge_times(const la_meter_key_t *key, const la_meter_terms_t *terms,
                               la_meter_now_t now, int tries)
{
    la_meter_receipt_t receipt;
    la_meter_reading_t reading;
    int charged = 0;

    for (int i = 0; i < tries; i++) {
        charged +=
            la_meter_charge(meters, key, terms, &now, &receipt, &reading) == LA_METER_CHARGED;
    }
    return charged;
}

static inline void collect(void *baton, const la_meter_entry_t *entry)
{
    *(la_meter_entry_t *)baton = *entry;
}

static inline void add_in(const char *name, CMUnitTestFunction function, void *row)
{
    add(name, function, row);
    tests[test_count - 1].setup_func = set_up;
    tests[test_count - 1].teardown_func = tear_down;
}

#define ADD_ROWS(table, function)                                                                  \
    for (size_t i = 0; i < ROWS(table); i++) {                                                     \
        add_in((table)[i].name, function, &(table)[i]);                                            \
    }

#endif
