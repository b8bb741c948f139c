/* Gets a verdict from the fastest source that may answer:
 *
 *   1. the cache: a fresh acceptance or rejection
 *   2. else, with a place to wait (workers.c), another request's call for the same key (flight.c)
 *   3. else, as the one that calls: the second-level cache; breaker, permit and provider (ask.c);
 *      the answer goes into the cache, to the waiting requests, into the second-level cache
 *   4. if the provider is unavailable: an acceptance past its TTL, where CacheStale allows it
 *
 * Runs in any request thread. */
#include "lookup/lookup.h"

#include "lookup/ask.h"
#include "base/clock.h"
#include "io/server.h"

#include <apr_strings.h>

/* How much longer than its deadlines a leader may take. */
#define LEAD_SLACK_US APR_TIME_C(100000)

typedef struct lookup_t {
    const la_shared_t *shared;
    const la_provider_t *provider;
    const la_call_t *call;
    apr_pool_t *pool;
    la_cache_key_t key;
    la_cache_asked_t asked;         /* since when, once nothing was cached */
    la_remote_asked_t remote_asked; /* what the second-level cache was asked */
    const la_identity_t *accepted;  /* by the provider, for the second-level cache; or NULL */
    la_cache_times_t times;         /* of `accepted` */
    apr_uint64_t epoch;             /* of the type when the key was made; 0 for a type without */
    const la_identity_t *stale;     /* an acceptance past its TTL, or NULL */
} lookup_t;

static void verify(lookup_t *l, la_result_t *result)
{
    la_ask(l->shared->stats, l->provider, l->call, l->pool, result);
}

/* ---- a refusal's texts ---- */

/* The end of a text that is longer. */
#define CUT "..."

/* The client's message and the log's reason as one text, for the cache and for waiters: a line
 * each, in as many bytes as an outcome has. A message that is longer stands alone. */
static const char *join_texts(const la_result_t *result, apr_pool_t *pool)
{
    const char *message = result->message ? result->message : "";
    char *text = apr_pstrcat(pool, message, "\n", result->reason, NULL);

    if (strlen(message) + sizeof(CUT) > LA_FLIGHT_TEXT_BYTES) {
        return message;
    }
    if (strlen(text) > LA_FLIGHT_TEXT_BYTES) {
        memcpy(text + LA_FLIGHT_TEXT_BYTES + 1 - sizeof(CUT), CUT, sizeof(CUT));
    }
    return text;
}

static void split_texts(const char *text, la_result_t *result, apr_pool_t *pool)
{
    apr_size_t len = strcspn(text, "\n");

    result->message = apr_pstrmemdup(pool, text, len);
    result->reason = text[len] && text[len + 1] ? text + len + 1 : NULL;
}

/* ---- the cache ---- */

static void accept_cached(la_result_t *result, const la_identity_t *identity, la_source_e source)
{
    *result = (la_result_t){.verdict = LA_VERDICT_ACCEPTED, .identity = identity, .source = source};
}

/* Answers from the cache. Returns 1 if it did; else l->stale may be set. */
static int from_cache(lookup_t *l, la_result_t *result)
{
    la_cache_found_t found;

    switch (la_cache_get(l->shared->cache, &l->key, apr_time_now(), l->pool, &found)) {
    case LA_CACHE_HIT:
        accept_cached(result, found.identity, LA_SOURCE_HIT);
        return 1;
    case LA_CACHE_NEGATIVE:
        *result = (la_result_t){.verdict = LA_VERDICT_REJECTED, .source = LA_SOURCE_NEGATIVE};
        split_texts(found.message, result, l->pool);
        return 1;
    case LA_CACHE_STALE:
        l->stale = found.identity;
        return 0;
    case LA_CACHE_MISS:
        return 0;
    }
    return 0;
}

/* Keeps what the provider said. Returns 1 when waiting requests may use it too: an acceptance only
 * if it was kept, and nothing that was decided in another epoch than the key's. */
