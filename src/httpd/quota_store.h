/* The counters of quotas in Redis, as requests reach them. */
#pragma once

#include "quota/store.h"

/* The store, or NULL where quotas are counted on this machine only. In request threads. */
const la_quota_store_t *la_quota_store_get(void);

/* Seconds until Redis is asked again, 1 to 30: for Retry-After. */
int la_quota_store_retry_s(void);
