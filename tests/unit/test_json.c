/* json.c: the getters and the writer. What is JSON and what is not stands in test_json_scan.c. */
#include "base/json.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static apr_pool_t *new_pool(void)
{
    apr_pool_t *pool;

    assert_int_equal(apr_pool_create(&pool, NULL), APR_SUCCESS);
    return pool;
}

/* A copy of exactly the text's size, so that ASan sees a read beyond it. */
static la_slice_t tight_copy(la_slice_t text)
{
    char *copy = malloc(text.len ? text.len : 1);

    assert_non_null(copy);
    if (text.len)
        memcpy(copy, text.data, text.len);
    return (la_slice_t){copy, text.len};
}

static const char *parse(apr_pool_t *pool, la_slice_t text, const la_json_t **value)
{
    la_slice_t copy = tight_copy(text);
    const char *error = la_json_parse(pool, copy, value);

    free((void *)(uintptr_t)copy.data);
    return error;
}

static const la_json_t *parsed(apr_pool_t *pool, const char *text)
{
    const la_json_t *value;

    assert_null(parse(pool, la_slice_of(text), &value));
    return value;
}

static void assert_slice(la_slice_t slice, const char *expected, apr_size_t len)
{
    assert_int_equal(slice.len, len);
    assert_memory_equal(slice.data, expected, len);
}

/* ---- the getters ---- */

typedef struct value_case_t {
    const char *name;
    const char *json;
    la_json_e type;
    la_slice_t string; /* data NULL: not a string */
    int boolean;       /* -1: not a boolean */
    int is_number;
    double number;
    la_slice_t scalar; /* data NULL: no text */
} value_case_t;

#define NONE                                                                                       \
    {                                                                                              \
        NULL, 0                                                                                    \
    }
#define TEXT(string)                                                                               \
    {                                                                                              \
        string, sizeof(string) - 1                                                                 \
    }
#define VALUE(json) "value: " json, json

