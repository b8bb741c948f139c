/* Writes the keys of key files, by id and never with a digest, in the three forms of the status. In
 * request threads. */
#include "base/timestamp.h"
#include "httpd/status/status.h"

#include <apr_strings.h>
#include <http_protocol.h>

/* A metric of each key; value() returns 0 for a key that has none. */
typedef struct metric_t {
    const char *name;
    const char *help;
    int (*value)(const la_key_report_t *key, apr_int64_t *value);
} metric_t;

static const la_key_report_t *key_at(const la_keys_report_t *report, int i)
{
    return &APR_ARRAY_IDX(report->keys, i, la_key_report_t);
}

/* ---- the page ---- */

static const char *state_of(const la_key_report_t *key, apr_time_t now)
{
    if (key->disabled) {
        return "disabled";
    }
    if (key->expires != 0 && now >= key->expires) {
        return "expired";
    }
    return now < key->not_before ? "early" : key->ends_soon ? "ends soon" : "valid";
}

static const char *time_or(request_rec *r, apr_time_t at, const char *none)
{
    return at ? la_timestamp_text(r->pool, at) : none;
}

static void write_row(request_rec *r, const la_key_report_t *key, apr_time_t now)
{
    ap_rprintf(r, "<tr><td>%s</td><td%s>%s</td><td>%s</td><td>%s</td></tr>\n",
               ap_escape_html(r->pool, key->id), key->ends_soon ? " class=\"bad\"" : "",
               state_of(key, now), time_or(r, key->expires, "never"),
               time_or(r, key->used, "unknown"));
}

void la_status_keys_html(request_rec *r, const la_status_provider_t *provider, apr_time_t now)
{
    const la_keys_report_t *report = provider->keys;

    if (!report) {
        return;
    }
    ap_rprintf(r, "<section><h2>Keys of %s <small>%d</small></h2>\n",
               ap_escape_html(r->pool, provider->name), report->count);
    if (report->ending > 0) {
        ap_rprintf(r, "<p class=\"err\">Keys that end within %d days: %d</p>\n", LA_KEYS_SOON_DAYS,
                   report->ending);
    }
    if (report->count > report->keys->nelts) {
        ap_rprintf(r, "<p>The first %d of them:</p>\n", report->keys->nelts);
    }
    ap_rputs("<table><tr><th>Key</th><th>State</th><th>Expires</th><th>Last used</th></tr>\n", r);
    for (int i = 0; i < report->keys->nelts; i++) {
        write_row(r, key_at(report, i), now);
    }
    ap_rputs("</table></section>\n", r);
}

/* ---- JSON ---- */

static void put(la_json_writer_t *w, const char *text)
{
    la_json_write_raw(w, la_slice_of(text));
}

static void put_time(la_json_writer_t *w, const char *name, apr_time_t at)
{
    put(w, name);
    if (at) {
        la_json_write_string(w, la_slice_of(la_timestamp_text(w->pool, at)));
    } else {
        put(w, "null");
    }
}

static void put_key(la_json_writer_t *w, const la_key_report_t *key)
{
    put(w, "{\"id\": ");
    la_json_write_string(w, la_slice_of(key->id));
    put(w, apr_psprintf(w->pool, ", \"entry\": %d, \"disabled\": %s", key->entry,
                        key->disabled ? "true" : "false"));
    put_time(w, ", \"not_before\": ", key->not_before);
    put_time(w, ", \"expires\": ", key->expires);
    put_time(w, ", \"last_used\": ", key->used);
    put(w, "}");
}

void la_status_keys_json(la_json_writer_t *w, const la_keys_report_t *report)
{
    if (!report) {
        return;
    }
    put(w, apr_psprintf(w->pool, ", \"keys\": {\"count\": %d, \"ending\": %d, \"first\": [",
                        report->count, report->ending));
    for (int i = 0; i < report->keys->nelts; i++) {
        put(w, i > 0 ? ", " : "");
        put_key(w, key_at(report, i));
    }
    put(w, "]}");
}

/* ---- Prometheus ---- */

static int get_expires(const la_key_report_t *key, apr_int64_t *value)
{
    *value = apr_time_sec(key->expires);
    return key->expires != 0;
}

static int get_used(const la_key_report_t *key, apr_int64_t *value)
{
    *value = apr_time_sec(key->used);
    return 1;
}

static int get_disabled(const la_key_report_t *key, apr_int64_t *value)
{
    *value = key->disabled;
    return 1;
}

static const metric_t metrics[] = {{"key_expires_timestamp_seconds",
                                    "When the key ends; no series if it never does.", get_expires},
                                   {"key_last_used_timestamp_seconds",
                                    "When the key was used last; 0: not since httpd started.",
                                    get_used},
                                   {"key_disabled", "1 if the key is disabled.", get_disabled}};

/* A label's value: `\\`, `"` and line ends are escaped (text format 0.0.4). */
static const char *escape_label(apr_pool_t *pool, const char *text)
{
    char *escaped = apr_palloc(pool, 2 * strlen(text) + 1);
    char *out = escaped;

    for (; *text; text++) {
        if (*text == '\\' || *text == '"' || *text == '\n') {
            *out++ = '\\';
        }
        *out++ = (char)(*text == '\n' ? 'n' : *text);
    }
    *out = '\0';
    return escaped;
}

static void write_head(request_rec *r, const char *name, const char *help)
{
    ap_rprintf(r, "# HELP llama_auth_%s %s\n# TYPE llama_auth_%s gauge\n", name, help, name);
}

static void write_metric(request_rec *r, const la_status_provider_t *p, const metric_t *metric)
{
    for (int i = 0; p->keys && i < p->keys->keys->nelts; i++) {
        const la_key_report_t *key = key_at(p->keys, i);
        apr_int64_t value;

        if (metric->value(key, &value)) {
            ap_rprintf(r,
                       "llama_auth_%s{provider=\"%s\",id=\"%s\",entry=\"%d\"} "
                       "%" APR_INT64_T_FMT "\n",
                       metric->name, p->name, escape_label(r->pool, key->id), key->entry, value);
        }
    }
}

static void write_count(request_rec *r, const la_status_t *status, const char *name, int ending)
{
    for (int i = 0; i < status->provider_count; i++) {
        const la_status_provider_t *p = &status->providers[i];

        if (p->keys) {
            ap_rprintf(r, "llama_auth_%s{provider=\"%s\"} %d\n", name, p->name,
                       ending ? p->keys->ending : p->keys->count);
        }
    }
}

void la_status_keys_prometheus(request_rec *r, const la_status_t *status)
{
    write_head(r, "keys", "Keys in the provider's file.");
    write_count(r, status, "keys", 0);
    write_head(r, "keys_ending", "Keys that end within 14 days and have no successor.");
    write_count(r, status, "keys_ending", 1);
    for (size_t m = 0; m < sizeof(metrics) / sizeof(metrics[0]); m++) {
        write_head(r, metrics[m].name, metrics[m].help);
        for (int i = 0; i < status->provider_count; i++) {
            write_metric(r, &status->providers[i], &metrics[m]);
        }
    }
}
