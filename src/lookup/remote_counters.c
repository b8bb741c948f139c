/* The way of quotas to Redis. In request threads. */
#include "lookup/remote_counters.h"

#include "lookup/remote_link.h"

#include <apr_strings.h>

#include <openssl/crypto.h>

/* Of the name of a quota, in hex digits: it only groups counters. */
#define QUOTA_DIGITS 16

la_redis_e la_remote_send(la_remote_t *remote, apr_size_t count, const la_slice_t *words,
                          apr_pool_t *pool, la_redis_answer_t *answer)
{
    return la_remote_command(remote, count, words, LA_REMOTE_WRITES, pool, answer);
}

apr_interval_time_t la_remote_retry_us(la_remote_t *remote, apr_time_t now)
{
    la_gate_terms_t terms = la_remote_terms(remote->options);
    la_gate_state_t state;

    la_gate_read(remote->shared.gates, remote->shared.gate, &terms, now, &state);
    return state.retry_us;
}

/* The prefix as a pattern that matches it alone. */
static const char *escape_prefix(apr_pool_t *pool, const char *prefix)
{
    char *pattern = apr_palloc(pool, 2 * strlen(prefix) + 1);
    char *at = pattern;

    for (; *prefix; prefix++) {
        if (strchr("*?[]\\^", *prefix)) {
            *at++ = '\\';
        }
        *at++ = *prefix;
    }
    *at = '\0';
    return pattern;
}

const char *la_remote_counter(la_remote_t *remote, la_slice_t quota, const la_slice_t *counter,
                              apr_pool_t *pool)
{
    const char *prefix = remote->options->redis.prefix;
    la_slice_t parts[4] = {LA_SLICE("quota"), quota};
    char group[LA_SEAL_NAME_LEN + 1];
    char name[LA_SEAL_NAME_LEN + 1];
    la_seal_keys_t keys;
    int holds;

    if (!counter && quota.len == 0) {
        return apr_pstrcat(pool, escape_prefix(pool, prefix), "q:*", NULL);
    }
    la_remote_keys(remote, 0, &keys);
    holds = la_seal_name(&keys, parts, 2, group) == APR_SUCCESS;
    if (holds && counter) {
        parts[2] = counter[0];
        parts[3] = counter[1];
        holds = la_seal_name(&keys, parts, 4, name) == APR_SUCCESS;
    }
    OPENSSL_cleanse(&keys, sizeof(keys));
    group[holds ? QUOTA_DIGITS : 0] = '\0';
    if (!holds) {
        return NULL;
    }
    return apr_pstrcat(pool, counter ? prefix : escape_prefix(pool, prefix), "q:", group, ":",
                       counter ? name : "*", NULL);
}
