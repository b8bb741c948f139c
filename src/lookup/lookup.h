/* Asks one provider by way of the cache, with one call for all who ask the same at once. */
#pragma once

#include "lookup/cache.h"
#include "shm/flight.h"
#include "shm/gate.h"
#include "lookup/cache_key.h"
#include "provider/provider.h"
#include "lookup/remote.h"
#include "provider/workers.h"
#include "shm/replay.h"

/* Bytes of this server's own key for nonces. */
#define LA_NONCE_KEY_BYTES 32

/* This process's handles on what all share. */
typedef struct la_shared_t {
    la_cache_t *cache;   /* NULL: LlamaAuthCacheSize off */
    la_flight_t *flight; /* never NULL where there is a cache */
    la_gates_t *gates;   /* the workers', and those of each provider */
    la_workers_t *workers;
    la_counters_t *stats;           /* as many providers */
    la_remote_t *remote;            /* NULL: no LlamaAuthCacheShared */
    la_replay_t *proofs;            /* the memory of proofs; NULL: no provider could ask for one */
    const unsigned char *nonce_key; /* LA_NONCE_KEY_BYTES; NULL likewise */
    const la_remote_options_t *secrets; /* of LlamaAuthCacheSecret; NULL: none */
} la_shared_t;

/* Gets one provider's verdict on one token from the fastest source, result->source. NOT_MINE with
 * message NULL if the provider's Match does not fit. Any thread; waits at most twice the provider's
 * Timeout, and the time of a call. result: zeroed here; what it points to lives in `pool`. */
void la_lookup(const la_shared_t *shared, const la_provider_t *provider, const la_call_t *call,
               apr_pool_t *pool, la_result_t *result);
