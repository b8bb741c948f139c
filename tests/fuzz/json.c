/* The JSON layer: what it takes can be walked and written again, and what is written is taken. */
#include "core/json.h"

#include "fuzz.h"

static void walk(apr_pool_t *pool, const la_json_t *value, la_json_writer_t *writer)
{
    la_json_iterator_t it = {0};
    const la_json_t *member;
    la_slice_t text;
    double number;
    int boolean;
    size_t i;

    if (la_json_string(value, &text)) {
        la_json_write_string(writer, text);
        return;
    }
    la_json_boolean(value, &boolean);
    la_json_number(value, &number);
    if (la_json_scalar_text(pool, value, &text)) {
        la_json_write_raw(writer, LA_SLICE("0"));
        return;
    }
    la_json_write_raw(writer, LA_SLICE("["));
    for (i = 0; i < la_json_count(value); i++) {
        la_json_write_raw(writer, i ? LA_SLICE(",") : LA_SLICE(""));
        if (la_json_item(value, i)) {
            walk(pool, la_json_item(value, i), writer);
        } else {
            la_json_write_raw(writer, LA_SLICE("0"));
        }
    }
    la_json_write_raw(writer, LA_SLICE("]"));
    while (la_json_next(value, &it, &text, &member)) {
        HOLDS(la_json_count(value) > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = exact(data, size);
    const la_json_t *value;
    la_json_writer_t writer;

    if (!la_json_parse(pool, (la_slice_t){text, size}, &value)) {
        la_json_writer_init(&writer, pool);
        walk(pool, value, &writer);
        HOLDS(is_field_value(writer.data, writer.len));
        HOLDS(la_json_parse(pool, (la_slice_t){writer.data, writer.len}, &value) == NULL);
    }
    free(text);
    apr_pool_destroy(pool);
    return 0;
}
