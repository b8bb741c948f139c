/* One provider asked the short way: through the cache, one call for all who ask the same at once,
 * and the gate in front of the call.
 */
#ifndef LA_LOOKUP_H
#define LA_LOOKUP_H

#include "lookup/cache.h"
#include "shm/flight.h"
#include "shm/gate.h"
#include "lookup/cache_key.h"
#include "provider/provider.h"
#include "lookup/remote.h"
#include "provider/workers.h"

/* What the processes share, as this process reaches it. */
typedef struct la_shared_t {
    la_cache_t *cache;   /* NULL: LlamaAuthCacheSize off */
    la_flight_t *flight; /* never NULL where there is a cache */
    la_gates_t *gates;   /* the workers', and those of each provider */
    la_workers_t *workers;
    la_counters_t *stats; /* as many providers */
    la_remote_t *remote;  /* NULL: no LlamaAuthCacheShared */
} la_shared_t;

/* The verdict of one provider on one token, from wherever it is had soonest; result->source says
 * where. NOT_MINE with message NULL when the provider's Match does not fit. Any thread; waits at
 * most twice the provider's Timeout, and the time of a call.
 *
 * result: zeroed here; what it points to lives in `pool`.
 */
void la_lookup(const la_shared_t *shared, const la_provider_t *provider, const la_call_t *call,
               apr_pool_t *pool, la_result_t *result);

#endif
