/* json_scan.c: what is JSON and what is not, seen through la_json_parse(), so that json-c has its
 * say too. */
#include "base/json_scan.h"
#include "base/json.h"

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

/* ---- what is JSON ---- */

typedef struct parse_case_t {
    const char *name;
    la_slice_t text;
    const char *error; /* NULL: valid */
} parse_case_t;

#define GOOD(name, text)                                                                           \
    {                                                                                              \
        "parse: " name, {text, sizeof(text) - 1}, NULL                                             \
    }
#define BAD(name, text, error)                                                                     \
    {                                                                                              \
        "parse: " name, {text, sizeof(text) - 1}, error                                            \
    }
#define CHARACTER "unexpected character at line 1, column "
#define DUPLICATE "duplicate member name at line 1, column "
#define CONTROL   "control character in a string at line 1, column "

static parse_case_t parse_cases[] = {
    GOOD("null", "null"),
    GOOD("true", "true"),
    GOOD("false", "false"),
    GOOD("zero", "0"),
    GOOD("minus zero", "-0"),
    GOOD("integer", "42"),
    GOOD("integer in white space", " \t\r\n42 \t\r\n"),
    GOOD("fraction", "-0.50"),
    GOOD("exponents", "[1e5,1E5,1e+5,2E-3,0e0,1.5e-7]"),
    GOOD("integer beyond 64 bits", "123456789012345678901234567890"),
    GOOD("number beyond double", "1e999"),
    GOOD("empty string", "\"\""),
    GOOD("every escape", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\""),
    GOOD("escaped NUL in a string", "\"a\\u0000b\""),
    GOOD("DEL in a string", "\"\x7f\""),
    GOOD("lone high surrogate escape", "\"\\ud800\""),
    GOOD("lone low surrogate escape", "\"\\udc00x\""),
    GOOD("two high surrogate escapes", "\"\\ud800\\ud800\""),
    GOOD("high surrogate before another escape", "\"\\ud800\\n\""),
    GOOD("escaped backslash before u", "\"\\\\ud83d\\\\ude00\""),
    GOOD("UTF-8 of two to four bytes",
         "\"\xC2\x80 \xDF\xBF \xE0\xA0\x80 \xEF\xBF\xBF \xF0\x90\x80\x80"
         " \xF4\x8F\xBF\xBF\""),
    GOOD("UTF-8 next to the surrogates", "\"\xED\x9F\xBF\xEE\x80\x80\""),
    GOOD("empty array", "[]"),
    GOOD("empty object", "{}"),
    GOOD("white space in empty containers", "[ { \n } , [\t] ]"),
    GOOD("white space everywhere", " { \"a\" : [ 1 , 2 ] , \"b\" : null } "),
    GOOD("empty member name", "{\"\":1}"),
    GOOD("names that differ in case", "{\"a\":1,\"A\":2}"),
    GOOD("one name in two objects", "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}"),
    GOOD("names beyond the BMP", "{\"\\ud836\\udc00\":1,\"\\ud836\\udc01\":2}"),
    GOOD("structure inside strings", "{\"a:b\":\"{\\\"a\\\":1,\\\"a\\\":2}\"}"),

    BAD("nothing", "", "unexpected end at line 1, column 1"),
    BAD("white space only", " \n", "unexpected end at line 2, column 1"),
    BAD("NUL only", "\0", CHARACTER "1"),
    BAD("byte order mark", "\xEF\xBB\xBF{}", CHARACTER "1"),
    BAD("UTF-16", "{\0}\0", CHARACTER "2"),
    BAD("form feed", "\f1", CHARACTER "1"),
    BAD("no-break space",
        "\xC2\xA0"
        "1",
        CHARACTER "1"),
    BAD("bytes after the value", "{} x", "more after the value at line 1, column 4"),
    BAD("a second value", "{}{}", "more after the value at line 1, column 3"),
    BAD("NUL after the value", "{}\0", "more after the value at line 1, column 3"),
    BAD("value after a NUL", "{}\0{\"a\":1}", "more after the value at line 1, column 3"),
    BAD("NUL after a number", "1\0", "more after the value at line 1, column 2"),
    BAD("NUL between tokens", "[1,\0 2]", CHARACTER "4"),
    BAD("comment", "/* c */ 1", CHARACTER "1"),
    BAD("line comment behind", "1 // c", "more after the value at line 1, column 3"),
    BAD("comment inside", "[1,/**/2]", CHARACTER "4"),
    BAD("capital literal", "True", CHARACTER "1"),
    BAD("capital null", "NULL", CHARACTER "1"),
    BAD("truncated literal", "tru", "unexpected end at line 1, column 4"),
    BAD("misspelt literal", "nul1", CHARACTER "4"),
    BAD("literal run on", "truex", "more after the value at line 1, column 5"),
    BAD("NaN", "NaN", CHARACTER "1"),
    BAD("nan in an array", "[nan]", CHARACTER "3"),
    BAD("Infinity", "Infinity", CHARACTER "1"),
    BAD("minus Infinity", "-Infinity", CHARACTER "2"),
    BAD("leading zero", "01", "more after the value at line 1, column 2"),
    BAD("leading zero behind minus", "[-012]", CHARACTER "4"),
    BAD("plus sign", "+1", CHARACTER "1"),
    BAD("no digit before the point", ".5", CHARACTER "1"),
    BAD("no digit behind the point", "1.", "unexpected end at line 1, column 3"),
    BAD("no digit before the exponent", "[1.e5]", CHARACTER "4"),
    BAD("no digit in the exponent", "[1e]", CHARACTER "4"),
    BAD("sign only in the exponent", "1e+", "unexpected end at line 1, column 4"),
    BAD("two signs in the exponent", "1e+-5", CHARACTER "4"),
    BAD("two points", "1.2.3", "more after the value at line 1, column 4"),
    BAD("minus only", "-", "unexpected end at line 1, column 2"),
    BAD("two minus", "--1", CHARACTER "2"),
    BAD("hexadecimal", "0x10", "more after the value at line 1, column 2"),
    BAD("digits of another script", "\xD9\xA1", CHARACTER "1"),
    BAD("single quotes", "'a'", CHARACTER "1"),
    BAD("single-quoted name", "{'a':1}", CHARACTER "2"),
    BAD("bare name", "{a:1}", CHARACTER "2"),
    BAD("number as name", "{1:1}", CHARACTER "2"),
    BAD("raw newline in a string", "\"a\nb\"", CONTROL "3"),
    BAD("raw tab in a string", "\"\t\"", CONTROL "2"),
    BAD("raw NUL in a string", "\"a\0b\"", CONTROL "3"),
    BAD("raw unit separator in a name", "{\"\x1f\":1}", CONTROL "3"),
    BAD("unclosed string", "\"abc", "unexpected end at line 1, column 5"),
    BAD("string that ends in a backslash", "\"abc\\", "unexpected end at line 1, column 6"),
    BAD("escaped last quote", "\"abc\\\"", "unexpected end at line 1, column 7"),
    BAD("unknown escape", "\"\\x41\"", CHARACTER "3"),
    BAD("escaped single quote", "\"\\'\"", CHARACTER "3"),
    BAD("capital U escape", "\"\\U0041\"", CHARACTER "3"),
    BAD("escaped NUL byte", "\"\\\0\"", CHARACTER "3"),
    BAD("three hex digits", "\"\\u123\"", CHARACTER "7"),
    BAD("no hex digit", "\"\\u12g4\"", CHARACTER "6"),
    BAD("end inside hex digits", "\"\\u12", "unexpected end at line 1, column 6"),
    BAD("end behind a high surrogate", "\"\\ud800", "unexpected end at line 1, column 8"),
    BAD("comma last in an array", "[1,]", CHARACTER "4"),
    BAD("comma first in an array", "[,1]", CHARACTER "2"),
    BAD("comma only", "[,]", CHARACTER "2"),
    BAD("two commas", "[1,,2]", CHARACTER "4"),
    BAD("no comma", "[1 2]", CHARACTER "4"),
    BAD("comma last in an object", "{\"a\":1,}", CHARACTER "8"),
    BAD("no colon", "{\"a\" 1}", CHARACTER "6"),
    BAD("two colons", "{\"a\"::1}", CHARACTER "6"),
    BAD("no value", "{\"a\":}", CHARACTER "6"),
    BAD("name only", "{\"a\"}", CHARACTER "5"),
    BAD("member in an array", "[\"a\":1]", CHARACTER "5"),
    BAD("wrong closing bracket", "[1}", CHARACTER "3"),
    BAD("unclosed array", "[1", "unexpected end at line 1, column 3"),
    BAD("unclosed object", "{\"a\":1", "unexpected end at line 1, column 7"),
    BAD("closing bracket alone", "]", CHARACTER "1"),
    BAD("one closing bracket more", "[1]]", "more after the value at line 1, column 4"),

    BAD("repeated name", "{\"a\":1,\"a\":2}", DUPLICATE "8"),
    BAD("repeated name, same value", "{\"a\":1,\"a\":1}", DUPLICATE "8"),
    BAD("repeated name, escaped", "{\"a\":1,\"\\u0061\":2}", DUPLICATE "8"),
    BAD("repeated name, null", "{\"a\":null,\"a\":null}", DUPLICATE "11"),
    BAD("repeated name, nested", "[0,{\"x\":[{\"b\":1,\"c\":2,\"b\":3}]}]", DUPLICATE "23"),
    BAD("repeated name that hides members", "{\"a\":{\"x\":1,\"y\":2},\"a\":1}", DUPLICATE "20"),
    BAD("repeated empty name", "{\"\":1,\"\":2}", DUPLICATE "7"),
    BAD("names alike once replaced", "{\"\\ud800\":1,\"\\ud801\":2}", DUPLICATE "13"),
    BAD("repeated name, raw and as a pair", "{\"\xF0\x9F\x98\x80\":1,\"\\ud83d\\ude00\":2}",
        DUPLICATE "8"),
    BAD("repeated name, escapes and all lines",
        "{\n  \"\xC3\xA9\\n\": {\"a\": 1, \"b\": {\"a\": 1}},\r\n  \"\\ud83d\\ude00\": "
        "\"\xC3\xA9\", \"\\u00e9\\u000A\": 2}",
        "duplicate member name at line 3, column 24"),
    BAD("a character on line 3", "{\n\"a\": 1,\n  \"\xC3\xA9\xF0\x9F\x98\x80\": x}",
        "unexpected character at line 3, column 9"),
    BAD("the end of a line", "[1,\n\n", "unexpected end at line 3, column 1"),
    BAD("NUL in a name", "{\"active\\u0000x\":true}", "NUL in a member name at line 1, column 15"),
    BAD("NUL as a name", "{\"\\u0000\":true}", "NUL in a member name at line 1, column 9"),

    BAD("bare continuation byte", "\"\x80\"", "not UTF-8 at line 1, column 2"),
    BAD("Latin-1", "\"caf\xE9\"", "not UTF-8 at line 1, column 5"),
    BAD("overlong of two bytes", "\"\xC0\xAF\"", "not UTF-8 at line 1, column 2"),
    BAD("overlong NUL", "\"\xC0\x80\"", "not UTF-8 at line 1, column 2"),
    BAD("overlong quote", "\"\xC0\xA2\"", "not UTF-8 at line 1, column 2"),
    BAD("overlong C1", "\"\xC1\xBF\"", "not UTF-8 at line 1, column 2"),
    BAD("overlong of three bytes", "\"\xE0\x9F\xBF\"", "not UTF-8 at line 1, column 2"),
    BAD("overlong of four bytes", "\"\xF0\x8F\xBF\xBF\"", "not UTF-8 at line 1, column 2"),
    BAD("first surrogate", "\"\xED\xA0\x80\"", "not UTF-8 at line 1, column 2"),
    BAD("last surrogate", "\"\xED\xBF\xBF\"", "not UTF-8 at line 1, column 2"),
    BAD("surrogate pair (CESU-8)", "\"\xED\xA0\xBD\xED\xB8\x80\"", "not UTF-8 at line 1, column 2"),
    BAD("beyond U+10FFFF", "\"\xF4\x90\x80\x80\"", "not UTF-8 at line 1, column 2"),
    BAD("lead byte F5", "\"\xF5\x80\x80\x80\"", "not UTF-8 at line 1, column 2"),
    BAD("lead byte FF", "\"\xFF\"", "not UTF-8 at line 1, column 2"),
    BAD("sequence cut by the quote", "\"\xE2\x82\"", "not UTF-8 at line 1, column 2"),
    BAD("sequence cut by the end", "\"\xF0\x9F\x98", "not UTF-8 at line 1, column 2"),
    BAD("not UTF-8 in a name", "{\"\xC3\":1}", "not UTF-8 at line 1, column 3"),
};

