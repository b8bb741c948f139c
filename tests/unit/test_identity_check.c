/* Tests of la_identity_check() in src/access/identity.c: sound blocks pass, and no bytes whatever
 * lead a reader astray once they have passed.
 *
 * Blocks are checked and read in copies of their exact size from malloc, since
 * ASan does not see past the ends of pool memory.
 */
#include "access/identity.h"

#include <apr_general.h>
#include <apr_strings.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define S(literal)                                                                                 \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

static apr_pool_t *pool;
static volatile unsigned int sink;

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

/* A sound block to start from: five categories with eight values. */
enum { SAMPLE_CATEGORIES = 5, SAMPLE_VALUES = 8 };

#define JKT "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
#define X5T "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"

static const la_confirmation_t both = {LA_CONFIRM_JKT | LA_CONFIRM_X5T, JKT, X5T};

static char *sample_bytes(apr_size_t *len)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    const la_identity_t *identity;

    assert_null(la_identity_set_principal(builder, LA_SLICE("alice")));
    la_identity_set_message(builder, LA_SLICE("hello"));
    la_identity_add(builder, LA_SLICE("scopes"), LA_SLICE("read"));
    la_identity_add(builder, LA_SLICE("scopes"), LA_SLICE("write"));
    la_identity_add_category(builder, LA_SLICE("empty"));
    la_identity_add(builder, LA_SLICE("roles"), LA_SLICE("admin"));
    la_identity_add(builder, LA_SLICE("roles"), LA_SLICE("ops"));
    la_identity_add(builder, LA_SLICE(""), LA_SLICE("value"));
    la_identity_add(builder, LA_SLICE("x"), LA_SLICE("a\0b"));
    la_identity_add(builder, LA_SLICE("x"), LA_SLICE(""));
    la_identity_add(builder, LA_SLICE("x"), LA_SLICE("last"));
    la_identity_set_confirmation(builder, &both);
    assert_null(la_identity_build(builder, pool, &identity));
    *len = la_identity_size(identity);
    return apr_pmemdup(pool, identity, *len);
}

static void read_bytes(la_slice_t text)
{
    for (apr_size_t i = 0; i <= text.len; i++)
        sink += (unsigned char)text.data[i];
}

/* Asked of each block that passes; the last ones are in no block and walk all values. */
static const la_slice_t questions[][2] = {
    {S("scopes"), S("read")}, {S("roles"), S("ops")},   {S(""), S("value")}, {S("x"), S("")},
    {S("x"), S("a\0b")},      {S("scopes"), S("none")}, {S("x"), S("nono")}, {S("none"), S("read")},
};

/* Reads every byte that any reader hands out. */
static void read_all(const la_identity_t *identity)
{
    const la_confirmation_t *confirmation = la_identity_confirmation(identity);
    const char *name;
    const char *value;

    read_bytes(la_identity_principal(identity));
    read_bytes(la_identity_message(identity));
    read_bytes(la_identity_attributes_json(identity));
    if (confirmation) {
        sink += confirmation->members;
        sink += (unsigned int)(strlen(confirmation->jkt) + strlen(confirmation->x5t_s256));
    }
    for (apr_size_t i = 0; i < la_identity_count(identity); i++) {
        la_identity_note(identity, i, &name, &value);
        sink += (unsigned int)(strlen(name) + strlen(value));
    }
    for (size_t i = 0; i < ROWS(questions); i++)
        sink += (unsigned int)la_identity_has(identity, questions[i][0], questions[i][1]);
}

/* Checks `len` bytes in a copy of just that size, and reads them where they pass. */
static int check_copy(const void *bytes, apr_size_t len)
{
    void *copy = malloc(len);
    int sound;

    assert_true(len == 0 || copy != NULL);
    if (len > 0)
        memcpy(copy, bytes, len);
    sound = la_identity_check(copy, len);
    if (sound)
        read_all(copy);
    free(copy);
    return sound;
}

static apr_uint32_t get32(const void *bytes, size_t at)
{
    apr_uint32_t number;

    memcpy(&number, (const char *)bytes + at, sizeof(number));
    return number;
}

