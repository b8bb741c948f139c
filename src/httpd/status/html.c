/* Writes the status page: one file that loads nothing, for phones too, in light and dark. Its
 * script fetches the page every few seconds and replaces the main part; without scripts the browser
 * reloads. In request threads. */
#include "base/digest.h"
#include "base/timestamp.h"
#include "lookup/remote.h"
#include "httpd/status/html_parts.h"
#include "httpd/status/html_quotas.h"
#include "httpd/status/request_stats.h"
#include "httpd/status/status.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <http_protocol.h>

static const char style[] =
    ":root{color-scheme:light dark;--line:#8884;--soft:#8881;--good:#2a8a4a;--bad:#c2412d;--warn:"
    "#b7791f;--bar:#3b6fd4}"
    "*{box-sizing:border-box}"
    "body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;padding:1rem;max-width:70rem}"
    "h1{font-size:1.3rem;margin:.2rem 0}h2{font-size:1.05rem;margin:0 0 .5rem}"
    ".sub{opacity:.7;font-size:.85rem;margin:0 0 1rem}"
    "section{border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem;margin:0 0 1rem}"
    ".grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(9rem,1fr));gap:.6rem}"
    ".n{background:var(--soft);border-radius:.4rem;padding:.4rem .6rem}"
    ".n b{display:block;font-size:1.15rem;font-variant-numeric:tabular-nums}"
    ".n span{font-size:.78rem;opacity:.75;overflow-wrap:anywhere}"
    ".bad b{color:var(--bad)}"
    ".zero{order:1;padding:0 .6rem;background:none;opacity:.6}.zero "
    "b{display:inline;font-size:.78rem;"
    "font-weight:400}"
    ".badge{font-size:.75rem;padding:.1rem .5rem;border-radius:1rem;color:#fff;background:var(--"
    "good);margin-left:.5rem;font-weight:600}"
    ".badge.open{background:var(--bad)}.badge.probing{background:var(--warn)}"
    ".cols{display:flex;flex-wrap:wrap;gap:1rem;align-items:flex-start}"
    ".cols>.grid{flex:1 1 18rem}.cols>figure{flex:0 1 22rem;margin:0;min-width:0}"
    "svg{width:100%;height:auto;display:block}svg rect{fill:var(--bar)}svg text{font-size:8px;fill:"
    "currentColor;opacity:.75;text-anchor:middle}"
    "figcaption{font-size:.78rem;opacity:.75}"
    "svg line{stroke:var(--line)}svg "
    "rect.out{fill:var(--warn)}i.out{font-style:normal;border-bottom:2px solid var(--warn)}"
    "svg text.from{text-anchor:start}svg text.to{text-anchor:end}"
    ".wide{overflow-x:auto}table{width:100%;border-collapse:collapse;font-size:.85rem;"
    "margin:.6rem 0 0}th,td{text-align:left;padding:.25rem .8rem .25rem 0;border-top:1px solid "
    "var(--line);font-variant-numeric:tabular-nums}th{font-weight:400;opacity:.75}"
    "td:first-child{overflow-wrap:anywhere;min-width:6rem}meter{width:5rem}"
    ".err{color:var(--bad);font-size:.85rem;overflow-wrap:anywhere;margin:.6rem 0 0}"
    ".fill{height:.6rem;border-radius:.3rem;background:var(--soft);overflow:hidden;margin:.5rem 0}"
    ".fill i{display:block;height:100%;background:var(--bar)}"
    "table{border-collapse:collapse;width:100%;font-size:.85rem}td,th{text-align:left;padding:"
    ".15rem .6rem .15rem 0;overflow-wrap:anywhere}td.bad{color:var(--bad)}"
    "form{display:flex;flex-wrap:wrap;gap:.5rem}"
    "input,button{font:inherit;padding:.35rem .6rem;border:1px solid var(--line);border-radius:"
    ".4rem;background:transparent;color:inherit;min-width:0}input{flex:1 1 12rem}";

