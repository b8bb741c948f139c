/* The filter stands nearest to the handler, in front of mod_deflate and of what may change the
 * answer. It passes on what it is given, in the same brigades.
 * In request threads. */
#include "httpd/usage_filter.h"

#include "base/clock.h"
#include "base/units.h"
#include "httpd/child.h"
#include "httpd/config/registry.h"
#include "httpd/request.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include <util_filter.h>

#define NOTE_PREFIX "llama_auth.usage."

static ap_filter_rec_t *filter_handle;

/* Of the first request of a chain. */
struct la_usage_watch_t {
    la_usage_reader_t *reader; /* NULL until the answer begins */
    const char *encodings;     /* the client's Accept-Encoding; NULL: none, or put back */
    apr_bucket_brigade *rest;  /* empty between two calls of the filter */
    int status;
    int is_read; /* its bytes tell of a usage */
    int is_head;
    int is_whole;  /* its end has passed */
    int is_broken; /* the backend went away in the middle */
};

static struct la_usage_watch_t *watch_of(request_rec *r)
{
    const la_request_t *state = la_request_get(la_request_first(r));

    return state ? state->usage : NULL;
}

void la_usage_filter_want(request_rec *r)
{
    request_rec *first = la_request_first(r);
    la_request_t *state = la_request_make(first);
    const char *encodings = apr_table_get(r->headers_in, "Accept-Encoding");

    if (!state->usage) {
        state->usage = apr_pcalloc(first->pool, sizeof(*state->usage));
    }
    if (encodings) {
        state->usage->encodings = apr_pstrdup(first->pool, encodings);
        apr_table_unset(r->headers_in, "Accept-Encoding");
    }
}

void la_usage_filter_insert(request_rec *r)
{
    struct la_usage_watch_t *watch = r->main ? NULL : watch_of(r);

    if (watch) {
        watch->reader = NULL; /* of an answer that a redirect took the place of */
        watch->is_whole = 0;
        watch->is_broken = 0;
        ap_add_output_filter_handle(filter_handle, watch, r, r->connection);
    }
}

static int is_encoded(request_rec *r)
{
    const char *encoding = apr_table_get(r->headers_out, "Content-Encoding");

    encoding = encoding ? encoding : r->content_encoding;
    return encoding && strcasecmp(encoding, "identity") != 0;
}

static void begin(request_rec *r, struct la_usage_watch_t *watch)
{
    la_usage_form_e form = la_usage_form(r->content_type);

    watch->reader = la_usage_reader_make(la_request_first(r)->pool, form);
    watch->rest = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    watch->status = r->status;
    watch->is_head = r->header_only;
    watch->is_read = form != LA_USAGE_FORM_OTHER && !r->header_only && !is_encoded(r);
    if (watch->encodings) { /* mod_deflate, further on, compresses for the client */
        apr_table_setn(r->headers_in, "Accept-Encoding", watch->encodings);
        watch->encodings = NULL;
    }
}

static apr_status_t pass_before(ap_filter_t *f, apr_bucket_brigade *bb, apr_bucket *bucket)
{
    struct la_usage_watch_t *watch = f->ctx;
    apr_status_t rv;

    apr_brigade_split_ex(bb, bucket, watch->rest);
    rv = ap_pass_brigade(f->next, bb);
    apr_brigade_cleanup(bb);
    APR_BRIGADE_CONCAT(bb, watch->rest);
    return rv;
}

/* Reads a bucket. If its bytes are not there yet (a pipe), what stands before it is passed on
 * first. Bytes that come from a pipe or a file are passed on at once, so they do not pile up.
 * next: the bucket behind it. */