static void set32(void *bytes, size_t at, apr_uint32_t number)
{
    memcpy((char *)bytes + at, &number, sizeof(number));
}

/* Numbers of the sample block by their place in the drawing of identity.c, and what must not stand
 * there. */
#define CATEGORY(n)  (48 + 32 * (n))
#define VALUE(n)     (48 + 32 * SAMPLE_CATEGORIES + 8 * (n))
#define CONFIRMATION VALUE(SAMPLE_VALUES)
#define STRINGS      (CONFIRMATION + sizeof(la_confirmation_t))

typedef struct tamper_row_t {
    const char *name;
    size_t at;
    apr_uint32_t number;
    int from_size; /* the number counts from the block's size */
} tamper_row_t;

static const tamper_row_t tamper_rows[] = {
    {"check: magic", 0, 0, 0},
    {"check: size 0", 4, 0, 0},
    {"check: magic of blocks that knew no confirmation", 0, 0x3149414c, 0},
    {"check: size below the header", 4, 47, 0},
    {"check: size of the header alone", 4, 48, 0},
    {"check: size below the strings", 4, STRINGS - 1, 0},
    {"check: size one more", 4, 1, 1},
    {"check: size one less cuts the last NUL", 4, UINT32_MAX, 1},
    {"check: largest size", 4, UINT32_MAX, 0},
    {"check: principal in the header", 8, 0, 0},
    {"check: principal in the tables", 8, STRINGS - 1, 0},
    {"check: principal past the end", 8, 0, 1},
    {"check: principal wraps", 8, UINT32_MAX, 0},
    {"check: principal's length wraps to its place", 12, UINT32_MAX, 0},
    {"check: principal's length past the end", 12, 0, 1},
    {"check: principal without NUL", 12, 4, 0},
    {"check: message past the end", 16, 5, 1},
    {"check: message without NUL", 20, 3, 0},
    {"check: attributes past the end", 24, 0, 1},
    {"check: attributes' length", 28, UINT32_MAX, 0},
    {"check: no categories", 32, 0, 0},
    {"check: one category less", 32, SAMPLE_CATEGORIES - 1, 0},
    {"check: one category more", 32, SAMPLE_CATEGORIES + 1, 0},
    {"check: 2^27 categories (32 bytes each wrap)", 32, (apr_uint32_t)1 << 27, 0},
    {"check: 2^27 and the right number", 32, ((apr_uint32_t)1 << 27) + SAMPLE_CATEGORIES, 0},
    {"check: most categories", 32, UINT32_MAX, 0},
    {"check: no values", 36, 0, 0},
    {"check: one value less", 36, SAMPLE_VALUES - 1, 0},
    {"check: one value more", 36, SAMPLE_VALUES + 1, 0},
    {"check: 2^29 and the right number of values", 36, ((apr_uint32_t)1 << 29) + SAMPLE_VALUES, 0},
    {"check: most values", 36, UINT32_MAX, 0},
    {"check: a confirmation that is denied", 40, 0, 0},
    {"check: two confirmations", 40, 2, 0},
    {"check: confirmations that wrap", 40, UINT32_MAX, 0},
    {"check: confirmation without members", CONFIRMATION, 0, 0},
    {"check: confirmation without its jkt", CONFIRMATION, LA_CONFIRM_X5T, 0},
    {"check: confirmation without its x5t#S256", CONFIRMATION, LA_CONFIRM_JKT, 0},
    {"check: confirmation of a member that nobody knows", CONFIRMATION, 8 | 3, 0},
    {"check: jkt is empty", CONFIRMATION + 4, 0, 0},
    {"check: jkt is no base64url", CONFIRMATION + 4, 0x2b2b2b2b, 0},
    {"check: jkt is not closed", CONFIRMATION + 44, 0x41414141, 0},
    {"check: x5t#S256 is empty", CONFIRMATION + 48, 0, 0},
    {"check: x5t#S256 is not closed", CONFIRMATION + 88, 0x41414141, 0},
    {"check: name in the tables", CATEGORY(0), CATEGORY(1), 0},
    {"check: name past the end", CATEGORY(4), 0, 1},
    {"check: name's length", CATEGORY(2) + 4, UINT32_MAX - 100, 0},
    {"check: note past the end", CATEGORY(1) + 8, 0, 1},
    {"check: note's length", CATEGORY(1) + 12, 1, 0},
    {"check: joined past the end", CATEGORY(3) + 16, 0, 1},
    {"check: joined's length", CATEGORY(3) + 20, 1, 0},
    {"check: first value of the first category", CATEGORY(0) + 24, 1, 0},
    {"check: first value in another's", CATEGORY(2) + 24, 1, 0},
    {"check: first value past the table", CATEGORY(2) + 24, SAMPLE_VALUES, 0},
    {"check: first value wraps", CATEGORY(2) + 24, UINT32_MAX, 0},
    {"check: value count", CATEGORY(0) + 28, 3, 0},
    {"check: last value count", CATEGORY(4) + 28, 4, 0},
    {"check: value count wraps", CATEGORY(4) + 28, UINT32_MAX, 0},
    {"check: value in the tables", VALUE(0), VALUE(1), 0},
    {"check: value past the end", VALUE(7), 0, 1},
    {"check: value's length", VALUE(0) + 4, 5, 0},
    {"check: last value's length", VALUE(7) + 4, 5, 0},
};

