/* Counts by number: a small table in shared memory for counters whose names the configuration
 * makes. They outlive restarts, whatever the next configuration names. Life cycle: zeroed memory is
 * an empty table. Any number of threads of any process; no lock. */
#pragma once

#include <stdint.h>

/* More names than that are not counted. */
#define LA_TALLY_NAMES 4096

typedef struct la_tally_t {
    _Atomic uint64_t names[LA_TALLY_NAMES]; /* 0: free */
    _Atomic uint64_t counts[LA_TALLY_NAMES];
} la_tally_t;

/* Adds 1. name: a hash, not 0. */
void la_tally_add(la_tally_t *tally, uint64_t name);

/* What was counted under the name. */
uint64_t la_tally_get(const la_tally_t *tally, uint64_t name);
