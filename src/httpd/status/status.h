/* What the module is doing, for people and for machines: the handler `llama-auth-status`, and
 * mod_status's section. */
#pragma once

#include "base/json.h"
#include "httpd/status/proofs.h"
#include "httpd/status/quotas.h"
#include "httpd/status/signers.h"
#include "provider/provider.h"
#include "shm/counters.h"
#include "shm/gate.h"
#include "shm/table.h"

#include <httpd.h>

/* The version of the JSON shape: members may be added, but neither removed nor changed. */
#define LA_STATUS_VERSION 1

#define LA_U64 "%" APR_UINT64_T_FMT

/* One provider now. */
typedef struct la_status_provider_t {
    const char *name; /* unique among them */
    const char *type;
    int calls_out;        /* has a gate */
    int timed;            /* its calls have a histogram */
    int cached;           /* its verdicts may be cached */
    apr_uint32_t limit;   /* MaxConcurrent */
    la_gate_state_t gate; /* zero unless calls_out */
    la_counters_provider_t stats;
    la_counters_usage_t usage;
    const la_keys_report_t *keys; /* NULL without a key file */
} la_status_provider_t;

/* Everything that is shown, read once. Lives in the request's pool. */
typedef struct la_status_t {
    apr_time_t now;
    apr_time_t started; /* the last restart */
    const char *server;
    apr_uint64_t outcomes[LA_COUNTERS_OUTCOMES]; /* by la_request_stats_name() */
    int provider_count;
    const la_status_provider_t *providers;
    int cache_on;
    la_table_stats_t accepted;
    la_table_stats_t rejected;
    apr_uint64_t purges;
    const char *second; /* the second-level cache's address, or NULL */
    la_gate_state_t second_gate;
    la_counters_provider_t second_stats; /* lookups[0] by la_remote_e */
    la_counters_usage_t anonymous;       /* of callers of no provider */
    const la_status_quotas_t *quotas;    /* NULL: none are configured */
    const la_status_proofs_t *proofs;    /* NULL: no provider could ask for any */
    const apr_array_header_t *signers;   /* of la_status_signer_t */
} la_status_t;

/* The sum of a provider's look-ups with that verdict, or from that source. */
apr_uint64_t la_status_by_verdict(const la_status_provider_t *p, la_verdict_e verdict);
apr_uint64_t la_status_by_source(const la_status_provider_t *p, la_source_e source);

/* A breaker's state as a word: closed, open, probing. */
const char *la_status_phase(la_gate_phase_e phase);

/* The part of a cache that is in use, 0 to 1. */
double la_status_fill(const la_table_stats_t *table);

/* Writers of the three forms; each sends the body. may_purge: whether the page offers it. */
void la_status_html(request_rec *r, const la_status_t *status, int may_purge);
void la_status_json(request_rec *r, const la_status_t *status);
void la_status_prometheus(request_rec *r, const la_status_t *status);

/* The same for the keys of one provider, or of all: parts of what those send. */
void la_status_keys_html(request_rec *r, const la_status_provider_t *provider, apr_time_t now);
void la_status_keys_json(la_json_writer_t *w, const la_keys_report_t *report);
void la_status_keys_prometheus(request_rec *r, const la_status_t *status);

/* Reads everything that is shown. */
const la_status_t *la_status_read(request_rec *r);

/* The handler `llama-auth-status`. */
int la_status_handler(request_rec *r);

/* Registers with mod_status. */
void la_status_register(void);
