/* JSON texts with placeholders: checked once, while the configuration is read, and filled in each
 * time one is written. Any thread. */
#include "access/denial_form.h"

#include "base/json.h"

#include <apr_strings.h>

typedef enum place_e {
    PLACE_MESSAGE,
    PLACE_STATUS,
    PLACE_CODE,
    PLACE_SCOPE,
    PLACE_REALM,
    PLACE_METHOD,
    PLACE_PATH,
    PLACE_REQUEST_ID,
    PLACE_TITLE, /* this and the following in presets only */
    PLACE_OPENAI,
    PLACE_ANTHROPIC,
    PLACE_RPC_CODE,
    PLACE_RPC_ID /* JSON, and not inside a string */
} place_e;

static const char *const place_names[] = {"message",   "status",   "code",       "scope", "realm",
                                          "method",    "path",     "request_id", "title", "openai",
                                          "anthropic", "rpc_code", "rpc_id"};
#define PLACES ((int)(sizeof(place_names) / sizeof(place_names[0])))

struct la_denial_form_t {
    const char *name;
    const char *content_type;
    la_slice_t text;
    la_slice_t detail; /* in place of `text` if la_denial_has_detail(); empty: `text` */
};

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

/* `message` is the document of a denial without detail, `detail` of one with it. */
#define PRESET(name, type, message, detail)                                                        \
    {                                                                                              \
        name, type, LA_SLICE(message), LA_SLICE(detail)                                            \
    }

static const la_denial_form_t presets[] = {
    PRESET("llama", "application/json", "{\"error\": {\"message\": \"%{message}\"}}",
           "{\"error\": {\"detail\": \"%{message}\"}}"),
    PRESET("ogx", "application/json", "{\"error\": {\"message\": \"%{message}\"}}", ""),
    PRESET("openai", "application/json",
           "{\"error\": {\"message\": \"%{message}\", \"type\": \"%{openai}\", \"param\": null, "
           "\"code\": \"%{code}\"}}",
           ""),
    PRESET("anthropic", "application/json",
           "{\"type\": \"error\", \"error\": {\"type\": \"%{anthropic}\", \"message\": "
           "\"%{message}\"}}",
           ""),
    /* JSON-RPC 2.0 section 5 */
    PRESET("mcp", "application/json",
           "{\"jsonrpc\": \"2.0\", \"id\": %{rpc_id}, \"error\": {\"code\": %{rpc_code}, "
           "\"message\": \"%{message}\"}}",
           ""),
    /* RFC 9457 */
    PRESET("problem", "application/problem+json",
           "{\"type\": \"about:blank\", \"title\": \"%{title}\", \"status\": %{status}, "
           "\"detail\": \"%{message}\", \"code\": \"%{code}\"}",
           "")};

const la_denial_form_t *la_denial_form_preset(const char *name)
{
    for (apr_size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
        if (strcasecmp(presets[i].name, name) == 0) {
            return &presets[i];
        }
    }
    return NULL;
}

/* Where a string ends: its closing quote. The text is JSON. */
static const char *find_quote(const char *p, const char *end)
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

/* The next `%{` in a value at or after `p`, or `end`. Names and escapes are skipped. */
static const char *find_placeholder(const char *p, const char *end, int *in_string)
{
    for (; p < end && !(p[0] == '%' && p[1] == '{'); p++) {
        if (*p == '\\') {
            p++;
        } else if (*p == '"' && !*in_string && is_name(find_quote(p + 1, end), end)) {
            p = find_quote(p + 1, end);
        } else if (*p == '"') {
            *in_string = !*in_string;
        }
    }
    return p;
}

/* Where a placeholder ends: its brace, or the end of the string. */
static const char *find_brace(const char *p, const char *end)
{
    while (p < end && *p != '}' && *p != '"') {
        p++;
    }
    return p;
}

/* The place of that name, or `limit`. */
static int find_place(la_slice_t name, int limit)
{
    int place = 0;

    while (place < limit && !la_slice_is(name, place_names[place])) {
        place++;
    }
    return place;
}

