/* How long an HTTP answer may be reused, as its sender says. */
#ifndef LA_CACHE_CONTROL_H
#define LA_CACHE_CONTROL_H

#include <apr_time.h>

/* Reads a Cache-Control field (RFC 9111 section 5.2.2): `max-age` in seconds, and 0 for `no-store`,
 * `no-cache` and a max-age that is no number.
 *
 * value: the field, several lines joined by commas, or NULL.
 * Returns 1 with the least that any directive allows in `us`, or 0 when the field says nothing of
 * it.
 */
int la_cache_control_cache_control(const char *value, apr_interval_time_t *us);

/* Seconds of any size as an interval: 0 below 0, and no more than a century. */
apr_interval_time_t la_cache_control_seconds(double seconds);

#endif
