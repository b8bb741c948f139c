/* The metrics in Prometheus's text format 0.0.4. Names and labels are documented in README.md and
 * stay. In request threads.
 */
#include "httpd/status/request_stats.h"
#include "httpd/segments.h"
#include "httpd/status/status.h"

#include <apr_strings.h>
#include <http_protocol.h>

#define U64         "%" APR_UINT64_T_FMT
#define SECONDS_F   "%" APR_INT64_T_FMT ".%06d"
#define SECONDS(us) (apr_int64_t)((us) / APR_USEC_PER_SEC), (int)((us) % APR_USEC_PER_SEC)

static void head(request_rec *r, const char *name, const char *type, const char *help)
{
    ap_rprintf(r, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void requests(request_rec *r, const la_status_t *status)
{
    unsigned i;

    head(r, "llama_auth_requests_total", "counter",
         "Requests by how they ended: accepted, or the code of the refusal.");
    for (i = 0; la_request_stats_name(i); i++) {
        ap_rprintf(r, "llama_auth_requests_total{outcome=\"%s\"} " U64 "\n",
                   la_request_stats_name(i), status->outcomes[i]);
    }
}

static void lookups_of(request_rec *r, const la_status_provider_t *p)
{
    int verdict;
    int source;

    for (verdict = 0; verdict <= LA_VERDICT_ACCEPTED; verdict++) {
        for (source = 0; source <= LA_SOURCE_SHARED; source++) {
            apr_uint64_t count = p->stats.lookups[verdict][source];

            if (count > 0) {
                ap_rprintf(r,
                           "llama_auth_provider_lookups_total{provider=\"%s\",type=\"%s\","
                           "verdict=\"%s\",cache=\"%s\"} " U64 "\n",
                           p->name, p->type, la_verdict_name((la_verdict_e)verdict),
                           la_source_name((la_source_e)source), count);
            }
        }
    }
}

static void histogram(request_rec *r, const char *name, const char *labels,
                      const la_counters_histogram_t *histogram)
{
    apr_uint64_t sum = 0;
    int i;

    for (i = 0; i < LA_COUNTERS_BUCKETS; i++) {
        sum += histogram->buckets[i];
        ap_rprintf(r, "%s_bucket{%s%sle=\"" SECONDS_F "\"} " U64 "\n", name, labels,
                   *labels ? "," : "", SECONDS(la_counters_bounds_us[i]), sum);
    }
    ap_rprintf(r, "%s_bucket{%s%sle=\"+Inf\"} " U64 "\n", name, labels, *labels ? "," : "",
               histogram->count);
    ap_rprintf(r, *labels ? "%s_sum{%s} " SECONDS_F "\n" : "%s_sum%s " SECONDS_F "\n", name, labels,
               SECONDS((apr_int64_t)histogram->sum_us));
    ap_rprintf(r, *labels ? "%s_count{%s} " U64 "\n" : "%s_count%s " U64 "\n", name, labels,
               histogram->count);
}

/* One metric with a value for each provider that has a gate. */
static void gates(request_rec *r, const la_status_t *status, const char *name, const char *type,
                  const char *help, apr_uint64_t (*value)(const la_status_provider_t *p))
{
    int i;

    head(r, name, type, help);
    for (i = 0; i < status->provider_count; i++) {
        const la_status_provider_t *p = &status->providers[i];

        if (p->calls_out) {
            ap_rprintf(r, "%s{provider=\"%s\"} " U64 "\n", name, p->name, value(p));
        }
    }
}

static apr_uint64_t in_flight(const la_status_provider_t *p)
{
    return p->gate.in_flight;
}

static apr_uint64_t waiting(const la_status_provider_t *p)
{
    return p->gate.waiting;
}

static apr_uint64_t limit(const la_status_provider_t *p)
{
    return p->limit;
}

static apr_uint64_t breaker_open(const la_status_provider_t *p)
{
    return p->gate.phase != LA_GATE_PHASE_CLOSED;
}

static apr_uint64_t openings(const la_status_provider_t *p)
{
    return p->gate.openings;
}

static apr_uint64_t refusals(const la_status_provider_t *p)
{
    return p->gate.refusals;
}

static apr_uint64_t exhaustions(const la_status_provider_t *p)
{
    return p->gate.exhaustions;
}

static void providers(request_rec *r, const la_status_t *status)
{
    int i;

    head(r, "llama_auth_provider_lookups_total", "counter",
         "Questions to a provider by verdict and by where the verdict came from.");
    for (i = 0; i < status->provider_count; i++) {
        lookups_of(r, &status->providers[i]);
    }
    head(r, "llama_auth_provider_call_duration_seconds", "histogram",
         "Time that a provider itself took for a verdict.");
    for (i = 0; i < status->provider_count; i++) {
        const la_status_provider_t *p = &status->providers[i];

        histogram(r, "llama_auth_provider_call_duration_seconds",
                  apr_psprintf(r->pool, "provider=\"%s\"", p->name), &p->stats.calls);
    }
    gates(r, status, "llama_auth_provider_calls_in_flight", "gauge", "Calls under way.", in_flight);
    gates(r, status, "llama_auth_provider_calls_waiting", "gauge",
          "Requests that wait for one of MaxConcurrent.", waiting);
    gates(r, status, "llama_auth_provider_max_concurrent", "gauge", "MaxConcurrent.", limit);
    gates(r, status, "llama_auth_provider_breaker_open", "gauge",
          "1 while the breaker is open or probing.", breaker_open);
    gates(r, status, "llama_auth_provider_breaker_openings_total", "counter",
          "Times that the breaker opened.", openings);
    gates(r, status, "llama_auth_provider_breaker_refusals_total", "counter",
          "Calls that the breaker spared.", refusals);
    gates(r, status, "llama_auth_provider_limit_refusals_total", "counter",
          "Calls that MaxConcurrent refused.", exhaustions);
    head(r, "llama_auth_provider_last_error_timestamp_seconds", "gauge",
         "When the provider was unavailable last; 0: never.");
    for (i = 0; i < status->provider_count; i++) {
        ap_rprintf(
            r, "llama_auth_provider_last_error_timestamp_seconds{provider=\"%s\"} " SECONDS_F "\n",
            status->providers[i].name, SECONDS(status->providers[i].stats.error_at));
    }
}

static void table(request_rec *r, const la_status_t *status, const char *name, const char *type,
                  const char *help, apr_uint64_t accepted, apr_uint64_t rejected)
{
    if (status->cache_on) {
        head(r, name, type, help);
        ap_rprintf(r, "%s{partition=\"accepted\"} " U64 "\n%s{partition=\"rejected\"} " U64 "\n",
                   name, accepted, name, rejected);
    }
}

static void cache(request_rec *r, const la_status_t *status)
{
    const la_table_stats_t *a = &status->accepted;
    const la_table_stats_t *n = &status->rejected;

    table(r, status, "llama_auth_cache_size_bytes", "gauge", "Size of the cache.", a->bytes,
          n->bytes);
    table(r, status, "llama_auth_cache_chunks", "gauge", "Chunks of 384 bytes.", a->chunks,
          n->chunks);
    table(r, status, "llama_auth_cache_chunks_used", "gauge", "Chunks in use.", a->chunks_used,
          n->chunks_used);
    table(r, status, "llama_auth_cache_entries", "gauge",
          "Entries, with those past their time whose place nobody needed yet.", a->entries,
          n->entries);
    table(r, status, "llama_auth_cache_stores_total", "counter", "Entries stored.", a->stores,
          n->stores);
    table(r, status, "llama_auth_cache_evictions_total", "counter",
          "Entries dropped in their time to make room.", a->evictions, n->evictions);
    table(r, status, "llama_auth_cache_store_failures_total", "counter",
          "Entries that could not be stored.", a->store_failures, n->store_failures);
    table(r, status, "llama_auth_cache_too_large_total", "counter",
          "Of these, identities too large for the cache.", a->too_large, n->too_large);
    if (status->cache_on) {
        head(r, "llama_auth_purges_total", "counter", "Purges, those by other machines included.");
        ap_rprintf(r, "llama_auth_purges_total " U64 "\n", status->purges);
    }
}

static void second(request_rec *r, const la_status_t *status)
{
    int event;

    if (!status->second) {
        return;
    }
    head(r, "llama_auth_shared_cache_operations_total", "counter",
         "What became of questions to the second-level cache, and of entries for it.");
    for (event = 0; event <= LA_REMOTE_STORE_FAILED; event++) {
        ap_rprintf(r, "llama_auth_shared_cache_operations_total{result=\"%s\"} " U64 "\n",
                   la_remote_name((la_remote_e)event), status->second_stats.lookups[0][event]);
    }
    head(r, "llama_auth_shared_cache_command_duration_seconds", "histogram",
         "Time that commands to the second-level cache took.");
    histogram(r, "llama_auth_shared_cache_command_duration_seconds", "",
              &status->second_stats.calls);
    head(r, "llama_auth_shared_cache_breaker_open", "gauge",
         "1 while the second-level cache is passed over.");
    ap_rprintf(r, "llama_auth_shared_cache_breaker_open %d\n",
               status->second_gate.phase != LA_GATE_PHASE_CLOSED);
}

void la_status_prometheus(request_rec *r, const la_status_t *status)
{
    ap_set_content_type(r, "text/plain; version=0.0.4; charset=utf-8");
    requests(r, status);
    providers(r, status);
    cache(r, status);
    second(r, status);
}
