/* The body is kept with the first request of a chain. It is read below all filters that httpd adds
 * for a handler, and an input filter in the same place hands it on, so that these filters and the
 * handler see what they would see without us. Time-outs are httpd's own. In request threads. */
#include "httpd/body.h"

#include "httpd/request.h"
#include "httpd/respond.h"
#include "httpd/section.h"
#include "io/server.h"
#include "io/spool.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>
#include <util_filter.h>

APLOG_USE_MODULE(llama_auth);

/* How much is asked for at once. */
#define READ_BYTES 16384

static ap_filter_rec_t *filter_handle;

struct la_body_t {
    la_spool_t *spool;
    int status; /* why it was not read to its end, or OK */
};

int la_body_refuse(request_rec *r, la_denial_e kind, const char *message)
{
    la_denial_t denial = la_denial_make(kind, message);

    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, LA_LOGNO(0280) "%s, for %s: %s",
                  r->user ? r->user : "nobody", r->uri, denial.message);
    return la_respond_deny(r, denial);
}

/* ---- fields ---- */

static char *trim(char *text)
{
    char *end;

    while (apr_isspace(*text)) {
        text++;
    }
    end = text + strlen(text);
    while (end > text && apr_isspace(end[-1])) {
        *--end = '\0';
    }
    return text;
}

static int is_json_type(const char *type)
{
    const char *slash = ap_scan_http_token(type);
    apr_size_t len = strlen(type);

    if (strcasecmp(type, "application/json") == 0) {
        return 1;
    }
    return slash > type && *slash == '/' && !*ap_scan_http_token(slash + 1) &&
           slash + 6 < type + len && strcasecmp(type + len - 5, "+json") == 0;
}

/* A parameter that might say another charset to somebody is refused. */
static int is_harmless(const char *parameter)
{
    if (strcasecmp(parameter, "charset=utf-8") == 0 ||
        strcasecmp(parameter, "charset=\"utf-8\"") == 0) {
        return 1;
    }
    return !ap_strcasestr(parameter, "charset") && !strpbrk(parameter, "\",");
}

static int is_json_in_utf8(request_rec *owner)
{
    const char *encoding = apr_table_get(owner->headers_in, "Content-Encoding");
    const char *transfer = apr_table_get(owner->headers_in, "Transfer-Encoding");
    const char *rest = apr_table_get(owner->headers_in, "Content-Type");
    const char *type;
    int is_good = 1;

    if (!rest || (encoding && strcasecmp(encoding, "identity") != 0) ||
        (transfer && strcasecmp(transfer, "chunked") != 0)) {
        return 0;
    }
    type = trim(ap_getword(owner->pool, &rest, ';'));
    while (*rest && is_good) {
        is_good = is_harmless(trim(ap_getword(owner->pool, &rest, ';')));
    }
    return is_good && is_json_type(type);
}

static apr_size_t limit_of(request_rec *r)
{
    apr_size_t limit = la_config_dir(r)->body_limit;

    return limit ? limit : LA_BODY_LIMIT_BYTES;
}

static int refuse_size(request_rec *r)
{
    return la_body_refuse(r, LA_DENIAL_BODY_SIZE,
                          apr_psprintf(r->pool,
                                       "The request body is larger than %" APR_SIZE_T_FMT " bytes",
                                       limit_of(r)));
}

/* What the fields alone say; a subrequest has none of the body's. */
static int check_fields(request_rec *r, request_rec *owner)
{
    const char *length = apr_table_get(owner->headers_in, "Content-Length");
    apr_size_t limit = limit_of(r);

    if (!is_json_in_utf8(owner)) {
        return la_body_refuse(r, LA_DENIAL_MEDIA_TYPE, NULL);
    }
    return length && apr_atoi64(length) > (apr_int64_t)limit ? refuse_size(r) : OK;
}

/* ---- reading ---- */

static int fail(request_rec *r, apr_status_t rv)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, r,
                  LA_LOGNO(0281) "the body of a request cannot be kept in a temporary file: see to "
                                 "the space in the folder that TMPDIR names, or lower "
                                 "LlamaAuthBodyLimit");
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* Keeps what came. Sets `ended` at the body's end. */
static int keep(request_rec *r, struct la_body_t *body, apr_bucket_brigade *bb,
                la_members_t *reader, int *ended)
{
    apr_off_t limit = (apr_off_t)limit_of(r);
    apr_bucket *bucket;

    for (bucket = APR_BRIGADE_FIRST(bb); bucket != APR_BRIGADE_SENTINEL(bb) && !*ended;
         bucket = APR_BUCKET_NEXT(bucket)) {
        la_slice_t part = {NULL, 0};
        apr_status_t rv = APR_BUCKET_IS_METADATA(bucket)
                              ? APR_SUCCESS
                              : apr_bucket_read(bucket, &part.data, &part.len, APR_BLOCK_READ);

        *ended = APR_BUCKET_IS_EOS(bucket);
        if (rv != APR_SUCCESS) {
            return ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
        }
        if ((apr_off_t)part.len > limit - la_spool_size(body->spool)) {
            return refuse_size(r);
        }
        rv = part.len > 0 ? la_spool_add(body->spool, part) : APR_SUCCESS;
        if (rv != APR_SUCCESS) {
            return fail(r, rv);
        }
        (void)la_members_read(reader, part); /* la_members_end() says what is wrong */
    }
    return OK;
}

