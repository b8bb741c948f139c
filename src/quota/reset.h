/* Forgetting what was counted, as an administrator asks. */
#ifndef LA_QUOTA_RESET_H
#define LA_QUOTA_RESET_H

#include "quota/store.h"

/* What is forgotten, on this machine and in Redis. Permits stay. */
typedef struct la_quota_reset_t {
    const apr_array_header_t *quotas; /* of const la_quota_t *; NULL: all that was ever counted */
    const la_slice_t *principal;      /* only the counters of this one; NULL: all counters */
} la_quota_reset_t;

/* Forgets.
 *
 * memory, store: NULL where nothing is counted there. counters: how many there were here.
 * Returns 1, or 0 when Redis could not be told.
 */
int la_quota_reset(const la_quota_reset_t *reset, const la_quota_memory_t *memory,
                   const la_quota_store_t *store, apr_pool_t *pool, uint64_t *counters);

#endif