static apr_status_t read_bucket(ap_filter_t *f, apr_bucket_brigade *bb, apr_bucket *bucket,
                                apr_bucket **next)
{
    struct la_usage_watch_t *watch = f->ctx;
    int is_in_memory = bucket->length != (apr_size_t)-1 && !APR_BUCKET_IS_FILE(bucket);
    const char *data;
    apr_size_t len;
    apr_status_t rv = apr_bucket_read(bucket, &data, &len, APR_NONBLOCK_READ);

    if (APR_STATUS_IS_EAGAIN(rv)) {
        APR_BUCKET_INSERT_BEFORE(bucket, apr_bucket_flush_create(bb->bucket_alloc));
        rv = pass_before(f, bb, bucket);
        rv = rv == APR_SUCCESS ? apr_bucket_read(bucket, &data, &len, APR_BLOCK_READ) : rv;
    }
    *next = APR_BUCKET_NEXT(bucket);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    la_usage_read(watch->reader, (la_slice_t){data, len});
    return is_in_memory ? APR_SUCCESS : pass_before(f, bb, *next);
}

static apr_status_t usage_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    struct la_usage_watch_t *watch = f->ctx;
    apr_bucket *bucket;
    apr_bucket *next;
    apr_status_t rv = APR_SUCCESS;

    if (!watch->reader) {
        begin(f->r, watch);
    }
    for (bucket = APR_BRIGADE_FIRST(bb); bucket != APR_BRIGADE_SENTINEL(bb) && rv == APR_SUCCESS;
         bucket = next) {
        next = APR_BUCKET_NEXT(bucket);
        if (APR_BUCKET_IS_EOS(bucket)) {
            watch->is_whole = 1;
        } else if (AP_BUCKET_IS_ERROR(bucket)) {
            watch->is_broken = 1;
        } else if (!APR_BUCKET_IS_METADATA(bucket) && watch->is_read) {
            rv = read_bucket(f, bb, bucket, &next);
        }
    }
    return rv == APR_SUCCESS ? ap_pass_brigade(f->next, bb) : rv;
}

static void set_notes(request_rec *r, const la_usage_t *usage)
{
    static const char *const sources[] = {[LA_USAGE_NONE] = "none",
                                          [LA_USAGE_ESTIMATE] = "estimate",
                                          [LA_USAGE_RESPONSE] = "response"};
    const struct {
        const char *name;
        uint64_t value;
    } notes[] = {{NOTE_PREFIX "input_tokens", usage->input},
                 {NOTE_PREFIX "output_tokens", usage->output},
                 {NOTE_PREFIX "total_tokens", usage->total}};

    for (unsigned i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
        char *digits = apr_palloc(r->pool, LA_UNITS_DIGITS + 1);

        *la_units_write(digits, notes[i].value) = '\0';
        apr_table_addn(r->notes, notes[i].name, digits);
    }
    apr_table_addn(r->notes, NOTE_PREFIX "source", sources[usage->source]);
}

_Static_assert(LA_USAGE_RESPONSE < LA_COUNTERS_USAGES, "every source has a counter");

/* Counts for the caller's provider, and behind all providers for callers of none. What this module
 * refused is no answer. */
static void count_usage(const request_rec *r, const la_usage_t *usage)
{
    const la_request_t *state = la_request_decided(r);
    int provider = la_registry_count();

    if (state && state->denial) {
        return;
    }
    if (state && state->caller) {
        provider = state->caller->provider->index;
    }
    la_counters_tokens(la_shared_get()->stats, (uint32_t)provider, usage->source,
                       (la_counters_tokens_t){usage->input, usage->output}, la_clock_us());
}

la_usage_t la_usage_filter_end(request_rec *r)
{
    struct la_usage_watch_t *watch = watch_of(r);
    la_usage_t usage = {LA_USAGE_NONE, 0, 0, 0};

    if (!watch) {
        return usage;
    }
    if (watch->reader && !watch->is_head) {
        usage = la_usage_end(watch->reader, watch->status >= 200 && watch->status < 300,
                             watch->is_whole && !watch->is_broken && !r->connection->aborted);
    }
    count_usage(r, &usage);
    for (; r; r = r->next) {
        set_notes(r, &usage);
    }
    return usage;
}

void la_usage_filter_register(void)
{
    filter_handle =
        ap_register_output_filter("LLAMA_AUTH_USAGE", usage_filter, NULL, AP_FTYPE_RESOURCE - 1);
}
