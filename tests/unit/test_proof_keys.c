/* Tests of src/jose/proof_keys.c: what is kept, what makes room, and that a key lives as long as
 * somebody holds it.
 */
#include "dpops.h"

#include <pthread.h>

static la_slice_t header_of(int number)
{
    return la_slice_of(apr_psprintf(lasting, "header-%d", number));
}

/* Each header has a key of its own. */
static const char *jkt_of(int number)
{
    return apr_psprintf(lasting, "%043d", number);
}

static void add_key_as(la_proof_keys_t *set, int number, const char *jkt)
{
    la_proof_keys_add(set, header_of(number), pair[K_P256], LA_JWA_ES256, LA_SLICE("ES256"), jkt);
}

static void add_key(la_proof_keys_t *set, int number)
{
    add_key_as(set, number, jkt_of(number));
}

static int is_known_as(la_proof_keys_t *set, int number, const char *jkt)
{
    apr_pool_t *pool = new_pool();
    const la_proof_key_t *found = la_proof_keys_find(set, header_of(number), pool);

    if (found) {
        assert_int_equal(found->algorithm, LA_JWA_ES256);
        assert_string_equal(found->alg, "ES256");
        assert_string_equal(found->jkt, jkt);
    }
    apr_pool_destroy(pool);
    return found != NULL;
}

static int is_known(la_proof_keys_t *set, int number)
{
    return is_known_as(set, number, jkt_of(number));
}

static void test_kept(void **state)
{
    apr_pool_t *pool = new_pool();
    la_proof_keys_t *set = la_proof_keys_make(pool);

    (void)state;
    assert_false(is_known(set, 1));
    add_key(set, 1);
    assert_true(is_known(set, 1));
    assert_false(is_known(set, 2));
    add_key(set, 1); /* again: in its own place */
    assert_true(is_known(set, 1));
    assert_null(la_proof_keys_find(NULL, header_of(1), pool));
    la_proof_keys_add(NULL, header_of(1), pair[K_P256], LA_JWA_ES256, LA_SLICE("ES256"), "");
    la_proof_keys_add(set, header_of(3), pair[K_P256], LA_JWA_ES256, LA_SLICE("too long"),
                      jkts[K_P256]);
    assert_false(is_known(set, 3));
    apr_pool_destroy(pool);
}

static void test_header_too_long(void **state)
{
    apr_pool_t *pool = new_pool();
    la_proof_keys_t *set = la_proof_keys_make(pool);
    la_slice_t header = {apr_pcalloc(pool, 20000), 20000};

    (void)state;
    la_proof_keys_add(set, header, pair[K_P256], LA_JWA_ES256, LA_SLICE("ES256"), jkts[K_P256]);
    assert_null(la_proof_keys_find(set, header, pool));
    apr_pool_destroy(pool);
}

/* Of ten times as many, so many are left; one that is used again and again stays. */
static void test_room(void **state)
{
    apr_pool_t *pool = new_pool();
    la_proof_keys_t *set = la_proof_keys_make(pool);
    int known = 0;

    (void)state;
    add_key(set, 0);
    for (int i = 1; i < 10 * LA_PROOF_KEYS; i++) {
        add_key(set, i);
        assert_true(is_known(set, i));
        assert_true(is_known(set, 0));
    }
    for (int i = 0; i < 10 * LA_PROOF_KEYS; i++) {
        known += is_known(set, i);
    }
    assert_true(known <= LA_PROOF_KEYS && known > LA_PROOF_KEYS / 2);
    apr_pool_destroy(pool);
}

/* A client that never writes its header in the same way twice has one place, whatever it does. */
static void test_one_place(void **state)
{
    apr_pool_t *pool = new_pool();
    la_proof_keys_t *set = la_proof_keys_make(pool);
    int known = 0;

    (void)state;
    for (int i = 0; i < LA_PROOF_KEYS / 4; i++) {
        add_key(set, i);
    }
    for (int i = 0; i < LA_PROOF_KEYS / 4; i++) {
        known += is_known(set, i);
    }
    for (int i = 1000; i < 1000 + 10 * LA_PROOF_KEYS; i++) {
        add_key_as(set, i, jkts[K_P256]);
        assert_true(is_known_as(set, i, jkts[K_P256]));
        assert_false(is_known_as(set, i - 1, jkts[K_P256]));
    }
    for (int i = 0; i < LA_PROOF_KEYS / 4; i++) {
        known -= is_known(set, i);
    }
    assert_true(known <= LA_PROOF_KEYS / 16); /* of rows that were full */
    apr_pool_destroy(pool);
}

