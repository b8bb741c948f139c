/* Keeps assertions in a table of shm/table.h, which is bounded and read without a lock; its memory
 * is no other process's. */
#include "signer/reuse.h"

#include "base/checksum.h"
#include "shm/memory.h"
#include "shm/table.h"

#include <string.h>

struct la_reuse_t {
    la_memory_t memory;
    la_table_t *table;
};

apr_status_t la_reuse_make(apr_pool_t *pool, la_holder_t *life, la_reuse_t **reuse)
{
    la_reuse_t *made = apr_pcalloc(pool, sizeof(*made));
    apr_status_t rv = la_memory_make(&made->memory, LA_REUSE_BYTES, pool);

    *reuse = NULL;
    if (rv == APR_SUCCESS) {
        rv = la_table_format(made->memory.bytes, made->memory.size);
    }
    if (rv == APR_SUCCESS) {
        rv = la_table_attach(made->memory.bytes, made->memory.size, life, pool, &made->table);
    }
    if (rv == APR_SUCCESS) {
        *reuse = made;
    }
    return rv;
}

_Static_assert(sizeof(((la_checksum_t *)0)->sums) == LA_TABLE_KEY_BYTES, "its sums are a key");

/* The checksum of all that an assertion says; its sums are the entry's key. Returns 0 if it is not
 * for reuse: the identity is long, and its assertions would fill the table. */
static int make_checksum(const la_assertion_t *assertion, const la_signing_key_t *key,
                         la_checksum_t *checksum)
{
    const uint32_t *signer = &assertion->signer->index;
    const la_slice_t parts[] = {
        {key->kid, LA_THUMBPRINT_LEN},
        {(const char *)signer, sizeof(*signer)},
        la_slice_of(assertion->client_id),
        {(const char *)assertion->identity, la_identity_size(assertion->identity)}};

    return la_checksum_make(parts, sizeof(parts) / sizeof(parts[0]), checksum);
}

#define PREFIX_BYTES (sizeof(LA_ASSERTION_PREFIX) - 1)

/* For table.h: aligned room for the text, with the prefix before it and a NUL behind it. */
static void *make_room(void *pool, apr_size_t len)
{
    apr_size_t before = APR_ALIGN_DEFAULT(PREFIX_BYTES);
    char *text = (char *)apr_palloc(pool, before + len + 1) + before;

    memcpy(text - PREFIX_BYTES, LA_ASSERTION_PREFIX, PREFIX_BYTES);
    text[len] = '\0';
    return text;
}

/* Gets what was kept under the checksum, or NULL. */
static const char *find(const la_reuse_t *reuse, const la_checksum_t *checksum, apr_time_t now,
                        apr_pool_t *pool)
{
    la_table_entry_t entry;

    if (la_table_get(reuse->table, (const unsigned char *)checksum->sums, now, make_room, pool,
                     &entry) != LA_TABLE_FRESH ||
        memcmp(entry.meta.client_tag, &checksum->blocks, sizeof(checksum->blocks)) != 0) {
        return NULL;
    }
    return (const char *)entry.value - PREFIX_BYTES;
}

/* text: what la_assertion_make() returned. ends: the assertion. */
static void keep(const la_reuse_t *reuse, const la_checksum_t *checksum,
                 const la_assertion_t *assertion, const char *text, apr_time_t ends)
{
    apr_time_t half = assertion->now + assertion->signer->lifetime_us / 2;
    apr_time_t until = half < ends ? half : ends;
    la_table_meta_t meta = {
        .expires_us = until, .stale_until_us = until, .stored_us = assertion->now};

    memcpy(meta.client_tag, &checksum->blocks, sizeof(checksum->blocks));
    if (until > assertion->now) { /* if it does not fit, it is signed again */
        (void)la_table_put(reuse->table, (const unsigned char *)checksum->sums, &meta,
                           la_slice_of(text + PREFIX_BYTES), NULL);
    }
}

/* The same with the key, which stays as it is meanwhile. */
static const char *get_by(const la_reuse_t *reuse, const la_signing_key_t *key,
                          const la_assertion_t *assertion, apr_pool_t *pool, int *is_new)
{
    la_checksum_t checksum;
    int is_kept = reuse && make_checksum(assertion, key, &checksum);
    const char *text = is_kept ? find(reuse, &checksum, assertion->now, pool) : NULL;
    apr_time_t ends;

    *is_new = !text;
    if (text) {
        return text;
    }
    text = la_assertion_make(assertion, key, pool, &ends);
    if (text && is_kept) {
        keep(reuse, &checksum, assertion, text, ends);
    }
    return text;
}

const char *la_reuse_get(const la_reuse_t *reuse, const la_assertion_t *assertion, apr_pool_t *pool,
                         int *is_new)
{
    unsigned held;
    const la_signing_key_t *key = la_signer_hold(assertion->signer, assertion->now, &held);
    const char *text = get_by(reuse, key, assertion, pool, is_new);

    la_signer_release(assertion->signer, held);
    return text;
}