static const char script[] =
    "setInterval(async()=>{if(document.hidden)return;try{const a=await "
    "fetch(location.origin+location.pathname+location.search,{cache:'no-store'});if(!a.ok)throw 0;"
    "const t=await a.text();const d=new DOMParser().parseFromString("
    "t.slice(t.indexOf('<main'),t.indexOf('</main>')),'text/html');"
    "document.querySelector('main').replaceWith(d.querySelector('main'));"
    "document.title='mod_llama_auth'}catch(e){document.title='(no answer) mod_llama_auth'}},3000);";

/* Marks the style and the script that the browser may use; without random numbers it uses none. */
static const char *make_nonce(apr_pool_t *pool)
{
    unsigned char bytes[16];
    char *text = apr_palloc(pool, 2 * sizeof(bytes) + 1);

    if (apr_generate_random_bytes(bytes, sizeof(bytes)) != APR_SUCCESS) {
        return "";
    }
    la_digest_hex(bytes, sizeof(bytes), text);
    return text;
}

static void set_headers(request_rec *r, const char *nonce)
{
    apr_table_setn(r->headers_out, "Content-Security-Policy",
                   apr_psprintf(r->pool,
                                "default-src 'none'; style-src 'nonce-%s'; script-src 'nonce-%s'; "
                                "connect-src 'self'; form-action 'self'; base-uri 'none'; "
                                "frame-ancestors 'none'",
                                nonce, nonce));
    ap_set_content_type(r, "text/html; charset=utf-8");
}

static void write_badge(request_rec *r, const la_gate_state_t *gate)
{
    const char *phase = la_status_phase(gate->phase);

    ap_rprintf(r, "<span class=\"badge %s\">breaker %s</span>", phase, phase);
}

/* Codes of counts, and what a person reads. */
static const struct {
    const char *code;
    const char *words;
} words[] = {{"missing_token", "without a token"},
             {"invalid_request", "malformed credential"},
             {"invalid_token", "token rejected"},
             {"provider_timeout", "provider too slow"},
             {"provider_error", "provider down"},
             {"insufficient_scope", "scope missing"},
             {"insufficient_attributes", "attribute missing"},
             {"origin_not_allowed", "origin not allowed"},
             {"access_denied", "refused by Require"},
             {"rate_limit_exceeded", "over a limit of requests"},
             {"insufficient_quota", "over a budget of tokens"},
             {"quota_error", "could not be counted"},
             {"misconfigured", "not configured"},
             {"hit", "found"},
             {"miss", "not found"},
             {"purged", "found, but purged"},
             {"unavailable", "no answer"},
             {"skipped", "not asked: breaker open"},
             {"store_failed", "not stored"}};

static const char *in_words(const char *code)
{
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i].code, code) == 0) {
            return words[i].words;
        }
    }
    return code;
}

static void write_requests(request_rec *r, const la_status_t *status)
{
    unsigned i;

    ap_rputs("<section><h2>Requests</h2><div class=\"grid\">\n", r);
    for (i = 0; la_request_stats_name(i); i++) {
        la_html_number(r, in_words(la_request_stats_name(i)), status->outcomes[i],
                       strncmp(la_request_stats_name(i), "prov", 4) == 0);
    }
    ap_rputs("</div></section>\n", r);
}

/* The end of a section with numbers: their histogram, and the last error. */
static void end_section(request_rec *r, const la_counters_provider_t *stats, const char *timed)
{
    char when[APR_RFC822_DATE_LEN];

    ap_rputs("</div>\n", r);
    if (timed) {
        la_html_histogram(r, &stats->calls, timed);
    }
    ap_rputs("</div>\n", r);
    if (stats->error_at) {
        apr_rfc822_date(when, stats->error_at);
        ap_rprintf(r, "<p class=\"err\">Last error, %s: %s</p>\n", when,
                   ap_escape_html(r->pool, stats->error));
    }
    ap_rputs("</section>\n", r);
}

