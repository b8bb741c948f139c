/* params.c: values in query strings and Cookie fields. */
#include "support.h"

#include "base/params.h"

typedef struct case_t {
    const char *name;
    const char *text;
    int count;         /* of values of `t` */
    const char *value; /* the first */
    const char *left;  /* without `t`; NULL: nothing */
} case_t;

static case_t queries[] = {
    {"query: none", NULL, 0, "", NULL},
    {"query: empty", "", 0, "", ""},
    {"query: alone", "t=x", 1, "x", NULL},
    {"query: first", "t=x&a=1", 1, "x", "a=1"},
    {"query: last", "a=1&t=x", 1, "x", "a=1"},
    {"query: between", "a=1&t=x&b=2", 1, "x", "a=1&b=2"},
    {"query: twice", "t=x&t=y", 2, "x", NULL},
    {"query: empty value", "t=&a=1", 0, "", "a=1"},
    {"query: empty, then one", "t=&t=x", 1, "x", NULL},
    {"query: no =", "t&a=1", 0, "", "a=1"},
    {"query: escaped name", "%74=x", 1, "x", NULL},
    {"query: escaped value", "t=%78%2B+y", 1, "x+ y", NULL},
    {"query: broken escapes", "t=%zz%4&a=%", 1, "%zz%4", "a=%"},
    {"query: = in the value", "t=a=b=", 1, "a=b=", NULL},
    {"query: another case", "T=x", 0, "", "T=x"},
    {"query: longer name", "tt=x&xt=y", 0, "", "tt=x&xt=y"},
    {"query: others stay as they are", "a=%41+b&&t=x&c", 1, "x", "a=%41+b&&c"},
    {"query: semicolons separate nothing", "a=1;t=x", 0, "", "a=1;t=x"},
};

static apr_array_header_t *names_of(apr_pool_t *pool, const char *first, const char *second)
{
    apr_array_header_t *names = apr_array_make(pool, 2, sizeof(const char *));

    APR_ARRAY_PUSH(names, const char *) = first;
    APR_ARRAY_PUSH(names, const char *) = second;
    return names;
}

static void test_query(void **state)
{
    const case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_slice_t value;
    const char *left = la_params_query_without(pool, row->text, names_of(pool, "other", "t"));

    assert_int_equal(la_params_query(pool, row->text, "t", &value), row->count);
    assert_int_equal(value.len, strlen(row->value));
    assert_memory_equal(value.data, row->value, value.len);
    assert_true((left == NULL) == (row->left == NULL));
    if (left) {
        assert_string_equal(left, row->left);
    }
    apr_pool_destroy(pool);
}

static void test_names(void **state)
{
    apr_pool_t *pool = new_pool();
    const char *query = "a=1&t=x&b=2&%74=y&u=z";

    (void)state;
    assert_string_equal(la_params_query_without(pool, query, names_of(pool, "t", "u")), "a=1&b=2");
    assert_ptr_equal(la_params_query_without(pool, query, names_of(pool, "x", "y")), query);
    assert_ptr_equal(la_params_query_without(pool, query, NULL), query);
    assert_null(la_params_query_without(pool, "t=1&u=2&t", names_of(pool, "t", "u")));
    apr_pool_destroy(pool);
}

static void test_nul(void **state)
{
    apr_pool_t *pool = new_pool();
    la_slice_t value;

    (void)state;
    assert_int_equal(la_params_query(pool, "t=a%00b", "t", &value), 1);
    assert_int_equal(value.len, 3);
    assert_memory_equal(value.data, "a\0b", 3);
    assert_int_equal(la_params_query(pool, "t%00=a", "t", &value), 0);
    apr_pool_destroy(pool);
}

static case_t cookies[] = {
    {"cookie: none", NULL, 0, "", NULL},
    {"cookie: alone", "t=x", 1, "x", NULL},
    {"cookie: first", "t=x; a=1", 1, "x", "a=1"},
    {"cookie: last, no space", "a=1;t=x", 1, "x", "a=1"},
    {"cookie: between", "a=1; t=x; b=2", 1, "x", "a=1; b=2"},
    {"cookie: quoted", "t=\"x\"", 1, "x", NULL},
    {"cookie: one quote", "t=\"x", 1, "\"x", NULL},
    {"cookie: quotes around nothing", "t=\"\"", 0, "", NULL},
    {"cookie: twice", "t=x; t=y", 2, "x", NULL},
    {"cookie: empty", "t=; a=1", 0, "", "a=1"},
    {"cookie: no =", "t; a=1", 0, "", "a=1"},
    {"cookie: another case", "T=x", 0, "", "T=x"},
    {"cookie: longer names", "tt=x; xt=y", 0, "", "tt=x; xt=y"},
    {"cookie: spaces", " t = x ;a=1", 1, "x", "a=1"},
    {"cookie: nothing is decoded", "t=%78", 1, "%78", NULL},
    {"cookie: = in the value", "t=a=b", 1, "a=b", NULL},
};

static void test_cookie(void **state)
{
    const case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_slice_t value;
    const char *left = la_params_cookie_without(pool, row->text, "t");

    assert_int_equal(la_params_cookie(row->text, "t", &value), row->count);
    assert_int_equal(value.len, strlen(row->value));
    assert_memory_equal(value.data, row->value, value.len);
    assert_true((left == NULL) == (row->left == NULL));
    if (left) {
        assert_string_equal(left, row->left);
    }
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(queries); i++)
        add(queries[i].name, test_query, &queries[i]);
    add("query: several names", test_names, NULL);
    add("query: NUL", test_nul, NULL);
    for (size_t i = 0; i < ROWS(cookies); i++)
        add(cookies[i].name, test_cookie, &cookies[i]);
    return finish("params");
}
