/* The JSON layer: json-c takes what the scan found sound, what is taken can be walked and written
 * again, and what is written is taken. A list that is read an item at a time is the list of the
 * tree. */
#include "base/json.h"
#include "base/json_scan.h"

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

static int is_refusal_of_sound(const char *error)
{
    return strncmp(error, "duplicate member name at line ", 30) == 0 ||
           strcmp(error, "too many values") == 0;
}

static void compare_list(apr_pool_t *pool, la_slice_t text, const la_json_t *tree)
{
    const la_json_t *whole = NULL;
    const la_json_t *rest;
    const la_json_t *item;
    la_json_list_t list;
    size_t i;

    HOLDS(la_json_parse_list(pool, text, "keys", &rest, &list) == NULL);
    HOLDS(la_json_count(rest) == la_json_count(tree) || la_json_type(tree) == LA_JSON_ARRAY);
    (void)la_json_member(tree, "keys", &whole);
    HOLDS(list.count == (la_json_type(whole) == LA_JSON_ARRAY ? la_json_count(whole) : 0));
    for (i = 0; i < list.count; i++) {
        const char *error = la_json_list_next(&list, pool, &item);

        HOLDS(!error || strcmp(error, "too many values") == 0);
        HOLDS(error || la_json_type(item) == la_json_type(la_json_item(whole, i)));
        HOLDS(error || la_json_count(item) == la_json_count(la_json_item(whole, i)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = exact(data, size);
    const la_json_t *value;
    la_json_writer_t writer;
    la_json_scan_t scan;
    int sound = la_json_scan((la_slice_t){text, size}, NULL, &scan);
    const char *error = la_json_parse(pool, (la_slice_t){text, size}, &value);

    HOLDS(sound ? !error || is_refusal_of_sound(error) : error != NULL);
    if (!error) {
        compare_list(pool, (la_slice_t){text, size}, value);
        la_json_writer_init(&writer, pool);
        walk(pool, value, &writer);
        HOLDS(is_field_value(writer.data, writer.len));
        error = la_json_parse(pool, (la_slice_t){writer.data, writer.len}, &value);
        HOLDS(!error || is_refusal_of_sound(error));
    }
    free(text);
    apr_pool_destroy(pool);
    return 0;
}
