/* Freshness: Cache-Control and seconds, as tables. */
#include "io/cache_control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>

#include <cmocka.h>

#define SILENT (-1)

typedef struct row_t {
    const char *value;
    apr_interval_time_t seconds; /* or SILENT */
} row_t;

static const row_t rows[] = {
    {NULL, SILENT},
    {"", SILENT},
    {"private", SILENT},
    {"max-age=60", 60},
    {"Max-Age=60", 60},
    {"max-age=\"60\"", 60},
    {"private, max-age=60 , must-revalidate", 60},
    {"max-age=60, max-age=30", 30},
    {"max-age=30, max-age=60", 30},
    {"no-store", 0},
    {"no-cache", 0},
    {"NO-STORE", 0},
    {"max-age=60, no-store", 0},
    {"no-cache=\"set-cookie\", max-age=60", 0},
    {"max-age=0", 0},
    {"max-age", 0},
    {"max-age=", 0},
    {"max-age=-5", 0},
    {"max-age=1h", 0},
    {"max-age=60s", 0},
    {"s-maxage=60", SILENT},
    {"x-max-age=60", SILENT},
    {",,  ,max-age=7", 7},
    {"max-age=99999999999999999999999999999999", 100LL * 366 * 24 * 3600},
};

static void cache_control(void **state)
{
    const row_t *row = *state;
    apr_interval_time_t us = 0;
    int known = la_cache_control_read(row->value, &us);

    assert_int_equal(known, row->seconds != SILENT);
    if (known) {
        assert_int_equal(us, row->seconds * APR_USEC_PER_SEC);
    }
}

static void seconds(void **state)
{
    (void)state;
    assert_int_equal(la_cache_control_seconds(1.5), 1500000);
    assert_int_equal(la_cache_control_seconds(0), 0);
    assert_int_equal(la_cache_control_seconds(-1), 0);
    assert_int_equal(la_cache_control_seconds(1e300), la_cache_control_seconds(1e12));
    assert_int_equal(la_cache_control_seconds((double)NAN), 0);
}

int main(void)
{
    struct CMUnitTest tests[sizeof(rows) / sizeof(rows[0]) + 1];
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tests[i] = (struct CMUnitTest){rows[i].value ? rows[i].value : "no field", cache_control,
                                       NULL, NULL, (void *)(uintptr_t)&rows[i]};
    }
    tests[i] = (struct CMUnitTest){"seconds", seconds, NULL, NULL, NULL};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
