/* Reads and writes what became of assertions, and by which keys they are signed. README.md
 * documents the names, which stay. In request threads. */
#include "httpd/status/signers.h"

#include "base/timestamp.h"
#include "httpd/child.h"
#include "httpd/config/collected.h"
#include "httpd/segments.h"

#include <apr_strings.h>
#include <http_protocol.h>

#define U64 "%" APR_UINT64_T_FMT

static const char *const names[] = {[LA_ASSERTIONS_SIGNED] = "signed",
                                    [LA_ASSERTIONS_REUSED] = "reused",
                                    [LA_ASSERTIONS_FAILED] = "failed"};

static const la_status_signer_t *signer_at(const apr_array_header_t *signers, int i)
{
    return &APR_ARRAY_IDX(signers, i, la_status_signer_t);
}

static const la_signer_report_t *key_at(const la_status_signer_t *signer, int i)
{
    return &APR_ARRAY_IDX(signer->keys, i, la_signer_report_t);
}

const apr_array_header_t *la_status_signers_read(apr_pool_t *pool, apr_time_t now)
{
    const apr_array_header_t *entries = la_collected.signers;
    apr_array_header_t *read = apr_array_make(pool, entries->nelts, sizeof(la_status_signer_t));

    for (int i = 0; i < entries->nelts; i++) {
        const la_entry_t *entry = &APR_ARRAY_IDX(entries, i, la_entry_t);
        la_status_signer_t *signer = apr_array_push(read);
        la_counters_provider_t counted;

        la_counters_read(la_shared_get()->stats, la_shared_signer_record(entry->signer), &counted);
        signer->label = entry->label;
        signer->keys = la_signer_report(pool, entry->signer, now);
        for (int j = 0; j <= LA_ASSERTIONS_FAILED; j++) {
            signer->counts[j] = counted.lookups[0][j];
        }
    }
    return read;
}

/* ---- JSON ---- */

static void put(la_json_writer_t *w, const char *text)
{
    la_json_write_raw(w, la_slice_of(text));
}

static void put_signer(la_json_writer_t *w, const la_status_signer_t *signer)
{
    put(w, "{\"name\": ");
    la_json_write_string(w, la_slice_of(signer->label));
    put(w, ", \"assertions\": {");
    for (int i = 0; i <= LA_ASSERTIONS_FAILED; i++) {
        put(w, apr_psprintf(w->pool, "%s\"%s\": " U64, i ? ", " : "", names[i], signer->counts[i]));
    }
    put(w, "}, \"keys\": [");
    for (int i = 0; i < signer->keys->nelts; i++) {
        const la_signer_report_t *key = key_at(signer, i);

        put(w, apr_psprintf(w->pool, "%s{\"kid\": \"%s\", \"algorithm\": \"%s\", \"read\": \"%s\"}",
                            i ? ", " : "", key->kid, key->algorithm,
                            la_timestamp_text(w->pool, key->read_at)));
    }
    put(w, "]}");
}

void la_status_signers_json(la_json_writer_t *w, const apr_array_header_t *signers)
{
    if (signers->nelts == 0) {
        put(w, "null");
        return;
    }
    put(w, "[");
    for (int i = 0; i < signers->nelts; i++) {
        put(w, i ? ",\n  " : "\n  ");
        put_signer(w, signer_at(signers, i));
    }
    put(w, "]");
}

/* ---- Prometheus ---- */

static void write_assertions(request_rec *r, const apr_array_header_t *signers)
{
    ap_rputs("# HELP llama_auth_signer_assertions_total Assertions for backends.\n"
             "# TYPE llama_auth_signer_assertions_total counter\n",
             r);
    for (int i = 0; i < signers->nelts; i++) {
        for (int j = 0; j <= LA_ASSERTIONS_FAILED; j++) {
            ap_rprintf(r,
                       "llama_auth_signer_assertions_total{signer=\"%s\",result=\"%s\"} " U64 "\n",
                       signer_at(signers, i)->label, names[j], signer_at(signers, i)->counts[j]);
        }
    }
}

void la_status_signers_prometheus(request_rec *r, const apr_array_header_t *signers)
{
    static const char name[] = "llama_auth_signer_key_read_timestamp_seconds";

    if (signers->nelts == 0) {
        return;
    }
    write_assertions(r, signers);
    ap_rprintf(r,
               "# HELP %s When the file of a key was read; the key at place 1 signs.\n"
               "# TYPE %s gauge\n",
               name, name);
    for (int i = 0; i < signers->nelts; i++) {
        const la_status_signer_t *signer = signer_at(signers, i);

        for (int j = 0; j < signer->keys->nelts; j++) {
            const la_signer_report_t *key = key_at(signer, j);

            ap_rprintf(r,
                       "%s{signer=\"%s\",place=\"%d\",kid=\"%s\",algorithm=\"%s\"} "
                       "%" APR_TIME_T_FMT "\n",
                       name, signer->label, j + 1, key->kid, key->algorithm,
                       apr_time_sec(key->read_at));
        }
    }
}
