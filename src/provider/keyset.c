/* A jwt provider's keys in one process. Owns their parsed form and its life: each version is parsed
 * once, counted by who holds it, and freed when it is neither in force nor held. Where the text
 * comes from is remote_doc.c's and file.c's.
 *
 * One lock guards all of it, held for a pointer's time by those that find the version in force, and
 * by who parses a new one for as long as that takes: everybody waits then, since no verdict may be
 * made with keys that are older than what la_keyset_epoch() has said before.
 */
#include "provider/keyset.h"

#include "base/digest.h"
#include "io/server.h"

#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include <stdatomic.h>
#include <string.h>

#include <openssl/crypto.h>

/* Largest key file. */
#define FILE_LIMIT_BYTES ((apr_size_t)1024 * 1024)

/* One version, parsed. */
typedef struct edition_t {
    apr_pool_t *pool; /* holds this too */
    const la_jwks_t *keys;
    apr_uint64_t version;
    unsigned holders;
} edition_t;

struct la_keyset_t {
    const char *name;
    la_remote_doc_t *document; /* NULL: a file */
    la_file_t *file;
    la_jwa_set_t allowed;
    apr_thread_mutex_t *lock;
    edition_t *current;          /* NULL: no keys yet */
    apr_uint64_t refused;        /* a version that cannot be parsed; not tried again */
    _Atomic apr_int64_t look_us; /* a file: when to look again */
    _Atomic apr_uint64_t epoch;  /* a file: current's version */
};

static apr_uint64_t version_of(la_slice_t text)
{
    unsigned char digest[LA_DIGEST_BYTES];
    apr_uint64_t version = 0;

    if (la_digest_sha256(text, digest) == APR_SUCCESS) {
        memcpy(&version, digest, sizeof(version));
    }
    return version ? version : 1;
}

const char *la_keyset_check(la_slice_t text, la_jwa_set_t allowed, apr_pool_t *scratch)
{
    const la_jwks_t *keys;

    return la_jwks_parse(scratch, text, allowed, &keys);
}

const char *la_keyset_check_file(const char *path, la_jwa_set_t allowed, apr_pool_t *pool)
{
    apr_pool_t *scratch = la_file_version_pool(pool);
    la_slice_t text;
    const char *error = la_file_read(la_file_make(scratch, path, FILE_LIMIT_BYTES), scratch, &text);

    if (!error) {
        error = la_keyset_check(text, allowed, scratch);
    }
    if (error) {
        error = apr_pstrcat(pool, path, ": ", error, NULL);
    }
    apr_pool_destroy(scratch);
    return error;
}

/* ---- what makes a difference ---- */

static int same_text(la_slice_t a, la_slice_t b)
{
    if (!a.data || !b.data) {
        return a.data == b.data;
    }
    return la_slice_equals(a, b);
}

static int same_secret(la_slice_t a, la_slice_t b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.data, b.data, a.len) == 0);
}

static int same_key(const la_jwk_t *a, const la_jwk_t *b)
{
    return same_text(a->kid, b->kid) && a->algorithms == b->algorithms && !a->key == !b->key &&
           (!a->key || EVP_PKEY_eq(a->key, b->key) == 1) && same_secret(a->secret, b->secret);
}

/* Whether each key of one set is among those of the other; in whatever order. */
static int has_keys_of(const la_jwks_t *set, const la_jwks_t *other)
{
    for (apr_size_t i = 0; i < other->count; i++) {
        apr_size_t at = 0;

        while (at < set->count && !same_key(&set->keys[at], &other->keys[i])) {
            at++;
        }
        if (at == set->count) {
            return 0;
        }
    }
    return 1;
}

static int has_skipped_kids_of(const la_jwks_t *set, const la_jwks_t *other)
{
    for (int i = 0; i < other->skipped_kids->nelts; i++) {
        int at = 0;

        while (at < set->skipped_kids->nelts &&
               !same_text(APR_ARRAY_IDX(set->skipped_kids, at, la_slice_t),
                          APR_ARRAY_IDX(other->skipped_kids, i, la_slice_t))) {
            at++;
        }
        if (at == set->skipped_kids->nelts) {
            return 0;
        }
    }
    return 1;
}