static void test_tampered(void **state)
{
    const tamper_row_t *row = *state;
    apr_size_t len;
    char *bytes = sample_bytes(&len);

    assert_int_equal(get32(bytes, 32), SAMPLE_CATEGORIES);
    assert_int_equal(get32(bytes, 36), SAMPLE_VALUES);
    assert_int_equal(check_copy(bytes, len), 1);
    set32(bytes, row->at, row->number + (row->from_size ? (apr_uint32_t)len : 0));
    assert_int_equal(check_copy(bytes, len), 0);
}

/* Counts whose tables would take 2^32 bytes, in blocks that are sound but for that. */
static void test_counts_wrap(void **state)
{
    apr_size_t len;
    const char *sample = sample_bytes(&len);
    char bytes[88] = {0};

    (void)state;
    memcpy(bytes, sample, 4);
    set32(bytes, 4, 88);
    for (size_t at = 8; at < 32; at += 8)
        set32(bytes, at, 87);
    set32(bytes, 8, 80); /* the strings begin with the principal */
    set32(bytes, 32, 1);
    for (size_t at = 48; at < 72; at += 8)
        set32(bytes, at, 87);
    assert_int_equal(check_copy(bytes, sizeof(bytes)), 1); /* one category without values */
    set32(bytes, 36, 1 << 29);
    set32(bytes, 76, 1 << 29);
    set32(bytes, 80, 87);
    assert_int_equal(check_copy(bytes, sizeof(bytes)), 0);
    set32(bytes, 36, 0);
    set32(bytes, 76, 0);
    set32(bytes, 32, 1 << 27);
    assert_int_equal(check_copy(bytes, sizeof(bytes)), 0);
    set32(bytes, 32, (1 << 27) + 1);
    assert_int_equal(check_copy(bytes, sizeof(bytes)), 0);
}

static void test_longer_buffer(void **state)
{
    apr_size_t len;
    char *bytes = sample_bytes(&len);
    char *slot = apr_palloc(pool, len + 64);

    (void)state;
    memset(slot, 0xff, len + 64);
    memcpy(slot, bytes, len);
    assert_int_equal(check_copy(slot, len + 1), 1);
    assert_int_equal(check_copy(slot, len + 64), 1);
    assert_int_equal(la_identity_size((const la_identity_t *)(const void *)slot), len);
}

static void test_too_large_to_be_ours(void **state)
{
    apr_size_t len;
    char *bytes = sample_bytes(&len);
    char *large = calloc(1, LA_IDENTITY_MAX_BYTES + 1);

    (void)state;
    assert_non_null(large);
    memcpy(large, bytes, len);
    set32(large, 4, (apr_uint32_t)LA_IDENTITY_MAX_BYTES);
    assert_int_equal(la_identity_check(large, LA_IDENTITY_MAX_BYTES + 1), 1);
    set32(large, 4, (apr_uint32_t)LA_IDENTITY_MAX_BYTES + 1);
    assert_int_equal(la_identity_check(large, LA_IDENTITY_MAX_BYTES + 1), 0);
    free(large);
}

