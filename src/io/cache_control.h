/* How long an HTTP answer may be used again, by its Cache-Control (RFC 9111 section 5.2.2). */
#pragma once

#include <apr_time.h>

/* Reads the field: `max-age` in seconds, and 0 for `no-store`, `no-cache` and a max-age that is no
 * number. value: the field, lines joined by commas, or NULL. us: the least that any directive
 * allows. Returns 1, or 0 if the field says nothing of it. */
int la_cache_control_read(const char *value, apr_interval_time_t *us);

/* Seconds of any size as an interval, at least 0 and at most a century. */
apr_interval_time_t la_cache_control_seconds(double seconds);