/* Whether every token has the same verdict with both sets. */
static int same_keys(const la_jwks_t *a, const la_jwks_t *b)
{
    return has_keys_of(a, b) && has_keys_of(b, a) && has_skipped_kids_of(a, b) &&
           has_skipped_kids_of(b, a);
}

int la_keyset_same(la_slice_t a, la_slice_t b, la_jwa_set_t allowed, apr_pool_t *scratch)
{
    const la_jwks_t *first;
    const la_jwks_t *second;

    if (la_slice_equals(a, b)) {
        return 1;
    }
    return !la_jwks_parse(scratch, a, allowed, &first) &&
           !la_jwks_parse(scratch, b, allowed, &second) && same_keys(first, second);
}

/* ---- editions; the lock is held ---- */

static void drop(edition_t *edition)
{
    if (edition && edition->holders == 0) {
        apr_pool_destroy(edition->pool);
    }
}

static void log_skipped(const la_keyset_t *keyset, const la_jwks_t *keys)
{
    int i;

    for (i = 0; i < keys->skipped->nelts; i++) {
        la_log(LA_LOG_WARNING, LA_LOGNO(0062) "provider %s: key not used: %s", keyset->name,
               APR_ARRAY_IDX(keys->skipped, i, const char *));
    }
}

/* Puts a parsed text in the current edition's place, and keeps the version if the keys are the
 * same. Returns NULL, or why it is no key set, in `scratch`. */
static const char *replace(la_keyset_t *keyset, la_slice_t text, apr_uint64_t version,
                           apr_pool_t *scratch)
{
    apr_pool_t *pool = la_file_version_pool(scratch);
    edition_t *old = keyset->current;
    edition_t *made = apr_pcalloc(pool, sizeof(*made));
    const char *error = la_jwks_parse(pool, text, keyset->allowed, &made->keys);

    if (error) {
        error = apr_pstrdup(scratch, error);
        apr_pool_destroy(pool);
        return error;
    }
    made->pool = pool;
    made->version =
        !keyset->document && old && same_keys(old->keys, made->keys) ? old->version : version;
    keyset->current = made;
    drop(old);
    log_skipped(keyset, made->keys);
    return NULL;
}

static void update_from_document(la_keyset_t *keyset, apr_pool_t *scratch)
{
    apr_uint64_t version = la_remote_doc_version(keyset->document);
    const char *error;
    la_slice_t text;

    if ((keyset->current && keyset->current->version == version) || version == keyset->refused ||
        !la_remote_doc_read(keyset->document, scratch, &text, &version)) {
        return;
    }
    error = replace(keyset, text, version, scratch);
    if (error) {
        keyset->refused = version;
        la_log(LA_LOG_ERROR, LA_LOGNO(0063) "provider %s: the key set cannot be used: %s",
               keyset->name, error);
    }
}

static const char *load_file(la_keyset_t *keyset, apr_pool_t *scratch)
{
    la_slice_t text;
    const char *error = la_file_read(keyset->file, scratch, &text);
    apr_uint64_t version;

    if (error) {
        return error;
    }
    version = version_of(text);
    error = replace(keyset, text, version, scratch);
    if (!error) {
        atomic_store_explicit(&keyset->epoch, keyset->current->version, memory_order_release);
    }
    return error;
}

static void update_from_file(la_keyset_t *keyset, apr_time_t now, apr_pool_t *scratch)
{
    const char *error;

    if (!la_file_changed(keyset->file, now)) {
        return;
    }
    error = load_file(keyset, scratch);
    if (error) {
        la_log(LA_LOG_ERROR,
               LA_LOGNO(0064) "provider %s: %s: %s; the keys read before stay in force",
               keyset->name, la_file_path(keyset->file), error);
    } else {
        la_log(LA_LOG_INFO, LA_LOGNO(0065) "provider %s: %s: read again", keyset->name,
               la_file_path(keyset->file));
    }
}

