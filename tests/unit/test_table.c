/* The table in one process: what is stored is found, and for as long as it may be. Others:
 * test_table_evict.c, test_table_garbage.c (damaged bytes), test_table_threads.c and
 * test_table_crash.c (many processes). */
#include "shm/table.h"

#include <apr_general.h>

#include "table_fixture.h"
#include "table_validate.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* ---- sizes ------------------------------------------------------------------- */

typedef struct size_row_t {
    const char *name;
    int offset; /* from an aligned address */
    int less;   /* bytes below the least size */
    apr_status_t expected;
} size_row_t;

static const size_row_t size_rows[] = {
    {"the least size is enough", 0, 0, APR_SUCCESS},
    {"one byte less is refused", 0, 1, APR_ENOSPC},
    {"nothing is refused", 0, -1, APR_ENOSPC},
    {"an address that ends in 8 is refused", 8, 0, APR_EINVAL},
    {"an odd address is refused", 1, 0, APR_EINVAL},
};

static void test_size(void **state)
{
    const size_row_t *row = *state;
    apr_size_t size = row->less < 0 ? 0 : la_table_bytes_min() - (apr_size_t)row->less;
    unsigned char *block = aligned_alloc(64, la_table_bytes_min() + 64);
    apr_pool_t *pool;
    la_table_t *table;

    apr_pool_create(&pool, NULL);
    assert_int_equal(format(block + row->offset, size), row->expected);
    assert_int_equal(la_table_attach(block + row->offset, size, test_holder(), pool, &table),
                     row->expected);
    assert_int_equal(table != NULL, row->expected == APR_SUCCESS);
    apr_pool_destroy(pool);
    free(block);
}

static void test_attach_refuses(void **state)
{
    la_table_t *table;

    (void)state;
    assert_int_equal(la_table_attach(NULL, f.size, test_holder(), f.pool, &table), APR_EINVAL);
    assert_null(table);
    memset(f.bytes, 0, 64);
    assert_int_equal(la_table_attach(f.bytes, f.size, test_holder(), f.pool, &table), APR_EGENERAL);
    assert_null(table);
    assert_int_equal(format(f.bytes, f.size), APR_SUCCESS);
    assert_int_equal(la_table_attach(f.bytes, f.size - 1, test_holder(), f.pool, &table),
                     APR_ENOSPC);
    assert_null(table);
}

static void test_attach_other_size(void **state)
{
    table_fixture_t two = table_fixture_make(2, 0);
    la_table_t *table;

    (void)state;
    assert_int_equal(la_table_attach(two.bytes, two.size - 64, test_holder(), two.pool, &table),
                     APR_EGENERAL);
    assert_null(table);
    table_fixture_drop(&two, 0);
}

/* ---- values ------------------------------------------------------------------ */

typedef struct len_row_t {
    const char *name;
    apr_size_t len;
} len_row_t;

static const len_row_t len_rows[] = {
    {"empty", 0},           {"one byte", 1},
    {"seven bytes", 7},     {"a word", 8},
    {"nine bytes", 9},      {"200 bytes", 200},
    {"263 bytes", 263},     {"a full head", 264},
    {"one tail", 265},      {"a full tail", 632},
    {"two tails", 633},     {"16 KB", 16384},
    {"a byte less", 17407}, {"the longest", VALUE_MAX},
};

/* The buffer has exactly the value's length, so that ASan sees a byte too many. */
static void test_len(void **state)
{
    const len_row_t *row = *state;
    unsigned char key[LA_TABLE_KEY_BYTES];
    la_table_meta_t meta = {.stored_us = NOW_US, .expires_us = NOW_US + 1};
    unsigned char *in = malloc(row->len + 1);
    unsigned char *out = malloc(row->len ? row->len : 1);
    la_table_entry_t entry;

    for (apr_size_t i = 0; i < row->len; i++) {
        in[i] = (unsigned char)(mix(i) | 1);
    }
    memset(meta.client_tag, 3, sizeof(meta.client_tag));
    memset(meta.principal_tag, 4, sizeof(meta.principal_tag));
    key_of(row->len, key);
    assert_int_equal(la_table_put(f.table, key, &meta, (la_slice_t){(char *)in, row->len}, NULL),
                     APR_SUCCESS);
    assert_int_equal(la_table_get(f.table, key, NOW_US, room_of, out, &entry), LA_TABLE_FRESH);
    assert_int_equal(entry.len, row->len);
    assert_memory_equal(out, in, row->len);
    assert_memory_equal(&entry.meta, &meta, sizeof(meta));
    assert_null(la_table_validate(f.table));
    free(in);
    free(out);
}

