/* The clock that waits and deadlines are measured by. */
#pragma once

#include <apr_time.h>

/* Microseconds of CLOCK_MONOTONIC: one clock for all processes, that nobody sets. Any thread. */
apr_time_t la_clock_us(void);
