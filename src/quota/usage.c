/* Cuts an answer into JSON texts while it passes: the whole body, events (SSE, WHATWG HTML section
 * 9.2) or lines (NDJSON), and says in the end what was used. usage_json.c reads the texts. A reader
 * belongs to one answer and one thread at a time. */
#include "quota/usage.h"

#include "quota/usage_json.h"

#include <string.h>
#include <strings.h>

/* Where in a line of an event stream. */
typedef enum line_e {
    LINE_START,
    LINE_FIELD, /* the beginning is `data:` so far */
    LINE_BLANK, /* behind the colon, where one blank is left out */
    LINE_DATA,
    LINE_OTHER
} line_e;

struct la_usage_reader_t {
    la_usage_form_e form;
    la_usage_json_t json;
    line_e line;
    unsigned field_len;
    int after_return; /* the last byte was a CR */
    int has_text;     /* of this event or line */
    unsigned mark;    /* bytes of a byte order mark that have passed; all, if there is none */
    uint64_t events;
};

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void end_document(la_usage_reader_t *reader)
{
    if (reader->has_text) {
        reader->events++;
    }
    reader->has_text = 0;
    la_usage_json_end(&reader->json);
}

/* The part of `bytes` up to the end of a line. */
static la_slice_t in_line(const char *p, const char *end)
{
    return (la_slice_t){p, (apr_size_t)(la_usage_find(p, end, '\n', '\r') - p)};
}

static void read_ndjson(la_usage_reader_t *reader, la_slice_t bytes)
{
    const char *end = bytes.data + bytes.len;
    const char *p = bytes.data;

    while (p < end) {
        la_slice_t text = in_line(p, end);

        for (apr_size_t i = 0; i < text.len && !reader->has_text; i++) {
            reader->has_text = !is_blank(text.data[i]);
        }
        la_usage_json_read(&reader->json, text);
        p += text.len;
        if (p < end) {
            la_usage_json_read(&reader->json, LA_SLICE("\n"));
            end_document(reader);
            p++;
        }
    }
}

/* A line of an event stream has ended: an empty one ends the event, and lines of data are joined by
 * a line feed. */
static void end_line(la_usage_reader_t *reader)
{
    if (reader->line == LINE_START) {
        la_usage_json_read(&reader->json, LA_SLICE("\n"));
        end_document(reader);
    } else if (reader->line >= LINE_BLANK && reader->line != LINE_OTHER) {
        la_usage_json_read(&reader->json, LA_SLICE("\n"));
    }
    reader->line = LINE_START;
    reader->field_len = 0;
}

/* The beginning of a line, up to its data. */
static void read_field(la_usage_reader_t *reader, char c)
{
    static const char field[] = "data:";

    reader->line = LINE_FIELD;
    if (c != field[reader->field_len]) {
        reader->line = LINE_OTHER;
    } else if (field[++reader->field_len] == '\0') {
        reader->line = LINE_BLANK;
        reader->has_text = 1;
    }
}

static void read_event_stream(la_usage_reader_t *reader, la_slice_t bytes)
{
    const char *end = bytes.data + bytes.len;
    const char *p = bytes.data;

    while (p < end) {
        la_slice_t text;

        if (*p == '\n' || *p == '\r') {
            if (*p == '\r' || !reader->after_return) {
                end_line(reader);
            }
            reader->after_return = *p++ == '\r';
            continue;
        }
        reader->after_return = 0;
        if (reader->line == LINE_START || reader->line == LINE_FIELD) {
            read_field(reader, *p++);
            continue;
        }
        text = in_line(p, end);
        p += text.len;
        if (reader->line == LINE_BLANK) {
            reader->line = LINE_DATA;
            if (*text.data == ' ') {
                text = (la_slice_t){text.data + 1, text.len - 1};
            }
        }
        if (reader->line == LINE_DATA) {
            la_usage_json_read(&reader->json, text);
        }
    }
}

static int is_type(la_slice_t type, const char *name)
{
    return type.len == strlen(name) && strncasecmp(type.data, name, type.len) == 0;
}

