/* An output filter sets the CORS fields, since whoever answers (this module, httpd, a backend
 * through mod_proxy) writes fields of its own first. It runs after mod_headers and before
 * mod_cache, which keeps an answer for each origin because of Vary.
 *
 * The LlamaAuthCors of the section that the client asked for also covers error pages and the
 * targets of internal redirects: the browser's preflight was answered by that section. */
#include "httpd/cors.h"

#include "access/origin.h"
#include "base/fields.h"
#include "httpd/respond.h"
#include "httpd/section.h"
#include "io/server.h"

#include <http_log.h>
#include <http_protocol.h>
#include <util_filter.h>

#include <string.h>

APLOG_USE_MODULE(llama_auth);

#define EXPOSED_FIELDS                                                                             \
    "WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy, x-ratelimit-limit-requests, "     \
    "x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, "       \
    "x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, Mcp-Session-Id, "                     \
    "MCP-Protocol-Version, x-request-id, DPoP-Nonce"

#define MAX_AGE_S "600"

static ap_filter_rec_t *filter_handle;

/* The client's Origin field; "" if there are several, NULL if there is none. */
static const char *origin_field(request_rec *r)
{
    const apr_array_header_t *fields = apr_table_elts(la_request_fields(r));
    const char *found = NULL;

    for (int i = 0; i < fields->nelts; i++) {
        const apr_table_entry_t *field = &APR_ARRAY_IDX(fields, i, apr_table_entry_t);

        if (strcasecmp(field->key, "Origin") == 0) {
            found = found ? "" : field->val;
        }
    }
    return found;
}

int la_cors_check_origin(request_rec *r)
{
    const la_policy_t *policy = la_config_dir(r)->origins;
    la_methods_t methods;
    const char *fault;
    const char *field;

    if (!policy) {
        return OK;
    }
    methods = la_section_methods(r);
    field = la_policy_applies(policy, methods) ? origin_field(r) : NULL;
    fault = field ? la_policy_origin_fault(r->pool, policy, methods,
                                           la_origin_normalize(r->pool, field))
                  : NULL;
    if (!fault) {
        return OK;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  LA_LOGNO(0260) "RequireOrigin of %s: the origin is \"%.300s\", and %s", r->uri,
                  field, fault);
    return la_respond_deny(r, la_denial_make(LA_DENIAL_ORIGIN, NULL));
}

/* ---- preflights ---- */

static int is_list_of_names(const char *text)
{
    const char *end;

    for (text += strspn(text, ", \t"); *text; text = end + strspn(end, ", \t")) {
        end = ap_scan_http_token(text);
        if (end == text) {
            return 0;
        }
    }
    return 1;
}

static const char *asked_method(const request_rec *r)
{
    const char *method = apr_table_get(r->headers_in, "Access-Control-Request-Method");

    return method && !*ap_scan_http_token(method) ? method : NULL;
}

/* The fields that a preflight asks for, "" for none; NULL if they are no list of names. */
static const char *asked_fields(const request_rec *r)
{
    const char *names = apr_table_get(r->headers_in, "Access-Control-Request-Headers");

    if (!names) {
        return "";
    }
    return is_list_of_names(names) ? names : NULL;
}

/* The LlamaAuthCors line for the answer; NULL if there is none or it is off. */
static const la_cors_t *line_of(request_rec *r)
{
    const la_request_t *first = la_request_get(la_request_first(r));
    const la_cors_t *line = first && first->cors ? first->cors : la_config_dir(r)->cors;

    return line && !line->off ? line : NULL;
}

/* The client's Access-Control-Allow-Origin, or NULL. It is the Origin as the browser sent it,
 * because the browser compares bytes. */
static const char *allowed_origin(request_rec *r, const la_cors_t *line)
{
    const char *field = origin_field(r);
    const char *origin = field && !line->any ? la_origin_normalize(r->pool, field) : NULL;

    if (field && line->any) {
        return "*";
    }
    return origin && ap_array_str_contains(line->origins, origin) ? field : NULL;
}

int la_cors_begin(request_rec *r)
{
    la_request_t *first;
    const la_cors_t *line;

    if (!r->prev && !la_config_dir(r)->cors) {
        return DECLINED;
    }
    first = la_request_make(la_request_first(r));
    if (!r->main && !first->cors) {
        first->cors = la_config_dir(r)->cors;
    }
    line = line_of(r);
    if (!line || r->main || !la_section_looks_like_preflight(r) || !allowed_origin(r, line) ||
        !asked_method(r) || !asked_fields(r)) {
        return DECLINED;
    }
    la_request_make(r)->answers_preflight = 1;
    return HTTP_NO_CONTENT;
}

/* ---- fields of answers ---- */

void la_cors_open_to_all(request_rec *r, const char *methods)
{
    la_request_make(r)->open_to_all = 1;
    apr_table_setn(r->headers_out, "Access-Control-Allow-Origin", "*");
    if (r->method_number == M_OPTIONS) {
        apr_table_setn(r->headers_out, "Access-Control-Allow-Methods", methods);
        apr_table_setn(r->headers_out, "Access-Control-Allow-Headers", "*");
        apr_table_setn(r->headers_out, "Access-Control-Max-Age", "86400");
    }
}

static int is_cors_field(const void *context, la_slice_t name)
{
    static const la_slice_t prefix = {"Access-Control-", sizeof("Access-Control-") - 1};

    (void)context;
    return name.len > prefix.len && strncasecmp(name.data, prefix.data, prefix.len) == 0;
}

static void set_preflight_fields(request_rec *r)
{
    const char *method = asked_method(r);
    const char *fields = asked_fields(r);

    /* Another module may have changed what the client asked for since it was looked at. */
    if (method) {
        apr_table_setn(r->headers_out, "Access-Control-Allow-Methods", method);
    }
    if (fields && *fields) {
        apr_table_setn(r->headers_out, "Access-Control-Allow-Headers", fields);
    }
    apr_table_setn(r->headers_out, "Access-Control-Max-Age", MAX_AGE_S);
}

static void set_fields(request_rec *r, const la_cors_t *line)
{
    const la_request_t *state = la_request_get(r);
    const char *origin = allowed_origin(r, line);

    if (state && state->open_to_all) {
        return;
    }
    la_fields_remove(r->headers_out, 0, is_cors_field, NULL, r->pool);
    la_fields_remove(r->err_headers_out, 0, is_cors_field, NULL, r->pool);
    if (!origin) {
        return;
    }
    apr_table_setn(r->headers_out, "Access-Control-Allow-Origin", origin);
    if (state && state->answers_preflight) {
        set_preflight_fields(r);
    } else {
        apr_table_setn(r->headers_out, "Access-Control-Expose-Headers", EXPOSED_FIELDS);
    }
}

/* httpd removes repeated names from Vary. */
static apr_status_t cors_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    const la_cors_t *line = line_of(r);

    apr_table_mergen(r->headers_out, "Vary", "Origin");
    if (line) {
        set_fields(r, line);
    }
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

/* Where RequireOrigin holds, answers vary by Origin too: mod_cache's quick handler answers before
 * anybody checks a rule. */
void la_cors_insert_filter(request_rec *r)
{
    const la_policy_t *policy = la_config_dir(r)->origins;
    int demands = policy && la_policy_applies(policy, la_section_methods(r));

    if (!r->main && (demands || line_of(r))) {
        ap_add_output_filter_handle(filter_handle, NULL, r, r->connection);
    }
}

void la_cors_register(void)
{
    filter_handle =
        ap_register_output_filter("LLAMA_AUTH_CORS", cors_filter, NULL, AP_FTYPE_CONTENT_SET);
}