static const char *check_placeholders(apr_pool_t *pool, la_slice_t text)
{
    const char *end = text.data + text.len;
    const char *p = text.data;
    int in_string = 0;

    while ((p = find_placeholder(p, end, &in_string)) < end) {
        const char *close = find_brace(p, end);
        la_slice_t name = {p + 2, (apr_size_t)(close - p) - 2};

        if (*close != '}') {
            return "a placeholder has no closing '}'";
        }
        if (find_place(name, PLACE_TITLE) == PLACE_TITLE) {
            return apr_psprintf(pool, "there is no placeholder %s",
                                apr_pstrmemdup(pool, p, name.len + 3));
        }
        p = close + 1;
    }
    return NULL;
}

const char *la_denial_form_parse(apr_pool_t *pool, la_slice_t text, const la_denial_form_t **form)
{
    la_denial_form_t *made = apr_pcalloc(pool, sizeof(*made));
    const la_json_t *value;
    const char *error = la_json_parse(pool, text, &value);

    *form = NULL;
    if (error) {
        return apr_psprintf(pool, "no JSON: %s", error);
    }
    if (la_json_type(value) != LA_JSON_OBJECT) {
        return "no JSON object";
    }
    made->content_type = "application/json";
    made->text = (la_slice_t){apr_pstrmemdup(pool, text.data, text.len), text.len};
    error = check_placeholders(pool, made->text);
    *form = error ? NULL : made;
    return error;
}

const la_denial_form_t *la_denial_form_copy(apr_pool_t *pool, const la_denial_form_t *form)
{
    la_denial_form_t *copy;

    if (!form || form->name) {
        return form;
    }
    copy = apr_pmemdup(pool, form, sizeof(*form));
    copy->text.data = apr_pstrmemdup(pool, form->text.data, form->text.len);
    return copy;
}

/* MCP's code for header fields that do not agree, JSON-RPC's for an invalid request, and one of
 * those that are left to servers. */
static const char *rpc_code(la_denial_e kind)
{
    if (kind == LA_DENIAL_DISAGREES) {
        return "-32020";
    }
    return kind == LA_DENIAL_BODY || kind == LA_DENIAL_BODY_SIZE || kind == LA_DENIAL_MEDIA_TYPE
               ? "-32600"
               : "-32000";
}

static const char *value_of(apr_pool_t *pool, place_e place, const la_denial_t *denial,
                            const la_denial_context_t *context)
{
    switch (place) {
    case PLACE_MESSAGE:
        return denial->message;
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
    case PLACE_TITLE:
        return find_status(denial->status)->title;
    case PLACE_OPENAI:
        return denial->kind == LA_DENIAL_TOKENS ? "tokens" : find_status(denial->status)->openai;
    case PLACE_ANTHROPIC:
        return find_status(denial->status)->anthropic;
    case PLACE_RPC_CODE:
        return rpc_code(denial->kind);
    case PLACE_RPC_ID:
        return context->rpc_id ? context->rpc_id : "null";
    }
    return NULL;
}

/* Writes a value as it stands inside a string: escaped, without the quotes around it. */
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
    const la_denial_form_t *chosen = form ? form : &presets[0];
    int has_detail = chosen->detail.len > 0 && la_denial_has_detail(denial->kind);
    la_slice_t text = has_detail ? chosen->detail : chosen->text;
    const char *end = text.data + text.len;
    const char *from = text.data;
    const char *p = from;
    la_json_writer_t writer;
    int in_string = 0;

    *content_type = chosen->content_type;
    la_json_writer_init(&writer, pool);
    while ((p = find_placeholder(p, end, &in_string)) < end) {
        const char *close = find_brace(p, end);
        int place = find_place((la_slice_t){p + 2, (apr_size_t)(close - p) - 2}, PLACES);

        la_json_write_raw(&writer, (la_slice_t){from, (apr_size_t)(p - from)});
        if (place == PLACE_RPC_ID) {
            la_json_write_raw(&writer, la_slice_of(value_of(pool, PLACE_RPC_ID, denial, context)));
        } else {
            write_inside(&writer, value_of(pool, (place_e)place, denial, context));
        }
        p = from = close + 1;
    }
    la_json_write_raw(&writer, (la_slice_t){from, (apr_size_t)(end - from)});
    return (la_slice_t){writer.data, writer.len};
}
