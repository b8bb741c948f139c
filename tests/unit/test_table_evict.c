/* Who makes room for whom when a part of the table is full. */
#include "shm/table.h"

#include <apr_general.h>

#include "table_fixture.h"
#include "table_validate.h"

static void test_least_recently_used_goes(void **state)
{
    (void)state;
    fill(NOW_US);
    assert_int_equal(stats().entries, WAYS);
    assert_int_equal(hit(0, NOW_US + SECONDS(200)), 1); /* the oldest is used again */
    for (unsigned i = 1; i < 20; i++) {
        put(WAYS + i, 0, NOW_US + SECONDS(200 + i));
        assert_int_equal(hit(WAYS + i, NOW_US + SECONDS(200 + i)), 1);
        assert_int_equal(hit(i, NOW_US + SECONDS(i)), 0);
        assert_int_equal(hit(i + 1, NOW_US + SECONDS(i + 1)), 1);
        assert_int_equal(hit(0, NOW_US + SECONDS(200)), 1);
    }
    assert_int_equal(stats().evictions, 19);
    assert_null(la_table_validate(f.table));
}

static void test_expired_goes_first(void **state)
{
    unsigned char key[LA_TABLE_KEY_BYTES];
    la_table_meta_t meta = {.stored_us = NOW_US + SECONDS(400),
                            .expires_us = NOW_US + SECONDS(500)};

    (void)state;
    fill(NOW_US);
    key_of(77, key);
    assert_int_equal(la_table_put(f.table, key, &meta, LA_SLICE(""), NULL), APR_SUCCESS);
    put(1000, 0, NOW_US + SECONDS(500));
    assert_int_equal(hit(0, NOW_US), 1);
    assert_int_equal(hit(1000, NOW_US + SECONDS(500)), 1);
    assert_int_equal(stats().evictions, 0);
    assert_int_equal(stats().entries, WAYS);
}

static void test_from_the_future_goes_first(void **state)
{
    (void)state;
    fill(NOW_US);
    put(77, 0, NOW_US + SECONDS(YEARS(10))); /* stored while the clock was wrong */
    put(1000, 0, NOW_US + SECONDS(200));
    assert_int_equal(hit(0, NOW_US), 1);
    assert_int_equal(hit(77, NOW_US + SECONDS(YEARS(10))), 0);
    assert_int_equal(stats().evictions, 0);
}

/* An entry used while the clock was ahead counts as unused, not as just used, once it is right
 * again. */
static void test_used_in_the_future(void **state)
{
    (void)state;
    fill(NOW_US);
    assert_int_equal(hit(77, NOW_US + SECONDS(3000)), 1);
    put(1000, 0, NOW_US + SECONDS(200));
    assert_int_equal(hit(77, NOW_US + SECONDS(200)), 0);
    assert_int_equal(hit(0, NOW_US + SECONDS(200)), 1);
}

static void test_a_hit_writes_seldom(void **state)
{
    unsigned char *copy = malloc(f.size);

    (void)state;
    put(1, 0, NOW_US);
    memcpy(copy, f.bytes, f.size);
    assert_int_equal(hit(1, NOW_US + SECONDS(4) - 1), 1);
    assert_int_equal(hit(1, NOW_US - SECONDS(3)), 1);
    assert_int_equal(hit(2, NOW_US), 0);
    assert_memory_equal(copy, f.bytes, f.size);
    assert_int_equal(hit(1, NOW_US + SECONDS(4)), 1);
    assert_int_not_equal(memcmp(copy, f.bytes, f.size), 0);
    free(copy);
}

static void test_a_large_value_takes_what_it_needs(void **state)
{
    (void)state;
    fill(NOW_US);
    put(1000, 13, NOW_US + SECONDS(200)); /* 48 chunks */
    for (unsigned i = 0; i < WAYS; i++) {
        assert_int_equal(hit(i, NOW_US + SECONDS(i)), i >= 48);
    }
    assert_int_equal(hit(1000, NOW_US + SECONDS(200)), 1);
    assert_int_equal(stats().evictions, 48);
    put(1001, 13, NOW_US + SECONDS(201));
    assert_int_equal(hit(1000, NOW_US + SECONDS(201)), 1);
    assert_null(la_table_validate(f.table));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAIN(test_least_recently_used_goes),   PLAIN(test_expired_goes_first),
        PLAIN(test_from_the_future_goes_first), PLAIN(test_used_in_the_future),
        PLAIN(test_a_hit_writes_seldom),        PLAIN(test_a_large_value_takes_what_it_needs),
    };
    int failed;

    apr_initialize();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