static void test_truncated(void **state)
{
    apr_size_t len;
    char *bytes = sample_bytes(&len);

    (void)state;
    assert_int_equal(la_identity_check(NULL, 0), 0);
    for (apr_size_t cut = 0; cut < len; cut++) {
        assert_int_equal(check_copy(bytes, cut), 0);
        if (cut < 8)
            continue;
        set32(bytes, 4, (apr_uint32_t)cut); /* a block that agrees to be shorter */
        assert_int_equal(check_copy(bytes, cut), 0);
        set32(bytes, 4, (apr_uint32_t)len);
    }
}

static void test_mutated_bytes(void **state)
{
    static const unsigned char masks[] = {0x01, 0x02, 0x07, 0x10, 0x7f, 0x80, 0xff};
    apr_size_t len;
    char *bytes = sample_bytes(&len);

    (void)state;
    for (apr_size_t at = 0; at < len; at++) {
        char was = bytes[at];

        for (size_t i = 0; i < ROWS(masks); i++) {
            bytes[at] = (char)(was ^ (char)masks[i]);
            check_copy(bytes, len);
        }
        bytes[at] = 0;
        check_copy(bytes, len);
        bytes[at] = was;
    }
    assert_int_equal(check_copy(bytes, len), 1);
}

/* Each number of header and tables, by itself, as each number that could matter. */
static void test_mutated_numbers(void **state)
{
    apr_size_t len;
    char *bytes = sample_bytes(&len);

    (void)state;
    for (size_t at = 0; at < STRINGS; at += 4) {
        apr_uint32_t was = get32(bytes, at);

        for (apr_uint32_t number = 0; number < len + 8; number++) {
            set32(bytes, at, number);
            check_copy(bytes, len);
            set32(bytes, at, UINT32_MAX - number);
            check_copy(bytes, len);
        }
        set32(bytes, at, was);
    }
    assert_int_equal(check_copy(bytes, len), 1);
}

static apr_uint64_t next_random(apr_uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Random bytes, and random bytes that begin as a block does and are mostly small numbers. */
static void test_garbage(void **state)
{
    apr_uint64_t seed = 0x9e3779b97f4a7c15u;
    apr_size_t len;
    char *bytes = sample_bytes(&len);
    char garbage[800];

    (void)state;
    for (int round = 0; round < 30000; round++) {
        apr_size_t n = next_random(&seed) % sizeof(garbage);

        memcpy(garbage, bytes, len < sizeof(garbage) ? len : sizeof(garbage));
        for (int i = 0; i < 6; i++)
            set32(garbage, 4 * (next_random(&seed) % (STRINGS / 4)),
                  (apr_uint32_t)(next_random(&seed) % (i < 5 ? len : UINT32_MAX)));
        if (round % 3 == 0) {
            for (apr_size_t i = 0; i < sizeof(garbage); i++)
                garbage[i] = (char)next_random(&seed);
        }
        if (round % 2 == 0 && n >= 8) {
            memcpy(garbage, bytes, 4);
            set32(garbage, 4, (apr_uint32_t)n);
        }
        check_copy(garbage, n);
    }
}

/* ---- running ------------------------------------------------------------------ */

static struct CMUnitTest tests[128];
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
    ADD_ROWS(tamper_rows, test_tampered);
    add("check: counts that wrap", test_counts_wrap, NULL);
    add("check: more bytes than the block", test_longer_buffer, NULL);
    add("check: larger than any block", test_too_large_to_be_ours, NULL);
    add("check: cut at every length", test_truncated, NULL);
    add("check: every byte changed", test_mutated_bytes, NULL);
    add("check: every number changed", test_mutated_numbers, NULL);
    add("check: garbage", test_garbage, NULL);
    failed = _cmocka_run_group_tests("identity_check", tests, test_count, NULL, NULL);
    apr_terminate();
    return failed;
}
