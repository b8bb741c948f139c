/* Reads and writes what became of DPoP proofs. README.md documents the names, which stay. In
 * request threads. */
#include "httpd/status/proofs.h"

#include <apr_strings.h>
#include <http_protocol.h>

#define U64 "%" APR_UINT64_T_FMT

static const struct {
    const char *name;
    la_replay_e result;
} shown[LA_STATUS_PROOFS_RESULTS] = {
    [LA_STATUS_PROOFS_NEW] = {"new", LA_REPLAY_NEW},
    [LA_STATUS_PROOFS_REPLAYED] = {"replayed", LA_REPLAY_SEEN},
    [LA_STATUS_PROOFS_OLD] = {"old", LA_REPLAY_OLD},
    [LA_STATUS_PROOFS_FULL] = {"full", LA_REPLAY_FULL},
    [LA_STATUS_PROOFS_OVER] = {"over_share", LA_REPLAY_OVER},
    [LA_STATUS_PROOFS_REFUSED] = {"refused", LA_REPLAY_REFUSED},
};

const la_status_proofs_t *la_status_proofs_read(const la_replay_t *memory, apr_time_t now,
                                                apr_pool_t *pool)
{
    la_status_proofs_t *read = memory ? apr_pcalloc(pool, sizeof(*read)) : NULL;

    if (!read) {
        return NULL;
    }
    la_replay_read(memory, now, &read->memory);
    for (int i = 0; i < LA_STATUS_PROOFS_RESULTS; i++) {
        read->results[i] = read->memory.results[shown[i].result];
    }
    return read;
}

void la_status_proofs_json(la_json_writer_t *w, const la_status_proofs_t *proofs)
{
    const char *text = "null";

    if (proofs) {
        text = "{\"results\": {";
        for (int i = 0; i < LA_STATUS_PROOFS_RESULTS; i++) {
            text = apr_psprintf(w->pool, "%s%s\"%s\": " U64, text, i ? ", " : "", shown[i].name,
                                proofs->results[i]);
        }
        text = apr_psprintf(w->pool,
                            "%s}, \"alone\": " U64 ", \"remembered\": " U64
                            ", \"fullest_minute\": " U64 ", \"minute_capacity\": " U64 "}",
                            text, proofs->memory.alone, proofs->memory.held, proofs->memory.fullest,
                            proofs->memory.capacity);
    }
    la_json_write_raw(w, la_slice_of(text));
}

/* One series without labels. */
static void write_number(request_rec *r, const char *name, const char *type, const char *help,
                         uint64_t value)
{
    ap_rprintf(r, "# HELP llama_auth_%s %s\n# TYPE llama_auth_%s %s\nllama_auth_%s " U64 "\n", name,
               help, name, type, name, value);
}

void la_status_proofs_prometheus(request_rec *r, const la_status_proofs_t *proofs)
{
    if (!proofs) {
        return;
    }
    ap_rputs("# HELP llama_auth_proofs_total DPoP proofs that hold, by whether they are new.\n"
             "# TYPE llama_auth_proofs_total counter\n",
             r);
    for (int i = 0; i < LA_STATUS_PROOFS_RESULTS; i++) {
        ap_rprintf(r, "llama_auth_proofs_total{result=\"%s\"} " U64 "\n", shown[i].name,
                   proofs->results[i]);
    }
    write_number(r, "proofs_alone_total", "counter",
                 "Of the new ones, those that Redis could not be asked about.",
                 proofs->memory.alone);
    write_number(r, "proofs_remembered", "gauge", "Proofs that are remembered now.",
                 proofs->memory.held);
    write_number(r, "proofs_fullest_minute", "gauge",
                 "Of these, the most that end in the same minute.", proofs->memory.fullest);
    write_number(r, "proofs_minute_capacity", "gauge",
                 "Proofs that end in the same minute and have room.", proofs->memory.capacity);
}
