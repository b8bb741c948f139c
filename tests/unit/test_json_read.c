/* json.c: lists that are read an item at a time, and that json-c, whichever version, takes and
 * reads right what the scan found sound. */
#include "base/json_scan.h"
#include "base/json.h"

#include "heap.h"
#include "json_texts.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define MB          ((apr_size_t)1024 * 1024)

static apr_pool_t *pool;

static int fresh_pool(void **state)
{
    (void)state;
    return apr_pool_create(&pool, NULL);
}

static int drop_pool(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

/* ---- lists ---- */

typedef struct list_row_t {
    const char *name;
    const char *text;
    const char *rest;  /* without white space; NULL: `error` */
    const char *items; /* each closed by ; */
    const char *error; /* of the document, or of the last item */
} list_row_t;

static const list_row_t list_rows[] = {
    {"list: of three", "{\"keys\":[1,2,3]}", "{\"keys\":[]}", "1;2;3;", NULL},
    {"list: in white space", " { \"keys\" :\t[ 1 , \"x\" ] , \"b\" : 2 } ", "{\"keys\":[],\"b\":2}",
     "1;\"x\";", NULL},
    {"list: of lists", "{\"keys\":[[1,[2]],[],{\"keys\":[3,4]}]}", "{\"keys\":[]}",
     "[1,[2]];[];{\"keys\":[3,4]};", NULL},
    {"list: null is an item", "{\"keys\":[null,true]}", "{\"keys\":[]}", "null;true;", NULL},
    {"list: empty", "{\"keys\":[ ]}", "{\"keys\":[]}", "", NULL},
    {"list: none", "{\"a\":[1]}", "{\"a\":[1]}", "", NULL},
    {"list: no list", "{\"keys\":{\"keys\":[1]}}", "{\"keys\":{\"keys\":[1]}}", "", NULL},
    {"list: deeper", "{\"a\":{\"keys\":[1]},\"keys\":[2]}", "{\"a\":{\"keys\":[1]},\"keys\":[]}",
     "2;", NULL},
    {"list: in a list", "[{\"keys\":[1]}]", "[{\"keys\":[1]}]", "", NULL},
    {"list: name with an escape", "{\"k\\u0065ys\":[1,[2]]}", "{\"keys\":[1,[2]]}", "1;[2];", NULL},
    {"list: commas in strings", "{\"keys\":[\",]\",\"\\\"],\"]}", "{\"keys\":[]}",
     "\",]\";\"\\\"],\";", NULL},
    {"list: a surrogate pair", "{\"keys\":[\"\\ud836\\udc00\",1]}", "{\"keys\":[]}",
     "\"\\ud836\\udc00\";1;", NULL},
    {"list: bytes above 0x7f", "{\"\xC3\xA9\":0,\"keys\":[\"\xC3\xA9\"]}",
     "{\"\\u00e9\":0,\"keys\":[]}", "\"\\u00e9\";", NULL},
    {"list: twice", "{\"keys\":[1],\"keys\":[2]}", NULL, "",
     "duplicate member name at line 1, column 13"},
    {"list: twice, the second escaped", "{\"keys\":[1],\"k\\u0065ys\":[2]}", NULL, "",
     "duplicate member name at line 1, column 13"},
    {"list: twice, the second none", "{\"keys\":[1],\"keys\":2}", NULL, "",
     "duplicate member name at line 1, column 13"},
    {"list: a name twice beside it", "{\"a\":1,\"keys\":[],\"a\":1}", NULL, "",
     "duplicate member name at line 1, column 18"},
    {"list: a name twice in an item", "{\"keys\":[1,{\"a\":1,\"a\":2},3]}", "{\"keys\":[]}", "1;",
     "duplicate member name at line 1, column 19"},
    {"list: a name twice in an item on a line of its own",
     "{\"keys\": [\n  {\"\xC3\xA9\\ud83d\\ude00\": 1},\n  {\"b\": 1, \"b\": 2}\n]}",
     "{\"keys\":[]}", "{\"\\u00e9\\ud83d\\ude00\":1};",
     "duplicate member name at line 3, column 12"},
    {"list: not closed", "{\"keys\":[1,2}", NULL, "", "unexpected character at line 1, column 13"},
    {"list: a comma last", "{\"keys\":[1,]}", NULL, "",
     "unexpected character at line 1, column 12"},
    {"list: behind the object", "{\"keys\":[1]}x", NULL, "",
     "more after the value at line 1, column 13"},
};

static void test_list(void **state)
{
    const list_row_t *row = *state;
    la_slice_t text = slice_of(apr_pstrdup(pool, row->text));
    const la_json_t *value;
    la_json_list_t list;
    const char *error = la_json_parse_list(pool, text, "keys", &value, &list);
    const char *items = "";

    if (row->rest) {
        assert_null(error);
        assert_string_equal(written(pool, value), row->rest);
    } else {
        assert_null(value);
        assert_int_equal(list.count, 0);
    }
    for (apr_size_t i = 0; i < list.count && !error; i++) {
        const la_json_t *item;
        apr_pool_t *item_pool;

        apr_pool_create(&item_pool, pool);
        error = la_json_list_next(&list, item_pool, &item);
        error = error ? apr_pstrdup(pool, error) : NULL;
        items = error ? items : apr_pstrcat(pool, items, written(pool, item), ";", NULL);
        apr_pool_destroy(item_pool);
    }
    assert_string_equal(items, row->items);
    assert_string_equal(error ? error : "", row->error ? row->error : "");
}

/* A list may be far longer than a tree: a megabyte of it costs no more than its largest item. */
static void test_long_list(void **state)
{
    la_slice_t text = repeated(pool, "{\"keys\":[", "{}", "]}", MB);
    const la_json_t *value;
    apr_pool_t *item_pool;
    la_json_list_t list;
    size_t before = heap_bytes();

    (void)state;
    assert_null(la_json_parse_list(pool, text, "keys", &value, &list));
    assert_true(list.count > 300000);
    assert_true(heap_growth(before) < 16384 + HEAP_SLACK);
    apr_pool_create(&item_pool, pool);
    before = heap_bytes();
    for (apr_size_t i = 0; i < list.count; i++) {
        assert_null(la_json_list_next(&list, item_pool, &value));
        assert_int_equal(la_json_type(value), LA_JSON_OBJECT);
        assert_true(heap_growth(before) < 16384 + HEAP_SLACK);
        apr_pool_clear(item_pool);
    }
}

static void test_dear_item(void **state)
{
    la_slice_t text = repeated(pool, "{\"keys\":[1,[", "{}", "],2]}", MB);
    const la_json_t *value;
    la_json_list_t list;

    (void)state;
    assert_null(la_json_parse_list(pool, text, "keys", &value, &list));
    assert_int_equal(list.count, 3);
    assert_null(la_json_list_next(&list, pool, &value));
    assert_string_equal(la_json_list_next(&list, pool, &value), "too many values");
    assert_null(value);
}

/* ---- whatever is sound is read, and read right ---- */

typedef struct maker_t {
    uint64_t seed;
    la_json_writer_t text;     /* one of the ways to write it */
    la_json_writer_t expected; /* as write_value() does */
    int names;
} maker_t;

static unsigned pick(maker_t *maker, unsigned count)
{
    maker->seed = maker->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(maker->seed >> 33) % count;
}

static void make_space(maker_t *maker)
{
    static const char *const spaces[] = {"", "", "", " ", "\n", "\t\r "};

    la_json_write_raw(&maker->text, slice_of(spaces[pick(maker, ROWS(spaces))]));
}

static void make_both(maker_t *maker, const char *text)
{
    la_json_write_raw(&maker->text, slice_of(text));
    la_json_write_raw(&maker->expected, slice_of(text));
}

/* Characters in one or two of their forms, with their UTF-8. */
static const struct {
    const char *raw, *escaped, *utf8;
} characters[] = {
    {"a", "\\u0061", "a"},
    {"\x7f", "\\u007F", "\x7f"},
    {"\\n", "\\u000a", "\n"},
    {"\\\"", "\\u0022", "\""},
    {"\\/", "/", "/"},
    {"\\\\", "\\u005C", "\\"},
    {"'", "\\u0027", "'"},
    {"/*", "\\u002f*", "/*"},
    {"\xC2\x80", "\\u0080", "\xC2\x80"},
    {"\xC3\xA9", "\\u00e9", "\xC3\xA9"},
    {"\xED\x9F\xBF", "\\ud7ff", "\xED\x9F\xBF"},
    {"\xEE\x80\x80", "\\uE000", "\xEE\x80\x80"},
    {"\xEF\xBB\xBF", "\\ufeff", "\xEF\xBB\xBF"},
    {"\xEF\xBF\xBF", "\\uffff", "\xEF\xBF\xBF"},
    {"\xF0\x90\x80\x80", "\\ud800\\udc00", "\xF0\x90\x80\x80"},
    {"\xF0\x9D\xA0\x80", "\\ud836\\udc00", "\xF0\x9D\xA0\x80"},
    {"\xF4\x8F\xBF\xBF", "\\udbff\\udfff", "\xF4\x8F\xBF\xBF"},
    {"\\ud800x", "\\udc00x", "\xEF\xBF\xBDx"},
};

/* A string; a name ends in a number of its own. */
static void make_string(maker_t *maker, int is_name)
{
    la_json_writer_t utf8;

    la_json_writer_init(&utf8, pool);
    la_json_write_raw(&maker->text, LA_SLICE("\""));
    for (unsigned left = pick(maker, 6); left > 0; left--) {
        unsigned i = pick(maker, ROWS(characters));

        la_json_write_raw(&maker->text,
                          slice_of(pick(maker, 2) ? characters[i].raw : characters[i].escaped));
        la_json_write_raw(&utf8, slice_of(characters[i].utf8));
    }
    if (is_name) {
        const char *number = apr_psprintf(pool, "-%d", maker->names++);

        la_json_write_raw(&maker->text, slice_of(number));
        la_json_write_raw(&utf8, slice_of(number));
    }
    la_json_write_raw(&maker->text, LA_SLICE("\""));
    la_json_write_string(&maker->expected, (la_slice_t){utf8.data, utf8.len});
}

static const char *const scalars[] = {
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "42",
    "9223372036854775807",
    "-9223372036854775807",
    "18446744073709551614",
    "0.5",
    "-0.0",
    "1e5",
    "1E+5",
    "1.5e-7",
    "1e999",
    "0e0",
    "-0.10",
    "123456789012345678901234567890.5",
    "0.000000000000000000000000000000000000000000000000001",
};

static void make_value(maker_t *maker, unsigned depth);

static void make_container(maker_t *maker, unsigned depth)
{
    int is_object = (int)pick(maker, 2);
    unsigned count = pick(maker, 5);

    make_both(maker, is_object ? "{" : "[");
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            make_both(maker, ",");
        make_space(maker);
        if (is_object) {
            make_string(maker, 1);
            make_space(maker);
            make_both(maker, ":");
        }
        make_value(maker, depth + 1);
    }
    make_space(maker);
    make_both(maker, is_object ? "}" : "]");
}

