/* Admitting a request: it is charged to all limits of all quotas, or to none of them. Life cycle,
 * on one thread at a time: la_admission_make() of items.h, la_admission_ask() once; then, when the
 * request is logged, la_admission_settle() and la_admission_leave(). */
#pragma once

#include "quota/items.h"
#include "quota/store.h"
#include "quota/usage.h"

typedef enum la_admission_e {
    LA_ADMISSION_FAILED, /* zero: it cannot be counted, or Outage deny */
    LA_ADMISSION_REFUSED,
    LA_ADMISSION_ADMITTED
} la_admission_e;

/* Charges all of it, or nothing. store: NULL where nothing is counted in Redis. */
la_admission_e la_admission_ask(la_admission_t *admission, const la_quota_memory_t *memory,
                                const la_quota_store_t *store, const la_meter_now_t *now,
                                apr_pool_t *pool);

/* Settles the tokens that were used, in the windows in which the request was admitted. */
void la_admission_settle(la_admission_t *admission, const la_quota_memory_t *memory,
                         const la_quota_store_t *store, const la_usage_t *usage, apr_pool_t *pool);

/* Gives the permits back, when the request has ended. */
void la_admission_leave(la_admission_t *admission, const la_quota_memory_t *memory);
