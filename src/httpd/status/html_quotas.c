/* Writes who uses how much. Names of counters are what strangers and providers chose. In request
 * threads. */
#include "httpd/status/html_quotas.h"

#include "base/json_scan.h"
#include "httpd/status/html_parts.h"
#include "quota/usage.h"

#include <apr_strings.h>
#include <http_protocol.h>

/* ---- tokens ---- */

static uint64_t count_answers(const la_status_t *status, la_usage_e source)
{
    uint64_t sum = status->anonymous.answers[source];

    for (int i = 0; i < status->provider_count; i++) {
        sum += status->providers[i].usage.answers[source];
    }
    return sum;
}

void la_html_usage(request_rec *r, const la_status_t *status)
{
    uint64_t reported = count_answers(status, LA_USAGE_RESPONSE);
    uint64_t estimated = count_answers(status, LA_USAGE_ESTIMATE);
    uint64_t none = count_answers(status, LA_USAGE_NONE);

    if (reported + estimated + none == 0) {
        return;
    }
    ap_rputs("<section id=\"tokens\"><h2>Tokens</h2><div class=\"grid\">\n", r);
    la_html_number(r, "answers that said their tokens", reported, 0);
    la_html_number(r, "answers estimated", estimated, 0);
    la_html_number(r, "answers without tokens", none, 0);
    ap_rputs("</div><div class=\"cols\">\n", r);
    for (int i = 0; i < status->provider_count; i++) {
        la_html_tokens(r, &status->providers[i].usage, status->providers[i].name);
    }
    la_html_tokens(r, &status->anonymous, "callers of no provider");
    ap_rputs("</div></section>\n", r);
}

/* ---- quotas ---- */

/* The beginning of a name: without control characters, cut where a character is. */
static const char *show_name(apr_pool_t *pool, const la_status_counter_t *counter)
{
    apr_size_t len = strlen(counter->name);
    char *text = apr_palloc(pool, len + 1);
    apr_size_t to = 0;

    for (apr_size_t at = 0; at < len;) {
        unsigned code;
        apr_size_t width =
            la_utf8_decode((const unsigned char *)counter->name + at, len - at, &code);

        if (code != LA_NOT_UTF8 && code >= 0x20 && code != 0x7f) {
            memcpy(text + to, counter->name + at, width);
            to += width;
        } else if (at + width < len) { /* not what the cut left of a character */
            text[to++] = '?';
        }
        at += width;
    }
    text[to] = '\0';
    return apr_pstrcat(pool, ap_escape_html(pool, text), counter->is_cut ? "&hellip;" : "", NULL);
}

static const char *show_wait(apr_pool_t *pool, apr_interval_time_t us)
{
    apr_int64_t s = (us + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC;

#define D "%" APR_INT64_T_FMT
    return s < 120      ? apr_psprintf(pool, D " s", s)
           : s < 7200   ? apr_psprintf(pool, D " min", s / 60)
           : s < 172800 ? apr_psprintf(pool, D " h " D " min", s / 3600, s % 3600 / 60)
                        : apr_psprintf(pool, D " d " D " h", s / 86400, s % 86400 / 3600);
#undef D
}

static void write_counter(request_rec *r, const la_status_quota_t *quota,
                          const la_status_counter_t *counter)
{
    const char *name = *counter->name                        ? show_name(r->pool, counter)
                       : quota->quota->by == LA_QUOTA_BY_ALL ? "everybody"
                                                             : "(none)";
    int is_permit = counter->limit->kind == LA_LIMIT_CONCURRENT;
    double share = (double)counter->used / (double)(counter->most ? counter->most : 1);

    ap_rprintf(r,
               "<tr><td><bdi>%s</bdi></td><td>%s</td><td><meter low=\".8\" high=\".999\" "
               "optimum=\"0\" value=\"%.3f\"></meter> " LA_U64 " of " LA_U64
               "</td><td>%s</td><td>%s</td></tr>\n",
               name, la_status_limit_words(r->pool, counter->limit), share < 1 ? share : 1,
               counter->used, counter->most,
               is_permit ? "when they end" : show_wait(r->pool, counter->reset_us),
               is_permit ? "" : apr_psprintf(r->pool, LA_U64, counter->refusals));
}

static void write_quota(request_rec *r, const la_status_quota_t *quota, int is_remote)
{
    const char *label = ap_escape_html(r->pool, quota->label);

    ap_rprintf(
        r,
        "<section id=\"quota-%s\"><h2>Quota %s <small>by %s%s</small></h2><div class=\"grid\">\n",
        label, label, ap_escape_html(r->pool, la_quota_by_text(r->pool, quota->quota)),
        is_remote ? ", in Redis: as this machine saw it last" : "");
    la_html_number(r, "counters in use", quota->counters, 0);
    for (int i = 0; i < quota->quota->limits->nelts; i++) {
        const la_status_limit_t *limit = &quota->limits[i];
        const char *words = la_status_limit_words(r->pool, limit->limit);

        la_html_number(r, apr_pstrcat(r->pool, "refused: ", words, NULL), limit->refusals, 0);
        if (limit->limit->kind == LA_LIMIT_CONCURRENT) {
            la_html_number(r, "requests in flight", limit->in_flight, 0);
        }
    }
    ap_rputs("</div>\n", r);
    if (quota->shown > 0) {
        ap_rputs("<div class=\"wide\"><table><tr><th>Whose</th><th>Limit</th><th>Used</th>"
                 "<th>Starts again in</th><th>Refused</th></tr>\n",
                 r);
        for (int i = 0; i < quota->shown; i++) {
            write_counter(r, quota, &quota->fullest[i]);
        }
        ap_rputs("</table></div>\n", r);
    }
    ap_rputs("</section>\n", r);
}

void la_html_quotas(request_rec *r, const la_status_t *status)
{
    const la_status_quotas_t *quotas = status->quotas;

    if (!quotas) {
        return;
    }
    for (int i = 0; i < quotas->count; i++) {
        write_quota(r, &quotas->quotas[i], status->second && quotas->quotas[i].quota->shared);
    }
    ap_rprintf(r, "<section id=\"quotas\"><h2>Memory of quotas <small>%.1f %% full</small></h2>\n",
               100 * la_status_quota_fill(quotas));
    la_html_fill(r, la_status_quota_fill(quotas));
    ap_rputs("<div class=\"grid\">\n", r);
    la_html_number(r, "counters in use", quotas->memory.used, 0);
    la_html_number(r, "counters that fit", quotas->memory.capacity, 0);
    la_html_number(r, "given up before their time", quotas->memory.evictions, 1);
    ap_rputs("</div></section>\n", r);
}
