/* Keeps keys of proofs. A table of rows: the checksum of a header names the row, where the key that
 * was not used for longest makes room. A key has one place: a client that writes each header in
 * another way takes none of its neighbours'. An entry is freed by the last one that holds it: the
 * table while it keeps it, each request that found it.
 *
 * Headers are compared by a keyed checksum, which strangers cannot make collide (checksum.h), so
 * that their bytes need not be kept.
 *
 * What the check of an RSA key said is kept apart and for longer, good or bad, by the key's
 * thumbprint, because it takes up to a tenth of a second.
 */
#include "jose/proof_keys.h"

#include "base/checksum.h"

#include <apr_thread_mutex.h>

#include <stdlib.h>
#include <string.h>

#define WAYS 4
#define ROWS (LA_PROOF_KEYS / WAYS)

#define CHECKED 256 /* keys whose check is known */

_Static_assert(ROWS == 1 << (64 - 59), "row_of() takes so many bits");
_Static_assert(CHECKED == 1 << (64 - 56), "checked_of() takes so many bits");

typedef struct entry_t {
    la_proof_key_t key; /* first: what is found is the entry */
    la_checksum_t header;
    apr_uint64_t used; /* when, by la_proof_keys_t.uses */
    int holders;
    la_proof_keys_t *keys;
} entry_t;

typedef struct checked_t {
    char jkt[LA_THUMBPRINT_LEN + 1]; /* empty: nothing is known */
    const char *fault;
} checked_t;

struct la_proof_keys_t {
    apr_thread_mutex_t *lock; /* guards all below, and holders and used of each entry */
    apr_uint64_t uses;
    entry_t *rows[ROWS][WAYS];
    checked_t checked[CHECKED];
};

/* ---- life ---- */

static void free_entry(entry_t *entry)
{
    if (entry) {
        la_verifier_free(entry->key.verifier);
        free(entry);
    }
}

/* Returns the entry if nobody holds it any more; to be freed without the lock. Under it. */
static entry_t *let_go(entry_t *entry)
{
    return entry && --entry->holders == 0 ? entry : NULL;
}

static apr_status_t free_all(void *data)
{
    la_proof_keys_t *keys = data;

    for (int i = 0; i < LA_PROOF_KEYS; i++) {
        free_entry(let_go(keys->rows[i / WAYS][i % WAYS]));
    }
    return APR_SUCCESS;
}

la_proof_keys_t *la_proof_keys_make(apr_pool_t *pool)
{
    la_proof_keys_t *keys = apr_pcalloc(pool, sizeof(*keys));

    if (apr_thread_mutex_create(&keys->lock, APR_THREAD_MUTEX_DEFAULT, pool) != APR_SUCCESS) {
        return NULL;
    }
    apr_pool_cleanup_register(pool, keys, free_all, apr_pool_cleanup_null);
    return keys;
}

/* ---- finding ---- */

/* Mixed, because checksums of texts that differ little may differ in a few bits. */
static apr_uint64_t mix(const la_checksum_t *checksum)
{
    return (checksum->sums[0] ^ checksum->sums[1]) * 0x9e3779b97f4a7c15u;
}

static entry_t **row_of(la_proof_keys_t *keys, const la_checksum_t *header)
{
    return keys->rows[mix(header) >> 59];
}

/* Under the lock. */
static entry_t **find(la_proof_keys_t *keys, const la_checksum_t *header)
{
    entry_t **row = row_of(keys, header);

    for (int i = 0; i < WAYS; i++) {
        if (row[i] && la_checksum_equals(&row[i]->header, header)) {
            return &row[i];
        }
    }
    return NULL;
}

static apr_status_t release(void *data)
{
    entry_t *entry = data;
    apr_thread_mutex_t *lock = entry->keys->lock;

    apr_thread_mutex_lock(lock);
    entry = let_go(entry);
    apr_thread_mutex_unlock(lock);
    free_entry(entry);
    return APR_SUCCESS;
}

