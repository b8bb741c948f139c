/* Sends commands through the breaker, and derives keys from LlamaAuthCacheSecret. */
#include "lookup/remote_link.h"

#include "base/clock.h"
#include "io/server.h"
#include "io/secret.h"

#include <string.h>

#include <apr_strings.h>

#include <openssl/crypto.h>

/* The breaker has no options: going on without Redis is always possible. */
#define FAILURES 3
#define OPEN_US  (5 * APR_USEC_PER_SEC)
#define SLACK_US APR_TIME_C(100000)

/* Of the name of a quota, in hex digits: it only groups counters. */
#define QUOTA_DIGITS 16

void la_remote_count(const la_remote_t *remote, la_remote_e event)
{
    la_counters_lookup(remote->shared.stats, remote->shared.stats_index, 0, event);
}

void la_remote_note_error(const la_remote_t *remote, const char *reason)
{
    la_counters_error(remote->shared.stats, remote->shared.stats_index, reason, apr_time_now());
}

apr_interval_time_t la_remote_budget(const la_remote_options_t *options)
{
    /* If an idle connection turns out to be closed, the command is sent twice. */
    return options->redis.connect_timeout_us + 2 * options->redis.timeout_us;
}

apr_interval_time_t la_remote_longest(const la_remote_t *remote)
{
    return 3 * la_remote_budget(remote->options); /* it may begin a new era and ask again */
}

la_gate_terms_t la_remote_terms(const la_remote_options_t *options)
{
    return (la_gate_terms_t){.limit = 1,
                             .failures = FAILURES,
                             .open_us = OPEN_US,
                             .call_us = la_remote_budget(options) + SLACK_US};
}

static void log_change(const la_remote_t *remote, la_gate_change_e change, const char *reason)
{
    const char *address = remote->options->redis.address;

    if (change == LA_GATE_OPENED) {
        la_log(LA_LOG_ERROR,
               LA_LOGNO(0052) "second-level cache %s is unavailable: %s; going on without it",
               address, reason);
    } else if (change == LA_GATE_CLOSED) {
        la_log(LA_LOG_NOTICE, LA_LOGNO(0053) "second-level cache %s is available again", address);
    }
}

/* Sends the command anyway, or fails it, while the breaker is open. */
static la_redis_e past_breaker(la_remote_t *remote, apr_size_t count, const la_slice_t *words,
                               int how, apr_pool_t *pool, la_redis_answer_t *answer)
{
    if (how & LA_REMOTE_ANYWAY) {
        return la_redis_command(remote->redis, count, words, pool, answer);
    }
    answer->text = LA_SLICE("its breaker is open");
    la_remote_count(remote, LA_REMOTE_SKIPPED);
    return LA_REDIS_FAILED;
}

la_redis_e la_remote_command(la_remote_t *remote, apr_size_t count, const la_slice_t *words,
                             int how, apr_pool_t *pool, la_redis_answer_t *answer)
{
    la_gate_terms_t terms = la_remote_terms(remote->options);
    apr_time_t start = la_clock_us();
    la_gate_pass_t pass;
    la_redis_e result;
    int outage;

    if (la_gate_allow(remote->shared.gates, remote->shared.gate, &terms, start, &pass) ==
        LA_GATE_REFUSED) {
        return past_breaker(remote, count, words, how, pool, answer);
    }
    result = la_redis_command(remote->redis, count, words, pool, answer);
    la_counters_call(remote->shared.stats, remote->shared.stats_index, la_clock_us() - start);
    outage = result == LA_REDIS_FAILED || ((how & LA_REMOTE_READS) && result == LA_REDIS_ERROR);
    if (outage) {
        la_remote_count(remote, LA_REMOTE_UNAVAILABLE);
    }
    if (result != LA_REDIS_OK) {
        la_remote_note_error(remote, answer->text.data);
    }
    log_change(remote,
               la_gate_report(remote->shared.gates, remote->shared.gate, &terms, &pass,
                              outage ? LA_GATE_OUTAGE : LA_GATE_SUCCESS, la_clock_us()),
               answer->text.data);
    return result;
}

void la_remote_secret_keys(const la_remote_options_t *options, int i, la_seal_keys_t *keys)
{
    la_reload_t *secret = options->secrets[i];
    unsigned held;

    la_reload_look(secret, apr_time_now());
    memcpy(keys, la_reload_hold(secret, &held), sizeof(*keys));
    la_reload_release(secret, held);
}

void la_remote_keys(const la_remote_t *remote, int i, la_seal_keys_t *keys)
{
    la_remote_secret_keys(remote->options, i, keys);
}

la_slice_t la_remote_word(const la_remote_t *remote, apr_pool_t *pool, const char *kind,
                          const char *name)
{
    return la_slice_of(apr_pstrcat(pool, remote->options->redis.prefix, kind, name, NULL));
}

/* Derives the keys of a secret: all that is kept of it. */
static const char *parse_secret(void *context, la_slice_t text, apr_pool_t *pool,
                                apr_pool_t *scratch, const void **value)
{
    la_seal_keys_t *keys = apr_palloc(pool, sizeof(*keys));
    const char *error = la_secret_trim(&text);

    (void)context;
    *value = keys;
    if (error) {
        return error;
    }
    if (text.len < LA_SEAL_SECRET_MIN) {
        return apr_psprintf(scratch,
                            "holds fewer than %d characters; `openssl rand -base64 32` makes a "
                            "good one",
                            LA_SEAL_SECRET_MIN);
    }
    return la_seal_keys(text, keys) == APR_SUCCESS ? NULL : "libcrypto failed to derive its keys";
}

const char *la_remote_secret(apr_pool_t *pool, const char *name, la_remote_options_t *options)
{
    const char *path = *name ? la_host()->path(pool, name) : NULL;
    la_reload_t *secret;
    const char *error;

    if (!path) {
        return "file: names no path";
    }
    secret = la_reload_make(pool, path, LA_SECRET_LIMIT_BYTES, parse_secret, NULL);
    error = la_reload_read(secret, pool);
    if (!error) {
        options->secrets[options->secret_count++] = secret;
    }
    return error;
}

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
    if (counter) {
        parts[2] = counter[0];
        parts[3] = counter[1];
    }
    holds = la_seal_name(&keys, parts, 2, group) == APR_SUCCESS &&
            (!counter || la_seal_name(&keys, parts, 4, name) == APR_SUCCESS);
    OPENSSL_cleanse(&keys, sizeof(keys));
    if (!holds) {
        return NULL;
    }
    group[QUOTA_DIGITS] = '\0';
    return apr_pstrcat(pool, counter ? prefix : escape_prefix(pool, prefix), "q:", group, ":",
                       counter ? name : "*", NULL);
}

apr_status_t la_remote_make(apr_pool_t *pool, const la_remote_options_t *options,
                            const la_remote_shared_t *shared, int connections, la_remote_t **remote)
{
    la_remote_t *made = apr_pcalloc(pool, sizeof(*made));
    apr_status_t rv = la_redis_make(pool, &options->redis, connections, &made->redis);

    made->options = options;
    made->shared = *shared;
    *remote = rv == APR_SUCCESS ? made : NULL;
    return rv;
}
