/* From a token to a verdict by the shortest way that is right:
 *
 *   cache hit or rejection in force -> done
 *   else, of all who miss the same key at once, one goes on and the others wait for it
 *   the one: breaker -> permit -> the provider -> cache -> tell the others
 *   provider unavailable -> an acceptance past its time, where CacheStale allows it
 *
 * Runs in any request thread. What is stored, for how long and under which key is cache.c's; who may
 * call when is gate.c's; waiting is flight.c's. Here is the order of these things.
 */
#include "provider/lookup.h"

#include "core/futex.h"
#include "provider/host.h"

#include <apr_strings.h>

/* Longest Retry-After. */
#define RETRY_MAX_S 30

/* A leader's time beyond its own deadlines, for what is between them. */
#define LEAD_SLACK_US APR_TIME_C(100000)

/* Most fields a verdict can depend on: path, params, address, resource, epoch and CacheVary's headers. */
#define FIELDS_MAX (5 + LA_VARY_HEADERS_MAX)

/* One look-up under way. */
typedef struct lookup_t {
    const la_shared_t *shared;
    const la_provider_t *provider;
    const la_call_t *call;
    apr_pool_t *pool;
    la_cache_key_t key;
    apr_uint64_t epoch;         /* of the type's, when the key was made; 0 for a type without */
    const la_identity_t *stale; /* an acceptance past its time, or NULL */
} lookup_t;

const char *la_source_name(la_source_e source)
{
    switch (source) {
    case LA_SOURCE_OFF:
        return "off";
    case LA_SOURCE_HIT:
        return "hit";
    case LA_SOURCE_MISS:
        return "miss";
    case LA_SOURCE_NEGATIVE:
        return "negative";
    case LA_SOURCE_STALE:
        return "stale";
    case LA_SOURCE_COALESCED:
        return "coalesced";
    }
    return "off";
}

static void unavailable(la_result_t *result, const char *message, const char *reason)
{
    *result = (la_result_t){.verdict = LA_VERDICT_UNAVAILABLE,
                            .timed_out = strcmp(message, LA_MESSAGE_TIMEOUT) == 0,
                            .message = message,
                            .reason = reason};
}

/* ---- the call ---- */

apr_uint32_t la_lookup_max_waiting(apr_uint32_t limit)
{
    apr_uint32_t workers = (apr_uint32_t)la_host()->workers();
    apr_uint32_t half = workers / 2;
    apr_uint32_t least = workers / 8 + 1;
    apr_uint32_t waiting = half > limit + least ? half - limit : least;

    return waiting < LA_PERMITS_MAX ? waiting : LA_PERMITS_MAX;
}

static la_gate_terms_t gate_terms(const la_provider_common_t *common)
{
    return (la_gate_terms_t){.limit = common->max_concurrent,
                             .max_waiting = la_lookup_max_waiting(common->max_concurrent),
                             .wait_us = common->http.connect_timeout_us,
                             .failures = common->breaker.failures,
                             .open_us = common->breaker.open_us,
                             .probe_us = common->http.timeout_us + common->http.connect_timeout_us +
                                         LEAD_SLACK_US};
}