la_usage_form_e la_usage_form(const char *content_type)
{
    la_slice_t type = {content_type, content_type ? strcspn(content_type, "; \t") : 0};

    if (is_type(type, "application/json") ||
        (type.len > 5 && strncasecmp(type.data + type.len - 5, "+json", 5) == 0)) {
        return LA_USAGE_FORM_JSON;
    }
    if (is_type(type, "text/event-stream")) {
        return LA_USAGE_FORM_SSE;
    }
    return is_type(type, "application/x-ndjson") || is_type(type, "application/ndjson") ||
                   is_type(type, "application/jsonl") || is_type(type, "application/x-jsonlines")
               ? LA_USAGE_FORM_NDJSON
               : LA_USAGE_FORM_OTHER;
}

la_usage_reader_t *la_usage_reader_make(apr_pool_t *pool, la_usage_form_e form)
{
    la_usage_reader_t *reader = apr_pcalloc(pool, sizeof(*reader));

    reader->form = form;
    reader->json.is_event = form == LA_USAGE_FORM_SSE;
    la_usage_json_end(&reader->json);
    return reader;
}

/* Passes over a byte order mark at the beginning (RFC 8259 section 8.1), which .NET may write. */
static la_slice_t behind_mark(la_usage_reader_t *reader, la_slice_t bytes)
{
    static const char mark[] = "\xEF\xBB\xBF";

    while (bytes.len > 0 && mark[reader->mark] && *bytes.data == mark[reader->mark]) {
        bytes = (la_slice_t){bytes.data + 1, bytes.len - 1};
        reader->mark++;
    }
    if (bytes.len > 0) {
        reader->mark = sizeof(mark) - 1;
    }
    return bytes;
}

void la_usage_read(la_usage_reader_t *reader, la_slice_t bytes)
{
    bytes = behind_mark(reader, bytes);
    switch (reader->form) {
    case LA_USAGE_FORM_OTHER:
        break;
    case LA_USAGE_FORM_JSON:
        la_usage_json_read(&reader->json, bytes);
        break;
    case LA_USAGE_FORM_SSE:
        read_event_stream(reader, bytes);
        break;
    case LA_USAGE_FORM_NDJSON:
        read_ndjson(reader, bytes);
        break;
    }
}

static int has(const la_usage_reader_t *reader, la_usage_member_e member)
{
    return (int)(reader->json.has >> member & 1);
}

/* Gateways give cache_read_input_tokens beside prompt_tokens, which counts those already. */
static uint64_t input_of(const la_usage_reader_t *reader)
{
    const uint64_t *counts = reader->json.counts;

    return has(reader, LA_USAGE_PROMPT) ? counts[LA_USAGE_PROMPT]
                                        : counts[LA_USAGE_INPUT] + counts[LA_USAGE_CACHE_WRITTEN] +
                                              counts[LA_USAGE_CACHE_READ];
}

la_usage_t la_usage_end(la_usage_reader_t *reader, int is_success, int is_whole)
{
    const uint64_t *counts = reader->json.counts;
    int is_stream = reader->form == LA_USAGE_FORM_SSE || reader->form == LA_USAGE_FORM_NDJSON;
    int is_told = has(reader, LA_USAGE_OUTPUT) || has(reader, LA_USAGE_TOTAL) ||
                  (!is_stream && is_whole && reader->json.has != 0);
    la_usage_t usage = {.input = input_of(reader), .output = counts[LA_USAGE_OUTPUT]};

    end_document(reader);
    if (!is_success || (!is_told && is_whole && !is_stream)) {
        return (la_usage_t){LA_USAGE_NONE, 0, 0, 0};
    }
    usage.source = is_told ? LA_USAGE_RESPONSE : LA_USAGE_ESTIMATE;
    if (!is_told && usage.output < reader->events) {
        usage.output = reader->events;
    }
    usage.total = usage.input + usage.output;
    usage.total = counts[LA_USAGE_TOTAL] > usage.total ? counts[LA_USAGE_TOTAL] : usage.total;
    return usage;
}
