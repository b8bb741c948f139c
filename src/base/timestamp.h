/* Points in time as text (RFC 3339). */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>
#include <apr_time.h>

/* Reads an RFC 3339 date-time: 2027-01-01T00:00:00Z, 2027-01-01T01:30:00.5+01:30. The day must
 * exist; a second 60 is taken only where leap seconds fall, at the end of a UTC day. Digits beyond
 * microseconds are cut off. at: microseconds since 1970, negative before it. Returns 1, else 0 with
 * `at` 0. */
int la_timestamp_parse(la_slice_t text, apr_time_t *at);

/* Reads a date, a time and a zone with blanks between them, as some header fields have them:
 * 2027-01-01 00:00:00 UTC, 2027-01-01 00:00:00 -0700. Otherwise as above. */
int la_timestamp_parse_zoned(const char *text, apr_time_t *at);

/* Writes a time as an RFC 3339 date-time in UTC, without fractions, in `pool`. Beyond the years 0
 * to 9999 it has more digits or a sign. */
const char *la_timestamp_text(apr_pool_t *pool, apr_time_t at);