static void test_too_large(void **state)
{
    static unsigned char value[VALUE_MAX + 1];
    unsigned char key[LA_TABLE_KEY_BYTES];
    la_table_meta_t meta = {.stored_us = NOW_US, .expires_us = NOW_US + SECONDS(1)};

    (void)state;
    put(1, 0, NOW_US);
    key_of(1, key);
    assert_int_equal(
        la_table_put(f.table, key, &meta, (la_slice_t){(char *)value, sizeof(value)}, NULL),
        APR_ENOSPC);
    assert_int_equal(hit(1, NOW_US), 0); /* what it was to replace is gone */
    assert_int_equal(stats().too_large, 1);
    assert_int_equal(stats().store_failures, 1);
    assert_null(la_table_validate(f.table));
}

static void test_every_bit_of_the_key(void **state)
{
    unsigned char key[LA_TABLE_KEY_BYTES];
    unsigned char out[VALUE_MAX];
    la_table_entry_t entry;

    (void)state;
    put(1, 0, NOW_US);
    for (unsigned bit = 0; bit < 8 * LA_TABLE_KEY_BYTES; bit++) {
        key_of(1, key);
        key[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_int_equal(la_table_get(f.table, key, NOW_US, room_of, out, &entry), LA_TABLE_MISS);
        assert_int_equal(la_table_remove(f.table, key), 0);
    }
    assert_int_equal(hit(1, NOW_US), 1);
}

static void *no_room(void *context, apr_size_t len)
{
    *(apr_size_t *)context = len;
    return NULL;
}

static void test_no_room(void **state)
{
    unsigned char key[LA_TABLE_KEY_BYTES];
    la_table_entry_t entry;
    apr_size_t asked = 0;

    (void)state;
    put(1, 3, NOW_US);
    key_of(1, key);
    assert_int_equal(la_table_get(f.table, key, NOW_US, no_room, &asked, &entry), LA_TABLE_MISS);
    assert_int_equal(asked, len_of(3));
    assert_int_equal(hit(1, NOW_US), 1);
}

/* Each pair of lengths in turn: no older version may show, nor any chunk get lost. */
static void test_moves_between_sizes(void **state)
{
    (void)state;
    for (uint64_t from = 0; from < 16; from++) {
        for (uint64_t to = 0; to < 16; to++) {
            put(1, from, NOW_US);
            assert_int_equal(hit(1, NOW_US), 1);
            put(1, to, NOW_US);
            assert_int_equal(hit(1, NOW_US), 1);
            assert_int_equal(stats().entries, 1);
            assert_null(la_table_validate(f.table));
            assert_int_equal(remove_number(1), 1);
            assert_int_equal(hit(1, NOW_US), 0);
            assert_int_equal(remove_number(1), 0);
        }
    }
    assert_int_equal(stats().evictions, 0);
    fill(NOW_US);
    assert_int_equal(stats().chunks_used, WAYS);
}

static void test_small_after_large_expired(void **state)
{
    (void)state;
    put(1, 0, NOW_US);
    put(1, 12, NOW_US); /* 16 KB, until an hour later */
    assert_int_equal(hit(1, NOW_US + SECONDS(3600)), 0);
    put(2, 13, NOW_US + SECONDS(3600));
    put(3, 13, NOW_US + SECONDS(3600)); /* takes what 1 had */
    assert_int_equal(hit(1, NOW_US), 0);
    assert_int_equal(hit(2, NOW_US + SECONDS(3600)), 1);
    assert_int_equal(hit(3, NOW_US + SECONDS(3600)), 1);
    assert_int_equal(stats().evictions, 0);
}

/* ---- time -------------------------------------------------------------------- */

typedef struct time_row_t {
    const char *name;
    apr_int64_t expires, stale_until, now; /* seconds after the store */
    la_table_e expected;
} time_row_t;

static const time_row_t time_rows[] = {
    {"fresh at once", 10, 0, 0, LA_TABLE_FRESH},
    {"fresh till the end", 10, 0, 9, LA_TABLE_FRESH},
    {"gone at the end", 10, 0, 10, LA_TABLE_MISS},
    {"gone after ten years", 10, 0, YEARS(10), LA_TABLE_MISS},
    {"stale from the end on", 10, 20, 10, LA_TABLE_STALE},
    {"stale till its end", 10, 20, 19, LA_TABLE_STALE},
    {"gone at its end", 10, 20, 20, LA_TABLE_MISS},
    {"stale before fresh is never stale", 10, 5, 10, LA_TABLE_MISS},
    {"never fresh", -1, 0, 0, LA_TABLE_MISS},
    {"never fresh but stale", -1, 5, 0, LA_TABLE_STALE},
    {"a little before it was stored", 10, 0, -5, LA_TABLE_FRESH},
    {"six seconds before it was stored", 10, 0, -6, LA_TABLE_MISS},
    {"the clock an hour back", 10, 20, -3600, LA_TABLE_MISS},
    {"the clock ten years back", YEARS(20), YEARS(30), -YEARS(10), LA_TABLE_MISS},
    {"before all time", 10, 0, -1700000000 - YEARS(1), LA_TABLE_MISS},
};

static void test_time(void **state)
{
    const time_row_t *row = *state;
    unsigned char key[LA_TABLE_KEY_BYTES];
    unsigned char out[8];
    la_table_meta_t meta = {.stored_us = NOW_US,
                            .expires_us = NOW_US + SECONDS(row->expires),
                            .stale_until_us = NOW_US + SECONDS(row->stale_until)};
    la_table_entry_t entry;

    key_of(1, key);
    assert_int_equal(la_table_put(f.table, key, &meta, LA_SLICE("value"), NULL), APR_SUCCESS);
    assert_int_equal(la_table_get(f.table, key, NOW_US + SECONDS(row->now), room_of, out, &entry),
                     row->expected);
}

/* ---- removing and counting ------------------------------------------------------- */

static int is_any(void *context, const la_table_meta_t *meta)
{
    (void)context;
    return meta != NULL;
}

static void test_sweep(void **state)
{
    apr_uint32_t number = 5;

    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        put(i, i % 7, NOW_US);
    }
    assert_int_equal(la_table_sweep(f.table, is_number, &number), 1);
    assert_int_equal(la_table_sweep(f.table, is_number, &number), 0);
    for (unsigned i = 0; i < 12; i++) {
        assert_int_equal(hit(i, NOW_US), i != 5);
    }
    assert_int_equal(stats().entries, 11);
    put(5, 1, NOW_US);
    assert_int_equal(hit(5, NOW_US), 1);
    assert_int_equal(la_table_sweep(f.table, is_any, NULL), 12);
    assert_int_equal(stats().entries, 0);
    assert_null(la_table_validate(f.table));
}