/* Receives the whole body, one that is no JSON too: whoever reads it next gets all of it. */
static int receive(request_rec *r, struct la_body_t *body, la_members_t *reader)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    int status = OK;
    int ended = 0;

    while (!ended && status == OK) {
        apr_status_t rv =
            ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, READ_BYTES);

        if (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(bb)) {
            rv = APR_EGENERAL;
        }
        if (rv == APR_SUCCESS) {
            status = keep(r, body, bb, reader, &ended);
        } else {
            status = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
            ap_log_rerror(APLOG_MARK, APLOG_INFO, rv, r,
                          LA_LOGNO(0282) "the body of the request did not come, answering %d",
                          status);
        }
        apr_brigade_cleanup(bb);
    }
    return status;
}

static apr_status_t read_again(request_rec *r, const struct la_body_t *body, la_members_t *reader)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_status_t rv = APR_SUCCESS;

    la_spool_copy(body->spool, bb);
    while (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *bucket = APR_BRIGADE_FIRST(bb);
        la_slice_t part;

        rv = apr_bucket_read(bucket, &part.data, &part.len, APR_BLOCK_READ);
        if (rv == APR_SUCCESS) {
            (void)la_members_read(reader, part);
        }
        apr_bucket_delete(bucket);
    }
    apr_brigade_cleanup(bb);
    return rv;
}

static int receive_or_read_again(request_rec *r, la_request_t *first, la_members_t *reader)
{
    request_rec *owner = la_request_first(r);

    if (first->body) {
        apr_status_t rv =
            first->body->status == OK ? read_again(r, first->body, reader) : APR_SUCCESS;

        return rv == APR_SUCCESS ? first->body->status : fail(r, rv);
    }
    first->body = apr_pcalloc(owner->pool, sizeof(*first->body));
    first->body->spool = la_spool_make(owner->pool);
    first->body->status = receive(r, first->body, reader);
    first->body_is_read = first->body->status == OK;
    return first->body->status;
}

int la_body_read(request_rec *r, la_member_t *members, int count, apr_off_t *size)
{
    request_rec *owner = la_request_first(r);
    la_request_t *first = la_request_make(owner);
    la_members_t *reader;
    const char *error;
    int status;

    *size = 0;
    if (!first->body && !la_section_has_body(owner)) {
        return OK;
    }
    status = check_fields(r, owner);
    if (status != OK) {
        return status;
    }
    reader = la_members_make(r->pool, members, count);
    status = receive_or_read_again(r, first, reader);
    if (status != OK) {
        return status;
    }
    *size = la_spool_size(first->body->spool);
    if (*size > (apr_off_t)limit_of(r)) {
        return refuse_size(r); /* an earlier section of the chain allowed more */
    }
    error = *size > 0 ? la_members_end(reader) : NULL;
    return error ? la_body_refuse(r, LA_DENIAL_BODY,
                                  apr_psprintf(r->pool,
                                               "The request body cannot be used: %s at byte "
                                               "%" APR_SIZE_T_FMT,
                                               error, la_members_at(reader)))
                 : OK;
}

/* ---- handing on ---- */

static apr_status_t give_bytes(apr_bucket_brigade *kept, apr_bucket_brigade *bb,
                               ap_input_mode_t mode, apr_off_t bytes)
{
    apr_bucket *end;
    apr_bucket *bucket;
    apr_bucket *next;
    apr_status_t rv = apr_brigade_partition(kept, bytes, &end);

    if (rv != APR_SUCCESS && rv != APR_INCOMPLETE) {
        return rv;
    }
    rv = APR_SUCCESS;
    for (bucket = APR_BRIGADE_FIRST(kept); rv == APR_SUCCESS && bucket != end; bucket = next) {
        next = APR_BUCKET_NEXT(bucket);
        if (mode == AP_MODE_SPECULATIVE) {
            rv = apr_bucket_copy(bucket, &bucket);
        } else {
            APR_BUCKET_REMOVE(bucket);
        }
        if (rv == APR_SUCCESS) {
            APR_BRIGADE_INSERT_TAIL(bb, bucket);
        }
    }
    return rv;
}

static apr_status_t replay_filter(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                                  apr_read_type_e block, apr_off_t bytes)
{
    apr_bucket_brigade *kept = f->ctx;

    if (mode == AP_MODE_INIT) {
        return ap_get_brigade(f->next, bb, mode, block, bytes);
    }
    if (APR_BRIGADE_EMPTY(kept)) {
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
        return APR_SUCCESS;
    }
    switch (mode) {
    case AP_MODE_GETLINE:
        return apr_brigade_split_line(bb, kept, block, HUGE_STRING_LEN);
    case AP_MODE_EXHAUSTIVE:
        APR_BRIGADE_CONCAT(bb, kept);
        return APR_SUCCESS;
    case AP_MODE_READBYTES:
    case AP_MODE_SPECULATIVE:
        return give_bytes(kept, bb, mode, bytes);
    case AP_MODE_EATCRLF:
    case AP_MODE_INIT:
        break;
    }
    return APR_ENOTIMPL;
}

void la_body_insert_filter(request_rec *r)
{
    const la_request_t *first = la_request_get(la_request_first(r));
    apr_bucket_brigade *kept;

    if (!first || !first->body_is_read || la_request_has_input(r, filter_handle)) {
        return;
    }
    kept = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    la_spool_copy(first->body->spool, kept);
    APR_BRIGADE_INSERT_TAIL(kept, apr_bucket_eos_create(r->connection->bucket_alloc));
    ap_add_input_filter_handle(filter_handle, kept, r, r->connection);
}

void la_body_register(void)
{
    filter_handle =
        ap_register_input_filter("LLAMA_AUTH_BODY", replay_filter, NULL, AP_FTYPE_PROTOCOL - 1);
}