static void write_provider(request_rec *r, const la_status_provider_t *p)
{
    ap_rprintf(r, "<section id=\"provider-%s\"><h2>%s <small>%s</small>",
               ap_escape_html(r->pool, p->name), ap_escape_html(r->pool, p->name), p->type);
    if (p->calls_out) {
        write_badge(r, &p->gate);
    }
    ap_rputs("</h2><div class=\"cols\"><div class=\"grid\">\n", r);
    la_html_number(r, "accepted", la_status_by_verdict(p, LA_VERDICT_ACCEPTED), 0);
    la_html_number(r, "rejected", la_status_by_verdict(p, LA_VERDICT_REJECTED), 0);
    la_html_number(r, "of another provider", la_status_by_verdict(p, LA_VERDICT_NOT_MINE), 0);
    la_html_number(r, "unavailable", la_status_by_verdict(p, LA_VERDICT_UNAVAILABLE), 1);
    if (p->cached) {
        la_html_number(
            r, "from the cache",
            la_status_by_source(p, LA_SOURCE_HIT) + la_status_by_source(p, LA_SOURCE_NEGATIVE), 0);
        la_html_number(r, "served stale", la_status_by_source(p, LA_SOURCE_STALE), 1);
    }
    if (p->calls_out) {
        la_html_number(r, "shared another's call", la_status_by_source(p, LA_SOURCE_COALESCED), 0);
        la_html_number(r, "calls in flight", p->gate.in_flight, 0);
        la_html_number(r, "waiting", p->gate.waiting, 0);
        la_html_number(r, "spared by the breaker", p->gate.refusals, 1);
    }
    end_section(r, &p->stats, !p->timed ? NULL : p->calls_out ? "calls" : "verifications");
}

static void write_cache(request_rec *r, const la_status_t *status)
{
    double fill = la_status_fill(&status->accepted);

    if (!status->cache_on) {
        ap_rputs("<section><h2>Cache</h2><p>off</p></section>\n", r);
        return;
    }
    ap_rprintf(r, "<section><h2>Cache <small>" LA_U64 " MB, %.1f %% full</small></h2>",
               (status->accepted.bytes + status->rejected.bytes + 524288) / 1048576, 100 * fill);
    la_html_fill(r, fill);
    ap_rputs("<div class=\"grid\">\n", r);
    la_html_number(r, "identities", status->accepted.entries, 0);
    la_html_number(r, "rejections", status->rejected.entries, 0);
    la_html_number(r, "stored", status->accepted.stores + status->rejected.stores, 0);
    la_html_number(r, "evicted", status->accepted.evictions + status->rejected.evictions, 0);
    la_html_number(r, "too large", status->accepted.too_large, 1);
    la_html_number(r, "purges", status->purges, 0);
    ap_rputs("</div></section>\n", r);
}

static void write_second(request_rec *r, const la_status_t *status)
{
    int event;

    if (!status->second) {
        return;
    }
    ap_rprintf(r, "<section><h2>Second-level cache <small>%s</small>",
               ap_escape_html(r->pool, status->second));
    write_badge(r, &status->second_gate);
    ap_rputs("</h2><div class=\"cols\"><div class=\"grid\">\n", r);
    for (event = 0; event <= LA_REMOTE_STORE_FAILED; event++) {
        la_html_number(r, in_words(la_remote_name((la_remote_e)event)),
                       status->second_stats.lookups[0][event],
                       event == LA_REMOTE_UNREADABLE || event == LA_REMOTE_UNAVAILABLE);
    }
    end_section(r, &status->second_stats, "commands");
}

/* Nothing before the first proof. */
static void write_proofs(request_rec *r, const la_status_proofs_t *proofs)
{
    static const char *const labels[LA_STATUS_PROOFS_RESULTS] = {
        [LA_STATUS_PROOFS_NEW] = "new",
        [LA_STATUS_PROOFS_REPLAYED] = "used twice",
        [LA_STATUS_PROOFS_OLD] = "older than the memory",
        [LA_STATUS_PROOFS_FULL] = "refused: no room",
        [LA_STATUS_PROOFS_OVER] = "refused: caller had its share",
        [LA_STATUS_PROOFS_REFUSED] = "refused: memory held"};
    uint64_t all = 0;

    for (int i = 0; proofs && i < LA_STATUS_PROOFS_RESULTS; i++) {
        all += proofs->results[i];
    }
    if (all == 0) {
        return;
    }
    ap_rputs("<section id=\"proofs\"><h2>DPoP proofs</h2><div class=\"grid\">\n", r);
    for (int i = 0; i < LA_STATUS_PROOFS_RESULTS; i++) {
        la_html_number(r, labels[i], proofs->results[i], i >= LA_STATUS_PROOFS_FULL);
    }
    la_html_number(r, "remembered here alone", proofs->memory.alone, 1);
    la_html_number(r, "remembered now", proofs->memory.held, 0);
    ap_rputs("</div></section>\n", r);
}

