/* Tests of src/base/checksum.c: the same parts have the same checksum, other parts another one,
 * each process has its own, and what is too long has none.
 */
#include "base/checksum.h"

#include <apr_general.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

enum { PARTS = 3 };

/* Each is unlike every other. */
static const struct {
    const char *name;
    apr_size_t count;
    la_slice_t parts[PARTS];
} lists[] = {
    {"no parts", 0, {{NULL, 0}}},
    {"absent", 1, {{NULL, 0}}},
    {"empty", 1, {LA_SLICE("")}},
    {"NUL", 1, {LA_SLICE("\0")}},
    {"two NULs", 1, {LA_SLICE("\0\0")}},
    {"seven NULs", 1, {LA_SLICE("\0\0\0\0\0\0\0")}},
    {"eight NULs", 1, {LA_SLICE("\0\0\0\0\0\0\0\0")}},
    {"two absent", 2, {{NULL, 0}, {NULL, 0}}},
    {"absent and empty", 2, {{NULL, 0}, LA_SLICE("")}},
    {"empty and absent", 2, {LA_SLICE(""), {NULL, 0}}},
    {"ab, c", 2, {LA_SLICE("ab"), LA_SLICE("c")}},
    {"a, bc", 2, {LA_SLICE("a"), LA_SLICE("bc")}},
    {"abc", 1, {LA_SLICE("abc")}},
    {"acb", 1, {LA_SLICE("acb")}},
    {"15 bytes", 1, {LA_SLICE("0123456789abcde")}},
    {"16 bytes", 1, {LA_SLICE("0123456789abcdef")}},
    {"16 bytes, the last one another", 1, {LA_SLICE("0123456789abcdeg")}},
    {"16 bytes, halves exchanged", 1, {LA_SLICE("89abcdef01234567")}},
    {"17 bytes", 1, {LA_SLICE("0123456789abcdefg")}},
    {"32 bytes", 1, {LA_SLICE("0123456789abcdefghijklmnopqrstuv")}},
    {"32 bytes, blocks exchanged", 1, {LA_SLICE("ghijklmnopqrstuv0123456789abcdef")}},
    {"a, b, c", 3, {LA_SLICE("a"), LA_SLICE("b"), LA_SLICE("c")}},
};

static la_checksum_t checksum_of(const la_slice_t *parts, apr_size_t count)
{
    la_checksum_t checksum;

    assert_int_equal(la_checksum_make(parts, count, &checksum), 1);
    return checksum;
}

static void test_lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(lists); i++) {
        la_checksum_t first = checksum_of(lists[i].parts, lists[i].count);

        for (size_t j = 0; j < ROWS(lists); j++) {
            la_checksum_t other = checksum_of(lists[j].parts, lists[j].count);

            if (la_checksum_equals(&first, &other) != (i == j)) {
                fail_msg("%s and %s", lists[i].name, lists[j].name);
            }
        }
    }
}

/* Each byte counts, and both sums see it. The copy is of just that length, so that ASan sees a step
 * too far. */
static void test_every_byte(void **state)
{
    (void)state;
    for (apr_size_t len = 1; len < 70; len++) {
        char *bytes = calloc(1, len);
        la_slice_t part = {bytes, len};
        la_checksum_t before = checksum_of(&part, 1);

        for (apr_size_t i = 0; i < len; i++) {
            la_checksum_t after;

            bytes[i] = 1;
            after = checksum_of(&part, 1);
            assert_false(la_checksum_equals(&before, &after));
            assert_memory_not_equal(before.sums, after.sums, 16);
            assert_memory_not_equal(before.sums + 2, after.sums + 2, 16);
            bytes[i] = 0;
        }
        free(bytes);
    }
}

static void test_too_long(void **state)
{
    static char bytes[18000];
    apr_size_t made = 0;
    la_checksum_t checksum;

    (void)state;
    for (apr_size_t len = 0; len <= sizeof(bytes); len++) {
        la_slice_t parts[2] = {{bytes, len}, LA_SLICE("x")};

        if (la_checksum_make(parts, 2, &checksum)) {
            assert_int_equal(len, made++);
        } else {
            assert_int_equal(checksum.blocks, 0);
        }
    }
    assert_true(made > 16384); /* the longest token */
}

static void test_another_process(void **state)
{
    la_checksum_t own;
    la_checksum_t other;
    int ends[2];
    pid_t child;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        own = checksum_of(&lists[0].parts[0], 1);
        _exit(write(ends[1], &own, sizeof(own)) != sizeof(own));
    }
    assert_int_equal(read(ends[0], &other, sizeof(other)), sizeof(other));
    assert_int_equal(waitpid(child, NULL, 0), child);
    own = checksum_of(&lists[0].parts[0], 1);
    assert_false(la_checksum_equals(&own, &other));
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_process), /* before this process draws its key */
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_too_long),
    };

    apr_initialize();
    return cmocka_run_group_tests_name("checksum", tests, NULL, NULL);
}
