/* Reads what is shown, and writes mod_status's section. handler.c serves the page, which html.c,
 * json.c and prometheus.c write. In request threads. */
#include "httpd/status/status.h"

#include "base/clock.h"
#include "httpd/config/config.h"
#include "httpd/config/registry.h"
#include "httpd/child.h"
#include "httpd/limits.h"
#include "httpd/status/request_stats.h"
#include "lookup/ask.h"

#include <http_core.h>
#include <http_main.h>
#include <http_protocol.h>
#include <mod_status.h>
#include <scoreboard.h>

apr_uint64_t la_status_by_verdict(const la_status_provider_t *p, la_verdict_e verdict)
{
    apr_uint64_t sum = 0;
    int source;

    for (source = 0; source < LA_COUNTERS_SOURCES; source++) {
        sum += p->stats.lookups[verdict][source];
    }
    return sum;
}

apr_uint64_t la_status_by_source(const la_status_provider_t *p, la_source_e source)
{
    apr_uint64_t sum = 0;
    int verdict;

    for (verdict = 0; verdict < LA_COUNTERS_VERDICTS; verdict++) {
        sum += p->stats.lookups[verdict][source];
    }
    return sum;
}

const char *la_status_phase(la_gate_phase_e phase)
{
    switch (phase) {
    case LA_GATE_PHASE_CLOSED:
        return "closed";
    case LA_GATE_PHASE_OPEN:
        return "open";
    case LA_GATE_PHASE_PROBING:
        return "probing";
    }
    return "unknown";
}

double la_status_fill(const la_table_stats_t *table)
{
    return table->chunks ? (double)table->chunks_used / (double)table->chunks : 0;
}

static void read_provider(const la_provider_entry_t *entry, const la_shared_t *shared,
                          apr_pool_t *pool, la_status_provider_t *read)
{
    const la_provider_t *provider = entry->provider;
    la_gate_terms_t terms = la_ask_terms(&provider->common);

    read->name = entry->label;
    read->type = provider->type->name;
    read->calls_out = provider->type->calls_out && !provider->type->judges_alone;
    read->timed = provider->type->calls_out;
    read->cached = provider->type->cache_vary != NULL;
    read->limit = provider->common.max_concurrent;
    if (read->calls_out) {
        la_gate_read(shared->gates, (apr_uint32_t)provider->gate, &terms, la_clock_us(),
                     &read->gate);
    }
    la_counters_read(shared->stats, (apr_uint32_t)provider->index, &read->stats);
    la_counters_read_usage(shared->stats, (apr_uint32_t)provider->index, la_clock_us(),
                           &read->usage);
    if (provider->type->report_keys) {
        read->keys = provider->type->report_keys(provider, apr_time_now(), pool);
    }
}

static void read_second(const la_shared_t *shared, la_status_t *status)
{
    const la_remote_options_t *options = la_config_remote(ap_server_conf);
    la_gate_terms_t terms;

    if (shared->remote) {
        terms = la_remote_terms(options);
        status->second = options->redis.address;
        la_gate_read(shared->gates, LA_LIMITS_REMOTE_GATE, &terms, la_clock_us(),
                     &status->second_gate);
        la_counters_read(shared->stats, (apr_uint32_t)la_registry_providers()->nelts,
                         &status->second_stats);
    }
}

static void read_cache(const la_cache_t *cache, la_status_t *status)
{
    status->cache_on = cache != NULL;
    if (cache) {
        la_table_stats(la_cache_accepted(cache), &status->accepted);
        la_table_stats(la_cache_rejected(cache), &status->rejected);
        status->purges = la_purge_generation(la_cache_purges(cache));
    }
}

const la_status_t *la_status_read(request_rec *r)
{
    const apr_array_header_t *entries = la_registry_providers();
    const la_shared_t *shared = la_shared_get();
    la_status_t *status = apr_pcalloc(r->pool, sizeof(*status));
    la_status_provider_t *providers =
        apr_pcalloc(r->pool, ((apr_size_t)entries->nelts + 1) * sizeof(*providers));
    unsigned outcome;
    int i;

    status->now = apr_time_now();
    status->started = ap_scoreboard_image ? ap_scoreboard_image->global->restart_time : 0;
    status->server = ap_get_server_name(r);
    for (outcome = 0; la_request_stats_name(outcome); outcome++) {
        status->outcomes[outcome] = la_counters_requests(shared->stats, outcome);
    }
    for (i = 0; i < entries->nelts; i++) {
        read_provider(&APR_ARRAY_IDX(entries, i, la_provider_entry_t), shared, r->pool,
                      &providers[i]);
    }
    status->providers = providers;
    status->provider_count = entries->nelts;
    read_cache(shared->cache, status);
    read_second(shared, status);
    la_counters_read_usage(shared->stats, (apr_uint32_t)entries->nelts, la_clock_us(),
                           &status->anonymous);
    status->quotas = la_status_quotas_read(r->pool);
    status->proofs = la_status_proofs_read(shared->proofs, status->now, r->pool);
    status->signers = la_status_signers_read(r->pool, status->now);
    return status;
}

/* ---- mod_status ---- */

