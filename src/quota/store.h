/* Counters of quotas in Redis, one for all machines. One script call charges a request for all its
 * limits, with Redis's clock; a second settles what was used.
 *
 * In Redis, each with the configured prefix in front, NAME an HMAC:
 *   q:QUOTA:NAME   of a window a hash: `e` its end in microseconds since 1970, `u` what was used;
 *                  of a rate a number: the theoretical arrival time. Each expires when it is over.
 */
#pragma once

#include "io/redis.h"
#include "quota/items.h"

/* The way to Redis. */
typedef struct la_quota_store_t {
    /* Sends one command through the breaker. */
    la_redis_e (*command)(apr_size_t count, const la_slice_t *words, apr_pool_t *pool,
                          la_redis_answer_t *answer);

    /* The name in Redis of the HMAC, under the first secret, of what is counted: `quota` alone for
     * a pattern of all names of a quota. NULL when there is no secret. */
    const char *(*name)(la_slice_t quota, const la_slice_t *counter, apr_pool_t *pool);
} la_quota_store_t;

/* Charges all items with is_remote, or none. Sets reading and window of each. refused: the index of
 * the item that will refuse for the longest time; -1: all are charged. Returns 0 when Redis does
 * not answer. */
int la_quota_store_charge(const la_quota_store_t *store, const la_quota_memory_t *memory,
                          const la_meter_now_t *now, la_admission_t *admission, int *refused,
                          apr_pool_t *pool);

/* Makes what was charged to the items with is_remote what the request used. amounts: one for each
 * item. Returns 0 when Redis does not answer. */
int la_quota_store_settle(const la_quota_store_t *store, const la_admission_t *admission,
                          const uint64_t *amounts, apr_pool_t *pool);

/* What is forgotten, on this machine and in Redis. Permits stay. */
typedef struct la_quota_reset_t {
    const apr_array_header_t *quotas; /* of const la_quota_t *; NULL: all that was ever counted */
    const la_slice_t *principal;      /* only the counters of this one; NULL: all counters */
} la_quota_reset_t;

/* Forgets. memory, store: NULL where nothing is counted there. counters: how many there were here.
 * Returns 1, or 0 when Redis could not be told. */
int la_quota_reset(const la_quota_reset_t *reset, const la_quota_memory_t *memory,
                   const la_quota_store_t *store, apr_pool_t *pool, uint64_t *counters);