/* Another algorithm is another key to verify with. */
static void test_algorithms(void **state)
{
    apr_pool_t *pool = new_pool();
    la_proof_keys_t *set = la_proof_keys_make(pool);
    const la_proof_key_t *found;

    (void)state;
    la_proof_keys_add(set, header_of(1), pair[K_RSA], LA_JWA_RS256, LA_SLICE("RS256"), jkts[K_RSA]);
    la_proof_keys_add(set, header_of(2), pair[K_RSA], LA_JWA_PS256, LA_SLICE("PS256"), jkts[K_RSA]);
    found = la_proof_keys_find(set, header_of(1), pool);
    assert_non_null(found);
    assert_int_equal(found->algorithm, LA_JWA_RS256);
    found = la_proof_keys_find(set, header_of(2), pool);
    assert_non_null(found);
    assert_int_equal(found->algorithm, LA_JWA_PS256);
    apr_pool_destroy(pool);
}

/* Of an RSA key it is asked once, of another one each time: that is no work. */
static void test_checked(void **state)
{
    apr_pool_t *pool = new_pool();
    la_proof_keys_t *set = la_proof_keys_make(pool);
    EVP_PKEY *unsound = make_unsound_rsa();
    const la_jwk_t bad = {.key = unsound};
    const la_jwk_t good = {.key = pair[K_RSA]};
    const la_jwk_t other = {.key = pair[K_P256]};

    (void)state;
    assert_string_equal(la_proof_keys_check(NULL, &bad, jkt_of(1)), "RSA modulus is unsound");
    assert_null(la_proof_keys_check(NULL, &good, jkt_of(1)));
    assert_string_equal(la_proof_keys_check(set, &bad, jkt_of(1)), "RSA modulus is unsound");
    assert_string_equal(la_proof_keys_check(set, &good, jkt_of(1)), "RSA modulus is unsound");
    assert_null(la_proof_keys_check(set, &other, jkt_of(1)));
    assert_null(la_proof_keys_check(set, &good, jkt_of(2)));
    assert_null(la_proof_keys_check(set, &bad, jkt_of(2)));
    EVP_PKEY_free(unsound);
    apr_pool_destroy(pool);
}

static void test_held(void **state)
{
    apr_pool_t *pool = new_pool();
    apr_pool_t *holder = new_pool();
    la_proof_keys_t *set = la_proof_keys_make(pool);
    const la_proof_key_t *held;

    (void)state;
    add_key(set, 0);
    held = la_proof_keys_find(set, header_of(0), holder);
    for (int i = 1; i < 50 * LA_PROOF_KEYS; i++) {
        add_key(set, i);
    }
    assert_false(is_known(set, 0));
    assert_string_equal(held->jkt, jkt_of(0));
    assert_false(la_verifier_check(held->verifier, LA_SLICE("x"), LA_SLICE("y")));
    apr_pool_destroy(holder); /* ASan sees that it is freed, and once */
    apr_pool_destroy(pool);
}

static la_proof_keys_t *shared;

static void *use(void *number)
{
    apr_pool_t *pool;

    for (int i = 0; i < 2000; i++) {
        int header = (i * 7 + (int)(intptr_t)number) % 300;
        char text[32];
        la_slice_t slice = {text, (apr_size_t)snprintf(text, sizeof(text), "thread-%d", header)};
        const la_proof_key_t *found;
        char jkt[LA_THUMBPRINT_LEN + 1];

        snprintf(jkt, sizeof(jkt), "%043d", header / 2); /* of two headers */
        apr_pool_create(&pool, NULL);
        found = la_proof_keys_find(shared, slice, pool);
        if (!found) {
            la_proof_keys_add(shared, slice, pair[K_P256], LA_JWA_ES256, LA_SLICE("ES256"), jkt);
        } else if (strcmp(found->jkt, jkt) != 0) {
            abort();
        }
        apr_pool_destroy(pool);
    }
    return NULL;
}

static void test_threads(void **state)
{
    apr_pool_t *pool = new_pool();
    pthread_t threads[4];

    (void)state;
    shared = la_proof_keys_make(pool);
    for (intptr_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, use, (void *)i), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    apr_pool_destroy(pool);
}

int main(void)
{
    int failed;

    make_proof_keys();
    add("kept", test_kept, NULL);
    add("a header that is too long", test_header_too_long, NULL);
    add("room", test_room, NULL);
    add("one place", test_one_place, NULL);
    add("two algorithms", test_algorithms, NULL);
    add("checked", test_checked, NULL);
    add("held", test_held, NULL);
    add("threads", test_threads, NULL);
    failed = finish("proof_keys");
    drop_keys();
    return failed;
}
