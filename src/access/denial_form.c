/* Error documents in several forms. A template is cut into pieces once, while the configuration is
 * read: text that goes out as it is, and placeholders between. Writing is a walk over the pieces;
 * any thread.
 */
#include "access/denial_form.h"

#include "base/json.h"

#include <string.h>

#include <apr_strings.h>
#include <apr_tables.h>

typedef enum place_e {
    PLACE_NONE,
    PLACE_MESSAGE,
    PLACE_STATUS,
    PLACE_CODE,
    PLACE_SCOPE,
    PLACE_REALM,
    PLACE_METHOD,
    PLACE_PATH,
    PLACE_REQUEST_ID
} place_e;

/* Text as it is, then a value. */
typedef struct piece_t {
    la_slice_t text;
    place_e place; /* PLACE_NONE: the end */
} piece_t;

typedef void write_fn(la_json_writer_t *writer, const la_denial_t *denial);

struct la_denial_form_t {
    const char *name;
    const char *content_type;
    write_fn *write;            /* a preset */
    apr_array_header_t *pieces; /* a template: of piece_t */
};

static const char *message_of(const la_denial_t *denial)
{
    return denial->message ? denial->message : la_denial_make(denial->kind, NULL).message;
}

/* ---- presets ---- */

static void write_member(la_json_writer_t *writer, la_slice_t before, const char *value)
{
    la_json_write_raw(writer, before);
    la_json_write_string(writer, la_slice_of(value));
}

static void write_llama(la_json_writer_t *writer, const la_denial_t *denial)
{
    la_json_write_raw(writer, la_denial_body(writer->pool, denial));
}

static void write_ogx(la_json_writer_t *writer, const la_denial_t *denial)
{
    write_member(writer, LA_SLICE("{\"error\": {\"message\": "), message_of(denial));
    la_json_write_raw(writer, LA_SLICE("}}"));
}

/* What the presets call a status. */
typedef struct status_t {
    int status;
    const char *title; /* the reason phrase of RFC 9110 section 15 */
    const char *openai;
    const char *anthropic;
} status_t;

static const status_t *find_status(int status)
{
    static const char invalid[] = "invalid_request_error";
    static const char unauthorized[] = "authentication_error";
    static const status_t statuses[] = {
        {400, "Bad Request", invalid, invalid},
        {401, "Unauthorized", invalid, unauthorized},
        {403, "Forbidden", "permission_error", "permission_error"},
        {404, "Not Found", invalid, "not_found_error"},
        {407, "Proxy Authentication Required", invalid, unauthorized}, /* a forward proxy's 401 */
        {413, "Content Too Large", invalid, "request_too_large"},
        {415, "Unsupported Media Type", invalid, invalid},
        {429, "Too Many Requests", "requests", "rate_limit_error"},
        {502, "Bad Gateway", "server_error", "api_error"},
        {503, "Service Unavailable", "server_error", "api_error"},
        {500, "Internal Server Error", "server_error", "api_error"},
    };
    const status_t *row = statuses;

    while (row->status != status && row->status != 500) {
        row++;
    }
    return row;
}

static void write_openai(la_json_writer_t *writer, const la_denial_t *denial)
{
    write_member(writer, LA_SLICE("{\"error\": {\"message\": "), message_of(denial));
    write_member(writer, LA_SLICE(", \"type\": "), find_status(denial->status)->openai);
    write_member(writer, LA_SLICE(", \"param\": null, \"code\": "), la_denial_code(denial->kind));
    la_json_write_raw(writer, LA_SLICE("}}"));
}

static void write_anthropic(la_json_writer_t *writer, const la_denial_t *denial)
{
    write_member(writer, LA_SLICE("{\"type\": \"error\", \"error\": {\"type\": "),
                 find_status(denial->status)->anthropic);
    write_member(writer, LA_SLICE(", \"message\": "), message_of(denial));
    la_json_write_raw(writer, LA_SLICE("}}"));
}

/* RFC 9457. */
static void write_problem(la_json_writer_t *writer, const la_denial_t *denial)
{
    write_member(writer, LA_SLICE("{\"type\": \"about:blank\", \"title\": "),
                 find_status(denial->status)->title);
    la_json_write_raw(writer,
                      la_slice_of(apr_psprintf(writer->pool, ", \"status\": %d", denial->status)));
    write_member(writer, LA_SLICE(", \"detail\": "), message_of(denial));
    write_member(writer, LA_SLICE(", \"code\": "), la_denial_code(denial->kind));
    la_json_write_raw(writer, LA_SLICE("}"));
}

static const la_denial_form_t presets[] = {
    {"llama", "application/json", write_llama, NULL},
    {"ogx", "application/json", write_ogx, NULL},
    {"openai", "application/json", write_openai, NULL},
    {"anthropic", "application/json", write_anthropic, NULL},
    {"problem", "application/problem+json", write_problem, NULL}};

const la_denial_form_t *la_denial_form_preset(const char *name)
{
    apr_size_t i;

    for (i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
        if (strcasecmp(presets[i].name, name) == 0) {
            return &presets[i];
        }
    }
    return NULL;
}

/* ---- templates ---- */

static const char *const place_names[] = {
    [PLACE_MESSAGE] = "message", [PLACE_STATUS] = "status",        [PLACE_CODE] = "code",
    [PLACE_SCOPE] = "scope",     [PLACE_REALM] = "realm",          [PLACE_METHOD] = "method",
    [PLACE_PATH] = "path",       [PLACE_REQUEST_ID] = "request_id"};

