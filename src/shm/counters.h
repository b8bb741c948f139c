/* Counters for the status page and Prometheus: requests by outcome, each provider's look-ups by
 * verdict and source, the latency of its calls, its last error, and the tokens of its callers; in
 * shared memory, for all processes together. Life cycle: the bytes begin as zeroes and need no
 * formatting; a handle serves any number of threads, and forked children too. Counting takes no
 * lock. The bytes hold no index and no pointer. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>
#include <apr_time.h>

#include <stdint.h>

/* What the bytes must be aligned to. */
#define LA_COUNTERS_ALIGN 64

/* Numbers of values of the callers' enums. */
#define LA_COUNTERS_OUTCOMES 24
#define LA_COUNTERS_VERDICTS 4
#define LA_COUNTERS_SOURCES  8
#define LA_COUNTERS_USAGES   3

/* Minutes of which the tokens are kept one by one. */
#define LA_COUNTERS_MINUTES 60

/* Longest error; longer ones are cut. */
#define LA_COUNTERS_ERROR_BYTES 159

/* Upper bounds of a histogram's buckets, in microseconds; the last bucket has none. */
#define LA_COUNTERS_BUCKETS 15
extern const apr_interval_time_t la_counters_bounds_us[LA_COUNTERS_BUCKETS];

typedef struct la_counters_t la_counters_t;

/* How long calls took. */
typedef struct la_counters_histogram_t {
    uint64_t buckets[LA_COUNTERS_BUCKETS + 1]; /* not cumulated */
    uint64_t count;                            /* the buckets' sum */
    uint64_t sum_us;
} la_counters_histogram_t;

/* One provider's numbers. */
typedef struct la_counters_provider_t {
    uint64_t lookups[LA_COUNTERS_VERDICTS][LA_COUNTERS_SOURCES];
    la_counters_histogram_t calls;
    apr_time_t error_at; /* when the last error was; 0: never */
    char error[LA_COUNTERS_ERROR_BYTES + 1];
} la_counters_provider_t;

/* Tokens that pass: input and output. */
typedef struct la_counters_tokens_t {
    uint64_t input;
    uint64_t output;
} la_counters_tokens_t;

/* What a provider's callers used. */
typedef struct la_counters_usage_t {
    uint64_t answers[LA_COUNTERS_USAGES]; /* by where their usage came from */
    la_counters_tokens_t all;
    la_counters_tokens_t minutes[LA_COUNTERS_MINUTES]; /* the last one is this minute */
} la_counters_usage_t;

/* Bytes for that many providers; 0 for more than 65536. */
apr_size_t la_counters_bytes(uint32_t providers);

/* A handle on la_counters_bytes(providers) bytes, aligned to LA_COUNTERS_ALIGN; lives in `pool`. */
la_counters_t *la_counters_attach(void *bytes, uint32_t providers, apr_pool_t *pool);

/* Copies one provider's numbers from older counters; nobody may write to `to` meanwhile. For the
 * parent. */
void la_counters_copy(la_counters_t *to, uint32_t index, const la_counters_t *from,
                      uint32_t from_index);

/* Copies the requests, as la_counters_copy() does. */
void la_counters_copy_requests(la_counters_t *to, const la_counters_t *from);

/* Counts a request; an `outcome` of LA_COUNTERS_OUTCOMES or more is not counted. */
void la_counters_request(la_counters_t *stats, unsigned outcome);

/* Counts a look-up, unless a value is too large. */
void la_counters_lookup(la_counters_t *stats, uint32_t provider, unsigned verdict, unsigned source);

/* Counts a call to the provider. */
void la_counters_call(la_counters_t *stats, uint32_t provider, apr_interval_time_t duration_us);

/* Counts an answer whose usage came from `usage`, unless that is too large. now: la_clock_us(). */
void la_counters_tokens(la_counters_t *stats, uint32_t provider, unsigned usage,
                        la_counters_tokens_t tokens, apr_time_t now);

/* Keeps the text as the provider's last error, control characters as spaces. */
void la_counters_error(la_counters_t *stats, uint32_t provider, const char *text, apr_time_t now);

/* Returns 1 on the first call for this provider and matter (0 to 63) since the bytes were made,
 * else 0: for lines that are logged once. */
int la_counters_first(la_counters_t *stats, uint32_t provider, unsigned matter);

/* How many requests had that outcome. */
uint64_t la_counters_requests(const la_counters_t *stats, unsigned outcome);

/* Reads a provider's numbers, each for itself; all zero if there is no such provider. While an
 * error is being written, reads the one before. */
void la_counters_read(const la_counters_t *stats, uint32_t provider, la_counters_provider_t *read);

/* Reads what a provider's callers used; all zero if there is no such provider. */
void la_counters_read_usage(const la_counters_t *stats, uint32_t provider, apr_time_t now,
                            la_counters_usage_t *read);
