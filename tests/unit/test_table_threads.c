/* The table under threads of one process that read, store, remove and sweep the same few keys; for
 * ThreadSanitizer too (gcc -fsanitize=thread -Wno-tsan). */
#include "shm/table.h"

#include <apr_general.h>

#include <pthread.h>
#include <stdatomic.h>

#include "table_fixture.h"
#include "table_validate.h"

#define KEYS    16
#define THREADS 8
#define ROUNDS  20000

static table_fixture_t shared_table;
static _Atomic unsigned mixed, hits;

static int is_number_of(void *context, const la_table_meta_t *meta)
{
    if (number_in(meta) >= KEYS) {
        atomic_fetch_add(&mixed, 1);
    }
    return is_number(context, meta);
}

static void step(uint64_t random)
{
    unsigned char key[LA_TABLE_KEY_BYTES];
    apr_uint32_t number = (apr_uint32_t)(random >> 8) % KEYS;
    int result;

    switch (random % 32) {
    case 0:
        key_of(number, key);
        la_table_remove(shared_table.table, key);
        break;
    case 1:
        la_table_sweep(shared_table.table, is_number_of, &number);
        break;
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
        put_version(shared_table.table, number, (apr_uint32_t)(random >> 16), NOW_US);
        break;
    default:
        result = get_whole(shared_table.table, number, NOW_US + SECONDS(random % 8));
        atomic_fetch_add(&mixed, result < 0);
        atomic_fetch_add(&hits, result > 0);
    }
}

static void *work(void *seed)
{
    for (uint64_t i = 0; i < ROUNDS; i++) {
        step(mix((uint64_t)(uintptr_t)seed * ROUNDS + i));
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    shared_table = table_fixture_make(2, 0);
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(mixed, 0);
    assert_true(hits > ROUNDS);
    assert_null(la_table_validate(shared_table.table));
    table_fixture_drop(&shared_table, 0);
}

/* A hit, then a removal: nothing older comes to light, whatever the sizes were. */
static void *replace_and_remove(void *number)
{
    uint64_t n = KEYS + (uint64_t)(uintptr_t)number;
    unsigned char key[LA_TABLE_KEY_BYTES];

    key_of(n, key);
    for (apr_uint32_t i = 0; i < ROUNDS / 10; i++) {
        put_version(shared_table.table, n, i, NOW_US);
        put_version(shared_table.table, n, i + 1, NOW_US);
        la_table_remove(shared_table.table, key);
        atomic_fetch_add(&mixed, get_whole(shared_table.table, n, NOW_US) != 0);
    }
    return NULL;
}

static void test_removed_is_gone(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    shared_table = table_fixture_make(1, 0);
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, replace_and_remove, (void *)i), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(mixed, 0);
    assert_null(la_table_validate(shared_table.table));
    table_fixture_drop(&shared_table, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_removed_is_gone),
    };
    int failed;

    apr_initialize();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