static int seconds_to_retry(apr_interval_time_t us)
{
    apr_interval_time_t s = (us + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC;

    return s < 1 ? 1 : s > RETRY_MAX_S ? RETRY_MAX_S : (int)s;
}

static void log_breaker(const la_provider_t *provider, la_gate_change_e change)
{
    switch (change) {
    case LA_GATE_SAME:
        break;
    case LA_GATE_OPENED:
        la_log(LA_LOG_WARNING,
               LA_LOGNO(0050) "provider %s: no calls for a while, its breaker opened",
               provider->name);
        break;
    case LA_GATE_CLOSED:
        la_log(LA_LOG_NOTICE, LA_LOGNO(0051) "provider %s: its breaker closed", provider->name);
        break;
    }
}

/* What a verdict says of the provider's health; who was not concerned may not even have called. */
static la_gate_result_e gate_result(la_verdict_e verdict)
{
    switch (verdict) {
    case LA_VERDICT_UNAVAILABLE:
        return LA_GATE_OUTAGE;
    case LA_VERDICT_NOT_MINE:
        return LA_GATE_NO_CALL;
    case LA_VERDICT_REJECTED:
    case LA_VERDICT_ACCEPTED:
        return LA_GATE_SUCCESS;
    }
    return LA_GATE_OUTAGE;
}

/* Asks the provider, if the breaker allows it and a permit is to be had. */
static void call_provider(const lookup_t *l, la_result_t *result)
{
    const la_provider_t *provider = l->provider;
    apr_uint32_t index = (apr_uint32_t)provider->index;
    la_gate_terms_t terms = gate_terms(&provider->common);
    la_gates_t *gates = l->shared->gates;
    la_gate_result_e outcome = LA_GATE_NO_CALL;
    la_gate_permit_t permit;
    la_gate_pass_t pass;

    if (la_gate_allow(gates, index, &terms, la_clock_us(), &pass) == LA_GATE_REFUSED) {
        unavailable(result, LA_MESSAGE_ERROR, "its breaker is open");
        result->retry_after_s = seconds_to_retry(pass.retry_us);
        return;
    }
    if (la_gate_enter(gates, index, &terms, &permit)) {
        la_provider_verify(provider, l->call, l->pool, result);
        la_gate_leave(gates, index, &permit);
        outcome = gate_result(result->verdict);
    } else {
        unavailable(result, LA_MESSAGE_ERROR, "MaxConcurrent calls are in flight");
    }
    log_breaker(provider, la_gate_report(gates, index, &terms, &pass, outcome, la_clock_us()));
}

static void verify(const lookup_t *l, la_result_t *result)
{
    if (l->provider->type->calls_out && !l->provider->type->judges_alone) {
        call_provider(l, result);
    } else {
        la_provider_verify(l->provider, l->call, l->pool, result);
    }
}

/* ---- the cache ---- */

static la_slice_t text(const char *value)
{
    return (la_slice_t){value, value ? strlen(value) : 0};
}

/* A fixed order for one definition of a provider, so that no field can be taken for another. */
static apr_status_t compute_key(lookup_t *l)
{
    const la_provider_type_t *type = l->provider->type;
    const la_vary_t *vary = &l->provider->common.vary;
    la_slice_t fields[FIELDS_MAX];
    apr_size_t count = 0;
    int i;

    if (vary->path) {
        fields[count++] = text(l->call->path);
    }
    if (vary->params) {
        fields[count++] = text(l->call->query);
    }
    if (vary->client_ip) {
        fields[count++] = text(l->call->client_ip);
    }
    if (type->checks_audience) {
        fields[count++] = text(l->call->resource);
    }
    if (type->epoch) {
        fields[count++] = (la_slice_t){(const char *)&l->epoch, sizeof(l->epoch)};
    }
    for (i = 0; vary->headers && i < vary->headers->nelts; i++) {
        const char *name = APR_ARRAY_IDX(vary->headers, i, const char *);

        fields[count++] = text(apr_table_get(l->call->headers, name));
    }
    return la_cache_key(l->shared->cache, l->provider->fingerprint, l->call->digest, fields, count,
                        &l->key);
}

/* Whether the remembered key is this look-up's: same provider, epoch, resource, token, path and query. */
static int remembered(const lookup_t *l, const la_key_memo_t *memo)
{
    const la_call_t *call = l->call;

    return memo->provider == l->provider && memo->epoch == l->epoch &&
           memo->resource == call->resource &&
           memcmp(memo->digest, call->digest, sizeof(memo->digest)) == 0 &&
           strcmp(memo->path, call->path) == 0 && memo->has_query == (call->query != NULL) &&
           (!call->query || strcmp(memo->query, call->query) == 0);
}

static void remember(const lookup_t *l, la_key_memo_t *memo)
{
    const la_call_t *call = l->call;
    apr_size_t path = strlen(call->path);
    apr_size_t query = call->query ? strlen(call->query) : 0;

    memo->provider = NULL;
    if (path < sizeof(memo->path) && query < sizeof(memo->query)) {
        memcpy(memo->path, call->path, path + 1);
        memcpy(memo->query, call->query ? call->query : "", query + 1);
        memcpy(memo->digest, call->digest, sizeof(memo->digest));
        memo->has_query = call->query != NULL;
        memo->epoch = l->epoch;
        memo->resource = call->resource;
        memo->key = l->key;
        memo->provider = l->provider;
    }
}

static apr_status_t make_key(lookup_t *l)
{
    const la_vary_t *vary = &l->provider->common.vary;
    la_key_memo_t *memo = vary->client_ip || vary->headers ? NULL : l->call->memo;
    const la_provider_type_t *type = l->provider->type;
    apr_status_t rv;

    l->epoch = type->epoch ? type->epoch(l->provider, l->call->now, l->pool) : 0;
    if (memo && remembered(l, memo)) {
        l->key = memo->key;
        return APR_SUCCESS;
    }
    rv = compute_key(l);
    if (memo && rv == APR_SUCCESS) {
        remember(l, memo);
    }
    return rv;
}

static void accept_cached(la_result_t *result, const la_identity_t *identity, la_source_e source)
{
    *result = (la_result_t){.verdict = LA_VERDICT_ACCEPTED, .identity = identity, .source = source};
}

/* Answers from the cache. Returns 1 when that is the verdict; else l->stale may be set. */
static int from_cache(lookup_t *l, la_result_t *result)
{
    la_cache_found_t found;

    switch (la_cache_get(l->shared->cache, &l->key, apr_time_now(), l->pool, &found)) {
    case LA_CACHE_HIT:
        accept_cached(result, found.identity, LA_SOURCE_HIT);
        return 1;
    case LA_CACHE_NEGATIVE:
        *result = (la_result_t){
            .verdict = LA_VERDICT_REJECTED, .message = found.message, .source = LA_SOURCE_NEGATIVE};
        return 1;
    case LA_CACHE_STALE:
        l->stale = found.identity;
        return 0;
    case LA_CACHE_MISS:
        return 0;
    }
    return 0;
}

/* Keeps what the provider said. Returns 1 when waiters may use it too: an acceptance only where it was kept. What was
 * judged by another epoch than the key's is nobody else's. */
static int keep(const lookup_t *l, const la_result_t *result)
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
        return la_cache_accept(l->shared->cache, &l->key, result->identity, &times, apr_time_now());
    case LA_VERDICT_REJECTED:
        la_cache_reject(l->shared->cache, &l->key, result->message, common->cache_negative_ttl_us,
                        apr_time_now());
        return 1;
    case LA_VERDICT_UNAVAILABLE:
        return 1;
    case LA_VERDICT_NOT_MINE:
        return 0;
    }
    return 0;
}