static value_case_t value_cases[] = {
    {VALUE("null"), LA_JSON_NULL, NONE, -1, 0, 0, NONE},
    {VALUE("[]"), LA_JSON_ARRAY, NONE, -1, 0, 0, NONE},
    {VALUE("{}"), LA_JSON_OBJECT, NONE, -1, 0, 0, NONE},
    {VALUE("true"), LA_JSON_BOOLEAN, NONE, 1, 0, 0, TEXT("true")},
    {VALUE("false"), LA_JSON_BOOLEAN, NONE, 0, 0, 0, TEXT("false")},
    {VALUE("\"false\""), LA_JSON_STRING, TEXT("false"), -1, 0, 0, TEXT("false")},
    {VALUE("\"true\""), LA_JSON_STRING, TEXT("true"), -1, 0, 0, TEXT("true")},
    {VALUE("\"42\""), LA_JSON_STRING, TEXT("42"), -1, 0, 0, TEXT("42")},
    {VALUE("\"\""), LA_JSON_STRING, TEXT(""), -1, 0, 0, TEXT("")},
    {VALUE("\"x\\u0000y\""), LA_JSON_STRING, TEXT("x\0y"), -1, 0, 0, TEXT("x\0y")},
    {VALUE("\"\\/\\u20ac\""), LA_JSON_STRING, TEXT("/\xE2\x82\xAC"), -1, 0, 0,
     TEXT("/\xE2\x82\xAC")},
    {VALUE("\"\\ud83d\\ude00\""), LA_JSON_STRING, TEXT("\xF0\x9F\x98\x80"), -1, 0, 0,
     TEXT("\xF0\x9F\x98\x80")},
    {VALUE("\"\\ud836\\udc00\""), LA_JSON_STRING, TEXT("\xF0\x9D\xA0\x80"), -1, 0, 0,
     TEXT("\xF0\x9D\xA0\x80")},
    {VALUE("\"\\ud836\\ud836\\udfff\\udfff\""), LA_JSON_STRING,
     TEXT("\xEF\xBF\xBD\xF0\x9D\xAF\xBF\xEF\xBF\xBD"), -1, 0, 0,
     TEXT("\xEF\xBF\xBD\xF0\x9D\xAF\xBF\xEF\xBF\xBD")},
    {VALUE("\"\\\\ud836\\udc00\""), LA_JSON_STRING, TEXT("\\ud836\xEF\xBF\xBD"), -1, 0, 0,
     TEXT("\\ud836\xEF\xBF\xBD")},
    {VALUE("\"\\\\\\ud836\\udc00\""), LA_JSON_STRING, TEXT("\\\xF0\x9D\xA0\x80"), -1, 0, 0,
     TEXT("\\\xF0\x9D\xA0\x80")},
    {VALUE("\"\\ud800z\""), LA_JSON_STRING, TEXT("\xEF\xBF\xBDz"), -1, 0, 0, TEXT("\xEF\xBF\xBDz")},
    {VALUE("1"), LA_JSON_NUMBER, NONE, -1, 1, 1, TEXT("1")},
    {VALUE("0"), LA_JSON_NUMBER, NONE, -1, 1, 0, TEXT("0")},
    {VALUE("-42"), LA_JSON_NUMBER, NONE, -1, 1, -42, TEXT("-42")},
    {VALUE("9007199254740993"), LA_JSON_NUMBER, NONE, -1, 1, 9007199254740992.0,
     TEXT("9007199254740993")},
    {VALUE("9223372036854775807"), LA_JSON_NUMBER, NONE, -1, 1, 9223372036854775807.0,
     TEXT("9223372036854775807")},
    {VALUE("9223372036854775808"), LA_JSON_NUMBER, NONE, -1, 1, 9223372036854775808.0,
     TEXT("9223372036854775808")},
    {VALUE("18446744073709551614"), LA_JSON_NUMBER, NONE, -1, 1, 18446744073709551614.0,
     TEXT("18446744073709551614")},
    {VALUE("18446744073709551616"), LA_JSON_NUMBER, NONE, -1, 1, 18446744073709551615.0, NONE},
    {VALUE("-9223372036854775807"), LA_JSON_NUMBER, NONE, -1, 1, -9223372036854775807.0,
     TEXT("-9223372036854775807")},
    {VALUE("-9223372036854775809"), LA_JSON_NUMBER, NONE, -1, 1, -9223372036854775808.0, NONE},
    {VALUE("1.50"), LA_JSON_NUMBER, NONE, -1, 1, 1.5, TEXT("1.50")},
    {VALUE("-1E+2"), LA_JSON_NUMBER, NONE, -1, 1, -100, TEXT("-1E+2")},
    {VALUE("1e300"), LA_JSON_NUMBER, NONE, -1, 1, 1e300, TEXT("1e300")},
    {VALUE("1e-999"), LA_JSON_NUMBER, NONE, -1, 1, 0, TEXT("1e-999")},
    {VALUE("1e999"), LA_JSON_NUMBER, NONE, -1, 0, 0, TEXT("1e999")},
    {VALUE("-1e999"), LA_JSON_NUMBER, NONE, -1, 0, 0, TEXT("-1e999")},
};

static void assert_getter(int returned, la_slice_t got, la_slice_t expected)
{
    assert_int_equal(returned, expected.data != NULL);
    assert_non_null(got.data);
    assert_slice(got, expected.data ? expected.data : "", expected.len);
}

static void test_value(void **state)
{
    const value_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    const la_json_t *value = parsed(pool, row->json);
    la_slice_t text = TEXT("stale");
    double number = 7;
    int boolean = 7;

    assert_int_equal(la_json_type(value), row->type);
    assert_getter(la_json_string(value, &text), text, row->string);
    assert_getter(la_json_scalar_text(pool, value, &text), text, row->scalar);
    assert_int_equal(la_json_boolean(value, &boolean), row->boolean >= 0);
    assert_int_equal(boolean, row->boolean == 1);
    assert_int_equal(la_json_number(value, &number), row->is_number);
    assert_true(number == row->number);
    assert_int_equal(la_json_count(value), 0);
    assert_null(la_json_item(value, 0));
    apr_pool_destroy(pool);
}

static void test_members(void **state)
{
    apr_pool_t *pool = new_pool();
    const la_json_t *object = parsed(pool, "{\"b\":1,\"a\":null,\"c\":{\"d\":[]}}");
    const la_json_t *value = object;

    (void)state;
    assert_int_equal(la_json_count(object), 3);
    assert_int_equal(la_json_member(object, "a", &value), 1);
    assert_null(value);
    assert_int_equal(la_json_member(object, "c", &value), 1);
    assert_int_equal(la_json_count(value), 1);
    assert_int_equal(la_json_member(value, "d", &value), 1);
    assert_int_equal(la_json_type(value), LA_JSON_ARRAY);
    assert_int_equal(la_json_member(value, "d", &value), 0);
    assert_null(value);
    assert_int_equal(la_json_member(object, "B", &value), 0);
    assert_int_equal(la_json_member(object, "", &value), 0);
    assert_int_equal(la_json_member(NULL, "a", &value), 0);
    assert_int_equal(la_json_type(la_json_get(object, "b")), LA_JSON_NUMBER);
    assert_null(la_json_get(object, "a"));
    assert_null(la_json_get(object, "B"));
    assert_null(la_json_get(NULL, "b"));
    apr_pool_destroy(pool);
}

