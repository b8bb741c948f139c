/* What is counted for whoever watches: requests by how they ended, each provider's look-ups by
 * verdict and source, the latency of its calls, and its last error. In shared memory, for all
 * processes together, since it was made.
 *
 * Life cycle: the bytes begin as zeroes and need no formatting; a handle serves any number of
 * threads, and forked children too. Counting takes no lock. What is in the bytes is never used as
 * an index or a pointer.
 */
#ifndef LA_COUNTERS_H
#define LA_COUNTERS_H

#include "base/slice.h"

#include <apr_pools.h>
#include <apr_time.h>

#include <stdint.h>

/* What the bytes must be aligned to. */
#define LA_COUNTERS_ALIGN 64

/* Values that the callers' enums may have. */
#define LA_COUNTERS_OUTCOMES 16
#define LA_COUNTERS_VERDICTS 4
#define LA_COUNTERS_SOURCES  8

/* Longest error kept, longer ones are cut. */
#define LA_COUNTERS_ERROR_BYTES 159

/* Upper bounds of the buckets of a histogram, in microseconds; one more bucket has no bound. */
#define LA_COUNTERS_BUCKETS 15
extern const apr_interval_time_t la_counters_bounds_us[LA_COUNTERS_BUCKETS];

typedef struct la_counters_t la_counters_t;

/* How long calls took. */
typedef struct la_counters_histogram_t {
    uint64_t buckets[LA_COUNTERS_BUCKETS + 1]; /* each on its own, not cumulated */
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

/* Bytes for that many providers; 0 when it is not allowed (above 65536). */
apr_size_t la_counters_bytes(uint32_t providers);

/* A handle on la_counters_bytes(providers) bytes, aligned to LA_COUNTERS_ALIGN; lives in `pool`. */
la_counters_t *la_counters_attach(void *bytes, uint32_t providers, apr_pool_t *pool);

/* Takes over one provider's numbers from older statistics; nobody may write to `to` meanwhile. For
 * the parent. */
void la_counters_copy(la_counters_t *to, uint32_t index, const la_counters_t *from,
                      uint32_t from_index);

/* Takes over what is counted without regard to providers. As la_counters_copy(). */
void la_counters_copy_requests(la_counters_t *to, const la_counters_t *from);

/* Counts a request that ended so; `outcome` below LA_COUNTERS_OUTCOMES, others are not counted. */
void la_counters_request(la_counters_t *stats, unsigned outcome);

/* Counts a look-up; values beyond the bounds are not counted. */
void la_counters_lookup(la_counters_t *stats, uint32_t provider, unsigned verdict, unsigned source);

/* Counts a call to the provider that took so long. */
void la_counters_call(la_counters_t *stats, uint32_t provider, apr_interval_time_t duration_us);

/* Keeps the text as the provider's last error. Control characters become spaces. */
void la_counters_error(la_counters_t *stats, uint32_t provider, const char *text, apr_time_t now);

/* Returns 1 on the first call for this provider and matter (0 to 63) since the bytes were made,
 * else 0: for log lines that come once. */
int la_counters_first(la_counters_t *stats, uint32_t provider, unsigned matter);

/* The requests that ended so. */
uint64_t la_counters_requests(const la_counters_t *stats, unsigned outcome);

/* Reads a provider's numbers; each is right for itself. All zero when there is no such provider.
 * While an error is being written, the one before is read. */
void la_counters_read(const la_counters_t *stats, uint32_t provider, la_counters_provider_t *read);

#endif
