/* Keeps keys of proofs. A table of rows: the checksum of a header names the row, where the key that
 * was not used for longest makes room. An entry is freed by the last one that holds it: the table
 * while it keeps it, each request that found it.
 *
 * Headers are compared by a keyed checksum, which strangers cannot make collide (checksum.h), so
 * that their bytes need not be kept.
 */
#include "jose/proof_keys.h"

#include "base/checksum.h"

#include <apr_thread_mutex.h>

#include <stdlib.h>
#include <string.h>

#define WAYS 4
#define ROWS (LA_PROOF_KEYS / WAYS)

_Static_assert(ROWS == 1 << (64 - 59), "row_of() takes so many bits");

typedef struct entry_t {
    la_proof_key_t key; /* first: what is found is the entry */
    la_checksum_t header;
    apr_uint64_t used; /* when, by la_proof_keys_t.uses */
    int holders;
    la_proof_keys_t *keys;
} entry_t;

struct la_proof_keys_t {
    apr_thread_mutex_t *lock; /* guards all below, and holders and used of each entry */
    apr_uint64_t uses;
    entry_t *rows[ROWS][WAYS];
};

/* ---- life ---- */

static void free_entry(entry_t *entry)
{
    la_verifier_free(entry->key.verifier);
    free(entry);
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
        entry_t *entry = let_go(keys->rows[i / WAYS][i % WAYS]);

        if (entry) {
            free_entry(entry);
        }
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
static entry_t **row_of(la_proof_keys_t *keys, const la_checksum_t *header)
{
    return keys->rows[(header->sums[0] ^ header->sums[1]) * 0x9e3779b97f4a7c15u >> 59];
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
    if (entry) {
        free_entry(entry);
    }
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

/* The place for a new entry: the header's own, an empty one, or the one not used for longest. */
static entry_t **choose_place(la_proof_keys_t *keys, const la_checksum_t *header)
{
    entry_t **row = row_of(keys, header);
    entry_t **own = find(keys, header);
    entry_t **oldest = row;

    for (int i = 0; i < WAYS && !own; i++) {
        if (!row[i]) {
            return &row[i];
        }
        if (row[i]->used < (*oldest)->used) {
            oldest = &row[i];
        }
    }
    return own ? own : oldest;
}

static void put(la_proof_keys_t *keys, entry_t *entry)
{
    entry_t **place;
    entry_t *former;

    apr_thread_mutex_lock(keys->lock);
    place = choose_place(keys, &entry->header);
    former = let_go(*place);
    entry->used = ++keys->uses;
    *place = entry;
    apr_thread_mutex_unlock(keys->lock);
    if (former) {
        free_entry(former);
    }
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
    put(keys, entry);
}
