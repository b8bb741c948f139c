/* Keys, times and purges of verdicts, over two tables.
 *
 *   +----------------+---------------------------------------------+------------------+
 *   | log of purges  | acceptances: la_table_t                     | rejections       |
 *   | la_purge_log_t | 7/8 of the rest                             | 1/8 of the rest  |
 *   +----------------+---------------------------------------------+------------------+
 *
 * An acceptance's value is an identity (identity.c), a rejection's is its message with a NUL. Both
 * are checked after the copy, since a process that can write to the memory may have put anything
 * there. */
#include "lookup/cache.h"

#include "access/token.h"

#include "base/clock.h"
#include "base/hash.h"

#include <string.h>

/* Rejections are short and expire soon: they get one part in this many. */
#define REJECTED_SHARE 8

_Static_assert(LA_TABLE_KEY_BYTES == LA_DIGEST_BYTES, "a key is an HMAC");

struct la_cache_t {
    la_purge_log_t *log;
    la_table_t *accepted;
    la_table_t *rejected;
    la_hmac_t *hmac; /* with the secret */
    uint64_t point;  /* of la_hash_under(), made of the secret */
};

typedef struct parts_t {
    la_purge_log_t *log;
    char *accepted;
    char *rejected;
    apr_size_t accepted_bytes;
    apr_size_t rejected_bytes;
} parts_t;

static apr_size_t aligned(apr_size_t bytes)
{
    return bytes / LA_TABLE_ALIGN * LA_TABLE_ALIGN;
}

static apr_status_t divide(void *bytes, apr_size_t size, parts_t *parts)
{
    if (size < la_cache_bytes_min()) {
        return APR_ENOSPC;
    }
    parts->log = bytes;
    parts->rejected_bytes = aligned((size - la_purge_log_bytes()) / REJECTED_SHARE);
    parts->accepted_bytes = aligned(size - la_purge_log_bytes() - parts->rejected_bytes);
    parts->accepted = (char *)bytes + la_purge_log_bytes();
    parts->rejected = parts->accepted + parts->accepted_bytes;
    return APR_SUCCESS;
}

apr_size_t la_cache_bytes_min(void)
{
    return la_purge_log_bytes() + (la_table_bytes_min() + LA_TABLE_ALIGN) * REJECTED_SHARE;
}

apr_status_t la_cache_format(void *bytes, apr_size_t size)
{
    parts_t parts;
    apr_status_t rv = divide(bytes, size, &parts);

    if (rv == APR_SUCCESS) {
        rv = la_table_format(parts.accepted, parts.accepted_bytes);
    }
    if (rv == APR_SUCCESS) {
        rv = la_table_format(parts.rejected, parts.rejected_bytes);
    }
    return rv;
}

void la_cache_succeed(void *bytes, la_purge_position_t known)
{
    la_purge_advance(bytes, known);
    la_purge_bind(bytes, LA_PURGE_CHANGING, 0);
}

la_purge_position_t la_cache_position(const void *bytes)
{
    return la_purge_known(bytes);
}

void la_cache_bind(void *bytes, apr_uint64_t place)
{
    la_purge_bind(bytes, place, apr_time_now());
}

static apr_status_t free_hmac(void *hmac)
{
    la_hmac_free(hmac);
    return APR_SUCCESS;
}

/* Makes the point, of a digest: who learns the point must not learn the secret. */
static apr_status_t make_point(la_cache_t *cache)
{
    la_slice_t purpose = LA_SLICE("principals");
    unsigned char digest[LA_DIGEST_BYTES];
    apr_status_t rv = la_hmac_parts(cache->hmac, &purpose, 1, digest);

    if (rv == APR_SUCCESS) {
        cache->point = la_hash_point(digest);
    }
    return rv;
}

