/* RFC 3339 to microseconds and back, without locale and time zone. Any thread. */
#include "base/timestamp.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

#include <apr_strings.h>

#define SECONDS_PER_DAY 86400

/* What is left of the text. */
typedef struct reader_t {
    const char *p;
    const char *end;
} reader_t;

static int take_char(reader_t *reader, const char *choice)
{
    for (; reader->p < reader->end && *choice; choice++) {
        if (*reader->p == *choice) {
            reader->p++;
            return 1;
        }
    }
    return 0;
}

/* Takes exactly `digits` digits, a number from `low` to `high`. */
static int take_number(reader_t *reader, int digits, int low, int high, int *number)
{
    *number = 0;
    for (; digits > 0; digits--, reader->p++) {
        if (reader->p == reader->end || *reader->p < '0' || *reader->p > '9') {
            return 0;
        }
        *number = *number * 10 + (*reader->p - '0');
    }
    return *number >= low && *number <= high;
}

/* "2027-01-31" as seconds since 1970. timegm() makes another day of one that does not exist. */
static int take_date(reader_t *reader, int64_t *seconds)
{
    int year;
    int month;
    struct tm date = {0};

    if (!take_number(reader, 4, 0, 9999, &year) || !take_char(reader, "-") ||
        !take_number(reader, 2, 1, 12, &month) || !take_char(reader, "-") ||
        !take_number(reader, 2, 1, 31, &date.tm_mday)) {
        return 0;
    }
    date.tm_year = year - 1900;
    date.tm_mon = month - 1;
    *seconds = timegm(&date);
    return date.tm_mon == month - 1;
}

/* "23:59:60" as seconds; 60 is checked by the caller, who knows the offset. */
static int take_time(reader_t *reader, int *seconds, int *second)
{
    int hour;
    int minute;

    if (!take_number(reader, 2, 0, 23, &hour) || !take_char(reader, ":") ||
        !take_number(reader, 2, 0, 59, &minute) || !take_char(reader, ":") ||
        !take_number(reader, 2, 0, 60, second)) {
        return 0;
    }
    *seconds = hour * 3600 + minute * 60 + *second;
    return 1;
}

/* ".5", or nothing. */
static int take_fraction(reader_t *reader, int *us)
{
    int digit;
    int unit = 100000;

    *us = 0;
    if (!take_char(reader, ".")) {
        return 1;
    }
    if (!take_number(reader, 1, 0, 9, &digit)) {
        return 0;
    }
    do {
        *us += digit * unit;
        unit /= 10;
    } while (take_number(reader, 1, 0, 9, &digit));
    return 1;
}

/* "Z" or "+01:30", as seconds. */
static int take_offset(reader_t *reader, int *seconds)
{
    int west = reader->p < reader->end && *reader->p == '-';
    int hours;
    int minutes;

    *seconds = 0;
    if (take_char(reader, "Zz")) {
        return 1;
    }
    if (!take_char(reader, "+-") || !take_number(reader, 2, 0, 23, &hours) ||
        !take_char(reader, ":") || !take_number(reader, 2, 0, 59, &minutes)) {
        return 0;
    }
    *seconds = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
    return 1;
}

int la_timestamp_parse(la_slice_t text, apr_time_t *at)
{
    reader_t reader = {text.data, text.data + text.len};
    int64_t utc;
    int seconds;
    int second;
    int us;
    int offset;

    *at = 0;
    if (!take_date(&reader, &utc) || !take_char(&reader, "Tt") ||
        !take_time(&reader, &seconds, &second) || !take_fraction(&reader, &us) ||
        !take_offset(&reader, &offset) || reader.p != reader.end) {
        return 0;
    }
    utc += seconds - offset;
    if (second == 60 && utc % SECONDS_PER_DAY != 0) {
        return 0;
    }
    *at = utc * APR_USEC_PER_SEC + us;
    return 1;
}

int la_timestamp_parse_zoned(const char *text, apr_time_t *at)
{
    const char *zone = strlen(text) > 20 ? text + 20 : "";
    char rfc3339[32];

    *at = 0;
    if (strcmp(zone, "UTC") == 0) {
        apr_snprintf(rfc3339, sizeof(rfc3339), "%.10sT%.8sZ", text, text + 11);
    } else if (strlen(zone) == 5) {
        apr_snprintf(rfc3339, sizeof(rfc3339), "%.10sT%.8s%.3s:%s", text, text + 11, zone,
                     zone + 3);
    } else {
        return 0;
    }
    return la_timestamp_parse((la_slice_t){rfc3339, strlen(rfc3339)}, at);
}

const char *la_timestamp_text(apr_pool_t *pool, apr_time_t at)
{
    apr_time_exp_t parts;

    apr_time_exp_gmt(&parts, at);
    return apr_psprintf(pool, "%04d-%02d-%02dT%02d:%02d:%02dZ", parts.tm_year + 1900,
                        parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}
