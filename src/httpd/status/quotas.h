/* Quotas as the status page shows them. */
#pragma once

#include "quota/quota.h"
#include "shm/meter.h"

/* Counters of a quota that are shown. */
#define LA_STATUS_FULLEST 10

/* One limit. */
typedef struct la_status_limit_t {
    const la_limit_t *limit;
    const char *kind; /* "requests", "tokens-2" */
    uint64_t refusals;
    uint64_t in_flight; /* of Concurrent */
} la_status_limit_t;

/* One counter; for Concurrent the requests in flight of one caller. */
typedef struct la_status_counter_t {
    const la_limit_t *limit;
    uint64_t used;
    uint64_t most; /* N for this caller; of a rate the burst */
    uint64_t refusals;
    apr_interval_time_t reset_us;       /* 0 of Concurrent */
    char name[LA_METER_NAME_BYTES + 1]; /* any bytes */
    int is_cut;                         /* this is the beginning of a longer name, or all of it */
} la_status_counter_t;

typedef struct la_status_quota_t {
    const char *label; /* its name, with its virtual host where it is one's */
    const la_quota_t *quota;
    la_status_limit_t *limits; /* quota->limits->nelts of them */
    uint64_t counters;         /* that are not as new */
    int shown;
    la_status_counter_t fullest[LA_STATUS_FULLEST]; /* `shown` of them, the fullest one first */
} la_status_quota_t;

typedef struct la_status_quotas_t {
    int count;
    la_status_quota_t *quotas;
    la_meters_state_t memory;
} la_status_quotas_t;

/* Reads all counters once. Lives in `pool`; NULL without quotas. */
const la_status_quotas_t *la_status_quotas_read(apr_pool_t *pool);

/* The part of the memory that is in use, 0 to 1. */
double la_status_quota_fill(const la_status_quotas_t *quotas);

/* What a limit allows, in words: "60 requests per 1m". */
const char *la_status_limit_words(apr_pool_t *pool, const la_limit_t *limit);