static int keep(lookup_t *l, const la_result_t *result)
{
    const la_provider_common_t *common = &l->provider->common;
    la_cache_times_t times = {common->cache_ttl_us, common->cache_stale_us, result->expires};

    if (result->epoch != l->epoch) {
        return 0;
    }
    switch (result->verdict) {
    case LA_VERDICT_ACCEPTED:
        if (result->max_age_known && result->max_age_us < times.ttl_us) {
            times.ttl_us = result->max_age_us > 0 ? result->max_age_us : 0;
            times.stale_us = times.ttl_us ? times.stale_us : 0;
        }
        l->accepted = result->identity;
        l->times = times;
        return la_cache_accept(l->shared->cache, &l->key, &l->asked, result->identity, &times,
                               apr_time_now());
    case LA_VERDICT_REJECTED:
        la_cache_reject(l->shared->cache, &l->key, &l->asked, join_texts(result, l->pool),
                        common->cache_negative_ttl_us, apr_time_now());
        return 1;
    case LA_VERDICT_UNAVAILABLE:
        return la_result_concerns_provider(result);
    case LA_VERDICT_NOT_MINE:
        return 0;
    }
    return 0;
}

/* Returns what keep() does. */
static int verify_and_keep(lookup_t *l, la_result_t *result)
{
    verify(l, result);
    result->source = LA_SOURCE_MISS;
    return keep(l, result);
}

/* ---- the second-level cache ---- */

static int ask_remote(lookup_t *l, la_remote_found_t *found)
{
    la_slice_t parts[LA_CACHE_KEY_PARTS_MAX];
    apr_size_t count = la_cache_key_parts(l->provider, l->call, &l->epoch, parts);

    return la_remote_get(l->shared->remote, parts, count, l->pool, &l->asked, &l->remote_asked,
                         found);
}

/* Takes over an acceptance from another machine. Returns 1 if there was one. */
static int from_remote(lookup_t *l, la_result_t *result)
{
    apr_interval_time_t ttl_us = l->provider->common.cache_ttl_us;
    la_remote_found_t found;
    la_cache_times_t times;
    apr_time_t now;

    if (!l->shared->remote || !ask_remote(l, &found)) {
        return 0;
    }
    now = apr_time_now();
    times.ttl_us = found.fresh_until - now < ttl_us ? found.fresh_until - now : ttl_us;
    times.stale_us =
        found.stale_until > found.fresh_until ? found.stale_until - found.fresh_until : 0;
    times.end = found.stale_until > found.fresh_until ? found.stale_until : found.fresh_until;
    if (times.ttl_us <= 0) {
        return 0;
    }
    la_cache_accept(l->shared->cache, &l->key, &l->asked, found.identity, &times, now);
    accept_cached(result, found.identity, LA_SOURCE_SHARED);
    return 1;
}

/* Stores an acceptance for other machines, unless this process was stopped meanwhile. */
static void to_remote(const lookup_t *l)
{
    apr_time_t now = apr_time_now(); /* read before the other clock, which then shows any stop */

    if (l->shared->remote && l->accepted && la_clock_us() < l->asked.ends_us) {
        la_remote_put(l->shared->remote, &l->remote_asked, l->accepted, &l->times, now, l->pool);
    }
}

/* ---- single flight ---- */

/* An outcome's code: the verdict, whether it timed out, and its Retry-After. */
#define CODE_VERDICT(code)   ((la_verdict_e)((code)&3u))
#define CODE_TIMED_OUT(code) ((int)((code) >> 2 & 1u))
#define CODE_RETRY(code)     ((int)((code) >> 3 & 63u))
#define CODE(result)                                                                               \
    ((apr_uint32_t)(result)->verdict | (apr_uint32_t)((result)->timed_out != 0) << 2 |             \
     (apr_uint32_t)(result)->retry_after_s << 3)