static void verify_and_keep(const lookup_t *l, la_result_t *result, int *shareable)
{
    verify(l, result);
    result->source = LA_SOURCE_MISS;
    *shareable = keep(l, result);
}

/* ---- single flight ---- */

/* An outcome's code: the verdict, whether it timed out, and when to ask again. */
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
    apr_size_t len = result->message ? strlen(result->message) : 0;

    shareable = shareable && len <= sizeof(outcome.text);
    if (shareable) {
        outcome.len = (apr_uint32_t)len;
        memcpy(outcome.text, result->message ? result->message : "", len);
    }
    la_flight_end(l->shared->flight, ticket, shareable ? &outcome : NULL);
}

static void lead(lookup_t *l, const la_flight_ticket_t *ticket, la_result_t *result)
{
    int shareable = 1;

    /* The last leader may have ended between our miss and our begin. */
    if (!from_cache(l, result)) {
        verify_and_keep(l, result, &shareable);
    }
    end_flight(l, ticket, result, shareable);
}

/* Takes over what the leader learned. Returns 0 when it cannot be used and the provider has to be asked. */
static int follow(lookup_t *l, const la_flight_outcome_t *outcome, la_result_t *result)
{
    const char *message = apr_pstrmemdup(l->pool, outcome->text, outcome->len);

    switch (CODE_VERDICT(outcome->code)) {
    case LA_VERDICT_ACCEPTED:
        if (!from_cache(l, result)) {
            return 0;
        }
        break;
    case LA_VERDICT_REJECTED:
        *result = (la_result_t){.verdict = LA_VERDICT_REJECTED, .message = message};
        break;
    case LA_VERDICT_UNAVAILABLE:
        *result = (la_result_t){.verdict = LA_VERDICT_UNAVAILABLE,
                                .timed_out = CODE_TIMED_OUT(outcome->code),
                                .message = message,
                                .reason = "as the call that was waited for",
                                .retry_after_s = CODE_RETRY(outcome->code)};
        break;
    case LA_VERDICT_NOT_MINE:
        return 0;
    }
    result->source = LA_SOURCE_COALESCED;
    la_cache_count(l->shared->cache, LA_CACHE_COUNT_COALESCED);
    return 1;
}