/* ---- in a child ---- */

static apr_status_t first_load(la_keyset_t *keyset, apr_pool_t *pchild)
{
    apr_pool_t *scratch = la_file_version_pool(pchild);
    const char *error = load_file(keyset, scratch);

    if (error) {
        la_log(LA_LOG_ERROR, LA_LOGNO(0066) "provider %s: %s: %s: there are no keys", keyset->name,
               la_file_path(keyset->file), error);
    }
    apr_pool_destroy(scratch);
    return APR_SUCCESS; /* a child that may not read what the parent could still serves other
                           providers */
}

static apr_status_t drop_current(void *data)
{
    la_keyset_t *keyset = data;

    drop(keyset->current);
    keyset->current = NULL;
    return APR_SUCCESS;
}

apr_status_t la_keyset_make(const char *name, la_remote_doc_t *document, const char *path,
                            la_jwa_set_t allowed, apr_pool_t *pchild, la_keyset_t **keyset)
{
    la_keyset_t *made = apr_pcalloc(pchild, sizeof(*made));
    apr_status_t rv = apr_thread_mutex_create(&made->lock, APR_THREAD_MUTEX_DEFAULT, pchild);

    *keyset = NULL;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    made->name = name;
    made->document = document;
    made->allowed = allowed;
    apr_pool_cleanup_register(pchild, made, drop_current, apr_pool_cleanup_null);
    *keyset = made;
    if (path) {
        made->document = NULL;
        made->file = la_file_make(pchild, path, FILE_LIMIT_BYTES);
        rv = first_load(made, pchild);
    }
    return rv;
}

/* Looks whether the file has changed, about once a second for all threads together. */
static void look(la_keyset_t *keyset, apr_time_t now, apr_pool_t *scratch)
{
    apr_int64_t at = atomic_load_explicit(&keyset->look_us, memory_order_relaxed);

    if (now < at && at - now <= LA_FILE_CHECK_INTERVAL_US) {
        return;
    }
    apr_thread_mutex_lock(keyset->lock);
    update_from_file(keyset, now, scratch);
    atomic_store_explicit(&keyset->look_us, now + LA_FILE_CHECK_INTERVAL_US, memory_order_relaxed);
    apr_thread_mutex_unlock(keyset->lock);
}

apr_uint64_t la_keyset_epoch(la_keyset_t *keyset, apr_time_t now, apr_pool_t *scratch)
{
    if (keyset->document) {
        return la_remote_doc_version(keyset->document);
    }
    look(keyset, now, scratch);
    return atomic_load_explicit(&keyset->epoch, memory_order_acquire);
}

int la_keyset_hold(la_keyset_t *keyset, apr_time_t now, apr_pool_t *scratch, la_keyset_hold_t *hold)
{
    *hold = (la_keyset_hold_t){0};
    if (!keyset->document) {
        look(keyset, now, scratch);
    }
    apr_thread_mutex_lock(keyset->lock);
    if (keyset->document) {
        update_from_document(keyset, scratch);
    }
    if (keyset->current) {
        keyset->current->holders++;
        *hold =
            (la_keyset_hold_t){keyset->current->keys, keyset->current->version, keyset->current};
    }
    apr_thread_mutex_unlock(keyset->lock);
    return hold->keys != NULL;
}

void la_keyset_release(la_keyset_t *keyset, la_keyset_hold_t *hold)
{
    edition_t *edition = hold->version_in_use;

    if (!edition) {
        return;
    }
    apr_thread_mutex_lock(keyset->lock);
    if (--edition->holders == 0 && edition != keyset->current) {
        drop(edition);
    }
    apr_thread_mutex_unlock(keyset->lock);
    *hold = (la_keyset_hold_t){0};
}
