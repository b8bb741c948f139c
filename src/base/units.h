/* Numbers with units, as configurations write them. */
#pragma once

#include <apr.h>
#include <apr_time.h>

/* A whole number of decimal digits, up to `max`. text: moved behind the digits. Returns 1, or 0
 * when there is none or it is too large. */
int la_units_number(const char **text, apr_int64_t max, apr_int64_t *number);

/* "500ms", "10s", "5m", "1h", "1d" or a bare number of seconds, up to 10 years. Returns 1 with
 * microseconds in `us`, else 0. */
int la_units_duration(const char *text, apr_interval_time_t *us);

/* A number of bytes with an optional K, M or G. Returns 1 with the size in `bytes`, else 0. */
int la_units_size(const char *text, apr_size_t *bytes);

/* Writes a number in decimal digits, without a NUL behind them. Returns the end. */
#define LA_UNITS_DIGITS 20
char *la_units_write(char *at, uint64_t number);
