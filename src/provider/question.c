/* Makes the question to a `custom` endpoint. Any thread. */
#include "provider/question.h"

#include "base/form.h"
#include "base/json.h"

#include <string.h>
#include <strings.h>

#include <apr_strings.h>

static int is_among(const apr_array_header_t *names, const char *name)
{
    int i;

    for (i = 0; names && i < names->nelts; i++) {
        if (strcasecmp(name, APR_ARRAY_IDX(names, i, const char *)) == 0) {
            return 1;
        }
    }
    return 0;
}

int la_question_is_credential(const char *name)
{
    return strcasecmp(name, "authorization") == 0 || strcasecmp(name, "proxy-authorization") == 0 ||
           strcasecmp(name, "dpop") == 0;
}

int la_question_has_field(const la_send_headers_t *send, const char *name)
{
    return send->which == LA_SEND_ALL ||
           (send->which == LA_SEND_NAMED && is_among(send->names, name));
}

/* ---- header fields ---- */

typedef struct field_filter_t {
    const la_send_headers_t *send;
    const la_call_t *call;
    apr_table_t *fields;
} field_filter_t;

static int add_field(void *data, const char *name, const char *value)
{
    field_filter_t *filter = data;
    const la_send_headers_t *send = filter->send;

    if (!la_question_is_credential(name) && !is_among(filter->call->hidden[0], name) &&
        !is_among(filter->call->hidden[1], name) && la_question_has_field(send, name)) {
        apr_table_addn(filter->fields, name, value);
    }
    return 1;
}

/* A name in lower case, in ASCII whatever the locale. */
static la_slice_t to_lower(apr_pool_t *pool, const char *name)
{
    char *copy = apr_pstrdup(pool, name);
    char *p;

    for (p = copy; *p; p++) {
        if (*p >= 'A' && *p <= 'Z') {
            *p = (char)(*p + ('a' - 'A'));
        }
    }
    return (la_slice_t){copy, (apr_size_t)(p - copy)};
}

/* Whether the question has room for `len` bytes more, which JSON may make longer. */
static int has_room(const la_json_writer_t *writer, apr_size_t len)
{
    return writer->len <= LA_QUESTION_MAX_BYTES && len <= LA_QUESTION_MAX_BYTES - writer->len;
}

/* Appends a string. Returns 0 if the question gets too large. */
static int write_bounded(la_json_writer_t *writer, la_slice_t text)
{
    if (!has_room(writer, text.len)) {
        return 0;
    }
    la_json_write_string(writer, text);
    return 1;
}

static int write_field(la_json_writer_t *writer, const apr_table_entry_t *field, apr_pool_t *pool)
{
    if (!write_bounded(writer, to_lower(pool, field->key))) {
        return 0;
    }
    la_json_write_raw(writer, LA_SLICE(":"));
    return write_bounded(writer, la_slice_of(field->val));
}

static int write_headers(la_json_writer_t *writer, const la_send_headers_t *send,
                         const la_call_t *call, apr_pool_t *pool)
{
    field_filter_t filter = {send, call, apr_table_make(pool, 16)};
    const apr_array_header_t *fields;
    int i;

    if (send->which != LA_SEND_NONE) {
        apr_table_do(add_field, &filter, call->headers, NULL);
    }
    /* Repeated fields become one, joined by ", " (RFC 9110 section 5.3). */
    apr_table_compress(filter.fields, APR_OVERLAP_TABLES_MERGE);
    fields = apr_table_elts(filter.fields);
    la_json_write_raw(writer, LA_SLICE("{"));
    for (i = 0; i < fields->nelts; i++) {
        la_json_write_raw(writer, i > 0 ? LA_SLICE(",") : LA_SLICE(""));
        if (!write_field(writer, &APR_ARRAY_IDX(fields, i, apr_table_entry_t), pool)) {
            return 0;
        }
    }
    la_json_write_raw(writer, LA_SLICE("}"));
    return 1;
}

/* ---- the question ---- */

int la_question_make(const la_send_headers_t *send, const la_call_t *call, apr_pool_t *pool,
                     la_slice_t *question)
{
    const char *query = call->query ? call->query : "";
    la_json_writer_t writer;

    la_json_writer_init(&writer, pool);
    la_json_write_raw(&writer, LA_SLICE("{\"api_key\":"));
    la_json_write_string(&writer, call->token);
    la_json_write_raw(&writer, LA_SLICE(",\"request\":{\"path\":"));
    if (!write_bounded(&writer, la_slice_of(call->path))) {
        return 0;
    }
    la_json_write_raw(&writer, LA_SLICE(",\"headers\":"));
    if (!write_headers(&writer, send, call, pool) || !has_room(&writer, strlen(query))) {
        return 0;
    }
    la_json_write_raw(&writer, LA_SLICE(",\"params\":"));
    la_form_write(&writer, query, pool);
    la_json_write_raw(&writer, LA_SLICE("}}"));
    *question = (la_slice_t){writer.data, writer.len};
    return has_room(&writer, 0);
}