static void write_signer(request_rec *r, const la_status_signer_t *signer)
{
    ap_rprintf(r,
               "<section id=\"signer-%s\"><h2>%s <small>signer</small></h2><div class=\"grid\">\n",
               ap_escape_html(r->pool, signer->label), ap_escape_html(r->pool, signer->label));
    la_html_number(r, "assertions signed", signer->counts[LA_ASSERTIONS_SIGNED], 0);
    la_html_number(r, "used again", signer->counts[LA_ASSERTIONS_REUSED], 0);
    la_html_number(r, "could not be signed", signer->counts[LA_ASSERTIONS_FAILED], 1);
    ap_rputs("</div>\n<table><tr><th>Key</th><th>Algorithm</th><th>Use</th><th>Read</th></tr>\n",
             r);
    for (int i = 0; i < signer->keys->nelts; i++) {
        const la_signer_report_t *key = &APR_ARRAY_IDX(signer->keys, i, la_signer_report_t);

        ap_rprintf(r, "<tr><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n", key->kid,
                   key->algorithm, i == 0 ? "signs" : "published",
                   la_timestamp_text(r->pool, key->read_at));
    }
    ap_rputs("</table></section>\n", r);
}

static void write_body(request_rec *r, const la_status_t *status, int may_purge)
{
    char now[APR_RFC822_DATE_LEN];
    int i;

    apr_rfc822_date(now, status->now);
    ap_rprintf(r, "<main><p class=\"sub\">%s, %s</p>\n", ap_escape_html(r->pool, status->server),
               now);
    write_requests(r, status);
    la_html_usage(r, status);
    la_html_quotas(r, status);
    for (i = 0; i < status->provider_count; i++) {
        write_provider(r, &status->providers[i]);
        la_status_keys_html(r, &status->providers[i], status->now);
    }
    write_cache(r, status);
    write_second(r, status);
    write_proofs(r, status->proofs);
    for (i = 0; i < status->signers->nelts; i++) {
        write_signer(r, &APR_ARRAY_IDX(status->signers, i, la_status_signer_t));
    }
    ap_rputs("</main>\n", r);
    if (may_purge) {
        ap_rputs("<section><h2>Purge</h2><form method=\"post\">"
                 "<input name=\"purge\" required aria-label=\"what to purge\" "
                 "placeholder=\"all, principal:NAME or client_id:ID\">"
                 "<button>Drop from the cache</button></form></section>\n",
                 r);
    }
    if (may_purge && status->quotas) {
        ap_rputs("<section><h2>Reset quotas</h2><form method=\"post\">"
                 "<input name=\"quota\" required aria-label=\"which counts to forget\" "
                 "placeholder=\"all, NAME of a quota or principal:NAME\">"
                 "<button>Forget what was used</button></form></section>\n",
                 r);
    }
}

void la_status_html(request_rec *r, const la_status_t *status, int may_purge)
{
    const char *nonce = make_nonce(r->pool);

    set_headers(r, nonce);
    ap_rprintf(r,
               "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
               "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
               "<title>mod_llama_auth</title><noscript><meta http-equiv=\"refresh\" content=\"5\">"
               "</noscript><style nonce=\"%s\">%s</style></head>\n<body><h1>mod_llama_auth</h1>\n",
               nonce, style);
    write_body(r, status, may_purge);
    ap_rprintf(r, "<script nonce=\"%s\">%s</script></body></html>\n", nonce, script);
}
