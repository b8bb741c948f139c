/* form.c: query strings as JSON. */
#include "support.h"

#include "base/form.h"

#include <apr_time.h>

typedef struct form_case_t {
    const char *name;
    const char *query;
    const char *json;
} form_case_t;

static form_case_t form_cases[] = {
    {"form: nothing", "", "{}"},
    {"form: the specification's", "limit=100&tag=a&tag=b",
     "{\"limit\":[\"100\"],\"tag\":[\"a\",\"b\"]}"},
    {"form: repeated, not adjacent, in order of first appearance", "b=1&a=2&b=3&a=4&b=1",
     "{\"b\":[\"1\",\"3\",\"1\"],\"a\":[\"2\",\"4\"]}"},
    {"form: plus and percent", "q=a+b%20c%2B%26%3d&x+y=1",
     "{\"q\":[\"a b c+&=\"],\"x y\":[\"1\"]}"},
    {"form: lower and upper case digits", "q=%4a%4A%C3%a9", "{\"q\":[\"JJ\\u00e9\"]}"},
    {"form: broken escapes stay", "a=%&b=%4&c=%zz&d=%4g&e=100%25%&%=1",
     "{\"a\":[\"%\"],\"b\":[\"%4\"],\"c\":[\"%zz\"],\"d\":[\"%4g\"],\"e\":[\"100%%\"],"
     "\"%\":[\"1\"]}"},
    {"form: an escape is decoded once", "a=%2525&b=%252B", "{\"a\":[\"%25\"],\"b\":[\"%2B\"]}"},
    {"form: without a value", "a&b=&c=1&=&&d", "{\"c\":[\"1\"]}"},
    {"form: an empty name", "=1&=2", "{\"\":[\"1\",\"2\"]}"},
    {"form: the first = separates", "a=b=c&d==", "{\"a\":[\"b=c\"],\"d\":[\"=\"]}"},
    {"form: only & separates", "a=1;b=2", "{\"a\":[\"1;b=2\"]}"},
    {"form: NUL and controls", "a=%00%01&%00=%0d%0A",
     "{\"a\":[\"\\u0000\\u0001\"],\"\\u0000\":[\"\\r\\n\"]}"},
    {"form: names that differ after NUL", "a%00b=1&a%00c=2",
     "{\"a\\u0000b\":[\"1\"],\"a\\u0000c\":[\"2\"]}"},
    {"form: not UTF-8", "a=%ff%C3&b=\xe9", "{\"a\":[\"\\ufffd\\ufffd\"],\"b\":[\"\\ufffd\"]}"},
    {"form: names that are not UTF-8 are one", "%ff=1&%fe=2&%EF%BF%BD=3",
     "{\"\\ufffd\":[\"1\",\"2\",\"3\"]}"},
    {"form: quotes and backslashes", "\"=\\", "{\"\\\"\":[\"\\\\\"]}"},
    {"form: one name, written in two ways", "a%62=1&ab=2", "{\"ab\":[\"1\",\"2\"]}"},
};

static const char *written(apr_pool_t *pool, const char *query)
{
    la_json_writer_t writer;

    la_json_writer_init(&writer, pool);
    la_form_write(&writer, query, pool);
    return writer.data;
}

static void test_form(void **state)
{
    const form_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    char *tight = strdup(row->query);

    assert_string_equal(written(pool, tight), row->json);
    free(tight);
    apr_pool_destroy(pool);
}

/* All of one name, or each of its own. That it takes no more than its share of time is
 * test_linear.c's.
 */
static void test_many(void **state)
{
    apr_pool_t *pool = new_pool();
    char *query = apr_palloc(pool, 16001);
    const la_json_t *value;
    apr_size_t len = 0;

    for (int i = 0; i < 1000; i++)
        len += (apr_size_t)apr_snprintf(query + len, 17, "k%d=v%d&", *state ? i : 0, i);
    assert_null(la_json_parse(pool, slice_of_text(written(pool, query)), &value));
    assert_int_equal(la_json_count(value), *state ? 1000 : 1);
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(form_cases); i++)
        add(form_cases[i].name, test_form, &form_cases[i]);
    add("form: many names", test_many, form_cases);
    add("form: many values of one name", test_many, NULL);
    return finish("form");
}
