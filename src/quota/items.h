/* What a request is charged to: an item for each limit and each of the caller's names. admission.h
 * charges them, store.h in Redis, fields.h shows them. */
#pragma once

#include "access/identity.h"
#include "quota/quota.h"
#include "shm/meter.h"
#include "shm/permits.h"
#include "shm/tally.h"

/* What a process counts with. */
typedef struct la_quota_memory_t {
    la_meters_t *meters;
    la_permits_t permits;
    la_tally_t *refusals; /* by what la_admission_key() gives as `kind` */
    uint64_t points[2];   /* of la_hash_under(), the same in all processes */
} la_quota_memory_t;

/* Who asks. */
typedef struct la_quota_caller_t {
    const la_identity_t *identity; /* NULL: nobody that we know */
    la_slice_t principal;
    la_slice_t client_id;
    la_slice_t provider;
    la_slice_t address; /* of the client, IPv6 by its /64 */
} la_quota_caller_t;

/* One limit for one of the caller's names. */
typedef struct la_quota_item_t {
    const la_quota_t *quota;
    const la_limit_t *limit;
    la_slice_t name; /* whose counter: a principal, a value */
    la_meter_key_t key;
    la_meter_terms_t terms; /* of a meter */
    la_meter_receipt_t receipt;
    la_meter_reading_t reading;
    uint64_t number; /* N for this caller */
    uint32_t permit; /* of Concurrent */
    int has_permit;
    int is_remote;      /* is counted in Redis */
    int is_ignored;     /* Outage allow: neither limits nor shows */
    int is_told;        /* Redis has said what is used */
    apr_int64_t window; /* of Redis, for settling */
} la_quota_item_t;

typedef struct la_admission_t {
    la_quota_item_t *items;
    int count;
    const la_quota_item_t *refused; /* the limit that refused, and will for the longest time */
    apr_array_header_t *strange;    /* of const char *: values that are no number, for the log */
} la_admission_t;

/* Collects what a request is charged to. quotas: of const la_quota_t *, those whose `When` holds.
 * reserve: 0, or what the request itself says it will use at most, in place of a Reserve. */
la_admission_t *la_admission_make(apr_pool_t *pool, const la_quota_memory_t *memory,
                                  const apr_array_header_t *quotas, const la_quota_caller_t *caller,
                                  uint64_t reserve);

/* Sets the seeds of a quota's limits, once they are named. points: of la_quota_memory_t. */
void la_quota_seed(la_quota_t *quota, const uint64_t *points);

/* The key of a counter: of limit->seeds and a name. kind: what all keys of the limit share. */
la_meter_key_t la_admission_key(const la_quota_memory_t *memory, const la_limit_t *limit,
                                la_slice_t name, uint64_t *kind);