static la_flight_terms_t flight_terms(const la_http_options_t *http)
{
    apr_interval_time_t wait = 2 * http->timeout_us;
    apr_interval_time_t lead_us = http->timeout_us + http->connect_timeout_us + LEAD_SLACK_US;

    return (la_flight_terms_t){.lead_us = lead_us < wait / 10 * 9 ? lead_us : wait / 10 * 9,
                               .wait_us = wait,
                               .max_waiters = (apr_uint32_t)la_host()->workers()};
}

static void fly(lookup_t *l, la_result_t *result)
{
    la_flight_terms_t terms = flight_terms(&l->provider->common.http);
    la_flight_outcome_t outcome;
    la_flight_ticket_t ticket;
    int shareable;

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
    case LA_FLIGHT_BUSY:
        unavailable(result, LA_MESSAGE_ERROR, "too many requests wait for the same answer");
        result->source = LA_SOURCE_COALESCED;
        return;
    case LA_FLIGHT_TIMED_OUT:
        unavailable(result, LA_MESSAGE_TIMEOUT, "waited for another request's call");
        result->source = LA_SOURCE_COALESCED;
        return;
    }
    verify_and_keep(l, result, &shareable);
}

/* ---- the whole ---- */

/* In an outage. Looks once more: what may serve by now was settled before a call that may have taken long. */
static void fall_back(lookup_t *l, la_result_t *result)
{
    const char *reason = result->reason ? result->reason : result->message;

    l->stale = NULL;
    if (!from_cache(l, result) && l->stale) {
        la_cache_count(l->shared->cache, LA_CACHE_COUNT_STALE);
        accept_cached(result, l->stale, LA_SOURCE_STALE);
        result->reason = reason; /* the log is to tell of the outage all the same */
    }
}

static void through_cache(lookup_t *l, la_result_t *result)
{
    static const la_cache_count_e counted[] = {
        [LA_SOURCE_HIT] = LA_CACHE_COUNT_HIT, [LA_SOURCE_NEGATIVE] = LA_CACHE_COUNT_NEGATIVE};
    int shareable;

    if (make_key(l) != APR_SUCCESS) {
        unavailable(result, LA_MESSAGE_ERROR, "libcrypto failed to make a cache key");
        return;
    }
    if (from_cache(l, result)) {
        la_cache_count(l->shared->cache, counted[result->source]);
        return;
    }
    la_cache_count(l->shared->cache, LA_CACHE_COUNT_MISS);
    if (l->provider->common.cache_ttl_us > 0 && !l->provider->type->judges_alone) {
        fly(l, result);
    } else {
        verify_and_keep(l, result, &shareable); /* nobody's acceptance may serve another request */
    }
    if (result->verdict == LA_VERDICT_UNAVAILABLE && l->stale) {
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
        verify(&l, result);
    }
}
