/* The second-level cache: its configuration and what it works with. */
#pragma once

#include "io/redis.h"
#include "io/reload.h"
#include "lookup/cache.h"
#include "lookup/seal.h"
#include "shm/counters.h"
#include "shm/gate.h"

/* Most secrets: the one that writes, and an older one that still reads. */
#define LA_REMOTE_SECRETS 2

/* LlamaAuthCacheShared and LlamaAuthCacheSecret. */
typedef struct la_remote_options_t {
    la_redis_options_t redis;
    la_reload_t *secrets[LA_REMOTE_SECRETS]; /* their versions are la_seal_keys_t */
    int secret_count;
} la_remote_options_t;

/* What it uses of this process's handles. */
typedef struct la_remote_shared_t {
    const la_cache_t *cache;
    la_gates_t *gates;
    apr_uint32_t gate; /* that of the remote cache */
    la_counters_t *stats;
    apr_uint32_t stats_index; /* that of the remote cache */
} la_remote_shared_t;

/* What is counted: la_counters_lookup()'s source, with verdict 0. */
typedef enum la_remote_e {
    LA_REMOTE_HIT,
    LA_REMOTE_MISS,
    LA_REMOTE_PURGED,
    LA_REMOTE_UNREADABLE,
    LA_REMOTE_UNAVAILABLE,
    LA_REMOTE_SKIPPED, /* its breaker is open */
    LA_REMOTE_STORED,
    LA_REMOTE_STORE_FAILED
} la_remote_e;

typedef struct la_remote_t la_remote_t;

/* Reads a secret from a file and adds it. Returns NULL, or what is wrong: unreadable, or shorter
 * than LA_SEAL_SECRET_MIN characters. */
const char *la_remote_secret(apr_pool_t *pool, const char *name, la_remote_options_t *options);

/* Copies the keys of secret `i`, as its file has them now. To be cleansed after use. Any thread. */
void la_remote_secret_keys(const la_remote_options_t *options, int i, la_seal_keys_t *keys);

/* The longest that one command takes. */
apr_interval_time_t la_remote_budget(const la_remote_options_t *options);

/* The longest that la_remote_get() or la_remote_put() takes. */
apr_interval_time_t la_remote_longest(const la_remote_t *remote);

/* How long and how often its breaker lets it be asked: for la_gate_read(). */
la_gate_terms_t la_remote_terms(const la_remote_options_t *options);

/* Makes this process's handle, in `pool`. Returns APR_SUCCESS or what failed. */
apr_status_t la_remote_make(apr_pool_t *pool, const la_remote_options_t *options,
                            const la_remote_shared_t *shared, int connections,
                            la_remote_t **remote);

/* For quotas: sends one command through the breaker. An error as its answer does not count against
 * Redis: a full server refuses to write, and still reads. */
la_redis_e la_remote_send(la_remote_t *remote, apr_size_t count, const la_slice_t *words,
                          apr_pool_t *pool, la_redis_answer_t *answer);

/* The name of a counter: nobody without the secret learns from it who is counted. quota: its label;
 * empty for a pattern of all counters. counter: two parts; NULL for a pattern of all counters of
 * the quota. Returns NULL when there is no secret that can be used. In `pool`. */
const char *la_remote_counter(la_remote_t *remote, la_slice_t quota, const la_slice_t *counter,
                              apr_pool_t *pool);

/* How long its breaker refuses commands; 0 when it does not. */
apr_interval_time_t la_remote_retry_us(la_remote_t *remote, apr_time_t now);