static void end_flight(const lookup_t *l, const la_flight_ticket_t *ticket,
                       const la_result_t *result, int shareable)
{
    la_flight_outcome_t outcome = {.code = CODE(result)};
    const char *text = join_texts(result, l->pool);
    apr_size_t len = strlen(text);

    shareable = shareable && len <= sizeof(outcome.text);
    if (shareable) {
        outcome.len = (apr_uint32_t)len;
        memcpy(outcome.text, text, len);
    }
    la_flight_end(l->shared->flight, ticket, shareable ? &outcome : NULL);
}

static void lead(lookup_t *l, const la_flight_ticket_t *ticket, la_result_t *result)
{
    int shareable = 1;

    /* The last leader may have ended after our miss. */
    if (!from_cache(l, result) && !from_remote(l, result)) {
        shareable = verify_and_keep(l, result);
    }
    end_flight(l, ticket, result, shareable);
    to_remote(l);
}

/* Takes over what the leader learned. Returns 0 if the provider must be asked. */
static int follow(lookup_t *l, const la_flight_outcome_t *outcome, la_result_t *result)
{
    const char *text = apr_pstrmemdup(l->pool, outcome->text, outcome->len);

    switch (CODE_VERDICT(outcome->code)) {
    case LA_VERDICT_ACCEPTED:
        if (!from_cache(l, result)) {
            return 0;
        }
        break;
    case LA_VERDICT_REJECTED:
        *result = (la_result_t){.verdict = LA_VERDICT_REJECTED};
        split_texts(text, result, l->pool);
        break;
    case LA_VERDICT_UNAVAILABLE:
        *result = (la_result_t){.verdict = LA_VERDICT_UNAVAILABLE,
                                .timed_out = CODE_TIMED_OUT(outcome->code),
                                .followed = 1,
                                .retry_after_s = CODE_RETRY(outcome->code)};
        split_texts(text, result, l->pool);
        break;
    case LA_VERDICT_NOT_MINE:
        return 0;
    }
    result->source = LA_SOURCE_COALESCED;
    return 1;
}

static la_flight_terms_t flight_terms(const lookup_t *l)
{
    const la_http_options_t *http = &l->provider->common.http;
    apr_interval_time_t wait = 2 * http->timeout_us;
    apr_interval_time_t lead_us = http->timeout_us + http->connect_timeout_us + LEAD_SLACK_US +
                                  (l->shared->remote ? la_remote_longest(l->shared->remote) : 0);

    return (la_flight_terms_t){.lead_us = lead_us < wait / 10 * 9 ? lead_us : wait / 10 * 9,
                               .wait_us = wait};
}

static void fly(lookup_t *l, la_result_t *result)
{
    la_flight_terms_t terms = flight_terms(l);
    la_flight_outcome_t outcome;
    la_flight_ticket_t ticket;

    switch (la_flight_begin(l->shared->flight, l->key.bytes, &terms, &ticket, &outcome)) {
    case LA_FLIGHT_LEADER:
        lead(l, &ticket, result);
        return;
    case LA_FLIGHT_SHARED:
        if (follow(l, &outcome, result)) {
            return;
        }
        break;
    case LA_FLIGHT_ALONE:
        break;
    case LA_FLIGHT_TIMED_OUT:
        la_result_set_outage(result, LA_MESSAGE_TIMEOUT, "waited for another request's call");
        result->source = LA_SOURCE_COALESCED;
        return;
    }
    verify_and_keep(l, result);
}

/* Asks without waiting for others. While the breaker is not closed it lets one request call; a
 * request that waited for that one would hold a worker for as long as the endpoint hangs. */
static void go_alone(lookup_t *l, la_result_t *result)
{
    if (!from_remote(l, result)) {
        verify_and_keep(l, result);
    }
    to_remote(l);
}

static int breaker_is_closed(const lookup_t *l)
{
    la_gate_terms_t terms = la_ask_terms(&l->provider->common);

    return la_gate_is_closed(l->shared->gates, (apr_uint32_t)l->provider->gate, &terms);
}

