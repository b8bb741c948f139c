/* What a <LlamaAuthQuota> section says: whose use is limited, by what, and when. Filled while the
 * configuration is read, constant afterwards; httpd/config/quotas.c hands the lines in. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>
#include <stdint.h>

/* The largest N: 2^48 - 1. */
#define LA_QUOTA_MOST APR_INT64_C(281474976710655)

typedef enum la_quota_by_e {
    LA_QUOTA_BY_PRINCIPAL,
    LA_QUOTA_BY_CLIENT_ID,
    LA_QUOTA_BY_PROVIDER,
    LA_QUOTA_BY_ATTRIBUTE,
    LA_QUOTA_BY_CLIENT_IP,
    LA_QUOTA_BY_ALL
} la_quota_by_e;

typedef enum la_limit_e {
    LA_LIMIT_RATE,
    LA_LIMIT_REQUESTS,
    LA_LIMIT_TOKENS,
    LA_LIMIT_CONCURRENT
} la_limit_e;

/* Which tokens count. */
typedef enum la_tokens_e { LA_TOKENS_TOTAL, LA_TOKENS_INPUT, LA_TOKENS_OUTPUT } la_tokens_e;

/* What becomes of a request while Redis does not answer. */
typedef enum la_quota_outage_e {
    LA_QUOTA_OUTAGE_LOCAL,
    LA_QUOTA_OUTAGE_ALLOW,
    LA_QUOTA_OUTAGE_DENY
} la_quota_outage_e;

/* One limit. */
typedef struct la_limit_t {
    const char *quota; /* its name and virtual host */
    la_limit_e kind;
    apr_int64_t number;            /* N, 1 to LA_QUOTA_MOST */
    const char *from;              /* the category whose value takes N's place; NULL: none */
    apr_interval_time_t period_us; /* 0 of Concurrent */
    const char *period;            /* as it was written */
    apr_int64_t burst;             /* of Rate; 0: N */
    la_tokens_e tokens;            /* of Tokens */
    int aligned;
    const char *name;     /* "fair.requests", "fair.requests-2" */
    const char *identity; /* what makes its counters its own: quota, kind, period, place */
    uint64_t seeds[2];    /* hashes of `identity`, from la_quota_seed() */
} la_limit_t;

typedef struct la_quota_t {
    const char *name;
    la_quota_by_e by;
    const char *category;       /* LA_QUOTA_BY_ATTRIBUTE */
    const char *when;           /* an expression; NULL: always */
    const void *when_compiled;  /* the caller's, of `when` */
    apr_array_header_t *limits; /* of la_limit_t */
    apr_int64_t reserve;
    int shared;
    la_quota_outage_e outage;
    unsigned given; /* options that stand once and were read */
} la_quota_t;

/* What is wrong with a quota's name, or NULL: [A-Za-z0-9_.-]+, neither `none` nor `all`. */
const char *la_quota_check_name(apr_pool_t *pool, const char *name);

/* A quota with the defaults. */
la_quota_t *la_quota_make(apr_pool_t *pool, const char *name);

/* Reads one line of the section. option: its first word. words: the others, copied where they are
 * kept. Returns NULL, or what is wrong, with the option's name and an example. */
const char *la_quota_option(apr_pool_t *pool, la_quota_t *quota, const char *option, int count,
                            const char *const *words);

/* Checks the section when it ends. Returns NULL, or what is wrong. */
const char *la_quota_check(apr_pool_t *pool, const la_quota_t *quota);

/* Names the limits. label: tells quotas of one name on several virtual hosts apart. */
void la_quota_name_limits(apr_pool_t *pool, la_quota_t *quota, const char *label);

/* What the quota counts by, as `By` has it. */
const char *la_quota_by_text(apr_pool_t *pool, const la_quota_t *quota);

/* Whether any limit counts tokens. */
int la_quota_counts_tokens(const la_quota_t *quota);