/* marks: what stands before the quota, the limit and the number, and behind it. */
static void write_refusals(request_rec *r, const la_status_quotas_t *quotas,
                           const char *const marks[4])
{
    for (int i = 0; i < quotas->count; i++) {
        const la_status_quota_t *quota = &quotas->quotas[i];

        for (int j = 0; j < quota->quota->limits->nelts; j++) {
            ap_rprintf(r, "%s%s%s%s%s" LA_U64 "%s", marks[0], ap_escape_html(r->pool, quota->label),
                       marks[1], quota->limits[j].kind, marks[2], quota->limits[j].refusals,
                       marks[3]);
        }
    }
}

static void section_auto(request_rec *r, const la_status_t *status)
{
    unsigned outcome;
    int i;

    for (outcome = 0; la_request_stats_name(outcome); outcome++) {
        ap_rprintf(r, "LlamaAuthRequests[%s]: " LA_U64 "\n", la_request_stats_name(outcome),
                   status->outcomes[outcome]);
    }
    for (i = 0; i < status->provider_count; i++) {
        const la_status_provider_t *p = &status->providers[i];

        ap_rprintf(
            r,
            "LlamaAuthProvider[%s]: accepted=" LA_U64 " rejected=" LA_U64 " unavailable=" LA_U64
            " hit=" LA_U64 " calls=" LA_U64 " in_flight=%u breaker=%s\n",
            p->name, la_status_by_verdict(p, LA_VERDICT_ACCEPTED),
            la_status_by_verdict(p, LA_VERDICT_REJECTED),
            la_status_by_verdict(p, LA_VERDICT_UNAVAILABLE), la_status_by_source(p, LA_SOURCE_HIT),
            p->stats.calls.count, p->gate.in_flight, la_status_phase(p->gate.phase));
    }
    if (status->cache_on) {
        ap_rprintf(r,
                   "LlamaAuthCacheEntries: " LA_U64 "\nLlamaAuthCacheEvictions: " LA_U64
                   "\nLlamaAuthCacheFill: %.3f\n",
                   status->accepted.entries + status->rejected.entries,
                   status->accepted.evictions + status->rejected.evictions,
                   la_status_fill(&status->accepted));
    }
    if (status->quotas) {
        write_refusals(r, status->quotas,
                       (const char *const[]){"LlamaAuthQuotaRefusals[", " ", "]: ", "\n"});
        ap_rprintf(r, "LlamaAuthQuotaCounters: " LA_U64 "\nLlamaAuthQuotaEvictions: " LA_U64 "\n",
                   status->quotas->memory.used, status->quotas->memory.evictions);
    }
}

static void section_html(request_rec *r, const la_status_t *status)
{
    int i;

    ap_rputs(
        "<hr>\n<h2>mod_llama_auth</h2>\n<table border=\"0\"><tr><th>Provider</th><th>Type</th>"
        "<th>Accepted</th><th>Rejected</th><th>Unavailable</th><th>Cache hits</th><th>Calls</th>"
        "<th>In flight</th><th>Breaker</th></tr>\n",
        r);
    for (i = 0; i < status->provider_count; i++) {
        const la_status_provider_t *p = &status->providers[i];

        ap_rprintf(r,
                   "<tr><td>%s</td><td>%s</td><td>" LA_U64 "</td><td>" LA_U64 "</td><td>" LA_U64
                   "</td><td>" LA_U64 "</td><td>" LA_U64 "</td><td>%u</td><td>%s</td></tr>\n",
                   ap_escape_html(r->pool, p->name), p->type,
                   la_status_by_verdict(p, LA_VERDICT_ACCEPTED),
                   la_status_by_verdict(p, LA_VERDICT_REJECTED),
                   la_status_by_verdict(p, LA_VERDICT_UNAVAILABLE),
                   la_status_by_source(p, LA_SOURCE_HIT), p->stats.calls.count, p->gate.in_flight,
                   p->calls_out ? la_status_phase(p->gate.phase) : "");
    }
    ap_rputs("</table>\n", r);
    if (status->cache_on) {
        ap_rprintf(r, "<p>Cache: " LA_U64 " entries, %.1f %% full, " LA_U64 " evicted</p>\n",
                   status->accepted.entries + status->rejected.entries,
                   100 * la_status_fill(&status->accepted),
                   status->accepted.evictions + status->rejected.evictions);
    }
    if (status->quotas) {
        ap_rputs("<table border=\"0\"><tr><th>Quota</th><th>Limit</th><th>Refused</th></tr>\n", r);
        write_refusals(r, status->quotas,
                       (const char *const[]){"<tr><td>", "</td><td>", "</td><td>", "</td></tr>\n"});
        ap_rputs("</table>\n", r);
    }
}

/* mod_status's hook; `?auto` asks for short lines. */
static int section(request_rec *r, int flags)
{
    const la_status_t *status = la_status_read(r);

    if (flags & AP_STATUS_SHORT) {
        section_auto(r, status);
    } else {
        section_html(r, status);
    }
    return OK;
}

void la_status_register(void)
{
    APR_OPTIONAL_HOOK(ap, status_hook, section, NULL, NULL, APR_HOOK_MIDDLE);
}
