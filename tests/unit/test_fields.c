/* fields.c: what is taken out of tables of header fields, and out of Connection. */
#include "support.h"

#include "base/fields.h"

static int starts_with_x(const void *context, la_slice_t name)
{
    (void)context;
    return name.len > 0 && (name.data[0] == 'x' || name.data[0] == 'X');
}

typedef struct connection_t {
    const char *name;
    const char *value;
    const char *left; /* NULL: nothing */
} connection_t;

/* What ap_get_token() of httpd makes tokens of, which mod_proxy calls. */
static connection_t connections[] = {
    {"connection: empty", "", ""},
    {"connection: nothing to remove", "close, TE", "close, TE"},
    {"connection: nothing to remove, odd", " ,;close;\tTE ", " ,;close;\tTE "},
    {"connection: alone", "X-A", NULL},
    {"connection: alone between separators", " , ;X-A\t; ", NULL},
    {"connection: comma", "close,X-A,TE", "close,TE"},
    {"connection: comma and blank", "close, X-A, TE", "close,TE"},
    {"connection: semicolon", "close;X-A;TE", "close,TE"},
    {"connection: blank", "close X-A TE", "close,TE"},
    {"connection: tab", "close\tX-A\tTE", "close,TE"},
    {"connection: other white space", "close\vX-A\fTE\rX-B\nk", "close,TE,k"},
    {"connection: first and last", "X-A;close;X-B", "close"},
    {"connection: repeated", "x-a,X-A;x-a X-A", NULL},
    {"connection: parameters are options", "close;a=1;X-A=2;b", "close,a=1,b"},
    {"connection: quotes hold separators", "a\", X-A ;\" X-B", "a\", X-A ;\""},
    {"connection: a quote that does not end", "a\", X-A", "a\", X-A"},
    {"connection: quotes first", "\"X-A\",X-B", "\"X-A\""},
    {"connection: NUL-free bytes above ASCII", "\xc3\xa9,X-A", "\xc3\xa9"},
};

static void test_connection(void **state)
{
    const connection_t *row = *state;
    apr_pool_t *pool = new_pool();
    const char *left = la_fields_connection_without(pool, row->value, starts_with_x, NULL);

    assert_true((left == NULL) == (row->left == NULL));
    if (left) {
        assert_string_equal(left, row->left);
    }
    if (left && strcmp(row->value, row->left) == 0) {
        assert_ptr_equal(left, row->value);
    }
    apr_pool_destroy(pool);
}

typedef struct removal_t {
    const char *name;
    const char *keys; /* one letter each; the values are numbers */
    int first;
    const char *left; /* keys and values */
} removal_t;

static removal_t removals[] = {
    {"remove: from nothing", "", 0, ""},
    {"remove: nothing", "abc", 0, "a0b1c2"},
    {"remove: all", "xXx", 0, ""},
    {"remove: first and last", "xabx", 0, "a1b2"},
    {"remove: every other one, in order", "xaxaxb", 0, "a1a3b5"},
    {"remove: from the second on", "xaxbx", 1, "x0a1b3"},
    {"remove: from the end on", "xx", 2, "x0x1"},
    {"remove: from beyond the end", "xx", 9, "x0x1"},
};

static void test_remove(void **state)
{
    const removal_t *row = *state;
    apr_pool_t *pool = new_pool();
    apr_table_t *table = apr_table_make(pool, 1);
    const apr_array_header_t *array;
    char text[64] = "";

    for (int i = 0; row->keys[i]; i++)
        apr_table_addn(table, apr_psprintf(pool, "%c", row->keys[i]), apr_itoa(pool, i));
    la_fields_remove(table, row->first, starts_with_x, NULL, pool);
    array = apr_table_elts(table);
    for (int i = 0; i < array->nelts; i++) {
        const apr_table_entry_t *entry = &APR_ARRAY_IDX(array, i, apr_table_entry_t);

        apr_snprintf(text + strlen(text), 8, "%s%s", entry->key, entry->val);
    }
    assert_string_equal(text, row->left);
    assert_true((apr_table_get(table, "a") != NULL) == (strchr(row->left, 'a') != NULL));
    assert_true((apr_table_get(table, "x") != NULL) == (strchr(row->left, 'x') != NULL));
    apr_table_setn(table, "a", "last");
    assert_string_equal(apr_table_get(table, "a"), "last");
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(connections); i++)
        add(connections[i].name, test_connection, &connections[i]);
    for (size_t i = 0; i < ROWS(removals); i++)
        add(removals[i].name, test_remove, &removals[i]);
    return finish("fields");
}
