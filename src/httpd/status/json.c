/* Writes the status as JSON. README.md documents the shape, which stays; LA_STATUS_VERSION is its
 * version. In request threads. */
#include "base/json.h"
#include "base/timestamp.h"
#include "lookup/remote.h"
#include "httpd/status/request_stats.h"
#include "httpd/status/status.h"
#include "quota/usage.h"

#include <apr_strings.h>
#include <http_protocol.h>

/* Appends formatted text, which must need no escaping. */
static __attribute__((format(printf, 2, 3))) void put(la_json_writer_t *w, const char *format, ...)
{
    va_list arguments;
    const char *text;

    va_start(arguments, format);
    text = apr_pvsprintf(w->pool, format, arguments);
    va_end(arguments);
    la_json_write_raw(w, la_slice_of(text));
}

static void put_text(la_json_writer_t *w, const char *text)
{
    la_json_write_string(w, la_slice_of(text));
}

static void put_time(la_json_writer_t *w, apr_time_t time)
{
    put_text(w, la_timestamp_text(w->pool, time));
}

static void put_histogram(la_json_writer_t *w, const la_counters_histogram_t *histogram)
{
    apr_uint64_t sum = 0;
    int i;

    put(w, "{\"count\": " LA_U64 ", \"sum_seconds\": %.6f, \"buckets\": [", histogram->count,
        (double)histogram->sum_us / 1e6);
    for (i = 0; i < LA_COUNTERS_BUCKETS; i++) {
        sum += histogram->buckets[i];
        put(w, "%s{\"le_seconds\": %.6f, \"count\": " LA_U64 "}", i ? ", " : "",
            (double)la_counters_bounds_us[i] / 1e6, sum);
    }
    put(w, "]}");
}

static void put_lookups(la_json_writer_t *w, const la_counters_provider_t *stats)
{
    int verdict;
    int source;

    put(w, "{");
    for (verdict = 0; verdict <= LA_VERDICT_ACCEPTED; verdict++) {
        put(w, "%s\"%s\": {", verdict ? ", " : "", la_verdict_name((la_verdict_e)verdict));
        for (source = 0; source <= LA_SOURCE_SHARED; source++) {
            put(w, "%s\"%s\": " LA_U64, source ? ", " : "", la_source_name((la_source_e)source),
                stats->lookups[verdict][source]);
        }
        put(w, "}");
    }
    put(w, "}");
}

static void put_error(la_json_writer_t *w, const la_counters_provider_t *stats)
{
    put(w, ", \"last_error\": ");
    if (!stats->error_at) {
        put(w, "null");
        return;
    }
    put(w, "{\"time\": ");
    put_time(w, stats->error_at);
    put(w, ", \"text\": ");
    put_text(w, stats->error);
    put(w, "}");
}

static void put_gate(la_json_writer_t *w, const la_gate_state_t *gate)
{
    put(w,
        "\"breaker\": {\"state\": \"%s\", \"consecutive_failures\": %u, \"retry_after_seconds\": "
        "%.3f, \"openings\": " LA_U64 ", \"refusals\": " LA_U64 "}",
        la_status_phase(gate->phase), gate->failures, (double)gate->retry_us / 1e6, gate->openings,
        gate->refusals);
}

static void put_usage(la_json_writer_t *w, const la_counters_usage_t *usage)
{
    put(w,
        "{\"input_tokens\": " LA_U64 ", \"output_tokens\": " LA_U64
        ", \"answers\": {\"none\": " LA_U64 ", \"estimate\": " LA_U64 ", \"response\": " LA_U64
        "}}",
        usage->all.input, usage->all.output, usage->answers[LA_USAGE_NONE],
        usage->answers[LA_USAGE_ESTIMATE], usage->answers[LA_USAGE_RESPONSE]);
}

static void put_provider(la_json_writer_t *w, const la_status_provider_t *p)
{
    put(w, "{\"name\": ");
    put_text(w, p->name);
    put(w, ", \"type\": \"%s\", \"lookups\": ", p->type);
    put_lookups(w, &p->stats);
    put(w, ", \"calls\": ");
    put_histogram(w, &p->stats.calls);
    if (p->calls_out) {
        put(w,
            ", \"in_flight\": %u, \"waiting\": %u, \"max_concurrent\": %u, "
            "\"limit_refusals\": " LA_U64 ", ",
            p->gate.in_flight, p->gate.waiting, p->limit, p->gate.exhaustions);
        put_gate(w, &p->gate);
    }
    put_error(w, &p->stats);
    put(w, ", \"usage\": ");
    put_usage(w, &p->usage);
    la_status_keys_json(w, p->keys);
    put(w, "}");
}

static void put_table(la_json_writer_t *w, const la_table_stats_t *table)
{
    put(w,
        "{\"bytes\": " LA_U64 ", \"fill\": %.4f, \"entries\": " LA_U64 ", \"stores\": " LA_U64
        ", \"evictions\": " LA_U64 ", \"store_failures\": " LA_U64 ", \"too_large\": " LA_U64 "}",
        table->bytes, la_status_fill(table), table->entries, table->stores, table->evictions,
        table->store_failures, table->too_large);
}

static apr_uint64_t sum_source(const la_status_t *status, la_source_e source)
{
    apr_uint64_t sum = 0;
    int i;

    for (i = 0; i < status->provider_count; i++) {
        sum += la_status_by_source(&status->providers[i], source);
    }
    return sum;
}

