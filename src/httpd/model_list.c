/* The filter collects an answer of at most LIST_BYTES before anything of it is sent, so that what
 * cannot be filtered can still be answered with 502. It stands behind the filters that make an
 * answer (mod_include) and in front of those that compress it. In request threads. */
#include "httpd/model_list.h"

#include "access/model_list.h"
#include "base/json.h"
#include "httpd/model.h"
#include "httpd/request.h"
#include "httpd/respond.h"
#include "io/server.h"

#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>
#include <util_filter.h>

APLOG_USE_MODULE(llama_auth);

#define LIST_BYTES ((apr_size_t)1024 * 1024)

static ap_filter_rec_t *filter_handle;

void la_model_list_prepare(request_rec *r)
{
    static const char *const fields[] = {"Accept-Encoding",
                                         "Range",
                                         "If-Range",
                                         "If-Match",
                                         "If-None-Match",
                                         "If-Modified-Since",
                                         "If-Unmodified-Since",
                                         "Upgrade"};

    if (!la_request_make(r)->is_model_list) {
        return;
    }
    for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        apr_table_unset(r->headers_in, fields[i]);
    }
    r->no_cache = 1;
}

/* What the filter has of an answer. */
typedef struct collected_t {
    la_json_writer_t text;
    int is_refused; /* nothing more of it is shown */
} collected_t;

void la_model_list_insert_filter(request_rec *r)
{
    const la_request_t *state = la_request_get(r);

    if (state && state->is_model_list) {
        collected_t *collected = apr_pcalloc(r->pool, sizeof(*collected));

        la_json_writer_init(&collected->text, r->pool);
        ap_add_output_filter_handle(filter_handle, collected, r, r->connection);
    }
}

/* What is true of the whole list only. */
static void set_fields(request_rec *r)
{
    static const char *const fields[] = {"ETag",        "Last-Modified",  "Content-Length",
                                         "Digest",      "Content-Digest", "Repr-Digest",
                                         "Content-MD5", "Accept-Ranges",  "Cache-Control"};

    for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        apr_table_unset(r->headers_out, fields[i]);
        apr_table_unset(r->err_headers_out, fields[i]);
    }
    apr_table_setn(r->headers_out, "Cache-Control", "private");
}

static apr_status_t pass(ap_filter_t *f, apr_bucket_brigade *bb)
{
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

/* Returns an error, so that the handler stops: where the answer is a part of a page (mod_include),
 * the filters behind this one do not say so. */
static apr_status_t refuse(ap_filter_t *f, apr_bucket_brigade *bb, const char *reason)
{
    collected_t *collected = f->ctx;
    request_rec *r = f->r;
    int status;

    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  LA_LOGNO(0284) "LlamaAuthModelList filter cannot filter the answer to %s, and "
                                 "nothing of it is shown: %s",
                  r->uri, reason);
    status = la_respond_fail(r, la_denial_make(LA_DENIAL_MODEL_LIST, NULL));
    apr_brigade_cleanup(bb);
    if (!r->main) { /* a page goes on without this part */
        APR_BRIGADE_INSERT_TAIL(bb,
                                ap_bucket_error_create(status, NULL, r->pool, bb->bucket_alloc));
    }
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    collected->is_refused = 1;
    (void)ap_pass_brigade(f->next, bb);
    return AP_FILTER_ERROR;
}

/* Sends the filtered list, when all of it came. What filtering took is given back before. */
static apr_status_t answer(ap_filter_t *f, apr_bucket_brigade *bb, const collected_t *collected)
{
    la_slice_t text = {collected->text.data, collected->text.len};
    apr_pool_t *scratch;
    const char *error;
    la_slice_t list;

    apr_pool_create(&scratch, f->r->pool);
    error = la_model_list_filter(scratch, text, la_model_is_allowed, f->r, &list);
    apr_brigade_cleanup(bb);
    if (error) {
        error = apr_pstrdup(f->r->pool, error);
    } else {
        ap_set_content_length(f->r, (apr_off_t)list.len);
        APR_BRIGADE_INSERT_TAIL(
            bb, apr_bucket_heap_create(list.data, list.len, NULL, bb->bucket_alloc));
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    }
    apr_pool_destroy(scratch);
    return error ? refuse(f, bb, error) : pass(f, bb);
}

/* Collects a brigade. Returns NULL, or why there is no list. */
static const char *read_brigade(apr_bucket_brigade *bb, la_json_writer_t *text, int *ended)
{
    apr_bucket *bucket;

    for (bucket = APR_BRIGADE_FIRST(bb); bucket != APR_BRIGADE_SENTINEL(bb) && !*ended;
         bucket = APR_BUCKET_NEXT(bucket)) {
        la_slice_t part = {NULL, 0};

        *ended = APR_BUCKET_IS_EOS(bucket);
        if (AP_BUCKET_IS_ERROR(bucket)) {
            return "it broke off";
        }
        if (!APR_BUCKET_IS_METADATA(bucket) &&
            apr_bucket_read(bucket, &part.data, &part.len, APR_BLOCK_READ) != APR_SUCCESS) {
            return "it cannot be read";
        }
        if (part.len > LIST_BYTES - text->len) {
            return "it is larger than 1 MB";
        }
        la_json_write_raw(text, part);
    }
    return NULL;
}

/* An error page has the status of the request that it is shown for. */
static int is_success(const request_rec *r)
{
    return (r->status >= 200 && r->status < 300) || (r->prev && r->status == r->prev->status);
}

static apr_status_t list_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    const char *encoding = apr_table_get(r->headers_out, "Content-Encoding");
    collected_t *collected = f->ctx;
    const char *error;
    int ended = 0;

    if (collected->is_refused) {
        apr_brigade_cleanup(bb);
        return AP_FILTER_ERROR;
    }
    if (!is_success(r)) {
        return pass(f, bb);
    }
    set_fields(r);
    if (r->header_only) {
        return pass(f, bb);
    }
    if (encoding && strcasecmp(encoding, "identity") != 0) {
        return refuse(f, bb, "it has a Content-Encoding");
    }
    error = read_brigade(bb, &collected->text, &ended);
    if (error) {
        return refuse(f, bb, error);
    }
    if (ended) {
        return answer(f, bb, collected);
    }
    apr_brigade_cleanup(bb);
    return APR_SUCCESS;
}

void la_model_list_register(void)
{
    filter_handle = ap_register_output_filter("LLAMA_AUTH_MODEL_LIST", list_filter, NULL,
                                              AP_FTYPE_CONTENT_SET - 3);
}
