/* An input filter next to httpd's own that reads chunks: when the end of a body brought trailers, it takes out of them, and out
 * of the header fields that they were merged with, what only this module may send. mod_proxy_fcgi reads the body before it
 * looks at the header fields. In request threads.
 */
#include "httpd/trailers.h"

#include "httpd/forward.h"

#include <http_config.h>
#include <util_filter.h>

static ap_filter_rec_t *filter_handle;

/* ap_http_filter() makes a new table of the fields and, behind them, the trailers. */
static apr_status_t read_body(ap_filter_t *f, apr_bucket_brigade *brigade, ap_input_mode_t mode,
                              apr_read_type_e block, apr_off_t bytes)
{
    request_rec *r = f->r;
    const apr_table_t *before = r->headers_in;
    int count = apr_table_elts(before)->nelts;
    apr_status_t rv = ap_get_brigade(f->next, brigade, mode, block, bytes);

    la_forward_scrub_trailers(r, r->trailers_in, 0);
    if (r->headers_in != before) {
        la_forward_scrub_trailers(r, r->headers_in, count);
    }
    return rv;
}

void la_trailers_register(void)
{
    /* Below all filters of contents, so that nobody sees what is taken out. */
    filter_handle = ap_register_input_filter("LLAMA_AUTH_TRAILERS", read_body, NULL,
                                             (ap_filter_type)(AP_FTYPE_PROTOCOL - 1));
}

static int is_in_place(const request_rec *r)
{
    const ap_filter_t *filter;

    for (filter = r->input_filters; filter; filter = filter->next) {
        if (filter->frec == filter_handle) {
            return 1;
        }
    }
    return 0;
}

void la_trailers_insert(request_rec *r)
{
    if (apr_table_get(r->headers_in, "Transfer-Encoding") && la_forward_is_watchful(r) &&
        !is_in_place(r)) {
        ap_add_input_filter_handle(filter_handle, NULL, r, r->connection);
    }
}

int la_trailers_watch(request_rec *r)
{
    la_trailers_insert(r);
    return DECLINED;
}
