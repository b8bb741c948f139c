/* timestamp.c: RFC 3339. */
#include "support.h"

#include "base/timestamp.h"

#include <time.h>

typedef struct time_case_t {
    const char *name;
    const char *text;
    apr_int64_t seconds;
    int us;
} time_case_t;

#define TIME(text) "time: " text, text

static time_case_t time_cases[] = {
    {TIME("1970-01-01T00:00:00Z"), 0, 0},
    {TIME("2027-01-01T00:00:00Z"), 1798761600, 0},
    {TIME("2027-01-01t00:00:00z"), 1798761600, 0},
    {TIME("2027-01-01T01:30:00+01:30"), 1798761600, 0},
    {TIME("2026-12-31T16:00:00-08:00"), 1798761600, 0},
    {TIME("2026-12-31T00:01:00-23:59"), 1798761600, 0},
    {TIME("2027-01-01T00:00:00-00:00"), 1798761600, 0},
    {TIME("2027-01-01T00:00:00.5Z"), 1798761600, 500000},
    {TIME("2027-01-01T00:00:00.0000019Z"), 1798761600, 1},
    {TIME("2027-01-01T00:00:00.99999999999999999999Z"), 1798761600, 999999},
    {TIME("2024-02-29T12:00:00Z"), 1709208000, 0},
    {TIME("2000-02-29T00:00:00Z"), 951782400, 0},
    {TIME("2100-03-01T00:00:00Z"), 4107542400, 0},
    {TIME("1969-12-31T23:59:59Z"), -1, 0},
    {TIME("0000-01-01T00:00:00Z"), APR_INT64_C(-62167219200), 0},
    {TIME("9999-12-31T23:59:59Z"), APR_INT64_C(253402300799), 0},
    {TIME("2016-12-31T23:59:60Z"), 1483228800, 0},
    {TIME("2017-01-01T00:59:60+01:00"), 1483228800, 0},
};

static char *bad_times[] = {
    "",
    "2027-01-01",
    "2027-01-01T00:00:00",
    "2027-01-01 00:00:00Z",
    "2027-01-01T00:00Z",
    "2027-1-01T00:00:00Z",
    "2027-01-1T00:00:00Z",
    "27-01-01T00:00:00Z",
    "02027-01-01T00:00:00Z",
    "2027-00-01T00:00:00Z",
    "2027-13-01T00:00:00Z",
    "2027-01-00T00:00:00Z",
    "2027-01-32T00:00:00Z",
    "2027-04-31T00:00:00Z",
    "2027-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "2027-01-01T24:00:00Z",
    "2027-01-01T00:60:00Z",
    "2027-01-01T00:00:61Z",
    "2027-01-01T00:00:60Z",
    "2027-01-01T23:59:60+01:00",
    "2027-01-01T00:00:00.Z",
    "2027-01-01T00:00:00,5Z",
    "2027-01-01T00:00:00.5",
    "2027-01-01T00:00:00+1:00",
    "2027-01-01T00:00:00+01",
    "2027-01-01T00:00:00+0100",
    "2027-01-01T00:00:00+24:00",
    "2027-01-01T00:00:00+01:60",
    "2027-01-01T00:00:00ZZ",
    "2027-01-01T00:00:00Z ",
    " 2027-01-01T00:00:00Z",
    "+027-01-01T00:00:00Z",
    "-027-01-01T00:00:00Z",
    "1798761600",
};

/* The text in a block of exactly its size, so that ASan sees a read beyond it. */
static int parse(const char *text, apr_time_t *at)
{
    size_t len = strlen(text);
    char *tight = malloc(len > 0 ? len : 1);
    int parsed;

    assert_non_null(tight);
    memcpy(tight, text, len);
    parsed = la_timestamp_parse((la_slice_t){tight, len}, at);
    free(tight);
    return parsed;
}

static void test_time(void **state)
{
    const time_case_t *row = *state;
    apr_time_t at;

    assert_int_equal(parse(row->text, &at), 1);
    assert_true(at == row->seconds * APR_USEC_PER_SEC + row->us);
}

static void test_bad(void **state)
{
    apr_time_t at = 7;

    assert_int_equal(parse(*state, &at), 0);
    assert_int_equal(at, 0);
}

typedef struct zoned_case_t {
    const char *text;
    apr_int64_t seconds; /* 0: refused */
} zoned_case_t;

static zoned_case_t zoned_cases[] = {
    {"2027-01-01 00:00:00 UTC", 1798761600},
    {"2027-01-01 00:00:00 +0000", 1798761600},
    {"2026-12-31 17:00:00 -0700", 1798761600},
    {"2027-01-01 00:00:00", 0},
    {"2027-01-01 00:00:00 ", 0},
    {"2027-02-30 00:00:00 UTC", 0},
    {"2027-01-01 00:00:00 PST8", 0},
    {"2027-01-01 00:00:00 ABCDE", 0},
    {"2027-01-01 00:00:00 UTC+", 0},
    {"", 0},
};

static void test_zoned(void **state)
{
    const zoned_case_t *row = *state;
    apr_time_t at = 7;

    assert_int_equal(la_timestamp_parse_zoned(row->text, &at), row->seconds != 0);
    assert_true(at == row->seconds * APR_USEC_PER_SEC);
}

/* Against libc's calendar, for the first day of every month of 400 years, the calendar's period. */
static void test_calendar(void **state)
{
    apr_pool_t *pool = new_pool();
    char text[32];
    apr_time_t at;

    (void)state;
    for (int month = 0; month < 400 * 12; month++) {
        struct tm tm = {.tm_year = month / 12, .tm_mon = month % 12, .tm_mday = 1};

        apr_snprintf(text, sizeof(text), "%04d-%02d-01T00:00:00Z", 1900 + month / 12,
                     month % 12 + 1);
        assert_int_equal(parse(text, &at), 1);
        assert_true(at == timegm(&tm) * APR_USEC_PER_SEC);
        assert_string_equal(la_timestamp_text(pool, at), text);
    }
    assert_string_equal(la_timestamp_text(pool, 951868799999999), "2000-02-29T23:59:59Z");
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(time_cases); i++)
        add(time_cases[i].name, test_time, &time_cases[i]);
    for (size_t i = 0; i < ROWS(bad_times); i++)
        add(*bad_times[i] ? bad_times[i] : "(empty)", test_bad, bad_times[i]);
    for (size_t i = 0; i < ROWS(zoned_cases); i++)
        add(apr_psprintf(new_pool(), "zoned: %s", zoned_cases[i].text), test_zoned,
            &zoned_cases[i]);
    add("time: the calendar", test_calendar, NULL);
    return finish("timestamp");
}
