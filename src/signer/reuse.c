/* Keeps assertions in a table of shm/table.h, which is bounded and read without a lock; its memory
 * is no other process's. A key is SHA-256 over all that an assertion says. */
#include "signer/reuse.h"

#include "base/digest.h"
#include "shm/memory.h"
#include "shm/table.h"

#include <string.h>

/* Identities beyond it are signed each time: their assertions fill the table, or a header field. */
#define IDENTITY_BYTES_MAX ((apr_size_t)16 * 1024)

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

/* What stands before the identity in what is hashed. No padding. */
typedef struct head_t {
    char kid[LA_THUMBPRINT_LEN + 1];
    char client_id[32];
    uint32_t signer;
} head_t;

_Static_assert(sizeof(head_t) == LA_THUMBPRINT_LEN + 1 + 32 + 4, "what is hashed has no padding");

/* Returns 0 if the assertion is not for reuse. */
static int make_key(const la_signer_t *signer, const la_signing_key_t *signing_key,
                    const la_asserted_t *asserted, apr_pool_t *pool,
                    unsigned char key[LA_DIGEST_BYTES])
{
    apr_size_t len = la_identity_size(asserted->identity);
    head_t head = {.signer = signer->index};
    char *text;

    _Static_assert(LA_DIGEST_BYTES == LA_TABLE_KEY_BYTES, "a digest is a key");
    if (len > IDENTITY_BYTES_MAX || strlen(asserted->client_id) != sizeof(head.client_id)) {
        return 0;
    }
    memcpy(head.kid, signing_key->kid, sizeof(head.kid));
    memcpy(head.client_id, asserted->client_id, sizeof(head.client_id));
    text = apr_palloc(pool, sizeof(head) + len);
    memcpy(text, &head, sizeof(head));
    memcpy(text + sizeof(head), asserted->identity, len);
    return la_digest_sha256((la_slice_t){text, sizeof(head) + len}, key) == APR_SUCCESS;
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

static void keep(const la_reuse_t *reuse, const unsigned char key[LA_DIGEST_BYTES],
                 const char *assertion, apr_time_t until, apr_time_t now)
{
    const char *jwt = assertion + PREFIX_BYTES;
    la_table_meta_t meta = {.expires_us = until, .stale_until_us = until, .stored_us = now};

    if (until > now) { /* if it does not fit, it is signed again */
        (void)la_table_put(reuse->table, key, &meta, la_slice_of(jwt), NULL);
    }
}

static const char *sign(const la_reuse_t *reuse, const unsigned char *key,
                        const la_signer_t *signer, const la_signing_key_t *signing_key,
                        const la_asserted_t *asserted, apr_time_t now, apr_pool_t *pool)
{
    apr_time_t until = now + signer->lifetime_us / 2;
    apr_time_t ends;
    const char *made = la_assertion_make(signer, signing_key, asserted, now, pool, &ends);

    if (made && key) {
        keep(reuse, key, made, until < ends ? until : ends, now);
    }
    return made;
}

const char *la_reuse_get(const la_reuse_t *reuse, const la_signer_t *signer,
                         const la_asserted_t *asserted, apr_time_t now, apr_pool_t *pool)
{
    unsigned char key[LA_DIGEST_BYTES];
    la_table_entry_t entry;
    const char *assertion;
    unsigned held;
    const la_signing_key_t *signing_key = la_signer_hold(signer, now, &held);
    int has_key = reuse && make_key(signer, signing_key, asserted, pool, key);

    if (has_key &&
        la_table_get(reuse->table, key, now, make_room, pool, &entry) == LA_TABLE_FRESH) {
        assertion = (const char *)entry.value - PREFIX_BYTES;
    } else {
        assertion = sign(reuse, has_key ? key : NULL, signer, signing_key, asserted, now, pool);
    }
    la_signer_release(signer, held);
    return assertion;
}