apr_status_t la_cache_attach(void *bytes, apr_size_t size,
                             const unsigned char secret[LA_CACHE_SECRET_BYTES], la_holder_t *life,
                             apr_pool_t *pool, la_cache_t **cache)
{
    la_cache_t *made = apr_pcalloc(pool, sizeof(*made));
    parts_t parts;
    apr_status_t rv = divide(bytes, size, &parts);

    *cache = NULL;
    if (rv == APR_SUCCESS) {
        rv = la_table_attach(parts.accepted, parts.accepted_bytes, life, pool, &made->accepted);
    }
    if (rv == APR_SUCCESS) {
        rv = la_table_attach(parts.rejected, parts.rejected_bytes, life, pool, &made->rejected);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    made->log = parts.log;
    made->hmac = la_hmac_make(secret, LA_CACHE_SECRET_BYTES);
    if (!made->hmac) {
        return APR_EGENERAL;
    }
    apr_pool_cleanup_register(pool, made->hmac, free_hmac, apr_pool_cleanup_null);
    rv = make_point(made);
    *cache = rv == APR_SUCCESS ? made : NULL;
    return rv;
}

apr_status_t la_cache_key(const la_cache_t *cache, const la_slice_t *parts, apr_size_t count,
                          la_cache_key_t *key)
{
    return la_hmac_parts(cache->hmac, parts, count, key->bytes);
}

/* ---- whom an entry concerns ---- */

/* Makes the tag of what nobody may guess, since it comes of a token: a client id, or the principal
 * that is made of one. If libcrypto fails, the tag is zero, and the entry is only purged with all.
 */
static void make_secret_tag(const la_cache_t *cache, la_slice_t kind, la_slice_t name,
                            unsigned char tag[LA_TABLE_PURGE_TAG_BYTES])
{
    la_slice_t parts[] = {kind, name};
    unsigned char digest[LA_DIGEST_BYTES] = {0};

    (void)la_hmac_parts(cache->hmac, parts, 2, digest);
    memcpy(tag, digest, LA_TABLE_PURGE_TAG_BYTES);
}

/* Makes the tag of a principal. A provider's name for him stands in the entry anyway, so a hash is
 * enough, which costs a twentieth of an HMAC. Of two principals with one tag both are purged. */
static void make_principal_tag(const la_cache_t *cache, la_slice_t principal,
                               unsigned char tag[LA_TABLE_PURGE_TAG_BYTES])
{
    uint64_t hash;

    if (la_token_may_have_made(principal)) {
        make_secret_tag(cache, LA_SLICE("principal"), principal, tag);
        return;
    }
    hash = la_hash_under(cache->point, 0, principal);
    memset(tag, 0, LA_TABLE_PURGE_TAG_BYTES);
    memcpy(tag, &hash, sizeof(hash));
}

/* identity: NULL for a rejection, which has no principal. meta: its tags are zero. */
static void set_tags(const la_cache_t *cache, const unsigned char *digest,
                     const la_identity_t *identity, la_table_meta_t *meta)
{
    char id[LA_CLIENT_ID_LEN + 1];
    char anonymous[LA_TOKEN_PRINCIPAL_LEN + 1];
    la_slice_t principal;

    la_token_client_id(digest, id);
    make_secret_tag(cache, LA_SLICE("client"), (la_slice_t){id, LA_CLIENT_ID_LEN},
                    meta->client_tag);
    if (identity) {
        principal = la_identity_principal(identity);
        if (principal.len == 0) {
            la_token_principal(id, anonymous);
            principal = (la_slice_t){anonymous, LA_TOKEN_PRINCIPAL_LEN};
        }
        make_principal_tag(cache, principal, meta->principal_tag);
    }
}

/* ---- look-ups ---- */

static void *allocate(void *pool, apr_size_t len)
{
    return apr_palloc(pool, len);
}

static la_table_e get_identity(const la_cache_t *cache, const la_cache_key_t *key, apr_time_t now,
                               apr_pool_t *pool, const la_identity_t **identity)
{
    la_table_entry_t entry;
    la_table_e found = la_table_get(cache->accepted, key->bytes, now, allocate, pool, &entry);

    if (found != LA_TABLE_MISS && !la_identity_check(entry.value, entry.len)) {
        found = LA_TABLE_MISS;
    }
    *identity = found == LA_TABLE_MISS ? NULL : entry.value;
    return found;
}

/* Returns the message of a fresh rejection, or NULL. */
static const char *get_rejection(const la_cache_t *cache, const la_cache_key_t *key, apr_time_t now,
                                 apr_pool_t *pool)
{
    la_table_entry_t entry;

    if (la_table_get(cache->rejected, key->bytes, now, allocate, pool, &entry) != LA_TABLE_FRESH ||
        entry.len == 0 || ((const char *)entry.value)[entry.len - 1] != '\0') {
        return NULL;
    }
    return entry.value;
}

la_cache_e la_cache_get(const la_cache_t *cache, const la_cache_key_t *key, apr_time_t now,
                        apr_pool_t *pool, la_cache_found_t *found)
{
    la_table_e accepted = get_identity(cache, key, now, pool, &found->identity);

    found->message = NULL;
    if (accepted == LA_TABLE_FRESH) {
        return LA_CACHE_HIT;
    }
    found->message = get_rejection(cache, key, now, pool);
    if (found->message) {
        found->identity = NULL;
        return LA_CACHE_NEGATIVE;
    }
    return accepted == LA_TABLE_STALE ? LA_CACHE_STALE : LA_CACHE_MISS;
}

apr_time_t la_cache_until(apr_time_t now, apr_interval_time_t span, apr_time_t end)
{
    apr_time_t time = span > APR_INT64_MAX - now ? APR_INT64_MAX : now + span;

    return end && end < time ? end : time;
}

la_cache_asked_t la_cache_asked(const la_cache_t *cache, const unsigned char *digest)
{
    return (la_cache_asked_t){digest, la_purge_generation(cache->log), 0};
}

typedef struct storing_t {
    const la_cache_t *cache;
    const la_cache_asked_t *asked;
} storing_t;

/* Returns 1 unless there was a purge since the provider was asked, or the answer is too late. */
static int still_wanted(const void *context)
{
    const storing_t *storing = context;
    const la_cache_asked_t *asked = storing->asked;

    return la_purge_generation(storing->cache->log) == asked->generation &&
           (asked->ends_us == 0 || la_clock_us() < asked->ends_us);
}

static int store(const la_cache_t *cache, const la_table_t *table, const la_cache_key_t *key,
                 const la_cache_asked_t *asked, const la_table_meta_t *meta, la_slice_t value)
{
    storing_t storing = {cache, asked};
    la_table_guard_t guard = {still_wanted, &storing};

    return la_table_put(table, key->bytes, meta, value, &guard) == APR_SUCCESS;
}

int la_cache_accept(const la_cache_t *cache, const la_cache_key_t *key,
                    const la_cache_asked_t *asked, const la_identity_t *identity,
                    const la_cache_times_t *times, apr_time_t now)
{
    la_table_meta_t meta = {.stored_us = now};

    meta.expires_us = la_cache_until(now, times->ttl_us, times->end);
    meta.stale_until_us = la_cache_until(meta.expires_us, times->stale_us, times->end);
    la_table_remove(cache->rejected, key->bytes);
    if (meta.expires_us <= now) {
        la_table_remove(cache->accepted, key->bytes);
        return 0;
    }
    set_tags(cache, asked->digest, identity, &meta);
    return store(cache, cache->accepted, key, asked, &meta,
                 (la_slice_t){(const char *)identity, la_identity_size(identity)});
}

void la_cache_reject(const la_cache_t *cache, const la_cache_key_t *key,
                     const la_cache_asked_t *asked, const char *message, apr_interval_time_t ttl_us,
                     apr_time_t now)
{
    la_table_meta_t meta = {.stored_us = now};

    la_table_remove(cache->accepted, key->bytes);
    if (ttl_us > 0) {
        meta.expires_us = la_cache_until(now, ttl_us, 0);
        set_tags(cache, asked->digest, NULL, &meta);
        store(cache, cache->rejected, key, asked, &meta,
              (la_slice_t){message, strlen(message) + 1});
    }
}

/* ---- purges ---- */

typedef struct wanted_t {
    la_purge_e kind;
    unsigned char tag[LA_TABLE_PURGE_TAG_BYTES];
} wanted_t;

static int purged(void *context, const la_table_meta_t *meta)
{
    const wanted_t *wanted = context;

    const unsigned char *tag =
        wanted->kind == LA_PURGE_PRINCIPAL ? meta->principal_tag : meta->client_tag;

    return wanted->kind == LA_PURGE_ALL || memcmp(tag, wanted->tag, sizeof(wanted->tag)) == 0;
}

apr_size_t la_cache_purge(const la_cache_t *cache, const la_purge_t *purge)
{
    wanted_t wanted = {.kind = purge->kind};

    if (purge->kind == LA_PURGE_PRINCIPAL) {
        make_principal_tag(cache, purge->name, wanted.tag);
    } else if (purge->kind == LA_PURGE_CLIENT_ID) {
        make_secret_tag(cache, LA_SLICE("client"), purge->name, wanted.tag);
    }
    la_purge_begin(cache->log);
    return la_table_sweep(cache->accepted, purged, &wanted) +
           la_table_sweep(cache->rejected, purged, &wanted);
}

la_purge_log_t *la_cache_purges(const la_cache_t *cache)
{
    return cache->log;
}

const la_table_t *la_cache_accepted(const la_cache_t *cache)
{
    return cache->accepted;
}

const la_table_t *la_cache_rejected(const la_cache_t *cache)
{
    return cache->rejected;
}
