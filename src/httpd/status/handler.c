/* The handler `llama-auth-status`: shows the status, purges, and resets quotas. In request threads.
 */
#include "httpd/child.h"
#include "httpd/config/quotas.h"
#include "httpd/handler.h"
#include "httpd/quota_memory.h"
#include "httpd/quota_store.h"
#include "httpd/status/status.h"

#include "base/params.h"
#include "io/server.h"
#include "quota/store.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>

#define HANDLER "llama-auth-status"

APLOG_USE_MODULE(llama_auth);

#define BODY_MAX 4096

/* Whether a rule with a user let this caller in: httpd authenticates only where there is one. A
 * user without a type comes from mod_ssl's SSLUserName, which no rule asked for. */
static int is_guarded(const request_rec *r)
{
    return r->user && *r->user && r->ap_auth_type;
}

/* Whether a page of another site sent the request: browsers add credentials that they know by
 * themselves. Not every browser sends both fields. */
static int is_cross_site(const request_rec *r)
{
    const char *site = apr_table_get(r->headers_in, "Sec-Fetch-Site");
    const char *origin = apr_table_get(r->headers_in, "Origin");
    const char *host = apr_table_get(r->headers_in, "Host");
    const char *authority = origin ? strstr(origin, "://") : NULL;

    if (site && strcasecmp(site, "same-origin") != 0 && strcasecmp(site, "none") != 0) {
        return 1;
    }
    return origin && (!authority || !host || strcasecmp(authority + 3, host) != 0);
}

/* Returns 0 for a body of BODY_MAX bytes or more, one with a NUL, and a broken one. */
static int read_body(request_rec *r, char body[BODY_MAX + 1])
{
    long len = 0;
    long got;

    if (ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK) != OK) {
        return 0;
    }
    body[0] = '\0';
    if (!ap_should_client_block(r)) {
        return 1;
    }
    while ((got = ap_get_client_block(r, body + len, (apr_size_t)(BODY_MAX - len))) > 0) {
        len += got;
    }
    body[len] = '\0';
    return got == 0 && len < BODY_MAX && strlen(body) == (apr_size_t)len;
}

/* Finds the one command that the request sends, in its body, else in its query. The other text is
 * empty. Returns 0 when there is none or several. */
static int find_command(request_rec *r, const char *body, la_slice_t *purge, la_slice_t *quota)
{
    const char *places[] = {body, r->args};
    int count = 0;

    for (int i = 0; i < 2 && count == 0; i++) {
        count = la_params_query(r->pool, places[i], "purge", purge) +
                la_params_query(r->pool, places[i], "quota", quota);
    }
    return count == 1;
}

/* Tells what was done here, and whether the other machines know.
 *
 * error: why Redis could not be told, or NULL.
 */
static int answer(request_rec *r, const char *what, uint64_t count, const char *error)
{
    const char *told = error ? "unreachable" : la_shared_get()->remote ? "told" : "none";
    const char *text = apr_psprintf(r->pool, "{\"%s\": " LA_U64 ", \"shared_cache\": \"%s\"}\n",
                                    what, count, told);

    if (error) {
        r->status = HTTP_BAD_GATEWAY;
    }
    ap_set_content_type(r, "application/json");
    ap_set_content_length(r, (apr_off_t)strlen(text));
    ap_rputs(text, r);
    return OK;
}

static int refuse(request_rec *r, int status, const char *why)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, LA_LOGNO(0068) "nothing is dropped at %s: %s",
                  r->uri, why);
    return status;
}

static int purge(request_rec *r, la_slice_t text)
{
    const la_shared_t *shared = la_shared_get();
    const char *error = NULL;
    apr_size_t dropped = 0;
    la_purge_t wanted;

    if (!la_purge_parse(text, &wanted)) {
        return refuse(r, HTTP_BAD_REQUEST,
                      "it takes purge=all, purge=principal:NAME or purge=client_id:ID");
    }
    if (shared->cache) {
        dropped = la_cache_purge(shared->cache, &wanted);
    }
    if (shared->remote) {
        error = la_remote_purge(shared->remote, &wanted, r->pool);
    }
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                  LA_LOGNO(0067) "%s purged %s: %" APR_SIZE_T_FMT " entries dropped%s%s", r->user,
                  apr_pstrmemdup(r->pool, text.data, text.len), dropped,
                  error ? "; other machines were not told: " : "", error ? error : "");
    return answer(r, "dropped", dropped, error);
}

