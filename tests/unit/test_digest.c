/* Tests of src/base/digest.c: an HMAC over parts is RFC 2104's over the lengths and the parts, also
 * when it is computed again, after an HMAC of another length, and in many threads.
 */
#include "base/digest.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { THREADS = 8, TURNS = 2000, LISTS = 4, PARTS_MAX = 3 };

static const unsigned char secret[32] = "thirty-two bytes that are secret";

static const struct {
    apr_size_t count;
    la_slice_t parts[PARTS_MAX];
} lists[LISTS] = {
    {0, {{NULL, 0}}},
    {1, {LA_SLICE("one")}},
    {2, {{NULL, 0}, LA_SLICE("")}},
    {3,
     {LA_SLICE("a part that is longer than one block of SHA-256, which has sixty-four bytes"),
      LA_SLICE("b"), LA_SLICE("")}},
};

/* What digest.h promises, by libcrypto's function for the whole text. */
static void expect(const la_slice_t *parts, apr_size_t count, unsigned char *digest)
{
    unsigned char text[512];
    size_t len = 0;

    for (apr_size_t i = 0; i < count; i++) {
        uint64_t prefix = parts[i].data ? parts[i].len : UINT64_MAX;

        memcpy(text + len, &prefix, sizeof(prefix));
        len += sizeof(prefix);
        if (parts[i].len > 0) {
            memcpy(text + len, parts[i].data, parts[i].len);
            len += parts[i].len;
        }
    }
    assert_non_null(HMAC(EVP_sha256(), secret, sizeof(secret), text, len, digest, NULL));
}

static int is_right(la_hmac_t *hmac, int list)
{
    unsigned char expected[LA_DIGEST_BYTES];
    unsigned char digest[LA_DIGEST_BYTES];

    expect(lists[list].parts, lists[list].count, expected);
    return la_hmac_parts(hmac, lists[list].parts, lists[list].count, digest) == APR_SUCCESS &&
           memcmp(digest, expected, sizeof(digest)) == 0;
}

static void hmac_again_and_again(void **state)
{
    la_hmac_t *hmac = la_hmac_make(secret, sizeof(secret));

    (void)state;
    assert_non_null(hmac);
    for (int i = 0; i < 3 * LISTS; i++) {
        assert_true(is_right(hmac, i % LISTS));
    }
    la_hmac_free(hmac);
    la_hmac_free(NULL);
}

static void *compute(void *hmac)
{
    intptr_t wrong = 0;

    for (int i = 0; i < TURNS; i++) {
        wrong += !is_right(hmac, i % LISTS);
    }
    return (void *)wrong;
}

static void hmac_in_threads(void **state)
{
    la_hmac_t *hmac = la_hmac_make(secret, sizeof(secret));
    pthread_t threads[THREADS];
    void *wrong;

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, compute, hmac), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    la_hmac_free(hmac);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hmac_again_and_again),
        cmocka_unit_test(hmac_in_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