static void test_parse(void **state)
{
    const parse_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    const la_json_t *value = (const la_json_t *)row;
    const char *error = parse(pool, row->text, &value);

    if (row->error) {
        assert_non_null(error);
        assert_string_equal(error, row->error);
        assert_null(value);
    } else {
        assert_null(error);
    }
    apr_pool_destroy(pool);
}

/* Parses `depth` levels of `open` and `close` around `inside`. */
static const char *parse_nested(apr_pool_t *pool, int depth, const char *open, const char *inside,
                                const char *close)
{
    la_json_writer_t text;
    const la_json_t *value;

    la_json_writer_init(&text, pool);
    for (int i = 0; i < depth; i++)
        la_json_write_raw(&text, la_slice_of(open));
    la_json_write_raw(&text, la_slice_of(inside));
    for (int i = 0; i < depth; i++)
        la_json_write_raw(&text, la_slice_of(close));
    return parse(pool, (la_slice_t){text.data, text.len}, &value);
}

static void test_depth(void **state)
{
    apr_pool_t *pool = new_pool();

    (void)state;
    assert_null(parse_nested(pool, LA_JSON_MAX_DEPTH, "[", "", "]"));
    assert_null(parse_nested(pool, LA_JSON_MAX_DEPTH, "[", "1", "]"));
    assert_null(parse_nested(pool, LA_JSON_MAX_DEPTH, "{\"a\":", "\"x\"", "}"));
    assert_string_equal(parse_nested(pool, 33, "[", "", "]"),
                        "nested too deep at line 1, column 33");
    assert_string_equal(parse_nested(pool, 33, "{\"a\":", "1", "}"),
                        "nested too deep at line 1, column 161");
    assert_string_equal(parse_nested(pool, 10000, "[", "", "]"),
                        "nested too deep at line 1, column 33");
    assert_string_equal(parse_nested(pool, 10000, "[", "", ""),
                        "nested too deep at line 1, column 33");
    apr_pool_destroy(pool);
}

