/* Forgets counters, here first. An administrator's request calls this. */
#include "quota/reset.h"

static uint64_t forget_here(const la_limit_t *limit, const la_slice_t *principal,
                            const la_quota_memory_t *memory)
{
    la_slice_t name = principal ? *principal : LA_SLICE("");
    uint64_t kind;
    la_meter_key_t key = la_admission_key(memory, limit, name, &kind);

    return la_meters_forget(memory->meters, principal ? &key : NULL, kind);
}

static int forget_quota(const la_quota_reset_t *reset, const la_quota_t *quota,
                        const la_quota_memory_t *memory, const la_quota_store_t *store,
                        apr_pool_t *pool, uint64_t *counters)
{
    int is_shared = store && quota->shared;
    int is_told = 1;

    for (int i = 0; i < quota->limits->nelts; i++) {
        const la_limit_t *limit = &APR_ARRAY_IDX(quota->limits, i, la_limit_t);

        *counters += memory ? forget_here(limit, reset->principal, memory) : 0;
        if (is_shared && (reset->principal || i == 0)) {
            is_told &= la_quota_store_forget(store, reset->principal ? limit : NULL,
                                             reset->principal, limit->quota, pool);
        }
    }
    return is_told;
}

int la_quota_reset(const la_quota_reset_t *reset, const la_quota_memory_t *memory,
                   const la_quota_store_t *store, apr_pool_t *pool, uint64_t *counters)
{
    int is_told = 1;

    *counters = 0;
    if (!reset->quotas) {
        *counters = memory ? la_meters_forget(memory->meters, NULL, 0) : 0;
        return !store || la_quota_store_forget(store, NULL, NULL, NULL, pool);
    }
    for (int i = 0; i < reset->quotas->nelts; i++) {
        is_told &= forget_quota(reset, APR_ARRAY_IDX(reset->quotas, i, const la_quota_t *), memory,
                                store, pool, counters);
    }
    return is_told;
}
