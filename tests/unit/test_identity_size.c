/* Tests of src/access/identity.c: how large a block may be, and what many values cost. */
#include "access/identity.h"

#include "heap.h"

#include <apr_general.h>
#include <apr_strings.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

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

/* A block with a message of `message` bytes and one value of `value` bytes. */
static const char *build_sized(apr_size_t message, apr_size_t value, apr_size_t *size)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    char *text = apr_palloc(pool, message + value + 1);
    const la_identity_t *identity;
    const char *error;

    memset(text, 'x', message + value + 1);
    la_identity_set_message(builder, (la_slice_t){text, message});
    la_identity_add(builder, LA_SLICE("c"), (la_slice_t){text, value});
    error = la_identity_build(builder, pool, &identity);
    *size = 0;
    if (error) {
        assert_null(identity);
        return error;
    }
    *size = la_identity_size(identity);
    assert_int_equal(la_identity_check(identity, *size), 1);
    return NULL;
}

static void test_largest(void **state)
{
    apr_size_t size;
    apr_size_t base;
    apr_size_t value = 1000000;

    (void)state;
    assert_null(build_sized(0, 0, &base));
    base += 3 * value; /* as it is, joined, in JSON */
    assert_null(build_sized(LA_IDENTITY_MAX_BYTES - base, value, &size));
    assert_int_equal(size, LA_IDENTITY_MAX_BYTES);
    assert_non_null(build_sized(LA_IDENTITY_MAX_BYTES - base + 1, value, &size));
    assert_non_null(build_sized(0, LA_IDENTITY_MAX_BYTES / 2, &size));
    assert_non_null(build_sized(0, LA_IDENTITY_MAX_BYTES + 1, &size));
    assert_non_null(build_sized(LA_IDENTITY_MAX_BYTES + 1, 0, &size));
}

static void test_name_too_large(void **state)
{
    apr_size_t len = LA_IDENTITY_MAX_BYTES + 1;
    char *text = apr_palloc(pool, len);
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    const la_identity_t *identity;

    (void)state;
    memset(text, 'x', len);
    la_identity_add_category(builder, (la_slice_t){text, len});
    assert_non_null(la_identity_build(builder, pool, &identity));
    assert_null(identity);
    builder = la_identity_builder_make(pool);
    assert_null(la_identity_set_principal(builder, (la_slice_t){text, len}));
    assert_non_null(la_identity_build(builder, pool, &identity));
    assert_null(identity);
}

/* Values of 6 bytes that are 6 bytes of text in JSON but 18 in a note. */
static void test_encoding_counts(void **state)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    const la_identity_t *identity;
    char text[32];

    (void)state;
    for (int i = 0; i < 200000; i++) {
        apr_snprintf(text, sizeof(text), "%06d%%%%%%%%", i);
        la_identity_add(builder, LA_SLICE("c"), la_slice_of(text));
    }
    assert_non_null(la_identity_build(builder, pool, &identity));
    assert_null(identity);
}

/* A megabyte of short words is not collected for being refused. */
static void test_words(void **state)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    const la_identity_t *identity;
    size_t before = heap_bytes();
    char text[32];

    (void)state;
    for (int i = 0; i < 300000; i++) {
        apr_snprintf(text, sizeof(text), "%x", i);
        la_identity_add(builder, LA_SLICE("scopes"), la_slice_of(text));
        la_identity_add_category(builder, la_slice_of(text));
    }
    assert_non_null(la_identity_build(builder, pool, &identity));
    assert_null(identity);
    assert_true(heap_growth(before) < LA_IDENTITY_MAX_BYTES + HEAP_SLACK + 65536);
}

/* What is six times as long in JSON is written once, where it stays. */
static void test_json_once(void **state)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    apr_size_t len = 300000;
    char *text = apr_palloc(pool, len);
    const la_identity_t *identity;
    size_t before;

    (void)state;
    memset(text, 0x7f, len);
    la_identity_add(builder, LA_SLICE("c"), (la_slice_t){text, len});
    before = heap_bytes();
    assert_null(la_identity_build(builder, pool, &identity));
    assert_true(la_identity_size(identity) > 10 * len);
    assert_true(heap_growth(before) < la_identity_size(identity) + HEAP_SLACK + 16384);
    assert_int_equal(la_identity_attributes_json(identity).len, strlen("{\"c\":[\"\"]}") + 6 * len);
}