static void test_iterator(void **state)
{
    static const char *const names[] = {"b", "", "a", "\xC3\xA9"};
    apr_pool_t *pool = new_pool();
    const la_json_t *object = parsed(pool, "{\"b\":1,\"\":2,\"a\":null,\"\\u00e9\":4}");
    la_json_iterator_t it = {0};
    const la_json_t *value = object;
    la_slice_t name;

    (void)state;
    for (size_t i = 0; i < ROWS(names); i++) {
        assert_int_equal(la_json_next(object, &it, &name, &value), 1);
        assert_slice(name, names[i], strlen(names[i]));
        assert_int_equal(la_json_type(value), i == 2 ? LA_JSON_NULL : LA_JSON_NUMBER);
    }
    assert_int_equal(la_json_next(object, &it, &name, &value), 0);
    assert_null(value);
    assert_int_equal(la_json_next(object, &it, &name, &value), 0);
    it = (la_json_iterator_t){0};
    assert_int_equal(la_json_next(parsed(pool, "{}"), &it, &name, &value), 0);
    it = (la_json_iterator_t){0};
    assert_int_equal(la_json_next(parsed(pool, "[1]"), &it, &name, &value), 0);
    assert_int_equal(la_json_next(NULL, &it, &name, &value), 0);
    apr_pool_destroy(pool);
}

static void test_items(void **state)
{
    apr_pool_t *pool = new_pool();
    const la_json_t *array = parsed(pool, "[\"x\",null,[1,2,3]]");

    (void)state;
    assert_int_equal(la_json_count(array), 3);
    assert_int_equal(la_json_type(la_json_item(array, 0)), LA_JSON_STRING);
    assert_null(la_json_item(array, 1));
    assert_int_equal(la_json_count(la_json_item(array, 2)), 3);
    assert_null(la_json_item(array, 3));
    assert_null(la_json_item(array, (apr_size_t)-1));
    assert_null(la_json_item(parsed(pool, "{\"0\":1}"), 0));
    apr_pool_destroy(pool);
}

/* ---- the writer ---- */

typedef struct write_case_t {
    const char *name;
    la_slice_t text;
    const char *written; /* without the quotes */
} write_case_t;

#define WRITE(name, text, written)                                                                 \
    {                                                                                              \
        "write: " name, {text, sizeof(text) - 1}, written                                          \
    }
#define BROKEN "\\ufffd"

static write_case_t write_cases[] = {
    WRITE("nothing", "", ""),
    WRITE("plain", "a/b 'c' <d>~", "a/b 'c' <d>~"),
    WRITE("quote and backslash", "\"\\", "\\\"\\\\"),
    WRITE("short escapes", "\b\f\n\r\t", "\\b\\f\\n\\r\\t"),
    WRITE("control characters", "\0\x01\x0b\x1f", "\\u0000\\u0001\\u000b\\u001f"),
    WRITE("DEL", "a\x7f", "a\\u007f"),
    WRITE("two bytes", "\xC2\x80\xDF\xBF", "\\u0080\\u07ff"),
    WRITE("three bytes", "\xE0\xA0\x80\xE2\x82\xAC\xEF\xBF\xBF", "\\u0800\\u20ac\\uffff"),
    WRITE("beyond the BMP", "\xF0\x90\x80\x80\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF",
          "\\ud800\\udc00\\ud83d\\ude00\\udbff\\udfff"),
    WRITE("next to the surrogates", "\xED\x9F\xBF\xEE\x80\x80", "\\ud7ff\\ue000"),
    WRITE("Latin-1", "caf\xE9", "caf" BROKEN),
    WRITE("cut at the end", "a\xF0\x9F\x98", "a" BROKEN),
    /* Unicode 15, tables 3-8 to 3-11. */
    WRITE("overlong", "\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41",
          BROKEN BROKEN BROKEN BROKEN BROKEN BROKEN BROKEN BROKEN "A"),
    WRITE("surrogates", "\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41",
          BROKEN BROKEN BROKEN BROKEN BROKEN BROKEN BROKEN BROKEN "A"),
    WRITE("other ill-formed", "\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42",
          BROKEN BROKEN BROKEN BROKEN BROKEN "A" BROKEN BROKEN "B"),
    WRITE("truncated", "\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", BROKEN BROKEN BROKEN BROKEN "A"),
};

