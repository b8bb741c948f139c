/* Sealed bytes: what was sealed opens, and nothing else does; names. */
#include "lookup/seal.h"

#include "procs.h"

#include <string.h>

#include <apr_strings.h>

#define SECRET  "0123456789abcdef0123456789abcdef"
#define SECRET2 "0123456789abcdef0123456789abcdeg"

static la_seal_keys_t keys;
static la_seal_keys_t other;
static apr_pool_t *pool;

static void test_every_bit(void **state)
{
    la_slice_t sealed;
    la_slice_t plain;

    (void)state;
    assert_int_equal(la_seal(&keys, LA_SLICE("place"), LA_SLICE("alice"), pool, &sealed),
                     APR_SUCCESS);
    assert_int_equal(la_unseal(&keys, LA_SLICE("place"), sealed, pool, &plain), LA_UNSEAL_OK);
    assert_int_equal(plain.len, 5);
    assert_memory_equal(plain.data, "alice", 5);
    assert_int_equal((apr_uintptr_t)plain.data % 8, 0);
    for (apr_size_t bit = 0; bit < sealed.len * 8; bit++) {
        char *bytes = apr_pmemdup(pool, sealed.data, sealed.len);
        la_slice_t altered = {bytes, sealed.len};

        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        assert_int_not_equal(la_unseal(&keys, LA_SLICE("place"), altered, pool, &plain),
                             LA_UNSEAL_OK);
        assert_int_equal(plain.len, 0);
    }
}

static void test_every_length(void **state)
{
    la_slice_t sealed;
    la_slice_t plain;

    (void)state;
    assert_int_equal(la_seal(&keys, LA_SLICE("place"), LA_SLICE("alice"), pool, &sealed),
                     APR_SUCCESS);
    for (apr_size_t len = 0; len < sealed.len; len++) {
        la_slice_t cut = {apr_pmemdup(pool, sealed.data, len), len};

        assert_int_equal(la_unseal(&keys, LA_SLICE("place"), cut, pool, &plain),
                         len < 3 ? LA_UNSEAL_FORMAT : LA_UNSEAL_FORGED);
    }
}

typedef struct place_case_t {
    const char *name;
    const char *place;
    const char *text;
    int other_key;
    la_unseal_e expected;
} place_case_t;

static const place_case_t place_cases[] = {
    {"the place it was sealed for", "place", NULL, 0, LA_UNSEAL_OK},
    {"copied to another place", "plac", NULL, 0, LA_UNSEAL_FORGED},
    {"another key", "place", NULL, 1, LA_UNSEAL_FORGED},
    {"another program's", "place", "{\"principal\":\"alice\"}", 0, LA_UNSEAL_FORMAT},
    {"an older format", "place", "LA\x02 and more that is long enough to be something sealed", 0,
     LA_UNSEAL_FORMAT},
    {"empty", "place", "", 0, LA_UNSEAL_FORMAT},
};

static void test_place(void **state)
{
    const place_case_t *row = *state;
    la_slice_t sealed;
    la_slice_t plain;

    assert_int_equal(la_seal(&keys, LA_SLICE("place"), LA_SLICE("alice"), pool, &sealed),
                     APR_SUCCESS);
    if (row->text) {
        sealed = la_slice_of(row->text);
    }
    assert_int_equal(
        la_unseal(row->other_key ? &other : &keys, la_slice_of(row->place), sealed, pool, &plain),
        row->expected);
}

static void test_sizes(void **state)
{
    static char large[100000];
    static const apr_size_t sizes[] = {0, 1, 15, 16, 17, 4096, sizeof(large)};
    la_slice_t sealed;
    la_slice_t plain;

    (void)state;
    memset(large, 'x', sizeof(large));
    for (size_t i = 0; i < ROWS(sizes); i++) {
        assert_int_equal(la_seal(&keys, LA_SLICE(""), (la_slice_t){large, sizes[i]}, pool, &sealed),
                         APR_SUCCESS);
        assert_int_equal(la_unseal(&keys, LA_SLICE(""), sealed, pool, &plain), LA_UNSEAL_OK);
        assert_int_equal(plain.len, sizes[i]);
        assert_memory_equal(plain.data, large, sizes[i]);
    }
}

static void test_never_the_same(void **state)
{
    la_slice_t first;
    la_slice_t second;

    (void)state;
    assert_int_equal(la_seal(&keys, LA_SLICE("p"), LA_SLICE("alice"), pool, &first), APR_SUCCESS);
    assert_int_equal(la_seal(&keys, LA_SLICE("p"), LA_SLICE("alice"), pool, &second), APR_SUCCESS);
    assert_memory_not_equal(first.data, second.data, first.len);
    for (apr_size_t i = 0; i + 5 <= first.len; i++) {
        assert_memory_not_equal(first.data + i, "alice", 5);
    }
}

static void test_names(void **state)
{
    la_slice_t joined[] = {LA_SLICE("ab"), LA_SLICE("c")};
    la_slice_t moved[] = {LA_SLICE("a"), LA_SLICE("bc")};
    la_slice_t absent[] = {LA_SLICE("ab"), {NULL, 0}};
    la_slice_t empty[] = {LA_SLICE("ab"), LA_SLICE("")};
    char names[5][LA_SEAL_NAME_LEN + 1];
    char again[LA_SEAL_NAME_LEN + 1];

    (void)state;
    assert_int_equal(la_seal_name(&keys, joined, 2, names[0]), APR_SUCCESS);
    assert_int_equal(la_seal_name(&keys, moved, 2, names[1]), APR_SUCCESS);
    assert_int_equal(la_seal_name(&keys, absent, 2, names[2]), APR_SUCCESS);
    assert_int_equal(la_seal_name(&keys, empty, 2, names[3]), APR_SUCCESS);
    assert_int_equal(la_seal_name(&other, joined, 2, names[4]), APR_SUCCESS);
    assert_int_equal(la_seal_name(&keys, joined, 2, again), APR_SUCCESS);
    assert_string_equal(names[0], again);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(strspn(names[i], "0123456789abcdef"), LA_SEAL_NAME_LEN);
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(names[i], names[j]);
        }
    }
}

static void test_secret(void **state)
{
    la_seal_keys_t made;

    (void)state;
    assert_int_equal(la_seal_keys((la_slice_t){SECRET, 31}, &made), APR_EINVAL);
    assert_int_equal(la_seal_keys((la_slice_t){SECRET, 32}, &made), APR_SUCCESS);
    assert_memory_equal(&made, &keys, sizeof(made));
    assert_memory_not_equal(made.sealing, made.naming, sizeof(made.sealing));
    assert_memory_not_equal(made.sealing, other.sealing, sizeof(made.sealing));
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    la_seal_keys(LA_SLICE(SECRET), &keys);
    la_seal_keys(LA_SLICE(SECRET2), &other);
    add("a changed bit anywhere", test_every_bit, NULL);
    add("every shorter length", test_every_length, NULL);
    for (size_t i = 0; i < ROWS(place_cases); i++) {
        add(place_cases[i].name, test_place, (void *)(uintptr_t)&place_cases[i]);
    }
    add("sizes", test_sizes, NULL);
    add("sealing twice gives two texts, neither shows the plain one", test_never_the_same, NULL);
    add("names", test_names, NULL);
    add("secrets", test_secret, NULL);
    return run_added("seal");
}