const la_proof_key_t *la_proof_keys_find(la_proof_keys_t *keys, la_slice_t header, apr_pool_t *pool)
{
    la_checksum_t checksum;
    entry_t **place;
    entry_t *entry = NULL;

    if (!keys || !la_checksum_make(&header, 1, &checksum)) {
        return NULL;
    }
    apr_thread_mutex_lock(keys->lock);
    place = find(keys, &checksum);
    if (place) {
        entry = *place;
        entry->holders++;
        entry->used = ++keys->uses;
    }
    apr_thread_mutex_unlock(keys->lock);
    if (!entry) {
        return NULL;
    }
    apr_pool_cleanup_register(pool, entry, release, apr_pool_cleanup_null);
    return &entry->key;
}

/* ---- adding ---- */

static int is_same_key(const entry_t *a, const entry_t *b)
{
    return a->key.algorithm == b->key.algorithm && strcmp(a->key.jkt, b->key.jkt) == 0;
}

/* The place that a key has, under whichever header; NULL if it has none. */
static entry_t **find_key(la_proof_keys_t *keys, const entry_t *key)
{
    for (int i = 0; i < LA_PROOF_KEYS; i++) {
        entry_t **place = &keys->rows[i / WAYS][i % WAYS];

        if (*place && is_same_key(*place, key)) {
            return place;
        }
    }
    return NULL;
}

/* The place for a new entry: an empty one, or the one not used for longest. */
static entry_t **choose_place(la_proof_keys_t *keys, const la_checksum_t *header)
{
    entry_t **row = row_of(keys, header);
    entry_t **oldest = row;

    for (int i = 0; i < WAYS; i++) {
        if (!row[i]) {
            return &row[i];
        }
        if (row[i]->used < (*oldest)->used) {
            oldest = &row[i];
        }
    }
    return oldest;
}

static void keep(la_proof_keys_t *keys, entry_t *entry)
{
    entry_t *same = NULL;
    entry_t *oldest;
    entry_t **place;

    apr_thread_mutex_lock(keys->lock);
    place = find_key(keys, entry);
    if (place) {
        same = let_go(*place);
        *place = NULL;
    }
    place = choose_place(keys, &entry->header);
    oldest = let_go(*place);
    entry->used = ++keys->uses;
    *place = entry;
    apr_thread_mutex_unlock(keys->lock);
    free_entry(same);
    free_entry(oldest);
}

void la_proof_keys_add(la_proof_keys_t *keys, la_slice_t header, EVP_PKEY *key,
                       la_jwa_set_t algorithm, la_slice_t alg, const char *jkt)
{
    la_checksum_t checksum;
    entry_t *entry;

    if (!keys || alg.len >= sizeof(entry->key.alg) || !la_checksum_make(&header, 1, &checksum)) {
        return;
    }
    entry = calloc(1, sizeof(*entry));
    if (!entry) {
        return;
    }
    entry->key.verifier = la_verifier_new(key, algorithm);
    if (!entry->key.verifier) {
        free_entry(entry);
        return;
    }
    entry->key.algorithm = algorithm;
    memcpy(entry->key.alg, alg.data, alg.len);
    memcpy(entry->key.jkt, jkt, LA_THUMBPRINT_LEN);
    entry->header = checksum;
    entry->holders = 1;
    entry->keys = keys;
    keep(keys, entry);
}

/* ---- checking ---- */

static checked_t *checked_of(la_proof_keys_t *keys, const char *jkt)
{
    la_slice_t text = la_slice_of(jkt);
    la_checksum_t checksum;

    return la_checksum_make(&text, 1, &checksum) ? &keys->checked[mix(&checksum) >> 56] : NULL;
}

const char *la_proof_keys_check(la_proof_keys_t *keys, const la_jwk_t *key, const char *jkt)
{
    checked_t *place = keys && EVP_PKEY_is_a(key->key, "RSA") == 1 ? checked_of(keys, jkt) : NULL;
    checked_t known;

    if (!place) {
        return la_jwk_check(key);
    }
    apr_thread_mutex_lock(keys->lock);
    known = *place;
    apr_thread_mutex_unlock(keys->lock);
    if (strcmp(known.jkt, jkt) != 0) {
        memcpy(known.jkt, jkt, LA_THUMBPRINT_LEN);
        known.fault = la_jwk_check(key);
        apr_thread_mutex_lock(keys->lock);
        *place = known;
        apr_thread_mutex_unlock(keys->lock);
    }
    return known.fault;
}
