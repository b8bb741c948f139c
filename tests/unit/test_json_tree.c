/* json.c: what a tree costs, may cost, and gives back. */
#include "base/json.h"
#include "base/json_scan.h"

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

/* ---- what a tree costs ---- */

typedef struct dear_row_t {
    const char *name;
    const char *open, *item, *close;
} dear_row_t;

static const dear_row_t dear_rows[] = {
    {"dear: objects", "[", "{}", "]"},
    {"dear: arrays", "[", "[]", "]"},
    {"dear: arrays of one", "[", "[0]", "]"},
    {"dear: arrays of arrays", "[", "[[]]", "]"},
    {"dear: objects of one", "[", "{\"\":0}", "]"},
    {"dear: objects of objects", "[", "{\"\":{}}", "]"},
    {"dear: digits", "[", "0", "]"},
    {"dear: fractions", "[", "1.5", "]"},
    {"dear: exponents", "[", "1e5", "]"},
    {"dear: empty strings", "[", "\"\"", "]"},
    {"dear: strings", "[", "\"0123456789abcdef0\"", "]"},
    {"dear: booleans", "[", "true", "]"},
    {"dear: nulls", "[", "null", "]"},
    {"dear: members", "{", "\"#\":0", "}"},
    {"dear: members that are null", "{", "\"#\":null", "}"},
    {"dear: objects of twelve", "[",
     "{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0,\"j\":0,\"k\":0,"
     "\"l\":0}",
     "]"},
    {"dear: a member of objects", "{\"a\":[", "{}", "]}"},
};

/* Parses; nothing is held that the scan did not foresee, and nothing afterwards. */
static const char *parse_measured(la_slice_t text, apr_size_t *held)
{
    const la_json_t *value;
    la_json_scan_t scan;
    apr_pool_t *document;
    const char *error;
    size_t before;

    assert_int_equal(la_json_scan(text, NULL, &scan), 1);
    assert_int_equal(apr_pool_create(&document, pool), APR_SUCCESS);
    before = heap_bytes();
    error = la_json_parse(document, text, &value);
    *held = heap_growth(before);
    assert_true(*held <= HEAP_SLACK + (error ? 0 : scan.tree + 2 * text.len));
    apr_pool_clear(document);
    assert_true(heap_growth(before) <= HEAP_SLACK);
    return error; /* a constant: the text is sound */
}

static void test_dear(void **state)
{
    const dear_row_t *row = *state;
    apr_size_t refused = 0;
    apr_size_t taken = 0;

    /* From what is taken to what is refused. */
    for (apr_size_t bytes = 100; bytes <= MB; bytes *= 2) {
        la_slice_t text = repeated(pool, row->open, row->item, row->close, bytes);
        apr_size_t held;
        const char *error = parse_measured(text, &held);

        if (error) {
            assert_string_equal(error, "too many values");
            refused = bytes;
        } else {
            assert_true(held <= LA_JSON_TREE_BYTES + 2 * text.len + HEAP_SLACK);
            taken = bytes;
        }
    }
    assert_int_not_equal(taken, 0);
    assert_true(refused == 0 || refused > taken);
}

/* Documents that there are. */
static const dear_row_t real_rows[] = {
    {"real: 3,000 roles", "{\"active\":true,\"realm_access\":{\"roles\":[",
     "\"role-number-#-of-a-realm\"", "]}}"},
    {"real: clients of a token", "{\"sub\":\"x\",\"resource_access\":{",
     "\"c#\":{\"roles\":[\"view\",\"edit\"]}", "}}"},
    {"real: groups with a name each", "{\"groups\":[", "{\"name\":\"group-number-#\"}", "]}"},
};

static void test_real(void **state)
{
    const dear_row_t *row = *state;
    apr_size_t held;

    assert_null(parse_measured(repeated(pool, row->open, row->item, row->close, 6000), &held));
    assert_null(parse_measured(repeated(pool, row->open, row->item, row->close, 40000), &held));
}

/* A hundred teams as GitHub describes them. */
static void test_teams(void **state)
{
    la_json_writer_t team;
    apr_size_t held;

    (void)state;
    la_json_writer_init(&team, pool);
    la_json_write_raw(&team, LA_SLICE("{\"organization\":{\"login\":\"x\""));
    for (int i = 0; i < 2; i++) {
        for (int n = 0; n < 30; n++)
            la_json_write_raw(
                &team,
                slice_of(apr_psprintf(
                    pool, ",\"member_%d\":\"https://api.example.org/organizations/17/%d\"", n, n)));
        la_json_write_raw(&team, i ? LA_SLICE("}") : LA_SLICE("},\"id\":17"));
    }
    assert_null(parse_measured(repeated(pool, "[", team.data, "]", 100 * (team.len + 1)), &held));
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
    ADD_ROWS(dear_rows, test_dear);
    ADD_ROWS(real_rows, test_real);
    add("real: a hundred teams", test_teams, NULL);
    failed = _cmocka_run_group_tests("json_tree", tests, test_count, NULL, NULL);
    apr_terminate();
    return failed;
}
