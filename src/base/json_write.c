/* Strings to JSON text in ASCII. Owns what is escaped and how the text grows. Called by request
 * threads and while the configuration is read. */
#include "base/json.h"

#include "base/json_scan.h"

#include <string.h>

#define REPLACEMENT_CHAR 0xFFFDu

#define WRITER_FIRST_CAPACITY 64

void la_json_writer_init(la_json_writer_t *writer, apr_pool_t *pool)
{
    *writer = (la_json_writer_t){.pool = pool};
    if (!pool) {
        return;
    }
    writer->capacity = WRITER_FIRST_CAPACITY;
    writer->data = apr_palloc(pool, writer->capacity);
    writer->data[0] = '\0';
}

/* Makes room for `extra` bytes and the NUL. Because of the doubling, what growth leaves behind in
 * the pool is smaller than the final text. */
static void writer_reserve(la_json_writer_t *writer, apr_size_t extra)
{
    apr_size_t needed = writer->len + extra + 1;
    const char *old = writer->data;

    if (needed <= writer->capacity) {
        return;
    }
    writer->capacity = needed > 2 * writer->capacity ? needed : 2 * writer->capacity;
    writer->data = apr_palloc(writer->pool, writer->capacity);
    memcpy(writer->data, old, writer->len);
}

void la_json_write_raw(la_json_writer_t *writer, la_slice_t text)
{
    if (text.len == 0) {
        return;
    }
    if (writer->pool) {
        writer_reserve(writer, text.len);
        memcpy(writer->data + writer->len, text.data, text.len);
        writer->data[writer->len + text.len] = '\0';
    }
    writer->len += text.len;
}

static void write_unit(la_json_writer_t *writer, unsigned unit)
{
    static const char hex[] = "0123456789abcdef";
    char text[] = {
        '\\', 'u', hex[unit >> 12 & 15], hex[unit >> 8 & 15], hex[unit >> 4 & 15], hex[unit & 15]};

    la_json_write_raw(writer, (la_slice_t){text, sizeof(text)});
}

static void write_escaped(la_json_writer_t *writer, unsigned code)
{
    static const char plain[] = {'"', '\\', '\b', '\f', '\n', '\r', '\t'};
    static const char letter[] = {'"', '\\', 'b', 'f', 'n', 'r', 't'};
    const char *found = code < 0x80 ? memchr(plain, (int)code, sizeof(plain)) : NULL;

    if (found) {
        char text[] = {'\\', letter[found - plain]};

        la_json_write_raw(writer, (la_slice_t){text, sizeof(text)});
    } else if (code == LA_NOT_UTF8) {
        write_unit(writer, REPLACEMENT_CHAR);
    } else if (code > 0xFFFF) {
        write_unit(writer, 0xD800 + ((code - 0x10000) >> 10));
        write_unit(writer, 0xDC00 + ((code - 0x10000) & 0x3FF));
    } else {
        write_unit(writer, code);
    }
}

/* How many bytes from `start` stand for themselves inside a string. */
static apr_size_t plain_run(const unsigned char *start, apr_size_t len)
{
    apr_size_t i = 0;

    while (i < len && start[i] >= 0x20 && start[i] < 0x7F && start[i] != '"' && start[i] != '\\') {
        i++;
    }
    return i;
}

void la_json_write_string(la_json_writer_t *writer, la_slice_t text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    apr_size_t at = 0;

    la_json_write_raw(writer, LA_SLICE("\""));
    while (at < text.len) {
        apr_size_t run = plain_run(bytes + at, text.len - at);
        unsigned code;

        la_json_write_raw(writer, (la_slice_t){text.data + at, run});
        at += run;
        if (at == text.len) {
            break;
        }
        at += la_utf8_decode(bytes + at, text.len - at, &code);
        write_escaped(writer, code);
    }
    la_json_write_raw(writer, LA_SLICE("\""));
}

void la_json_write_strings(la_json_writer_t *writer, const apr_array_header_t *texts)
{
    la_json_write_raw(writer, LA_SLICE("["));
    for (int i = 0; i < texts->nelts; i++) {
        la_json_write_raw(writer, i > 0 ? LA_SLICE(", ") : LA_SLICE(""));
        la_json_write_string(writer, la_slice_of(APR_ARRAY_IDX(texts, i, const char *)));
    }
    la_json_write_raw(writer, LA_SLICE("]"));
}

const char *la_json_quoted(apr_pool_t *pool, la_slice_t text)
{
    la_slice_t shown = text;
    la_json_writer_t writer;

    if (text.len > LA_JSON_QUOTED_BYTES) {
        shown.len = LA_JSON_QUOTED_BYTES;
        while (shown.len > 0 && ((unsigned char)text.data[shown.len] & 0xC0) == 0x80) {
            shown.len--;
        }
    }
    la_json_writer_init(&writer, pool);
    la_json_write_string(&writer, shown);
    if (shown.len < text.len) {
        la_json_write_raw(&writer, LA_SLICE("..."));
    }
    return writer.data;
}
