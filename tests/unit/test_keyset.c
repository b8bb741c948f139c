/* keyset.c: keys of a document and of a file, held while they change. The document is the real one,
 * without a gate; JSON is written with ' for ".
 */
#include "support.h"

#include "provider/keyset.h"

#include "jose.h"

#include <pthread.h>
#include <stdatomic.h>

#define EC_BODY                                                                                    \
    "'keys':[{'kty':'EC','crv':'P-256','kid':'ec','x':'" RFC7517_EC_X "','y':'" RFC7517_EC_Y "'}]" \
    "}"
#define EC  "{" EC_BODY
#define OKP "{'keys':[{'kty':'OKP','crv':'Ed25519','kid':'ed','x':'" RFC8037_X "'}]}"
#define BAD "{'keys':[{'kty':'EC','crv':'P-256','kid':'bad','x':'AA','y':'AA'}]}"
#define MIX                                                                                        \
    "{'keys':[{'kty':'EC','crv':'P-256','kid':'bad','x':'AA','y':'AA'},"                           \
    "{'kty':'OKP','crv':'Ed25519','kid':'ed','x':'" RFC8037_X "'}]}"

static const char *served; /* what the document's fetch brings; NULL: a failure */

static const char *fake_fetch(const la_provider_t *provider, apr_pool_t *pool, la_slice_t *bytes)
{
    (void)provider;
    *bytes = slice_of_text(served ? unquote(pool, served) : "");
    return served ? NULL : "nothing";
}

static const la_remote_doc_source_t source = {fake_fetch, APR_USEC_PER_SEC * 3600, "the key set",
                                              NULL};

typedef struct world_t {
    apr_pool_t *pool;
    la_provider_t provider;
    la_provider_child_t child;
    la_remote_doc_t *document;
    la_keyset_t *keyset;
    apr_time_t now;
} world_t;

static void fetch_now(world_t *w)
{
    memset(w->provider.segment, 0, 64); /* due at once; the bytes before are gone from it */
    la_remote_doc_tick(w->document, w->pool);
}

static world_t *from_document(void)
{
    apr_pool_t *pool = new_pool();
    world_t *w = apr_pcalloc(pool, sizeof(*w));

    w->pool = pool;
    w->provider.name = "idp";
    w->provider.child = &w->child;
    w->provider.segment = apr_pcalloc(pool, la_remote_doc_bytes());
    w->document = la_remote_doc_attach(&w->provider, &source, pool);
    w->keyset = la_keyset_make("idp", w->document, LA_JWA_DEFAULT, pool);
    return w;
}

static world_t *from_file(const char *text)
{
    apr_pool_t *pool = new_pool();
    world_t *w = apr_pcalloc(pool, sizeof(*w));
    const char *path = write_text(pool, "keys.json", unquote(pool, text));

    w->pool = pool;
    w->now = apr_time_now();
    assert_null(la_keyset_read("idp", path, LA_JWA_DEFAULT, pool, &w->keyset));
    return w;
}

/* The kid of the one key in force; NULL when there is none. */
static const char *kid(world_t *w)
{
    la_keyset_hold_t hold;
    const char *found = NULL;

    if (la_keyset_hold(w->keyset, w->now, w->pool, &hold)) {
        assert_int_equal(hold.keys->count, 1);
        assert_true(hold.version == la_keyset_epoch(w->keyset, w->now));
        found = apr_pstrmemdup(w->pool, hold.keys->keys[0].kid.data, hold.keys->keys[0].kid.len);
        la_keyset_release(w->keyset, &hold);
    }
    return found;
}

static void drop(world_t *w)
{
    apr_pool_destroy(w->pool);
    forget_log();
}

/* ---- from a document ---- */

static void test_versions(void **state)
{
    world_t *w = from_document();
    apr_uint64_t first;

    (void)state;
    assert_null(kid(w));
    assert_true(la_keyset_epoch(w->keyset, 0) == 0);
    served = EC;
    fetch_now(w);
    assert_string_equal(kid(w), "ec");
    first = la_keyset_epoch(w->keyset, 0);
    served = OKP;
    fetch_now(w);
    assert_string_equal(kid(w), "ed");
    assert_true(la_keyset_epoch(w->keyset, 0) != first);
    drop(w);
}

/* What is held stays whole while another takes its place, and goes with its last holder. */
static void test_hold(void **state)
{
    world_t *w = from_document();
    la_keyset_hold_t first;
    la_keyset_hold_t second;

    (void)state;
    served = EC;
    fetch_now(w);
    assert_int_equal(la_keyset_hold(w->keyset, 0, w->pool, &first), 1);
    assert_int_equal(la_keyset_hold(w->keyset, 0, w->pool, &second), 1);
    assert_ptr_equal(first.keys, second.keys); /* parsed once */
    served = OKP;
    fetch_now(w);
    assert_string_equal(kid(w), "ed");
    la_keyset_release(w->keyset, &first);
    assert_int_equal(EVP_PKEY_is_a(second.keys->keys[0].key, "EC"), 1);
    la_keyset_release(w->keyset, &second);
    drop(w);
}

