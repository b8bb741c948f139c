/* model_list.c: what goes out of a list of models, and what stays as it is written. */
#include "support.h"

#include "access/model_list.h"

typedef struct case_t {
    const char *name;
    const char *text;
    const char *filtered; /* NULL: it is refused */
} case_t;

/* Models that begin with `a` may stay. */
static case_t cases[] = {
    {"none", "{\"data\":[]}", "{\"data\":[]}"},
    {"all stay", "{\"data\":[{\"id\":\"a\"}, {\"id\":\"ab\"}]}",
     "{\"data\":[{\"id\":\"a\"}, {\"id\":\"ab\"}]}"},
    {"first goes", "{\"data\":[{\"id\":\"b\"}, {\"id\":\"a\"}]}", "{\"data\":[ {\"id\":\"a\"}]}"},
    {"last goes", "{\"data\":[{\"id\":\"a\"}, {\"id\":\"b\"}]}", "{\"data\":[{\"id\":\"a\"}]}"},
    {"all go", "{\"data\":[{\"id\":\"b\"} , {\"id\":\"c\"}], \"x\": 1}", "{\"data\":[], \"x\": 1}"},
    {"escaped", "{\"data\":[{\"id\":\"\\u0061\"},{\"i\\u0064\":\"\\u0062\"}]}",
     "{\"data\":[{\"id\":\"\\u0061\"}]}"},
    {"no usable name", "{\"data\":[{\"id\":1},{},{\"id\":\"\"},{\"id\":null},\"a\",1,null,[]]}",
     "{\"data\":[]}"},
    {"control character", "{\"data\":[{\"id\":\"a\\n\"}]}", "{\"data\":[]}"},
    {"models by name",
     "{\"models\":[{\"name\":\"a\",\"model\":\"b\"},{\"name\":\"b\",\"model\":\"a\"}]}",
     "{\"models\":[{\"name\":\"a\",\"model\":\"b\"}]}"},
    {"models by model", "{\"models\":[{\"model\":\"a\"},{\"model\":\"b\"}]}",
     "{\"models\":[{\"model\":\"a\"}]}"},
    {"models by an unusable name", "{\"models\":[{\"name\":1,\"model\":\"a\"}]}",
     "{\"models\":[]}"},
    {"data by name", "{\"data\":[{\"name\":\"a\"}]}", "{\"data\":[]}"},
    {"both", "{\"models\":[{\"name\":\"b\"}],\"data\":[{\"id\":\"b\"},{\"id\":\"a\"}],\"z\":[1]}",
     "{\"models\":[],\"data\":[{\"id\":\"a\"}],\"z\":[1]}"},
    {"both, the other way", "{\"data\":[{\"id\":\"b\"}],\"models\":[{\"name\":\"a\"}]}",
     "{\"data\":[],\"models\":[{\"name\":\"a\"}]}"},
    {"ids",
     "{\"first_id\": \"b\", \"data\":[{\"id\":\"b\"},{\"id\":\"a\\\"1\"},{\"id\":\"a2\"}], "
     "\"last_id\" : \"c\",\"has_more\":false}",
     "{\"first_id\": \"a\\\"1\", \"data\":[{\"id\":\"a\\\"1\"},{\"id\":\"a2\"}], "
     "\"last_id\" : \"a2\",\"has_more\":false}"},
    {"ids of nothing", "{\"data\":[{\"id\":\"b\"}],\"first_id\":\"b\",\"last_id\":null}",
     "{\"data\":[],\"first_id\":null,\"last_id\":null}"},
    {"ids inside", "{\"data\":[{\"id\":\"a\",\"first_id\":\"b\"}],\"x\":{\"first_id\":\"b\"}}",
     "{\"data\":[{\"id\":\"a\",\"first_id\":\"b\"}],\"x\":{\"first_id\":\"b\"}}"},
    {"nested names", "{\"data\":[{\"id\":\"b\",\"x\":{\"id\":\"a\"}}]}", "{\"data\":[]}"},
    {"nested lists", "{\"x\":{\"data\":[{\"id\":\"b\"}]},\"data\":[{\"id\":\"a\",\"data\":[1,2]}]}",
     "{\"x\":{\"data\":[{\"id\":\"b\"}]},\"data\":[{\"id\":\"a\",\"data\":[1,2]}]}"},
    {"white space", " { \"data\" : [ { \"id\" : \"a\" } , { \"id\" : \"b\" } ] } \n",
     " { \"data\" : [ { \"id\" : \"a\" } ] } \n"},
    {"neither", "{\"models_list\":[]}", NULL},
    {"no object", "[{\"id\":\"a\"}]", NULL},
    {"no JSON", "<html>", NULL},
    {"nothing", "", NULL},
    {"no list", "{\"data\":{\"id\":\"a\"}}", NULL},
    {"null", "{\"data\":null}", NULL},
    {"twice", "{\"data\":[],\"data\":[{\"id\":\"b\"}]}", NULL},
    {"twice, one escaped", "{\"data\":[],\"d\\u0061ta\":[{\"id\":\"b\"}]}", NULL},
    {"escaped name of the list", "{\"d\\u0061ta\":[{\"id\":\"b\"}]}", NULL},
    {"escaped name beside one", "{\"models\":[],\"d\\u0061ta\":[{\"id\":\"b\"}]}", NULL},
    {"name twice in an item", "{\"data\":[{\"id\":\"a\",\"id\":\"b\"}]}", NULL},
    {"first_id is a number", "{\"data\":[],\"first_id\":1}", NULL},
    {"first_id escaped", "{\"data\":[],\"f\\u0069rst_id\":\"b\"}", NULL},
    {"more behind", "{\"data\":[]} x", NULL},
};

static int begins_with_a(void *baton, apr_pool_t *pool, la_slice_t model)
{
    (void)baton;
    (void)pool;
    return model.data[0] == 'a';
}

static void test_case(void **state)
{
    const case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_slice_t filtered;
    const char *error =
        la_model_list_filter(pool, la_slice_of(row->text), begins_with_a, NULL, &filtered);

    assert_true((error == NULL) == (row->filtered != NULL));
    assert_true(error == NULL || filtered.len == 0);
    if (row->filtered) {
        assert_string_equal(apr_pstrmemdup(pool, filtered.data, filtered.len), row->filtered);
    }
    apr_pool_destroy(pool);
}

static apr_status_t forget(void *count)
{
    --*(int *)count;
    return APR_SUCCESS;
}

/* What is said of one item is forgotten when the next one comes. */
static int says_much(void *baton, apr_pool_t *pool, la_slice_t model)
{
    int *count = baton;

    assert_int_equal(++*count, 1);
    apr_pool_cleanup_register(pool, count, forget, apr_pool_cleanup_null);
    return model.data[0] == 'a';
}

static void test_memory(void **state)
{
    apr_pool_t *pool = new_pool();
    la_slice_t filtered;
    int count = 0;

    (void)state;
    assert_null(la_model_list_filter(
        pool, LA_SLICE("{\"data\":[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"a\"}]}"), says_much,
        &count, &filtered));
    assert_int_equal(count, 0);
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    add("memory", test_memory, NULL);
    for (size_t i = 0; i < ROWS(cases); i++) {
        add(cases[i].name, test_case, &cases[i]);
    }
    return finish("model_list");
}