static void test_counters(void **state)
{
    (void)state;
    assert_int_equal(stats().bytes, f.size);
    assert_int_equal(stats().chunks, WAYS);
    put(1, 0, NOW_US);
    put(2, 13, NOW_US);
    put(1, 1, NOW_US);
    assert_int_equal(stats().entries, 2);
    assert_int_equal(stats().chunks_used, 49);
    assert_int_equal(stats().stores, 3);
    assert_int_equal(stats().store_failures, 0);
    assert_int_equal(remove_number(2), 1);
    assert_int_equal(stats().entries, 1);
}

/* In a table of 40 groups each key is found where it was put. */
static void test_many_keys(void **state)
{
    table_fixture_t many = table_fixture_make(40, 0);

    (void)state;
    for (unsigned i = 0; i < 2500; i++) {
        assert_int_equal(put_version(many.table, i, i % 2, NOW_US), APR_SUCCESS);
    }
    for (unsigned i = 0; i < 2500; i++) {
        assert_int_equal(get_whole(many.table, i, NOW_US), 1);
    }
    assert_null(la_table_validate(many.table));
    table_fixture_drop(&many, 0);
}

/* ---- */

static size_t add(struct CMUnitTest *tests, size_t count, const char *name, CMUnitTestFunction test,
                  const void *row)
{
    tests[count] = (struct CMUnitTest){name, test, NULL, NULL, (void *)(uintptr_t)row};
    return count + 1;
}

/* Rows need the state for themselves, so their table is made around the whole group. */
static int run_rows(void)
{
    struct CMUnitTest tests[64];
    size_t count = 0;

    for (size_t i = 0; i < ROWS(size_rows); i++) {
        count = add(tests, count, size_rows[i].name, test_size, &size_rows[i]);
    }
    for (size_t i = 0; i < ROWS(len_rows); i++) {
        count = add(tests, count, len_rows[i].name, test_len, &len_rows[i]);
    }
    for (size_t i = 0; i < ROWS(time_rows); i++) {
        count = add(tests, count, time_rows[i].name, test_time, &time_rows[i]);
    }
    return _cmocka_run_group_tests("rows", tests, count, set_up, tear_down);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAIN(test_attach_refuses),
        PLAIN(test_attach_other_size),
        PLAIN(test_too_large),
        PLAIN(test_every_bit_of_the_key),
        PLAIN(test_no_room),
        PLAIN(test_moves_between_sizes),
        PLAIN(test_small_after_large_expired),
        PLAIN(test_sweep),
        PLAIN(test_counters),
        PLAIN(test_many_keys),
    };
    int failed;

    apr_initialize();
    failed = run_rows() + cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