/* ---- quotas ---- */

static int parse_reset(apr_pool_t *pool, la_slice_t text, la_slice_t *name, la_quota_reset_t *reset)
{
    static const char prefix[] = "principal:";
    apr_size_t len = strlen(prefix);

    *reset = (la_quota_reset_t){0};
    if (la_slice_is(text, "all")) {
        return 1;
    }
    if (text.len > len && memcmp(text.data, prefix, len) == 0) {
        *name = (la_slice_t){text.data + len, text.len - len};
        reset->principal = name;
        reset->quotas = la_quotas_by(pool, LA_QUOTA_BY_PRINCIPAL);
        return 1;
    }
    reset->quotas = la_quotas_named(pool, text);
    return reset->quotas->nelts > 0;
}

static int forget_counts(request_rec *r, la_slice_t text)
{
    la_quota_reset_t reset;
    la_slice_t name;
    uint64_t count;
    int is_told;

    if (!parse_reset(r->pool, text, &name, &reset)) {
        return refuse(r, HTTP_BAD_REQUEST,
                      "it takes quota=all, quota=NAME of a quota or quota=principal:NAME");
    }
    is_told = la_quota_reset(&reset, la_quota_memory_get(), la_quota_store_get(), r->pool, &count);
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                  LA_LOGNO(0300) "%s reset quota %s: " LA_U64 " counters forgotten%s", r->user,
                  apr_pstrmemdup(r->pool, text.data, text.len), count,
                  is_told ? "" : "; Redis does not answer, so other machines still count");
    return answer(r, "forgotten", count, is_told ? NULL : "no answer");
}

/* ---- the handler ---- */

static int obey(request_rec *r)
{
    char *body = apr_palloc(r->pool, BODY_MAX + 1);
    la_slice_t what;
    la_slice_t quota;

    if (!la_handler_is_servers(r, HANDLER)) {
        return refuse(r, HTTP_FORBIDDEN,
                      "no SetHandler of the server's configuration makes this a status page, and "
                      "an .htaccess, AddHandler or rewriting may not");
    }
    if (!is_guarded(r)) {
        return refuse(r, HTTP_FORBIDDEN, "no Require with a user guards it");
    }
    if (is_cross_site(r)) {
        return refuse(r, HTTP_FORBIDDEN, "another site's page sent it");
    }
    if (!read_body(r, body) || !find_command(r, body, &what, &quota)) {
        return refuse(r, HTTP_BAD_REQUEST, "it takes one purge=WHAT or quota=WHAT");
    }
    return quota.len > 0 ? forget_counts(r, quota) : purge(r, what);
}

static int show(request_rec *r)
{
    la_slice_t format;
    int count = la_params_query(r->pool, r->args, "format", &format);

    if (count == 0 || la_slice_is(format, "html")) {
        la_status_html(r, la_status_read(r), is_guarded(r) && la_handler_is_servers(r, HANDLER));
    } else if (la_slice_is(format, "json")) {
        la_status_json(r, la_status_read(r));
    } else if (la_slice_is(format, "prometheus")) {
        la_status_prometheus(r, la_status_read(r));
    } else {
        return HTTP_NOT_FOUND;
    }
    return OK;
}

int la_status_handler(request_rec *r)
{
    if (!la_handler_is(r, HANDLER)) {
        return DECLINED;
    }
    ap_allow_methods(r, REPLACE_ALLOW, "GET", "POST", NULL);
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    if (r->method_number == M_POST) {
        return obey(r);
    }
    return r->method_number == M_GET ? show(r) : HTTP_METHOD_NOT_ALLOWED;
}
