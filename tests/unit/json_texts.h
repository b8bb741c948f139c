/* JSON texts for tests of json.c: long ones made of one item, and trees written back in one form.
 */
#ifndef JSON_TEXTS_H
#define JSON_TEXTS_H

#include "base/json.h"

#include <apr_strings.h>

#include <string.h>

static inline la_slice_t slice_of(const char *text)
{
    return la_slice_of(text);
}

/* `open`, then `item` as often as fits into `bytes`, with commas, then `close`; a # in the item is
 * its number. */
static inline la_slice_t repeated(apr_pool_t *pool, const char *open, const char *item,
                                  const char *close, apr_size_t bytes)
{
    la_json_writer_t text;

    la_json_writer_init(&text, pool);
    la_json_write_raw(&text, slice_of(open));
    for (int i = 0; i == 0 || text.len + 2 * strlen(item) + strlen(close) + 16 < bytes; i++) {
        const char *number = strchr(item, '#');

        la_json_write_raw(&text, i ? LA_SLICE(",") : LA_SLICE(""));
        if (number) {
            la_json_write_raw(&text, (la_slice_t){item, (apr_size_t)(number - item)});
            la_json_write_raw(&text, slice_of(apr_psprintf(pool, "%d%s", i, number + 1)));
        } else {
            la_json_write_raw(&text, slice_of(item));
        }
    }
    la_json_write_raw(&text, slice_of(close));
    return (la_slice_t){text.data, text.len};
}

static inline void write_value(la_json_writer_t *writer, const la_json_t *value)
{
    la_json_iterator_t it = {0};
    const la_json_t *member;
    const char *comma = "";
    la_slice_t text;

    if (la_json_string(value, &text)) {
        la_json_write_string(writer, text);
        return;
    }
    switch (la_json_type(value)) {
    case LA_JSON_NULL:
        la_json_write_raw(writer, LA_SLICE("null"));
        return;
    case LA_JSON_BOOLEAN:
    case LA_JSON_NUMBER:
    case LA_JSON_STRING:
        (void)la_json_scalar_text(writer->pool, value, &text);
        la_json_write_raw(writer, text);
        return;
    case LA_JSON_ARRAY:
        la_json_write_raw(writer, LA_SLICE("["));
        for (apr_size_t i = 0; i < la_json_count(value); i++, comma = ",") {
            la_json_write_raw(writer, slice_of(comma));
            write_value(writer, la_json_item(value, i));
        }
        la_json_write_raw(writer, LA_SLICE("]"));
        return;
    case LA_JSON_OBJECT:
        la_json_write_raw(writer, LA_SLICE("{"));
        for (; la_json_next(value, &it, &text, &member); comma = ",") {
            la_json_write_raw(writer, slice_of(comma));
            la_json_write_string(writer, text);
            la_json_write_raw(writer, LA_SLICE(":"));
            write_value(writer, member);
        }
        la_json_write_raw(writer, LA_SLICE("}"));
        return;
    }
}

static inline const char *written(apr_pool_t *pool, const la_json_t *value)
{
    la_json_writer_t writer;

    la_json_writer_init(&writer, pool);
    write_value(&writer, value);
    return writer.data;
}

#endif