/* Depth is nesting: containers side by side are none. */
static void test_width(void **state)
{
    static const char ten[] = "[],{},[[]],{\"a\":{}},[],{},[],{},[],[]";
    apr_pool_t *pool = new_pool();
    const char *forty = apr_pstrcat(pool, ten, ",", ten, ",", ten, ",", ten, NULL);

    (void)state;
    assert_null(parse_nested(pool, 1, "[", forty, "]"));
    assert_null(parse_nested(pool, LA_JSON_MAX_DEPTH - 2, "[", forty, "]"));
    assert_non_null(parse_nested(pool, LA_JSON_MAX_DEPTH - 1, "[", forty, "]"));
    apr_pool_destroy(pool);
}

static void test_too_long(void **state)
{
    apr_pool_t *pool = new_pool();
    const la_json_t *value;

    (void)state;
    assert_string_equal(la_json_parse(pool, (la_slice_t){"1", (apr_size_t)INT32_MAX + 1}, &value),
                        "longer than 2 GB");
    assert_null(value);
    apr_pool_destroy(pool);
}

/* The text may hold a secret: whatever byte the scan stops at, the reason shows none of it. */
static void test_no_quote(void **state)
{
    static const char text[] = "{\"SECRET\":\"SECRET\\u0041SECRET\",\"b\":[SECRET]}";
    apr_pool_t *pool = new_pool();
    const la_json_t *value;

    (void)state;
    for (apr_size_t len = 0; len < sizeof(text); len++) {
        const char *error = parse(pool, (la_slice_t){text, len}, &value);

        assert_non_null(error);
        assert_null(strstr(error, "SECRET"));
    }
    apr_pool_destroy(pool);
}

/* ---- running ---- */

#define MAX_TESTS 256

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
    for (size_t i = 0; i < ROWS(parse_cases); i++)
        add(parse_cases[i].name, test_parse, &parse_cases[i]);
    add("parse: depth", test_depth, NULL);
    add("parse: width", test_width, NULL);
    add("parse: longer than json-c can count", test_too_long, NULL);
    add("parse: no error quotes the text", test_no_quote, NULL);
    failed = _cmocka_run_group_tests("json_scan", tests, test_count, NULL, NULL);
    apr_terminate();
    return failed;
}
