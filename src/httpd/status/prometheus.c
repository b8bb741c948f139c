/* Writes the metrics in Prometheus's text format 0.0.4. README.md documents names and labels, which
 * stay. In request threads. */
#include "lookup/remote.h"
#include "httpd/status/request_stats.h"
#include "httpd/status/status.h"
#include "quota/usage.h"

#include <apr_strings.h>
#include <http_protocol.h>

#include <stddef.h>

#define SECONDS_F   "%" APR_INT64_T_FMT ".%06d"
#define SECONDS(us) (apr_int64_t)((us) / APR_USEC_PER_SEC), (int)((us) % APR_USEC_PER_SEC)

static void write_head(request_rec *r, const char *name, const char *type, const char *help)
{
    ap_rprintf(r, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_requests(request_rec *r, const la_status_t *status)
{
    unsigned i;

    write_head(r, "llama_auth_requests_total", "counter",
               "Requests by how they ended: accepted, or the code of the refusal.");
    for (i = 0; la_request_stats_name(i); i++) {
        ap_rprintf(r, "llama_auth_requests_total{outcome=\"%s\"} " LA_U64 "\n",
                   la_request_stats_name(i), status->outcomes[i]);
    }
}

static void write_lookups(request_rec *r, const la_status_provider_t *p)
{
    int verdict;
    int source;

    for (verdict = 0; verdict <= LA_VERDICT_ACCEPTED; verdict++) {
        for (source = 0; source <= LA_SOURCE_SHARED; source++) {
            apr_uint64_t count = p->stats.lookups[verdict][source];

            if (count > 0) {
                ap_rprintf(r,
                           "llama_auth_provider_lookups_total{provider=\"%s\",type=\"%s\","
                           "verdict=\"%s\",cache=\"%s\"} " LA_U64 "\n",
                           p->name, p->type, la_verdict_name((la_verdict_e)verdict),
                           la_source_name((la_source_e)source), count);
            }
        }
    }
}

static void write_histogram(request_rec *r, const char *name, const char *labels,
                            const la_counters_histogram_t *histogram)
{
    apr_uint64_t sum = 0;
    int i;

    for (i = 0; i < LA_COUNTERS_BUCKETS; i++) {
        sum += histogram->buckets[i];
        ap_rprintf(r, "%s_bucket{%s%sle=\"" SECONDS_F "\"} " LA_U64 "\n", name, labels,
                   *labels ? "," : "", SECONDS(la_counters_bounds_us[i]), sum);
    }
    ap_rprintf(r, "%s_bucket{%s%sle=\"+Inf\"} " LA_U64 "\n", name, labels, *labels ? "," : "",
               histogram->count);
    ap_rprintf(r, *labels ? "%s_sum{%s} " SECONDS_F "\n" : "%s_sum%s " SECONDS_F "\n", name, labels,
               SECONDS((apr_int64_t)histogram->sum_us));
    ap_rprintf(r, *labels ? "%s_count{%s} " LA_U64 "\n" : "%s_count%s " LA_U64 "\n", name, labels,
               histogram->count);
}

/* Metrics about gates, in the order of read_gate()'s values. */
static const struct {
    const char *name;
    const char *type;
    const char *help;
} gate_metrics[] = {
    {"calls_in_flight", "gauge", "Calls under way."},
    {"calls_waiting", "gauge", "Requests that wait for one of MaxConcurrent."},
    {"max_concurrent", "gauge", "MaxConcurrent."},
    {"breaker_open", "gauge", "1 while the breaker is open or probing."},
    {"breaker_openings_total", "counter", "Times that the breaker opened."},
    {"breaker_refusals_total", "counter", "Calls that the breaker spared."},
    {"limit_refusals_total", "counter", "Calls that MaxConcurrent refused."},
};

#define GATE_METRICS (sizeof(gate_metrics) / sizeof(gate_metrics[0]))

static apr_uint64_t read_gate(const la_status_provider_t *p, apr_size_t metric)
{
    const apr_uint64_t values[GATE_METRICS] = {
        p->gate.in_flight,  p->gate.waiting,
        p->limit,           p->gate.phase != LA_GATE_PHASE_CLOSED,
        p->gate.openings,   p->gate.refusals,
        p->gate.exhaustions};

    return values[metric];
}

static void write_gate_metric(request_rec *r, const la_status_t *status, apr_size_t metric)
{
    const char *name =
        apr_pstrcat(r->pool, "llama_auth_provider_", gate_metrics[metric].name, NULL);
    int i;

    write_head(r, name, gate_metrics[metric].type, gate_metrics[metric].help);
    for (i = 0; i < status->provider_count; i++) {
        const la_status_provider_t *p = &status->providers[i];

        if (p->calls_out) {
            ap_rprintf(r, "%s{provider=\"%s\"} " LA_U64 "\n", name, p->name, read_gate(p, metric));
        }
    }
}

static void write_providers(request_rec *r, const la_status_t *status)
{
    apr_size_t metric;
    int i;

    write_head(r, "llama_auth_provider_lookups_total", "counter",
               "Questions to a provider by verdict and by where the verdict came from.");
    for (i = 0; i < status->provider_count; i++) {
        write_lookups(r, &status->providers[i]);
    }
    write_head(r, "llama_auth_provider_call_duration_seconds", "histogram",
               "Time that a provider itself took for a verdict.");
    for (i = 0; i < status->provider_count; i++) {
        const la_status_provider_t *p = &status->providers[i];

        write_histogram(r, "llama_auth_provider_call_duration_seconds",
                        apr_psprintf(r->pool, "provider=\"%s\"", p->name), &p->stats.calls);
    }
    for (metric = 0; metric < GATE_METRICS; metric++) {
        write_gate_metric(r, status, metric);
    }
    write_head(r, "llama_auth_provider_last_error_timestamp_seconds", "gauge",
               "When the provider was unavailable last; 0: never.");
    for (i = 0; i < status->provider_count; i++) {
        ap_rprintf(
            r, "llama_auth_provider_last_error_timestamp_seconds{provider=\"%s\"} " SECONDS_F "\n",
            status->providers[i].name, SECONDS(status->providers[i].stats.error_at));
    }
}

/* One metric about the cache, with a value for each partition. */
static const struct {
    const char *name;
    const char *type;
    const char *help;
    apr_size_t offset; /* in la_table_stats_t */
} cache_metrics[] = {
    {"size_bytes", "gauge", "Size of the cache.", offsetof(la_table_stats_t, bytes)},
    {"chunks", "gauge", "Chunks of 384 bytes.", offsetof(la_table_stats_t, chunks)},
    {"chunks_used", "gauge", "Chunks in use.", offsetof(la_table_stats_t, chunks_used)},
    {"entries", "gauge", "Entries, with those past their time whose place nobody needed yet.",
     offsetof(la_table_stats_t, entries)},
    {"stores_total", "counter", "Entries stored.", offsetof(la_table_stats_t, stores)},
    {"evictions_total", "counter", "Entries dropped in their time to make room.",
     offsetof(la_table_stats_t, evictions)},
    {"store_failures_total", "counter", "Entries that could not be stored.",
     offsetof(la_table_stats_t, store_failures)},
    {"too_large_total", "counter", "Of these, identities too large for the cache.",
     offsetof(la_table_stats_t, too_large)},
};

static apr_uint64_t value_at(const la_table_stats_t *stats, apr_size_t offset)
{
    return *(const apr_uint64_t *)(const void *)((const char *)stats + offset);
}

static void write_cache(request_rec *r, const la_status_t *status)
{
    apr_size_t i;

    if (!status->cache_on) {
        return;
    }
    for (i = 0; i < sizeof(cache_metrics) / sizeof(cache_metrics[0]); i++) {
        const char *name = apr_pstrcat(r->pool, "llama_auth_cache_", cache_metrics[i].name, NULL);

        write_head(r, name, cache_metrics[i].type, cache_metrics[i].help);
        ap_rprintf(r,
                   "%s{partition=\"accepted\"} " LA_U64 "\n%s{partition=\"rejected\"} " LA_U64 "\n",
                   name, value_at(&status->accepted, cache_metrics[i].offset), name,
                   value_at(&status->rejected, cache_metrics[i].offset));
    }
    write_head(r, "llama_auth_purges_total", "counter",
               "Purges, those by other machines included.");
    ap_rprintf(r, "llama_auth_purges_total " LA_U64 "\n", status->purges);
}

static void write_second(request_rec *r, const la_status_t *status)
{
    int event;

    if (!status->second) {
        return;
    }
    write_head(r, "llama_auth_shared_cache_operations_total", "counter",
               "What became of questions to the second-level cache, and of entries for it.");
    for (event = 0; event <= LA_REMOTE_STORE_FAILED; event++) {
        ap_rprintf(r, "llama_auth_shared_cache_operations_total{result=\"%s\"} " LA_U64 "\n",
                   la_remote_name((la_remote_e)event), status->second_stats.lookups[0][event]);
    }
    write_head(r, "llama_auth_shared_cache_command_duration_seconds", "histogram",
               "Time that commands to the second-level cache took.");
    write_histogram(r, "llama_auth_shared_cache_command_duration_seconds", "",
                    &status->second_stats.calls);
    write_head(r, "llama_auth_shared_cache_breaker_open", "gauge",
               "1 while the second-level cache is passed over.");
    ap_rprintf(r, "llama_auth_shared_cache_breaker_open %d\n",
               status->second_gate.phase != LA_GATE_PHASE_CLOSED);
}

/* ---- tokens and quotas ---- */

static const char *const source_names[] = {"none", "estimate", "response"};
_Static_assert(sizeof(source_names) / sizeof(source_names[0]) == LA_USAGE_RESPONSE + 1,
               "in the order of la_usage_e");

/* The usage of provider `i`; behind the last one that of callers of none, whose name is empty. */
static const la_counters_usage_t *usage_at(const la_status_t *status, int i, const char **name)
{
    int is_provider = i < status->provider_count;

    *name = is_provider ? status->providers[i].name : "";
    return is_provider ? &status->providers[i].usage : &status->anonymous;
}

static void write_usage(request_rec *r, const la_status_t *status)
{
    const la_counters_usage_t *usage;
    const char *name;

    write_head(r, "llama_auth_tokens_total", "counter",
               "LLM tokens that answers told of, by the caller's provider.");
    for (int i = 0; i <= status->provider_count; i++) {
        usage = usage_at(status, i, &name);
        ap_rprintf(r,
                   "llama_auth_tokens_total{provider=\"%s\",kind=\"input\"} " LA_U64
                   "\nllama_auth_tokens_total{provider=\"%s\",kind=\"output\"} " LA_U64 "\n",
                   name, usage->all.input, name, usage->all.output);
    }
    write_head(r, "llama_auth_usage_answers_total", "counter",
               "Answers whose tokens were read, by where their number came from.");
    for (int i = 0; i <= status->provider_count; i++) {
        usage = usage_at(status, i, &name);
        for (int source = 0; source <= LA_USAGE_RESPONSE; source++) {
            ap_rprintf(r,
                       "llama_auth_usage_answers_total{provider=\"%s\",source=\"%s\"} " LA_U64 "\n",
                       name, source_names[source], usage->answers[source]);
        }
    }
}

/* A number of each limit of each quota. concurrent: only of these. */
static void write_limits(request_rec *r, const la_status_quotas_t *quotas, const char *name,
                         int concurrent)
{
    for (int i = 0; i < quotas->count; i++) {
        const la_status_quota_t *quota = &quotas->quotas[i];

        for (int j = 0; j < quota->quota->limits->nelts; j++) {
            const la_status_limit_t *limit = &quota->limits[j];

            if (!concurrent || limit->limit->kind == LA_LIMIT_CONCURRENT) {
                ap_rprintf(r, "%s{quota=\"%s\",limit=\"%s\"} " LA_U64 "\n", name, quota->label,
                           limit->kind, concurrent ? limit->in_flight : limit->refusals);
            }
        }
    }
}

static void write_number(request_rec *r, const char *name, const char *type, const char *help,
                         uint64_t value)
{
    write_head(r, name, type, help);
    ap_rprintf(r, "%s " LA_U64 "\n", name, value);
}

static void write_quotas(request_rec *r, const la_status_quotas_t *quotas)
{
    if (!quotas) {
        return;
    }
    write_head(r, "llama_auth_quota_refusals_total", "counter",
               "Requests that a limit of a quota refused.");
    write_limits(r, quotas, "llama_auth_quota_refusals_total", 0);
    write_head(r, "llama_auth_quota_in_flight", "gauge",
               "Requests in flight that a Concurrent limit counts.");
    write_limits(r, quotas, "llama_auth_quota_in_flight", 1);
    write_number(r, "llama_auth_quota_counters", "gauge", "Counters of quotas in use.",
                 quotas->memory.used);
    write_number(r, "llama_auth_quota_counters_max", "gauge",
                 "Counters that LlamaAuthQuotaSize holds.", quotas->memory.capacity);
    write_number(r, "llama_auth_quota_evictions_total", "counter",
                 "Counters given up before their time because their memory was full.",
                 quotas->memory.evictions);
}

void la_status_prometheus(request_rec *r, const la_status_t *status)
{
    ap_set_content_type(r, "text/plain; version=0.0.4; charset=utf-8");
    write_requests(r, status);
    write_providers(r, status);
    la_status_keys_prometheus(r, status);
    write_cache(r, status);
    write_second(r, status);
    write_usage(r, status);
    write_quotas(r, status->quotas);
    la_status_proofs_prometheus(r, status->proofs);
    la_status_signers_prometheus(r, status->signers);
}