/* ---- workers ---- */

/* The longest time of a look-up: it waits for a flight, then for a permit, then it calls. */
static apr_interval_time_t longest_us(const lookup_t *l)
{
    const la_http_options_t *http = &l->provider->common.http;

    return 3 * http->timeout_us + 2 * http->connect_timeout_us + LEAD_SLACK_US +
           (l->shared->remote ? 2 * la_remote_longest(l->shared->remote) : 0);
}

/* Runs what may wait, if there is a place among those that may wait. */
static void with_place(lookup_t *l, void (*what)(lookup_t *l, la_result_t *result),
                       la_result_t *result)
{
    la_gate_permit_t place;

    if (!la_ask_takes_call(l->provider->type)) {
        what(l, result);
    } else if (la_workers_enter(l->shared->workers, longest_us(l), &place)) {
        what(l, result);
        la_workers_leave(l->shared->workers, &place);
    } else {
        la_source_e source = result->source;

        la_result_set_outage(result, LA_MESSAGE_ERROR, "too many workers wait already");
        result->source = source;
    }
}

/* ---- the whole ---- */

/* Answers an outage with an acceptance past its TTL. Looks it up again: the call may have taken so
 * long that it may not serve any more. */
static void fall_back(lookup_t *l, la_result_t *result)
{
    la_result_t outage = *result;

    l->stale = NULL;
    if (!from_cache(l, result) && l->stale) {
        accept_cached(result, l->stale, LA_SOURCE_STALE);
        /* for the log, which tells of the outage nevertheless */
        result->reason = outage.reason ? outage.reason : outage.message;
        result->cause = outage.cause;
        result->status = outage.status;
        result->followed = outage.followed;
    }
}

static void through_flight(lookup_t *l, la_result_t *result)
{
    if (l->provider->common.cache_ttl_us == 0 || l->provider->type->judges_alone) {
        verify_and_keep(l, result); /* no acceptance may serve another request */
    } else if (breaker_is_closed(l)) {
        fly(l, result);
    } else {
        go_alone(l, result);
    }
}

static void through_cache(lookup_t *l, la_result_t *result)
{
    const la_provider_type_t *type = l->provider->type;

    l->epoch = type->epoch ? type->epoch(l->provider, l->call->now) : 0;
    if (la_cache_key_make(l->shared->cache, l->provider, l->call, l->epoch, &l->key) !=
        APR_SUCCESS) {
        la_result_set_outage(result, LA_MESSAGE_ERROR, "libcrypto failed to make a cache key");
        return;
    }
    if (from_cache(l, result)) {
        return;
    }
    l->asked = la_cache_asked(l->shared->cache, l->call->digest);
    l->asked.ends_us = la_clock_us() + longest_us(l);
    result->source = LA_SOURCE_MISS;
    with_place(l, through_flight, result);
    if (result->verdict == LA_VERDICT_UNAVAILABLE && la_result_concerns_provider(result) &&
        l->stale) {
        fall_back(l, result);
    }
}

void la_lookup(const la_shared_t *shared, const la_provider_t *provider, const la_call_t *call,
               apr_pool_t *pool, la_result_t *result)
{
    const la_provider_common_t *common = &provider->common;
    lookup_t l = {.shared = shared, .provider = provider, .call = call, .pool = pool};

    *result = (la_result_t){0};
    if (!la_provider_matches(provider, call->token)) {
        result->verdict = LA_VERDICT_NOT_MINE;
        result->reason = "its Match does not fit";
    } else if (shared->cache && provider->type->cache_vary &&
               (common->cache_ttl_us || common->cache_negative_ttl_us)) {
        through_cache(&l, result);
    } else {
        with_place(&l, verify, result);
    }
    la_counters_lookup(shared->stats, (apr_uint32_t)provider->index, result->verdict,
                       result->source);
}
