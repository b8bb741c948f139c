/* Removes what clients may not send. forward_rules.c knows the names that are ours.
 * An input filter next to httpd's own reader of chunks removes trailers, because mod_proxy_fcgi
 * reads the body before the header fields. In request threads. */
#include "httpd/scrub.h"

#include "base/fields.h"
#include "httpd/config/collected.h"
#include "httpd/request.h"

#include <apr_strings.h>
#include <util_filter.h>

/* A proxy removes from the request the fields that Connection names. */
static void scrub_connection(request_rec *r, const la_forwards_t *forwards)
{
    const apr_array_header_t *fields = apr_table_elts(r->headers_in);
    int seen = 0;
    int left = 0;

    for (int i = 0; i < fields->nelts; i++) {
        apr_table_entry_t *field = &APR_ARRAY_IDX(fields, i, apr_table_entry_t);

        if (strcasecmp(field->key, "Connection") == 0) {
            const char *kept =
                la_fields_connection_without(r->pool, field->val, la_forward_is_ours, forwards);

            if (kept != field->val) {
                field->val = apr_pstrdup(r->pool, kept ? kept : "");
            }
            seen = 1;
            left |= kept != NULL;
        }
    }
    if (seen && !left) {
        apr_table_unset(r->headers_in, "Connection");
    }
}

void la_scrub_fields(request_rec *r, const la_forwards_t *forwards)
{
    la_fields_remove(r->headers_in, 0, la_forward_is_ours, forwards, r->pool);
    scrub_connection(r, forwards);
}

static ap_filter_rec_t *filter_handle;

/* How fields begin that say how to read or to answer a request, or who sends it (RFC 9110 section
 * 6.5.1). */
static const char *const no_trailers[] = {"Accept-", "Authorization", "Connection", "Content-",
                                          "Cookie",  "DPoP",          "If-",        "Mcp-",
                                          "Range",   "Upgrade",       "X-HTTP-",    "X-Method-"};

/* Ours, those, and those that may hold a token: they come too late to be checked or removed. */
static int is_no_trailer(const void *data, la_slice_t name)
{
    const la_dir_conf_t *conf = data;

    for (unsigned i = 0; i < sizeof(no_trailers) / sizeof(no_trailers[0]); i++) {
        if (strncasecmp(name.data, no_trailers[i], strlen(no_trailers[i])) == 0) {
            return 1;
        }
    }
    return la_forward_is_ours(conf->forwards, name) || la_sources_are_in(conf->sources, name);
}

static void scrub_trailers(request_rec *r, apr_table_t *fields, int first)
{
    la_fields_remove(fields, first, is_no_trailer, la_config_dir(r), r->pool);
}

/* ap_http_filter() makes a new table of the fields and, behind them, the trailers. */
static apr_status_t read_body(ap_filter_t *f, apr_bucket_brigade *brigade, ap_input_mode_t mode,
                              apr_read_type_e block, apr_off_t bytes)
{
    request_rec *r = f->r;
    const apr_table_t *before = r->headers_in;
    int count = apr_table_elts(before)->nelts;
    apr_status_t rv = ap_get_brigade(f->next, brigade, mode, block, bytes);

    scrub_trailers(r, r->trailers_in, 0);
    if (r->headers_in != before) {
        scrub_trailers(r, r->headers_in, count);
    }
    return rv;
}

void la_scrub_register(void)
{
    /* Below all filters of contents, so that none sees what is removed. */
    filter_handle = ap_register_input_filter("LLAMA_AUTH_TRAILERS", read_body, NULL,
                                             (ap_filter_type)(AP_FTYPE_PROTOCOL - 1));
}

/* In HTTP/2 a body of a known length may have trailers too. */
static int may_have_trailers(const request_rec *r)
{
    return r->connection->master || apr_table_get(r->headers_in, "Transfer-Encoding");
}

void la_scrub_insert_filter(request_rec *r)
{
    if (may_have_trailers(r) && !la_request_has_input(r, filter_handle)) {
        ap_add_input_filter_handle(filter_handle, NULL, r, r->connection);
    }
}

int la_scrub_read(request_rec *r)
{
    if (la_collected.forwarded->nelts > 0) {
        la_scrub_fields(r, NULL);
    }
    la_scrub_insert_filter(r);
    return DECLINED;
}
