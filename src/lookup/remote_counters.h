/* What quotas need of the second-level cache's Redis: its breaker, its deadlines and its secret. */
#ifndef LA_REMOTE_COUNTERS_H
#define LA_REMOTE_COUNTERS_H

#include "io/redis.h"
#include "lookup/remote_options.h"

/* Sends one command through the breaker. An error as its answer does not count against Redis: a
 * full server refuses to write, and still reads. */
la_redis_e la_remote_send(la_remote_t *remote, apr_size_t count, const la_slice_t *words,
                          apr_pool_t *pool, la_redis_answer_t *answer);

/* The name of a counter: nobody without the secret learns from it who is counted.
 *
 * quota: its label; empty for a pattern of all counters. counter: two parts; NULL for a pattern of
 * all counters of the quota. Returns NULL when there is no secret that can be used. In `pool`.
 */
const char *la_remote_counter(la_remote_t *remote, la_slice_t quota, const la_slice_t *counter,
                              apr_pool_t *pool);

/* How long the breaker refuses commands; 0 when it does not. */
apr_interval_time_t la_remote_retry_us(la_remote_t *remote, apr_time_t now);

#endif
