/* What has been logged of a provider's outages: a line of shared memory that all processes use
 * without a lock. A reason is logged once in each state and minute. Digits in its text (times,
 * sizes, positions) do not make it another reason, its status does. A reason that concerns one
 * caller changes no state: it is logged once a minute, even if calls for other callers succeed in
 * between. */
#pragma once

#include <apr.h>
#include <apr_time.h>

#include <stdatomic.h>

/* Reasons that are remembered; one more replaces the oldest. */
#define LA_OUTAGE_REASONS 7

/* Starts zeroed; garbage costs at most a line more or less. */
typedef struct la_outage_t {
    _Atomic uint64_t state; /* 1 bit: an outage was logged; above it: outages that have ended */
    _Atomic uint64_t
        reasons[LA_OUTAGE_REASONS]; /* 32 bits of a hash, 32 bits of seconds; 0: free */
} la_outage_t;

/* Why a provider is unavailable. */
typedef struct la_outage_reason_t {
    const char *text;
    int status;    /* of the answer; 0: there was none */
    int of_caller; /* concerns one caller, not the provider */
} la_outage_reason_t;

/* Notes an outage. now: la_clock_us(). Returns 1 to the one caller who should log it. */
int la_outage_begin(la_outage_t *outage, const la_outage_reason_t *reason, apr_time_t now);

/* Notes that the provider answers. Returns 1 to the one caller who should log an outage's end. */
int la_outage_end(la_outage_t *outage);
