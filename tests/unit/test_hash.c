/* Tests of src/base/hash.c: it is a function of the key's bytes and length, it spreads keys that
 * collide in APR's own hash, and another process has another one.
 */
#include "base/hash.h"

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

/* Hashes a copy of just `len` bytes, so that ASan sees a step too far. */
static unsigned int hash_of(const char *key, size_t len)
{
    apr_ssize_t klen = (apr_ssize_t)len;
    char *copy = malloc(len);
    unsigned int hash;

    memcpy(copy, key, len);
    hash = la_hash_keyed(copy, &klen);
    assert_int_equal(klen, len);
    free(copy);
    return hash;
}

static void test_other_process(void **state)
{
    unsigned int theirs = 0;
    int status = 0;
    int ends[2];
    pid_t child;

    (void)state; /* runs first: the point must not be drawn yet, since children inherit it */
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        theirs = hash_of("llama", 5);
        _exit(write(ends[1], &theirs, sizeof(theirs)) != sizeof(theirs));
    }
    assert_true(child > 0);
    assert_int_equal(read(ends[0], &theirs, sizeof(theirs)), sizeof(theirs));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_not_equal(theirs, hash_of("llama", 5)); /* equal once in four thousand million */
    close(ends[0]);
    close(ends[1]);
}

static void test_string(void **state)
{
    apr_ssize_t klen = APR_HASH_KEY_STRING;

    (void)state;
    assert_int_equal(la_hash_keyed("a longer text", &klen), hash_of("a longer text", 13));
    assert_int_equal(klen, 13);
    klen = APR_HASH_KEY_STRING;
    assert_int_equal(la_hash_keyed("", &klen), hash_of("", 0));
    assert_int_equal(klen, 0);
}

/* Each byte and the length tell, in keys of every length around the chunks. */
static void test_every_byte(void **state)
{
    char key[32] = {0};

    (void)state;
    for (size_t len = 0; len < sizeof(key); len++) {
        unsigned int hash = hash_of(key, len);

        assert_int_equal(hash_of(key, len), hash);
        assert_int_not_equal(hash_of(key, len + 1), hash);
        for (size_t at = 0; at < len; at++) {
            key[at] = 1;
            assert_int_not_equal(hash_of(key, len), hash);
            key[at] = 0;
        }
    }
}

typedef struct spread_row_t {
    const char *name;
    const char *one; /* pairs of bytes for bits 1 and 0 of the key's number */
    const char *zero;
} spread_row_t;

static const spread_row_t spread_rows[] = {
    {"spread: numbers", "01", "00"},
    {"spread: differences in high bits", "\x80x", "\x00x"},
    {"spread: collisions of APR's hash", "Ez", "FY"},
};

/* 65,536 keys fall into 65,536 buckets by their low bits, as apr_hash_t takes them: of a random
 * function the fullest one has about 8. */
static void test_spread(void **state)
{
    static unsigned char buckets[65536];
    const spread_row_t *row = *state;
    char key[32];

    memset(buckets, 0, sizeof(buckets));
    for (unsigned int n = 0; n < 65536; n++) {
        for (size_t bit = 0; bit < 16; bit++)
            memcpy(key + 2 * bit, (n >> bit) & 1 ? row->one : row->zero, 2);
        assert_true(++buckets[hash_of(key, sizeof(key)) & 0xffff] < 64);
    }
}

int main(void)
{
    struct CMUnitTest tests[3 + ROWS(spread_rows)] = {
        cmocka_unit_test(test_other_process),
        cmocka_unit_test(test_string),
        cmocka_unit_test(test_every_byte),
    };
    int failed;

    apr_initialize();
    for (size_t i = 0; i < ROWS(spread_rows); i++) {
        tests[3 + i] = (struct CMUnitTest)cmocka_unit_test(test_spread);
        tests[3 + i].name = spread_rows[i].name;
        tests[3 + i].initial_state = (void *)(uintptr_t)&spread_rows[i];
    }
    failed = _cmocka_run_group_tests("hash", tests, ROWS(tests), NULL, NULL);
    apr_terminate();
    return failed;
}