/* The memory taken is what the block fills: the next piece of the pool follows it at once. Nothing
 * else would tell, since ASan does not see into pools. Some lengths are no multiples of the
 * alignment. */
static void test_exact_memory(void **state)
{
    (void)state;
    for (int i = 0; i < 9 * 9 * 9; i++) {
        la_identity_builder_t *builder = la_identity_builder_make(pool);
        int empty = i % 9;
        int values = i / 9 % 9;
        const la_identity_t *identity;
        apr_pool_t *fresh;

        apr_pool_create(&fresh, pool);
        la_identity_set_message(builder, (la_slice_t){"message\n", (apr_size_t)i / 81});
        assert_null(la_identity_set_principal(builder, (la_slice_t){"principal", 1 + i % 7}));
        for (int n = 0; n < empty; n++)
            la_identity_add_category(builder, (la_slice_t){"%,\xc3\xa9 empty", (apr_size_t)n});
        for (int n = 0; n < values; n++)
            la_identity_add(builder, LA_SLICE("c"),
                            (la_slice_t){"%,\xc3\xa9 value", (apr_size_t)n});
        assert_null(la_identity_build(builder, fresh, &identity));
        assert_int_equal((const char *)apr_palloc(fresh, 1) - (const char *)identity,
                         APR_ALIGN_DEFAULT(la_identity_size(identity)));
        apr_pool_destroy(fresh);
    }
}

typedef struct many_row_t {
    const char *name;
    int count;
    int as_categories;
    int colliding;
} many_row_t;

static const many_row_t many_rows[] = {
    {"many: 16,000 values", 16000, 0, 0},
    {"many: 16,000 categories", 16000, 1, 0},
    {"many: 14,000 values that collide in APR's own hash", 14000, 0, 1},
    {"many: 14,000 categories that collide in APR's own hash", 14000, 1, 1},
};

/* The n-th text: a number, or 15 pairs of bytes whose parts are equal under APR's hash (33 * 'E' +
 * 'z' is 33 * 'F' + 'Y'). */
static la_slice_t nth_text(const many_row_t *row, int n, char text[40])
{
    if (!row->colliding) {
        apr_snprintf(text, 40, "value-%d", n);
        return la_slice_of(text);
    }
    for (int bit = 0; bit < 15; bit++)
        memcpy(text + 2 * bit, (n >> bit) & 1 ? "Ez" : "FY", 2);
    return (la_slice_t){text, 30};
}

/* Number of values of the first category, by the commas between them. */
static int count_joined(const la_identity_t *identity)
{
    const char *name;
    const char *value;
    int count = 1;

    la_identity_note(identity, 0, &name, &value);
    for (; *value != '\0'; value++)
        count += *value == ',';
    return count;
}

static void test_many(void **state)
{
    const many_row_t *row = *state;
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    const la_identity_t *identity;
    clock_t start = clock();
    char text[40];

    for (int i = 0; i < 2 * row->count; i++) { /* each one twice */
        la_slice_t nth = nth_text(row, i % row->count, text);

        if (row->as_categories)
            la_identity_add_category(builder, nth);
        else
            la_identity_add(builder, LA_SLICE("c"), nth);
    }
    assert_null(la_identity_build(builder, pool, &identity));
    assert_int_equal(la_identity_check(identity, la_identity_size(identity)), 1);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 10.0); /* quadratic takes longer */
    if (row->as_categories) {
        assert_int_equal(la_identity_count(identity), row->count);
    } else {
        assert_int_equal(la_identity_count(identity), 1);
        assert_int_equal(count_joined(identity), row->count);
        assert_int_equal(
            la_identity_has(identity, LA_SLICE("c"), nth_text(row, row->count - 1, text)), 1);
    }
}

/* ---- running ------------------------------------------------------------------ */

static struct CMUnitTest tests[16];
static size_t test_count;

static void add(const char *name, CMUnitTestFunction function, const void *row)
{
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
    add("size: the largest block and one byte more", test_largest, NULL);
    add("size: a text that is too large alone", test_name_too_large, NULL);
    add("size: the memory taken is filled", test_exact_memory, NULL);
    add("size: encoded texts count", test_encoding_counts, NULL);
    add("size: a megabyte of words", test_words, NULL);
    add("size: the JSON is written once", test_json_once, NULL);
    ADD_ROWS(many_rows, test_many);
    failed = _cmocka_run_group_tests("identity_size", tests, test_count, NULL, NULL);
    apr_terminate();
    return failed;
}
