/* keys/edit.c: what a change leaves alone, byte for byte. */
#include "support.h"

#include "keys/edit.h"

/* What is done to the file's items: '-' removes, '!' sets "disabled" to true, '=' leaves. */
typedef struct edit_case_t {
    const char *name;
    const char *before;
    const char *marks;
    const char *added; /* or NULL */
    const char *after;
} edit_case_t;

static edit_case_t edit_cases[] = {
    {"edit: nothing", " {\"keys\" : [ {} , null,{} ]\n} \n", "===", NULL,
     " {\"keys\" : [ {} , null,{} ]\n} \n"},
    {"edit: add to an empty list", "{\"keys\": []}\n", "", "{1}", "{\"keys\": [\n  {1}\n]}\n"},
    {"edit: add to a blank list", "{\"keys\": [ ]}", "", "{1}", "{\"keys\": [\n  {1}\n ]}"},
    {"edit: add as the others stand", "{\"keys\": [\n\t{},\n\t{}\n]}", "==", "{1}",
     "{\"keys\": [\n\t{},\n\t{},\n\t{1}\n]}"},
    {"edit: add to one line", "{\"keys\":[{},{}]}", "==", "{1}", "{\"keys\":[{},{},{1}]}"},
    {"edit: remove the first", "{\"keys\": [\n  {\"a\":1},\n  {}\n]}", "-=", NULL,
     "{\"keys\": [\n  {}\n]}"},
    {"edit: remove the last", "{\"keys\": [\n  {\"a\":1},\n  {}\n]}", "=-", NULL,
     "{\"keys\": [\n  {\"a\":1}\n]}"},
    {"edit: remove one in the middle", "{\"keys\":[{\"a\":1} ,null , {} ]}", "=-=", NULL,
     "{\"keys\":[{\"a\":1} , {} ]}"},
    {"edit: remove all", "{\"keys\": [\n  {}\n]}", "-", NULL, "{\"keys\": [\n]}"},
    {"edit: remove all and add", "{\"keys\": [\n  {}\n]}", "-", "{1}", "{\"keys\": [\n  {1}\n]}"},
    {"edit: members beside the list stay",
     "{\"v\": [1, {\"keys\": [2]}], \"keys\": [{}], \"w\": 2}", "-", NULL,
     "{\"v\": [1, {\"keys\": [2]}], \"keys\": [], \"w\": 2}"},
    {"edit: set where there is none", "{\"keys\": [{\"a\": 1 }]}", "!", NULL,
     "{\"keys\": [{\"a\": 1, \"disabled\": true }]}"},
    {"edit: set in an empty object", "{\"keys\": [{ }]}", "!", NULL,
     "{\"keys\": [{\"disabled\": true }]}"},
    {"edit: set where there is one", "{\"keys\": [{\"disabled\" : false , \"x\": []}]}", "!", NULL,
     "{\"keys\": [{\"disabled\" : true , \"x\": []}]}"},
    {"edit: set where it is null", "{\"keys\": [{\"disabled\":null}]}", "!", NULL,
     "{\"keys\": [{\"disabled\":true}]}"},
    {"edit: a name with escapes", "{\"keys\": [{\"d\\u0069sabled\": false}]}", "!", NULL,
     "{\"keys\": [{\"d\\u0069sabled\": true}]}"},
    {"edit: names that look alike",
     "{\"keys\": [{\"a\": {\"disabled\": 1}, \"b\\\"\": \"\\\",\\\"disabled\\\":1\", \"Disabled\": "
     "2}]}",
     "!", NULL,
     "{\"keys\": [{\"a\": {\"disabled\": 1}, \"b\\\"\": \"\\\",\\\"disabled\\\":1\", \"Disabled\": "
     "2, \"disabled\": true}]}"},
};

static void test_edit(void **state)
{
    const edit_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    size_t len = strlen(row->before);
    char *tight = malloc(len);
    la_slice_t text;
    la_edit_t edit;

    assert_non_null(tight);
    memcpy(tight, row->before, len);
    assert_null(la_edit_open(pool, (la_slice_t){tight, len}, &edit));
    assert_int_equal(edit.items->nelts, strlen(row->marks));
    for (int i = 0; row->marks[i]; i++) {
        la_edit_item_t *item = la_edit_item(&edit, i);

        item->removed = row->marks[i] == '-';
        if (row->marks[i] == '!')
            item->text = la_edit_set(pool, item->text, "disabled", "true");
    }
    if (row->added)
        APR_ARRAY_PUSH(edit.added, const char *) = row->added;
    text = la_edit_text(&edit);
    assert_string_equal(text.data, row->after);
    free(tight);
    apr_pool_destroy(pool);
}

static void test_member(void **state)
{
    la_slice_t object = LA_SLICE("{\"a\": [1, {\"b\": 2}], \"b\" : \"x\\\"}\" , \"c\": -1.5e3}");
    apr_pool_t *pool = new_pool();
    la_slice_t value;

    (void)state;
    assert_true(la_edit_member(pool, object, "a", &value));
    assert_true(la_slice_is(value, "[1, {\"b\": 2}]"));
    assert_true(la_edit_member(pool, object, "b", &value));
    assert_true(la_slice_is(value, "\"x\\\"}\""));
    assert_true(la_edit_member(pool, object, "c", &value));
    assert_true(la_slice_is(value, "-1.5e3"));
    assert_false(la_edit_member(pool, object, "d", &value));
    assert_false(la_edit_member(pool, LA_SLICE("{}"), "d", &value));
    apr_pool_destroy(pool);
}

static void test_no_list(void **state)
{
    apr_pool_t *pool = new_pool();
    la_edit_t edit;

    (void)state;
    assert_non_null(la_edit_open(pool, LA_SLICE("{\"k\\u0065ys\": [{}]}"), &edit));
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(edit_cases); i++)
        add(edit_cases[i].name, test_edit, &edit_cases[i]);
    add("member", test_member, NULL);
    add("a list whose name has escapes", test_no_list, NULL);
    return finish("key_edit");
}