/* What cannot be used leaves the keys before in force, under their own version, and is said once.
 */
static void test_unusable(void **state)
{
    world_t *w = from_document();
    la_keyset_hold_t hold;

    (void)state;
    served = EC;
    fetch_now(w);
    assert_string_equal(kid(w), "ec");
    served = BAD;
    fetch_now(w);
    forget_log();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(la_keyset_hold(w->keyset, 0, w->pool, &hold), 1);
        assert_string_equal(hold.keys->keys[0].kid.data, "ec");
        assert_true(hold.version != la_keyset_epoch(w->keyset, 0));
        la_keyset_release(w->keyset, &hold);
    }
    assert_int_equal(log_lines, 1);
    assert_non_null(strstr(logged, "LA0063"));
    served = OKP;
    fetch_now(w);
    assert_string_equal(kid(w), "ed");
    drop(w);
}

static void test_skipped(void **state)
{
    world_t *w = from_document();

    (void)state;
    served = MIX;
    fetch_now(w);
    forget_log();
    for (int i = 0; i < 3; i++) {
        assert_string_equal(kid(w), "ed");
    }
    assert_int_equal(log_lines, 1);
    assert_int_equal(log_level, LA_LOG_WARNING);
    assert_non_null(strstr(logged, "LA0062: provider idp: key not used: keys[0] (kid \"bad\"): "));
    drop(w);
}

/* Keycloak has a key for encryption in each realm's set: nothing that an operator could mend. */
static void test_key_for_another_use(void **state)
{
    static const char *const members[] = {"'use':'enc','alg':'RSA-OAEP'", "'key_ops':['encrypt']"};

    (void)state;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        world_t *w = from_document();

        served = apr_pstrcat(w->pool, "{'keys':[{'kty':'RSA','kid':'e',", members[i], "},",
                             strchr(OKP, '[') + 1, NULL);
        fetch_now(w);
        forget_log();
        assert_string_equal(kid(w), "ed");
        assert_int_equal(log_lines, 1);
        assert_int_equal(log_level, LA_LOG_DEBUG);
        assert_non_null(strstr(logged, "key not used: keys[0] (kid \"e\"): "));
        drop(w);
    }
}

/* ---- from a file ---- */

static void test_file(void **state)
{
    world_t *w = from_file(EC);
    apr_uint64_t first = la_keyset_epoch(w->keyset, w->now);

    (void)state;
    assert_string_equal(kid(w), "ec");
    write_text(w->pool, "keys.json", unquote(w->pool, OKP));
    w->now += 3 * APR_USEC_PER_SEC;
    assert_true(la_keyset_epoch(w->keyset, w->now) != first);
    assert_string_equal(kid(w), "ed");
    forget_log();
    write_text(w->pool, "keys.json", "{");
    for (int i = 0; i < 3; i++) {
        w->now += 3 * APR_USEC_PER_SEC;
        assert_string_equal(kid(w), "ed");
    }
    assert_int_equal(log_lines, 1);
    assert_non_null(strstr(logged, "LA0002"));
    remove(file_path(w->pool, "keys.json"));
    w->now += 3 * APR_USEC_PER_SEC;
    assert_string_equal(kid(w), "ed");
    write_text(w->pool, "keys.json", unquote(w->pool, EC));
    w->now += 3 * APR_USEC_PER_SEC;
    assert_string_equal(kid(w), "ec");
    assert_true(la_keyset_epoch(w->keyset, w->now) == first);
    drop(w);
}

static void test_check(void **state)
{
    apr_pool_t *pool = new_pool();
    const char *path = write_text(pool, "check.json", unquote(pool, EC));
    la_keyset_t *keyset;

    (void)state;
    assert_null(la_keyset_read("idp", path, LA_JWA_DEFAULT, pool, &keyset));
    assert_non_null(
        strstr(la_keyset_read("idp", path, LA_JWA_RSA, pool, &keyset), "no usable key"));
    assert_null(keyset);
    write_text(pool, "check.json", unquote(pool, BAD));
    assert_non_null(strstr(la_keyset_read("idp", path, LA_JWA_DEFAULT, pool, &keyset),
                           "check.json: no usable key"));
    assert_non_null(
        strstr(la_keyset_read("idp", "/nowhere/x", LA_JWA_DEFAULT, pool, &keyset), "No such file"));
    apr_pool_destroy(pool);
}

/* ---- threads ---- */

static _Atomic int stop;

static void *run_holder(void *argument)
{
    world_t *w = argument;
    apr_pool_t *scratch;
    la_keyset_hold_t hold;

    apr_pool_create_unmanaged_ex(&scratch, NULL, NULL);
    while (!atomic_load(&stop)) {
        if (la_keyset_hold(w->keyset, w->now, scratch, &hold)) {
            const la_jwk_t *key = &hold.keys->keys[0];

            assert_int_equal(EVP_PKEY_is_a(key->key, key->kid.data[1] == 'c' ? "EC" : "ED25519"),
                             1);
            la_keyset_release(w->keyset, &hold);
        }
        apr_pool_clear(scratch);
    }
    apr_pool_destroy(scratch);
    return NULL;
}

