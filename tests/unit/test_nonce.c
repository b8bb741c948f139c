/* nonce.c: which texts are good, when, and under which keys. */
#include "support.h"

#include "lookup/nonce.h"

#define SECONDS(n) ((apr_time_t)(n)*APR_USEC_PER_SEC)
#define YEARS(n)   SECONDS((n)*INT64_C(86400) * 365)
#define NOW        SECONDS(1780000000)

static apr_pool_t *pool;

static const unsigned char own_key[LA_NONCE_KEY_BYTES] = "0123456789abcdef0123456789abcde";
static const unsigned char other_key[LA_NONCE_KEY_BYTES] = "0123456789abcdef0123456789abcdf";

static int set_up(void **state)
{
    (void)state;
    pool = new_pool();
    write_text(pool, "old", "the older secret, of thirty-two characters and more");
    write_text(pool, "new", "the newer secret, of thirty-two characters and more");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

/* secrets: names of files, one behind the other; "" for none. */
static la_shared_t *server_with(const char *secrets, const unsigned char *key)
{
    la_remote_options_t *options = apr_pcalloc(pool, sizeof(*options));
    la_shared_t *shared = apr_pcalloc(pool, sizeof(*shared));
    char *rest = apr_pstrdup(pool, secrets);

    for (char *name = apr_strtok(rest, " ", &rest); name; name = apr_strtok(NULL, " ", &rest)) {
        assert_null(la_remote_secret(pool, name, options));
    }
    shared->secrets = options->secret_count > 0 ? options : NULL;
    shared->nonce_key = key;
    return shared;
}

/* ---- ages ---- */

typedef struct age_case_t {
    const char *name;
    apr_interval_time_t age;
    la_nonce_e result;
} age_case_t;

static age_case_t age_cases[] = {
    {"new", 0, LA_NONCE_GOOD},
    {"1 us old", 1, LA_NONCE_GOOD},
    {"149 s old", SECONDS(150) - 1, LA_NONCE_GOOD},
    {"150 s old", SECONDS(150), LA_NONCE_ENDS_SOON},
    {"299 s old", SECONDS(300) - 1, LA_NONCE_ENDS_SOON},
    {"300 s old", SECONDS(300), LA_NONCE_BAD},
    {"1 h old: the clock was put ahead", SECONDS(3600), LA_NONCE_BAD},
    {"10 years old", YEARS(10), LA_NONCE_BAD},
    {"10 s ahead", -SECONDS(10), LA_NONCE_GOOD},
    {"more than 10 s ahead", -SECONDS(10) - 1, LA_NONCE_BAD},
    {"1 h ahead: the clock was put back", -SECONDS(3600), LA_NONCE_BAD},
    {"10 years ahead", -YEARS(10), LA_NONCE_BAD},
};

static void test_ages(void **state)
{
    const age_case_t *row = *state;
    const la_shared_t *shared = server_with("", own_key);
    char nonce[LA_NONCE_LEN + 1];

    la_nonce_make(shared, NOW, nonce);
    assert_int_equal(strlen(nonce), LA_NONCE_LEN);
    assert_int_equal(la_nonce_check(shared, la_slice_of(nonce), NOW + row->age), row->result);
}

static void test_strange_clocks(void **state)
{
    static const apr_time_t clocks[] = {
        0, 1, -1, INT64_MAX / 2, INT64_MAX / 2 + 1, INT64_MAX - SECONDS(20), INT64_MIN};
    const la_shared_t *shared = server_with("", own_key);
    char nonce[LA_NONCE_LEN + 1];

    (void)state;
    for (size_t i = 0; i < ROWS(clocks); i++) {
        la_nonce_make(shared, clocks[i], nonce);
        assert_int_equal(la_nonce_check(shared, la_slice_of(nonce), clocks[i]),
                         clocks[i] >= 0 && clocks[i] <= INT64_MAX / 2 ? LA_NONCE_GOOD
                                                                      : LA_NONCE_BAD);
        assert_int_equal(la_nonce_check(shared, la_slice_of(nonce), NOW), LA_NONCE_BAD);
    }
}

/* ---- foreign texts ---- */

static const char *const foreign_texts[] = {
    "",
    "0",
    "nonce",
    "0000000000000000",
    "000000000000000000000000000000000000000000000000",
    "ffffffffffffffffffffffffffffffffffffffffffffffff",
    "7fffffffffffffffffffffffffffffffffffffffffffffff",
    "                                                ",
    "\"}{\\,;=                                         ",
    "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
    "\xff"
    "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
    "\xff",
};

static void test_foreign_texts(void **state)
{
    const la_shared_t *shared = server_with("", own_key);

    (void)state;
    for (size_t i = 0; i < ROWS(foreign_texts); i++) {
        assert_int_equal(la_nonce_check(shared, la_slice_of(foreign_texts[i]), NOW), LA_NONCE_BAD);
    }
}

/* One character changed, in any place, to any other. */
static void test_changes(void **state)
{
    const la_shared_t *shared = server_with("", own_key);
    char nonce[LA_NONCE_LEN + 1];

    (void)state;
    la_nonce_make(shared, NOW, nonce);
    for (int at = 0; at < LA_NONCE_LEN; at++) {
        char was = nonce[at];

        for (int c = 0; c < 256; c++) {
            nonce[at] = (char)c;
            assert_int_equal(
                la_nonce_check(shared, (la_slice_t){nonce, LA_NONCE_LEN}, NOW + SECONDS(1)),
                (char)c == was ? LA_NONCE_GOOD : LA_NONCE_BAD);
        }
        nonce[at] = was;
    }
}

/* Heap copies of each length, so that a read beyond the end is seen. */
static void test_lengths(void **state)
{
    const la_shared_t *shared = server_with("", own_key);
    char nonce[LA_NONCE_LEN + 1];

    (void)state;
    la_nonce_make(shared, NOW, nonce);
    for (size_t len = 0; len <= 2 * LA_NONCE_LEN; len++) {
        char *copy = malloc(len + 1);

        for (size_t i = 0; i < len; i++) {
            copy[i] = nonce[i % LA_NONCE_LEN];
        }
        assert_int_equal(la_nonce_check(shared, (la_slice_t){copy, len}, NOW),
                         len == LA_NONCE_LEN ? LA_NONCE_GOOD : LA_NONCE_BAD);
        free(copy);
    }
}

/* ---- keys ---- */

typedef struct key_case_t {
    const char *name;
    const char *made_with;
    const unsigned char *made_by;
    const char *read_with;
    const unsigned char *read_by;
    la_nonce_e result;
} key_case_t;

static key_case_t key_cases[] = {
    {"another server", "", own_key, "", other_key, LA_NONCE_BAD},
    {"a server without a key", "", own_key, "", NULL, LA_NONCE_BAD},
    {"two machines with one secret", "old", own_key, "old", other_key, LA_NONCE_GOOD},
    {"the same, and no key of their own", "old", NULL, "old", NULL, LA_NONCE_GOOD},
    {"machines of different secrets", "old", own_key, "new", other_key, LA_NONCE_BAD},
    {"the older secret still reads", "old", own_key, "new old", other_key, LA_NONCE_GOOD},
    {"the newer secret too", "new", own_key, "new old", other_key, LA_NONCE_GOOD},
    {"the older secret alone does not read the newer", "new old", own_key, "old", other_key,
     LA_NONCE_BAD},
    {"a graceful restart brings a secret", "", own_key, "new", own_key, LA_NONCE_GOOD},
    {"and takes it away", "new", own_key, "", own_key, LA_NONCE_BAD},
};

static void test_keys(void **state)
{
    const key_case_t *row = *state;
    char nonce[LA_NONCE_LEN + 1];

    la_nonce_make(server_with(row->made_with, row->made_by), NOW, nonce);
    assert_int_equal(
        la_nonce_check(server_with(row->read_with, row->read_by), la_slice_of(nonce), NOW),
        row->result);
}

static void test_no_key(void **state)
{
    const la_shared_t *shared = server_with("", NULL);
    char nonce[LA_NONCE_LEN + 1] = "x";

    (void)state;
    la_nonce_make(shared, NOW, nonce);
    assert_string_equal(nonce, "");
    assert_int_equal(la_nonce_check(shared, la_slice_of(nonce), NOW), LA_NONCE_BAD);
}

static void add_in(const char *name, CMUnitTestFunction function, void *row)
{
    add(name, function, row);
    tests[test_count - 1].setup_func = set_up;
    tests[test_count - 1].teardown_func = tear_down;
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(age_cases); i++) {
        add_in(age_cases[i].name, test_ages, &age_cases[i]);
    }
    for (size_t i = 0; i < ROWS(key_cases); i++) {
        add_in(key_cases[i].name, test_keys, &key_cases[i]);
    }
    add_in("strange clocks", test_strange_clocks, NULL);
    add_in("foreign texts", test_foreign_texts, NULL);
    add_in("changed texts", test_changes, NULL);
    add_in("other lengths", test_lengths, NULL);
    add_in("no key", test_no_key, NULL);
    return finish("nonce");
}
