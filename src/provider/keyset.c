/* A jwt provider's keys in one process: when they are parsed, and what makes another version of
 * them. remote_doc.c and file.c bring the text, reload.c keeps the versions. */
#include "provider/keyset.h"

#include "io/reload.h"
#include "io/server.h"

#include <openssl/crypto.h>

#define FILE_LIMIT_BYTES ((apr_size_t)1024 * 1024)

/* One version, parsed. */
typedef struct edition_t {
    const la_jwks_t *keys;
    apr_uint64_t version;
} edition_t;

struct la_keyset_t {
    const char *provider;
    la_remote_doc_t *document; /* NULL: a file */
    la_jwa_set_t allowed;
    la_reload_t *editions; /* of edition_t */
};

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

/* A key for another use is none of the operator's worries: it stands in many sets. */
static void log_skipped(const la_keyset_t *keyset, const la_jwks_t *keys)
{
    for (int i = 0; i < keys->skipped->nelts; i++) {
        int other_use = APR_ARRAY_IDX(keys->skipped_other_use, i, int);

        la_log(other_use ? LA_LOG_DEBUG : LA_LOG_WARNING,
               LA_LOGNO(0062) "provider %s: key not used: %s", keyset->provider,
               APR_ARRAY_IDX(keys->skipped, i, const char *));
    }
}

/* A file that is written again with the same keys keeps its version. Of documents, remote_doc.c
 * decides that. */
static apr_uint64_t version_of(const la_keyset_t *keyset, la_slice_t text, const la_jwks_t *keys)
{
    apr_uint64_t version = la_remote_doc_version_of(text);
    const edition_t *old;
    unsigned held;

    if (keyset->document) {
        return version;
    }
    old = la_reload_hold(keyset->editions, &held);
    version = old && same_keys(old->keys, keys) ? old->version : version;
    la_reload_release(keyset->editions, held);
    return version;
}

static const char *parse_edition(void *context, la_slice_t text, apr_pool_t *pool,
                                 apr_pool_t *scratch, const void **value)
{
    const la_keyset_t *keyset = context;
    edition_t *made = apr_pcalloc(pool, sizeof(*made));
    const char *error = la_jwks_parse(pool, text, keyset->allowed, &made->keys);

    (void)scratch;
    if (!error) {
        made->version = version_of(keyset, text, made->keys);
        log_skipped(keyset, made->keys);
        *value = made;
    }
    return error;
}

static la_keyset_t *make(const char *provider, la_remote_doc_t *document, const char *path,
                         la_jwa_set_t allowed, apr_pool_t *pool)
{
    la_keyset_t *keyset = apr_pcalloc(pool, sizeof(*keyset));

    keyset->provider = provider;
    keyset->document = document;
    keyset->allowed = allowed;
    keyset->editions = la_reload_make(pool, path, FILE_LIMIT_BYTES, parse_edition, keyset);
    return keyset;
}

const char *la_keyset_read(const char *provider, const char *path, la_jwa_set_t allowed,
                           apr_pool_t *pool, la_keyset_t **keyset)
{
    la_keyset_t *made = make(provider, NULL, path, allowed, pool);
    const char *error = la_reload_read(made->editions, pool);

    *keyset = error ? NULL : made;
    return error;
}

la_keyset_t *la_keyset_make(const char *provider, la_remote_doc_t *document, la_jwa_set_t allowed,
                            apr_pool_t *pool)
{
    return make(provider, document, NULL, allowed, pool);
}

void la_keyset_check_readable(const la_keyset_t *keyset, apr_pool_t *pool)
{
    la_reload_check_readable(keyset->editions, pool);
}

static int hold_edition(la_keyset_t *keyset, la_keyset_hold_t *hold)
{
    const edition_t *edition = la_reload_hold(keyset->editions, &hold->held);

    if (!edition) {
        la_reload_release(keyset->editions, hold->held);
        *hold = (la_keyset_hold_t){0};
        return 0;
    }
    hold->keys = edition->keys;
    hold->version = edition->version;
    return 1;
}

apr_uint64_t la_keyset_epoch(la_keyset_t *keyset, apr_time_t now)
{
    la_keyset_hold_t hold = {0};

    if (keyset->document) {
        return la_remote_doc_version(keyset->document);
    }
    la_reload_look(keyset->editions, now);
    if (hold_edition(keyset, &hold)) {
        la_keyset_release(keyset, &hold);
    }
    return hold.version;
}

/* Parses the document's current version, or waits for who does. */
static void follow_document(la_keyset_t *keyset, apr_pool_t *scratch)
{
    apr_uint64_t version;
    la_slice_t text;
    const char *error;

    if (!la_remote_doc_read(keyset->document, scratch, &text, &version)) {
        return;
    }
    error = la_reload_text(keyset->editions, text, scratch);
    if (error) {
        la_log(LA_LOG_ERROR, LA_LOGNO(0063) "provider %s: the key set cannot be used: %s",
               keyset->provider, error);
    }
}

int la_keyset_hold(la_keyset_t *keyset, apr_time_t now, apr_pool_t *scratch, la_keyset_hold_t *hold)
{
    int found;

    if (!keyset->document) {
        la_reload_look(keyset->editions, now);
        return hold_edition(keyset, hold);
    }
    found = hold_edition(keyset, hold);
    if (found && hold->version == la_remote_doc_version(keyset->document)) {
        return 1;
    }
    if (found) {
        la_keyset_release(keyset, hold);
    }
    follow_document(keyset, scratch);
    return hold_edition(keyset, hold);
}

void la_keyset_release(la_keyset_t *keyset, const la_keyset_hold_t *hold)
{
    la_reload_release(keyset->editions, hold->held);
}
