/* Asks a provider, and tells its breaker the outcome. Runs in any request thread. gate.c and
 * breaker.c decide who may call when. */
#include "lookup/ask.h"

#include "base/clock.h"
#include "io/server.h"

#include <string.h>

#define RETRY_MAX_S 30

/* How much longer than its deadlines a call may take. */
#define CALL_SLACK_US APR_TIME_C(100000)

_Static_assert(LA_VERDICT_ACCEPTED < LA_COUNTERS_VERDICTS && LA_SOURCE_SHARED < LA_COUNTERS_SOURCES,
               "all that is counted has a place");

void la_result_set_outage(la_result_t *result, const char *message, const char *reason)
{
    *result = (la_result_t){.verdict = LA_VERDICT_UNAVAILABLE,
                            .timed_out = strcmp(message, LA_MESSAGE_TIMEOUT) == 0,
                            .message = message,
                            .reason = reason};
}

int la_ask_takes_call(const la_provider_type_t *type)
{
    return type->calls_out && !type->judges_alone;
}

la_gate_terms_t la_ask_terms(const la_provider_common_t *common)
{
    return (la_gate_terms_t){.limit = common->max_concurrent,
                             .max_waiting = APR_UINT32_MAX, /* workers.c bounds it */
                             .wait_us = common->http.connect_timeout_us,
                             .failures = common->breaker.failures,
                             .open_us = common->breaker.open_us,
                             .call_us = common->http.timeout_us + common->http.connect_timeout_us +
                                        CALL_SLACK_US};
}

static int seconds_to_retry(apr_interval_time_t us)
{
    apr_interval_time_t s = (us + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC;

    return s < 1 ? 1 : s > RETRY_MAX_S ? RETRY_MAX_S : (int)s;
}

static void log_breaker(const la_provider_t *provider, la_gate_change_e change)
{
    if (change == LA_GATE_OPENED) {
        la_log(LA_LOG_WARNING,
               LA_LOGNO(0050) "provider %s: no calls for a while, its breaker opened",
               provider->name);
    } else if (change == LA_GATE_CLOSED) {
        la_log(LA_LOG_NOTICE, LA_LOGNO(0051) "provider %s: its breaker closed", provider->name);
    }
}

int la_result_concerns_provider(const la_result_t *result)
{
    return result->cause == LA_CAUSE_PROVIDER || result->cause == LA_CAUSE_ANSWER;
}

/* What a result means for the breaker. */
static la_gate_result_e gate_result(const la_result_t *result)
{
    switch (result->verdict) {
    case LA_VERDICT_UNAVAILABLE:
        if (!la_result_concerns_provider(result)) {
            return LA_GATE_NO_CALL;
        }
        return result->cause == LA_CAUSE_ANSWER ? LA_GATE_SUCCESS : LA_GATE_OUTAGE;
    case LA_VERDICT_NOT_MINE:
        return LA_GATE_NO_CALL;
    case LA_VERDICT_REJECTED:
    case LA_VERDICT_ACCEPTED:
        return LA_GATE_SUCCESS;
    }
    return LA_GATE_OUTAGE;
}

/* Asks the provider, measures the time, and notes the reason of an outage. */
static void verify_timed(la_counters_t *stats, const la_provider_t *provider, const la_call_t *call,
                         apr_pool_t *pool, la_result_t *result)
{
    apr_uint32_t index = (apr_uint32_t)provider->index;
    apr_time_t start = provider->type->calls_out ? la_clock_us() : 0;

    la_provider_verify(provider, call, pool, result);
    if (provider->type->calls_out && result->verdict != LA_VERDICT_NOT_MINE &&
        la_result_concerns_provider(result)) {
        la_counters_call(stats, index, la_clock_us() - start);
    }
    if ((result->verdict == LA_VERDICT_UNAVAILABLE && la_result_concerns_provider(result)) ||
        result->unusable) {
        la_counters_error(stats, index, result->reason ? result->reason : result->message,
                          apr_time_now());
    }
}

/* Asks the provider, if the breaker allows it and a permit is free in time. */
static void call_provider(la_counters_t *stats, const la_provider_t *provider,
                          const la_call_t *call, apr_pool_t *pool, la_result_t *result)
{
    apr_uint32_t index = (apr_uint32_t)provider->gate;
    la_gate_terms_t terms = la_ask_terms(&provider->common);
    la_gates_t *gates = provider->child->gates;
    la_gate_result_e outcome = LA_GATE_NO_CALL;
    la_gate_change_e change;
    la_gate_permit_t permit;
    la_gate_pass_t pass;

    if (la_gate_allow(gates, index, &terms, la_clock_us(), &pass) == LA_GATE_REFUSED) {
        la_result_set_outage(result, LA_MESSAGE_ERROR, "its breaker is open");
        result->retry_after_s = seconds_to_retry(pass.retry_us);
        return;
    }
    if (la_gate_enter(gates, index, &terms, &permit)) {
        verify_timed(stats, provider, call, pool, result);
        la_gate_leave(gates, index, &permit);
        outcome = gate_result(result);
    } else {
        la_result_set_outage(result, LA_MESSAGE_ERROR, "MaxConcurrent calls are in flight");
    }
    change = la_gate_report(gates, index, &terms, &pass, outcome, la_clock_us());
    if (change == LA_GATE_OPENED || (pass.kind == LA_GATE_PROBE && outcome == LA_GATE_OUTAGE)) {
        result->retry_after_s = seconds_to_retry(terms.open_us); /* before, nobody is asked */
    }
    log_breaker(provider, change);
}

void la_ask(la_counters_t *stats, const la_provider_t *provider, const la_call_t *call,
            apr_pool_t *pool, la_result_t *result)
{
    if (la_ask_takes_call(provider->type)) {
        call_provider(stats, provider, call, pool, result);
    } else {
        verify_timed(stats, provider, call, pool, result);
    }
}
