/* key_uses.c: what the table remembers, and what it forgets when it is full. */
#include "support.h"

#include "provider/key_uses.h"

#define SECOND APR_USEC_PER_SEC
#define NOW    (APR_TIME_C(1798761600) * SECOND)

static void *new_table(void)
{
    void *table = aligned_alloc(64, la_key_uses_bytes());

    assert_non_null(table);
    memset(table, 0, la_key_uses_bytes());
    return table;
}

/* A mark with that tag, in the first bucket. */
static uint64_t mark_of(uint64_t tag)
{
    return tag << 32;
}

static void test_last(void **state)
{
    void *table = new_table();

    (void)state;
    assert_true(la_key_uses_last(table, mark_of(7)) == 0);
    la_key_uses_note(table, mark_of(7), NOW + 1);
    assert_true(la_key_uses_last(table, mark_of(7)) == NOW);
    la_key_uses_note(table, mark_of(7), NOW + 5 * SECOND);
    assert_true(la_key_uses_last(table, mark_of(7)) == NOW + 5 * SECOND);
    la_key_uses_note(table, mark_of(7), NOW); /* another process was slower */
    assert_true(la_key_uses_last(table, mark_of(7)) == NOW + 5 * SECOND);
    assert_true(la_key_uses_last(table, mark_of(8)) == 0);
    assert_true(la_key_uses_last(table, mark_of(7) + 1) == 0);
    free(table);
}

static void test_a_tag_of_zero(void **state)
{
    void *table = new_table();

    (void)state;
    assert_true(la_key_uses_last(table, 0) == 0);
    la_key_uses_note(table, 0, NOW);
    assert_true(la_key_uses_last(table, 0) == NOW);
    free(table);
}

static void test_the_oldest_is_forgotten(void **state)
{
    void *table = new_table();

    (void)state;
    for (uint64_t tag = 1; tag <= 9; tag++)
        la_key_uses_note(table, mark_of(tag), NOW + (apr_time_t)tag * SECOND);
    assert_true(la_key_uses_last(table, mark_of(1)) == 0);
    for (uint64_t tag = 2; tag <= 9; tag++)
        assert_true(la_key_uses_last(table, mark_of(tag)) == NOW + (apr_time_t)tag * SECOND);
    free(table);
}

int main(void)
{
    start();
    add("last use", test_last, NULL);
    add("a tag of zero", test_a_tag_of_zero, NULL);
    add("the oldest is forgotten", test_the_oldest_is_forgotten, NULL);
    return finish("key_uses");
}
