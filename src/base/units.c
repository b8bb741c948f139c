#include "base/units.h"

#include <string.h>
#include <strings.h>

#include <apr_lib.h>

#define DURATION_MAX_US (APR_TIME_C(3650) * 86400 * APR_USEC_PER_SEC)

int la_units_number(const char **text, apr_int64_t max, apr_int64_t *number)
{
    const char *p = *text;

    *number = 0;
    if (!apr_isdigit(*p)) {
        return 0;
    }
    for (; apr_isdigit(*p); p++) {
        if (*number > (max - (*p - '0')) / 10) {
            return 0;
        }
        *number = *number * 10 + (*p - '0');
    }
    *text = p;
    return 1;
}

int la_units_duration(const char *text, apr_interval_time_t *us)
{
    static const struct {
        const char *unit;
        apr_int64_t us;
    } units[] = {{"", APR_USEC_PER_SEC},
                 {"ms", 1000},
                 {"s", APR_USEC_PER_SEC},
                 {"m", APR_TIME_C(60) * APR_USEC_PER_SEC},
                 {"h", APR_TIME_C(3600) * APR_USEC_PER_SEC},
                 {"d", APR_TIME_C(86400) * APR_USEC_PER_SEC}};
    apr_int64_t number;
    apr_size_t i;

    if (!la_units_number(&text, DURATION_MAX_US, &number)) {
        return 0;
    }
    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcasecmp(text, units[i].unit) == 0) {
            *us = number <= DURATION_MAX_US / units[i].us ? number * units[i].us : -1;
            return *us >= 0;
        }
    }
    return 0;
}

int la_units_size(const char *text, apr_size_t *bytes)
{
    static const char letters[] = "kmg";
    const char *letter;
    apr_int64_t number;

    if (!la_units_number(&text, APR_INT64_MAX >> 30, &number)) {
        return 0;
    }
    *bytes = (apr_size_t)number;
    if (*text == '\0') {
        return 1;
    }
    letter = strchr(letters, apr_tolower(*text));
    if (!letter || text[1]) {
        return 0;
    }
    *bytes <<= 10 * (letter - letters + 1);
    return 1;
}

char *la_units_write(char *at, uint64_t number)
{
    char digits[LA_UNITS_DIGITS];
    unsigned count = 0;

    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count > 0) {
        *at++ = digits[--count];
    }
    return at;
}