static void make_value(maker_t *maker, unsigned depth)
{
    make_space(maker);
    switch (depth < LA_JSON_MAX_DEPTH ? pick(maker, 4) : pick(maker, 2)) {
    case 0:
        make_both(maker, scalars[pick(maker, ROWS(scalars))]);
        break;
    case 1:
        make_string(maker, 0);
        break;
    case 2:
    case 3:
        make_container(maker, depth);
        break;
    }
    make_space(maker);
}

static void test_made(void **state)
{
    maker_t maker = {.seed = 1};

    (void)state;
    for (int i = 0; i < 20000; i++) {
        const la_json_t *value;
        char *copy;

        la_json_writer_init(&maker.text, pool);
        la_json_writer_init(&maker.expected, pool);
        make_value(&maker, 0);
        copy = malloc(maker.text.len); /* of exactly the text's size, for ASan */
        assert_non_null(copy);
        memcpy(copy, maker.text.data, maker.text.len);
        assert_null(la_json_parse(pool, (la_slice_t){copy, maker.text.len}, &value));
        free(copy);
        assert_string_equal(written(pool, value), maker.expected.data);
        apr_pool_clear(pool);
    }
}

/* ---- running ---- */

#define MAX_TESTS 64

static struct CMUnitTest tests[MAX_TESTS];
static size_t test_count;

static void add(const char *name, CMUnitTestFunction function, const void *row)
{
    assert(test_count < MAX_TESTS);
    tests[test_count++] =
        (struct CMUnitTest){name, function, fresh_pool, drop_pool, (void *)(uintptr_t)row};
}

#define ADD_ROWS(rows, function)                                                                   \
    for (size_t i = 0; i < ROWS(rows); i++)                                                        \
    add((rows)[i].name, function, &(rows)[i])

int main(void)
{
    int failed;

    apr_initialize();
    ADD_ROWS(list_rows, test_list);
    add("list: a megabyte of objects", test_long_list, NULL);
    add("list: an item with too many values", test_dear_item, NULL);
    add("made: 20,000 documents", test_made, NULL);
    failed = _cmocka_run_group_tests("json_read", tests, test_count, NULL, NULL);
    apr_terminate();
    return failed;
}