static void test_threads(void **state)
{
    world_t *w = from_file(EC);
    pthread_t threads[4];

    (void)state;
    atomic_store(&stop, 0);
    for (size_t i = 0; i < ROWS(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_holder, w), 0);
    }
    for (int round = 1; round <= 40; round++) {
        apr_time_t now = w->now + round * 3 * APR_USEC_PER_SEC;
        la_keyset_hold_t hold;

        write_text(w->pool, "keys.json", unquote(w->pool, round % 2 ? OKP : EC));
        assert_int_equal(la_keyset_hold(w->keyset, now, w->pool, &hold), 1);
        la_keyset_release(w->keyset, &hold);
    }
    atomic_store(&stop, 1);
    for (size_t i = 0; i < ROWS(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    drop(w);
}

/* ---- what makes a difference ---- */

#define EC_KEY(kid, more)                                                                          \
    "{'kty':'EC','crv':'P-256'," kid "'x':'" RFC7517_EC_X "','y':'" RFC7517_EC_Y "'" more "}"
#define OKP_KEY      "{'kty':'OKP','crv':'Ed25519','kid':'ed','x':'" RFC8037_X "'}"
#define BAD_KEY(kid) "{'kty':'EC','crv':'P-256','kid':'" kid "','x':'AA','y':'AA'}"
#define A            EC_KEY("'kid':'a',", "")
#define SET(keys)    "{'keys':[" keys "]}"

typedef struct same_case_t {
    const char *name;
    const char *a;
    const char *b;
    int same;
} same_case_t;

static same_case_t same_cases[] = {
    {"the same bytes", SET(A), SET(A), 1},
    {"another order", SET(A "," OKP_KEY), SET(OKP_KEY "," A), 1},
    {"something beside the keys", SET(A), "{'now':17,'keys':[" A "]}", 1},
    {"something in a key", SET(A), SET(EC_KEY("'kid':'a',", ",'x5t':'abc'")), 1},
    {"a key twice", SET(A), SET(A "," A), 1},
    {"a key more", SET(A), SET(A "," OKP_KEY), 0},
    {"a key fewer", SET(A "," OKP_KEY), SET(OKP_KEY), 0},
    {"another name", SET(A), SET(EC_KEY("'kid':'b',", "")), 0},
    {"no name any more", SET(A), SET(EC_KEY("", "")), 0},
    {"an empty name", SET(EC_KEY("", "")), SET(EC_KEY("'kid':'',", "")), 0},
    {"another key of that name", SET(OKP_KEY), SET(EC_KEY("'kid':'ed',", "")), 0},
    {"fewer algorithms", SET(A), SET(A "," EC_KEY("'kid':'b','alg':'ES256',", "")), 0},
    {"a skipped key more", SET(A), SET(A "," BAD_KEY("bad")), 0},
    {"another skipped key", SET(A "," BAD_KEY("bad")), SET(A "," BAD_KEY("worse")), 0},
    {"skipped in another order", SET(A "," BAD_KEY("x") "," BAD_KEY("y")),
     SET(BAD_KEY("y") "," BAD_KEY("x") "," A), 1},
    {"no key set", SET(A), "nothing", 0},
};

static void test_same(void **state)
{
    apr_pool_t *pool = new_pool();

    (void)state;
    for (size_t i = 0; i < sizeof(same_cases) / sizeof(same_cases[0]); i++) {
        const same_case_t *row = &same_cases[i];
        la_slice_t a = slice_of_text(unquote(pool, row->a));
        la_slice_t b = slice_of_text(unquote(pool, row->b));

        if (la_keyset_same(a, b, LA_JWA_DEFAULT, pool) != row->same) {
            fail_msg("%s", row->name);
        }
    }
    apr_pool_destroy(pool);
}

/* A file that is written anew with the same keys ends nothing that is cached. */
static void test_same_file(void **state)
{
    world_t *w = from_file(EC);
    apr_uint64_t first = la_keyset_epoch(w->keyset, w->now);

    (void)state;
    write_text(w->pool, "keys.json", unquote(w->pool, "{'now':17," EC_BODY));
    w->now += 3 * APR_USEC_PER_SEC;
    assert_string_equal(kid(w), "ec");
    assert_true(la_keyset_epoch(w->keyset, w->now) == first);
    drop(w);
}

int main(void)
{
    start();
    add("document: versions", test_versions, NULL);
    add("document: held while it changes", test_hold, NULL);
    add("document: what cannot be used", test_unusable, NULL);
    add("document: skipped keys are said once", test_skipped, NULL);
    add("document: a key for another use is no fault", test_key_for_another_use, NULL);
    add("file: followed, and kept while it is broken", test_file, NULL);
    add("file: checked at startup", test_check, NULL);
    add("the same keys: when", test_same, NULL);
    add("the same keys: in a file", test_same_file, NULL);
    add("threads: hold while it changes", test_threads, NULL);
    return finish("keyset");
}