static void put_cache(la_json_writer_t *w, const la_status_t *status)
{
    int source;

    put(w, "\"cache\": ");
    if (!status->cache_on) {
        put(w, "null");
        return;
    }
    put(w, "{\"lookups\": {");
    for (source = LA_SOURCE_HIT; source <= LA_SOURCE_SHARED; source++) {
        put(w, "%s\"%s\": " LA_U64, source > LA_SOURCE_HIT ? ", " : "",
            la_source_name((la_source_e)source), sum_source(status, (la_source_e)source));
    }
    put(w, "}, \"accepted\": ");
    put_table(w, &status->accepted);
    put(w, ", \"rejected\": ");
    put_table(w, &status->rejected);
    put(w, ", \"purges\": " LA_U64 "}", status->purges);
}

static void put_second(la_json_writer_t *w, const la_status_t *status)
{
    int event;

    put(w, "\"shared_cache\": ");
    if (!status->second) {
        put(w, "null");
        return;
    }
    put(w, "{\"address\": ");
    put_text(w, status->second);
    put(w, ", \"operations\": {");
    for (event = 0; event <= LA_REMOTE_STORE_FAILED; event++) {
        put(w, "%s\"%s\": " LA_U64, event ? ", " : "", la_remote_name((la_remote_e)event),
            status->second_stats.lookups[0][event]);
    }
    put(w, "}, \"commands\": ");
    put_histogram(w, &status->second_stats.calls);
    put(w, ", ");
    put_gate(w, &status->second_gate);
    put_error(w, &status->second_stats);
    put(w, "}");
}

/* ---- quotas ---- */

static void put_limit(la_json_writer_t *w, const la_status_limit_t *limit)
{
    put(w, "{\"limit\": \"%s\", \"number\": %" APR_INT64_T_FMT, limit->kind, limit->limit->number);
    if (limit->limit->kind == LA_LIMIT_CONCURRENT) {
        put(w, ", \"in_flight\": " LA_U64, limit->in_flight);
    } else {
        put(w, ", \"period_seconds\": %" APR_INT64_T_FMT, apr_time_sec(limit->limit->period_us));
    }
    put(w, ", \"refusals\": " LA_U64 "}", limit->refusals);
}

static void put_counter(la_json_writer_t *w, const la_status_quota_t *quota,
                        const la_status_counter_t *counter)
{
    put(w, "{\"name\": ");
    put_text(w, counter->name);
    put(w,
        ", \"limit\": \"%s\", \"used\": " LA_U64 ", \"of\": " LA_U64
        ", \"reset_seconds\": %.3f, \"refusals\": " LA_U64 "}",
        counter->limit->name + strlen(quota->quota->name) + 1, counter->used, counter->most,
        (double)counter->reset_us / 1e6, counter->refusals);
}

static void put_quota(la_json_writer_t *w, const la_status_quota_t *quota)
{
    put(w, "{\"name\": ");
    put_text(w, quota->label);
    put(w, ", \"by\": ");
    put_text(w, la_quota_by_text(w->pool, quota->quota));
    put(w, ", \"counters\": " LA_U64 ", \"limits\": [", quota->counters);
    for (int i = 0; i < quota->quota->limits->nelts; i++) {
        put(w, i ? ", " : "");
        put_limit(w, &quota->limits[i]);
    }
    put(w, "], \"fullest\": [");
    for (int i = 0; i < quota->shown; i++) {
        put(w, i ? ", " : "");
        put_counter(w, quota, &quota->fullest[i]);
    }
    put(w, "]}");
}

static void put_quotas(la_json_writer_t *w, const la_status_quotas_t *quotas)
{
    put(w, ",\n \"quotas\": ");
    if (!quotas) {
        put(w, "null");
        return;
    }
    put(w,
        "{\"memory\": {\"counters\": " LA_U64 ", \"capacity\": " LA_U64
        ", \"fill\": %.4f, \"evictions\": " LA_U64 "}, \"quotas\": [",
        quotas->memory.used, quotas->memory.capacity, la_status_quota_fill(quotas),
        quotas->memory.evictions);
    for (int i = 0; i < quotas->count; i++) {
        put(w, i ? ",\n  " : "\n  ");
        put_quota(w, &quotas->quotas[i]);
    }
    put(w, "]}");
}

void la_status_json(request_rec *r, const la_status_t *status)
{
    la_json_writer_t writer;
    unsigned outcome;
    int i;

    la_json_writer_init(&writer, r->pool);
    put(&writer, "{\"version\": %d, \"time\": ", LA_STATUS_VERSION);
    put_time(&writer, status->now);
    put(&writer, ", \"restarted\": ");
    put_time(&writer, status->started);
    put(&writer, ",\n \"requests\": {");
    for (outcome = 0; la_request_stats_name(outcome); outcome++) {
        put(&writer, "%s\"%s\": " LA_U64, outcome ? ", " : "", la_request_stats_name(outcome),
            status->outcomes[outcome]);
    }
    put(&writer, "},\n \"providers\": [");
    for (i = 0; i < status->provider_count; i++) {
        put(&writer, i ? ",\n  " : "\n  ");
        put_provider(&writer, &status->providers[i]);
    }
    put(&writer, "],\n ");
    put_cache(&writer, status);
    put(&writer, ",\n ");
    put_second(&writer, status);
    put(&writer, ",\n \"anonymous_usage\": ");
    put_usage(&writer, &status->anonymous);
    put_quotas(&writer, status->quotas);
    put(&writer, ",\n \"proofs\": ");
    la_status_proofs_json(&writer, status->proofs);
    put(&writer, ",\n \"signers\": ");
    la_status_signers_json(&writer, status->signers);
    put(&writer, "}\n");
    ap_set_content_type(r, "application/json");
    ap_rwrite(writer.data, (int)writer.len, r);
}