static void test_write(void **state)
{
    const write_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_slice_t copy = tight_copy(row->text);
    apr_size_t len = strlen(row->written);
    la_json_writer_t writer;

    la_json_writer_init(&writer, pool);
    assert_string_equal(writer.data, "");
    la_json_write_string(&writer, copy);
    assert_int_equal(writer.len, len + 2);
    assert_int_equal(writer.data[0], '"');
    assert_memory_equal(writer.data + 1, row->written, len);
    assert_string_equal(writer.data + 1 + len, "\"");
    free((void *)(uintptr_t)copy.data);
    apr_pool_destroy(pool);
}

static void test_writer_grows(void **state)
{
    apr_pool_t *pool = new_pool();
    la_json_writer_t writer;

    (void)state;
    la_json_writer_init(&writer, pool);
    la_json_write_raw(&writer, (la_slice_t){NULL, 0});
    for (int i = 0; i < 10000; i++) {
        la_json_write_raw(&writer, LA_SLICE("abc"));
        assert_int_equal(writer.data[writer.len], '\0');
        assert_true(writer.len < writer.capacity);
    }
    la_json_write_raw(&writer, (la_slice_t){writer.data, writer.len});
    assert_int_equal(writer.len, 60000);
    assert_int_equal(strspn(writer.data, "abc"), 60000);
    assert_memory_equal(writer.data, writer.data + 30000, 30000);
    assert_true(writer.capacity <= 2 * 60001);
    apr_pool_destroy(pool);
}

/* UTF-8 of a code point, by the definition and not by the code under test. */
static apr_size_t encode(unsigned code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800)
        return (apr_size_t)snprintf(out, 5, "%c%c", 0xC0 | code >> 6, 0x80 | (code & 63));
    if (code < 0x10000)
        return (apr_size_t)snprintf(out, 5, "%c%c%c", 0xE0 | code >> 12, 0x80 | (code >> 6 & 63),
                                    0x80 | (code & 63));
    return (apr_size_t)snprintf(out, 5, "%c%c%c%c", 0xF0 | code >> 18, 0x80 | (code >> 12 & 63),
                                0x80 | (code >> 6 & 63), 0x80 | (code & 63));
}

/* Every character survives: written as ASCII and read again, and as it is where JSON allows that.
 */
static void test_round_trip(void **state)
{
    apr_pool_t *pool = new_pool();
    la_json_writer_t raw, written;
    const la_json_t *value;
    la_slice_t text;

    (void)state;
    la_json_writer_init(&raw, pool);
    la_json_writer_init(&written, pool);
    for (unsigned code = 0; code < 0x110000; code += code < 0x11000 ? 1 : 61) {
        char bytes[5];

        if (code < 0xD800 || code > 0xDFFF)
            la_json_write_raw(&raw, (la_slice_t){bytes, encode(code, bytes)});
    }
    la_json_write_string(&written, (la_slice_t){raw.data, raw.len});
    for (apr_size_t i = 0; i < written.len; i++)
        assert_in_range(written.data[i], 0x20, 0x7E);
    assert_null(parse(pool, (la_slice_t){written.data, written.len}, &value));
    assert_int_equal(la_json_string(value, &text), 1);
    assert_slice(text, raw.data, raw.len);
    apr_pool_destroy(pool);
}

/* ---- running ---- */

#define MAX_TESTS 128

static struct CMUnitTest tests[MAX_TESTS];
static size_t test_count;

static void add(const char *name, CMUnitTestFunction function, void *row)
{
    assert(test_count < MAX_TESTS);
    tests[test_count++] = (struct CMUnitTest){name, function, NULL, NULL, row};
}

int main(void)
{
    int failed;

    apr_initialize();
    for (size_t i = 0; i < ROWS(value_cases); i++)
        add(value_cases[i].name, test_value, &value_cases[i]);
    add("members", test_members, NULL);
    add("iterator", test_iterator, NULL);
    add("items", test_items, NULL);
    for (size_t i = 0; i < ROWS(write_cases); i++)
        add(write_cases[i].name, test_write, &write_cases[i]);
    add("writer grows", test_writer_grows, NULL);
    add("round trip of every character", test_round_trip, NULL);
    failed = _cmocka_run_group_tests("json", tests, test_count, NULL, NULL);
    apr_terminate();
    return failed;
}
