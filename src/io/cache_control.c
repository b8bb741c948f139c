#include "io/cache_control.h"

#include <string.h>

#include <apr_lib.h>

#define CENTURY_S (100.0 * 366 * 24 * 3600)

apr_interval_time_t la_cache_control_seconds(double seconds)
{
    if (!(seconds > 0)) {
        return 0;
    }
    return (apr_interval_time_t)((seconds < CENTURY_S ? seconds : CENTURY_S) * APR_USEC_PER_SEC);
}

static int is_named(const char *directive, apr_size_t len, const char *name)
{
    return len == strlen(name) && strncasecmp(directive, name, len) == 0;
}

/* Reads delta-seconds, in quotes or not; anything else is 0. */
static apr_interval_time_t read_seconds(const char *text, apr_size_t len)
{
    double seconds = 0;
    apr_size_t i;

    if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
        text++;
        len -= 2;
    }
    for (i = 0; i < len && apr_isdigit(text[i]); i++) {
        seconds = seconds * 10 + (text[i] - '0');
    }
    return i == len ? la_cache_control_seconds(seconds) : 0;
}

/* Reads one directive. Returns 0 if it says nothing of freshness. */
static int read_directive(const char *directive, apr_size_t len, apr_interval_time_t *us)
{
    const char *equals = memchr(directive, '=', len);
    apr_size_t name_len = equals ? (apr_size_t)(equals - directive) : len;

    if (is_named(directive, name_len, "no-store") || is_named(directive, name_len, "no-cache")) {
        *us = 0;
        return 1;
    }
    if (is_named(directive, name_len, "max-age")) {
        *us = equals ? read_seconds(equals + 1, len - name_len - 1) : 0;
        return 1;
    }
    return 0;
}

int la_cache_control_read(const char *value, apr_interval_time_t *us)
{
    int known = 0;

    while (value && *value) {
        apr_size_t skipped = strspn(value, ", \t");
        apr_size_t len = strcspn(value + skipped, ",");
        const char *directive = value + skipped;
        apr_interval_time_t one;

        value = directive + len;
        while (len && (directive[len - 1] == ' ' || directive[len - 1] == '\t')) {
            len--;
        }
        if (read_directive(directive, len, &one)) {
            *us = !known || one < *us ? one : *us;
            known = 1;
        }
    }
    return known;
}