static place_e place_named(const char *name, apr_size_t len)
{
    apr_size_t i;

    for (i = PLACE_MESSAGE; i < sizeof(place_names) / sizeof(place_names[0]); i++) {
        if (la_slice_is((la_slice_t){name, len}, place_names[i])) {
            return (place_e)i;
        }
    }
    return PLACE_NONE;
}

/* Where a string of sound JSON ends: its closing quote. */
static const char *string_end(const char *p, const char *end)
{
    for (; p < end && *p != '"'; p++) {
        p += *p == '\\';
    }
    return p;
}

/* Whether the string that ends at `quote` is a member's name. */
static int is_name(const char *quote, const char *end)
{
    const char *p = quote + 1;

    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')) {
        p++;
    }
    return p < end && *p == ':';
}

static void add_piece(la_denial_form_t *form, const char *start, const char *end, place_e place)
{
    piece_t *piece = apr_array_push(form->pieces);

    piece->text = (la_slice_t){start, (apr_size_t)(end - start)};
    piece->place = place;
}

/* Cuts one string value at its placeholders; `*start` is where the text not yet in a piece begins.
 */
static const char *cut_value(apr_pool_t *pool, la_denial_form_t *form, const char **start,
                             const char *p, const char *quote)
{
    for (; p + 1 < quote; p++) {
        const char *close;
        place_e place;

        if (p[0] != '%' || p[1] != '{') {
            continue;
        }
        close = memchr(p, '}', (apr_size_t)(quote - p));
        if (!close) {
            return "a placeholder has no closing '}'";
        }
        place = place_named(p + 2, (apr_size_t)(close - p - 2));
        if (place == PLACE_NONE) {
            return apr_psprintf(pool, "there is no placeholder %s",
                                apr_pstrmemdup(pool, p, (apr_size_t)(close + 1 - p)));
        }
        add_piece(form, *start, p, place);
        *start = close + 1;
        p = close;
    }
    return NULL;
}

/* Cuts a text that is known to be JSON. */
static const char *cut(apr_pool_t *pool, la_denial_form_t *form, const char *text, const char *end)
{
    const char *start = text;
    const char *error = NULL;
    const char *p;

    for (p = text; p < end && !error; p++) {
        const char *quote;

        if (*p != '"') {
            continue;
        }
        quote = string_end(p + 1, end);
        if (!is_name(quote, end)) {
            error = cut_value(pool, form, &start, p + 1, quote);
        }
        p = quote;
    }
    add_piece(form, start, end, PLACE_NONE);
    return error;
}

const char *la_denial_form_parse(apr_pool_t *pool, la_slice_t text, const la_denial_form_t **form)
{
    const la_json_t *value;
    const char *error = la_json_parse(pool, text, &value);
    la_denial_form_t *made;
    const char *copy;

    *form = NULL;
    if (error) {
        return apr_psprintf(pool, "no JSON: %s", error);
    }
    if (la_json_type(value) != LA_JSON_OBJECT) {
        return "no JSON object";
    }
    made = apr_pcalloc(pool, sizeof(*made));
    made->content_type = "application/json";
    made->pieces = apr_array_make(pool, 8, sizeof(piece_t));
    copy = apr_pstrmemdup(pool, text.data, text.len);
    error = cut(pool, made, copy, copy + text.len);
    *form = error ? NULL : made;
    return error;
}

const la_denial_form_t *la_denial_form_copy(apr_pool_t *pool, const la_denial_form_t *form)
{
    la_denial_form_t *copy;
    int i;

    if (!form || !form->pieces) {
        return form;
    }
    copy = apr_pmemdup(pool, form, sizeof(*form));
    copy->pieces = apr_array_copy(pool, form->pieces);
    for (i = 0; i < copy->pieces->nelts; i++) {
        la_slice_t *text = &APR_ARRAY_IDX(copy->pieces, i, piece_t).text;

        text->data = apr_pstrmemdup(pool, text->data, text->len);
    }
    return copy;
}

static const char *value_of(apr_pool_t *pool, place_e place, const la_denial_t *denial,
                            const la_denial_context_t *context)
{
    switch (place) {
    case PLACE_NONE:
        return NULL;
    case PLACE_MESSAGE:
        return message_of(denial);
    case PLACE_STATUS:
        return apr_itoa(pool, denial->status);
    case PLACE_CODE:
        return la_denial_code(denial->kind);
    case PLACE_SCOPE:
        return denial->scope;
    case PLACE_REALM:
        return context->realm;
    case PLACE_METHOD:
        return context->method;
    case PLACE_PATH:
        return context->path;
    case PLACE_REQUEST_ID:
        return context->request_id;
    }
    return NULL;
}

/* A value as it stands inside a string: escaped, without the quotes around it. */
static void write_inside(la_json_writer_t *writer, const char *value)
{
    la_json_writer_t quoted;

    la_json_writer_init(&quoted, writer->pool);
    la_json_write_string(&quoted, la_slice_of(value));
    la_json_write_raw(writer, (la_slice_t){quoted.data + 1, quoted.len - 2});
}

la_slice_t la_denial_form_write(apr_pool_t *pool, const la_denial_form_t *form,
                                const la_denial_t *denial, const la_denial_context_t *context,
                                const char **content_type)
{
    la_json_writer_t writer;
    int i;

    form = form ? form : &presets[0];
    *content_type = form->content_type;
    la_json_writer_init(&writer, pool);
    if (form->write) {
        form->write(&writer, denial);
        return (la_slice_t){writer.data, writer.len};
    }
    for (i = 0; i < form->pieces->nelts; i++) {
        const piece_t *piece = &APR_ARRAY_IDX(form->pieces, i, piece_t);

        la_json_write_raw(&writer, piece->text);
        write_inside(&writer, value_of(pool, piece->place, denial, context));
    }
    return (la_slice_t){writer.data, writer.len};
}
