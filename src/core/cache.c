/* The cache of verdicts: keys, times, and the two tables with the counters in front of them.
 *
 *   +----------------+---------------------------------------------+------------------+
 *   | counters       | acceptances: la_table_t                     | rejections       |
 *   | STRIPES x 64 B | 7/8 of the rest                             | 1/8 of the rest  |
 *   +----------------+---------------------------------------------+------------------+
 *
 * What an entry's bytes mean is known here: an identity (identity.c), or a rejection's message closed by NUL. Both
 * are checked after the copy, since whoever can write to the segment could have put anything there.
 */
#include "core/cache.h"

#include <apr_portable.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* Counters are spread so that threads on different cores rarely write the same line. */
#define STRIPES 16

/* Rejections are short and die soon: one part in this many is theirs. */
#define REJECTED_SHARE 8

typedef struct stripe_t {
    _Alignas(64) _Atomic apr_uint64_t counts[8];
} stripe_t;

_Static_assert(LA_CACHE_COUNTS <= 8, "every event has a place in a stripe");
_Static_assert(sizeof(stripe_t) == 64, "a stripe is one cache line");

/* Keyed contexts that are kept ready; a thread that finds those it looks at taken makes one for itself. */
#define MACS      64
#define MAC_TRIES 4

typedef struct mac_t {
    _Alignas(64) atomic_flag taken;
    EVP_MAC_CTX *context;
} mac_t;

#define COUNTER_BYTES (STRIPES * sizeof(stripe_t))

struct la_cache_t {
    stripe_t *stripes;
    la_table_t *accepted;
    la_table_t *rejected;
    EVP_MAC_CTX *keyed; /* only ever copied */
    mac_t *macs;
    unsigned process; /* spreads processes over stripes */
};

/* Where the three parts are. */
typedef struct parts_t {
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
    parts->rejected_bytes = aligned((size - COUNTER_BYTES) / REJECTED_SHARE);
    parts->accepted_bytes = aligned(size - COUNTER_BYTES - parts->rejected_bytes);
    parts->accepted = (char *)bytes + COUNTER_BYTES;
    parts->rejected = parts->accepted + parts->accepted_bytes;
    return APR_SUCCESS;
}

apr_size_t la_cache_bytes_min(void)
{
    return COUNTER_BYTES + (la_table_bytes_min() + LA_TABLE_ALIGN) * REJECTED_SHARE;
}

apr_status_t la_cache_format(void *bytes, apr_size_t size)
{
    parts_t parts;
    apr_status_t rv = divide(bytes, size, &parts);

    if (rv == APR_SUCCESS) {
        rv = la_table_format(parts.accepted, parts.accepted_bytes, 1);
    }
    if (rv == APR_SUCCESS) {
        rv = la_table_format(parts.rejected, parts.rejected_bytes, 1);
    }
    return rv;
}

static apr_status_t free_macs(void *data)
{
    la_cache_t *cache = data;
    int i;

    for (i = 0; i < MACS; i++) {
        EVP_MAC_CTX_free(cache->macs[i].context);
    }
    EVP_MAC_CTX_free(cache->keyed);
    return APR_SUCCESS;
}

/* HMAC-SHA256 keyed with the secret. */
static EVP_MAC_CTX *make_mac(const unsigned char *secret)
{
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                               OSSL_PARAM_construct_end()};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    EVP_MAC_CTX *mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;

    EVP_MAC_free(hmac);
    if (mac && EVP_MAC_init(mac, secret, LA_CACHE_SECRET_BYTES, parameters) == 1) {
        return mac;
    }
    EVP_MAC_CTX_free(mac);
    return NULL;
}

/* Makes the contexts ready, all with the same key. */
static apr_status_t make_macs(la_cache_t *cache, const unsigned char *secret, apr_pool_t *pool)
{
    int i;

    cache->macs =
        (mac_t *)(((apr_uintptr_t)apr_pcalloc(pool, (MACS + 1) * sizeof(mac_t)) + 63) / 64 * 64);
    apr_pool_cleanup_register(pool, cache, free_macs, apr_pool_cleanup_null);
    cache->keyed = make_mac(secret);
    for (i = 0; i < MACS; i++) {
        cache->macs[i].context = cache->keyed ? EVP_MAC_CTX_dup(cache->keyed) : NULL;
        if (!cache->macs[i].context) {
            return APR_EGENERAL;
        }
    }
    return APR_SUCCESS;
}

apr_status_t la_cache_attach(void *bytes, apr_size_t size,
                             const unsigned char secret[LA_CACHE_SECRET_BYTES], apr_pool_t *pool,
                             la_cache_t **cache)
{
    la_cache_t *made = apr_pcalloc(pool, sizeof(*made));
    parts_t parts;
    apr_status_t rv = divide(bytes, size, &parts);

    *cache = NULL;
    if (rv == APR_SUCCESS) {
        rv = la_table_attach(parts.accepted, parts.accepted_bytes, pool, &made->accepted);
    }
    if (rv == APR_SUCCESS) {
        rv = la_table_attach(parts.rejected, parts.rejected_bytes, pool, &made->rejected);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    made->stripes = bytes;
    made->process = (unsigned)getpid();
    rv = make_macs(made, secret, pool);
    *cache = rv == APR_SUCCESS ? made : NULL;
    return rv;
}

/* A length in front of each part keeps one part's end from being read as the next one's beginning. */
static int mix(EVP_MAC_CTX *mac, const char *data, apr_size_t len)
{
    apr_uint64_t prefix = data ? (apr_uint64_t)len : APR_UINT64_MAX;

    return EVP_MAC_update(mac, (const unsigned char *)&prefix, sizeof(prefix)) == 1 &&
           (len == 0 || EVP_MAC_update(mac, (const unsigned char *)data, len) == 1);
}

/* A number for the calling thread: its address tells it from others of its process. */
static unsigned thread_number(void)
{
    return (unsigned)((apr_uintptr_t)apr_os_thread_current() >> 12);
}

/* Takes a context that nobody uses at the moment, or NULL. */
static mac_t *take_mac(const la_cache_t *cache)
{
    unsigned first = thread_number();
    unsigned i;

    for (i = 0; i < MAC_TRIES; i++) {
        mac_t *mac = &cache->macs[(first + i) % MACS];

        if (!atomic_flag_test_and_set_explicit(&mac->taken, memory_order_acquire)) {
            return mac;
        }
    }
    return NULL;
}

/* Runs the whole HMAC with a context that is this thread's own for the time. */
static int make_key(EVP_MAC_CTX *mac, const unsigned char *fingerprint, const unsigned char *digest,
                    const la_slice_t *fields, apr_size_t count, la_cache_key_t *key)
{
    apr_size_t len = 0;
    apr_size_t i;
    int sound = EVP_MAC_init(mac, NULL, 0, NULL) == 1 &&
                mix(mac, (const char *)fingerprint, LA_CACHE_FINGERPRINT_BYTES) &&
                mix(mac, (const char *)digest, LA_TOKEN_DIGEST_BYTES);

    for (i = 0; sound && i < count; i++) {
        sound = mix(mac, fields[i].data, fields[i].data ? fields[i].len : 0);
    }
    return sound && EVP_MAC_final(mac, key->bytes, &len, sizeof(key->bytes)) == 1 &&
           len == sizeof(key->bytes);
}

apr_status_t la_cache_key(const la_cache_t *cache,
                          const unsigned char fingerprint[LA_CACHE_FINGERPRINT_BYTES],
                          const unsigned char digest[LA_TOKEN_DIGEST_BYTES],
                          const la_slice_t *fields, apr_size_t count, la_cache_key_t *key)
{
    mac_t *ready = take_mac(cache);
    EVP_MAC_CTX *own;
    int sound;

    if (ready) {
        sound = make_key(ready->context, fingerprint, digest, fields, count, key);
        atomic_flag_clear_explicit(&ready->taken, memory_order_release);
    } else {
        own = EVP_MAC_CTX_dup(cache->keyed);
        sound = own && make_key(own, fingerprint, digest, fields, count, key);
        EVP_MAC_CTX_free(own);
    }
    return sound ? APR_SUCCESS : APR_EGENERAL;
}

static void *room(void *pool, apr_size_t len)
{
    return apr_palloc(pool, len);
}

static la_table_e get_identity(const la_cache_t *cache, const la_cache_key_t *key, apr_time_t now,
                               apr_pool_t *pool, const la_identity_t **identity)
{
    la_table_entry_t entry;
    la_table_e found = la_table_get(cache->accepted, key->bytes, now, room, pool, &entry);

    if (found != LA_TABLE_MISS && !la_identity_check(entry.value, entry.len)) {
        found = LA_TABLE_MISS;
    }
    *identity = found == LA_TABLE_MISS ? NULL : entry.value;
    return found;
}

/* The message of a rejection in force, or NULL. */
static const char *get_rejection(const la_cache_t *cache, const la_cache_key_t *key, apr_time_t now,
                                 apr_pool_t *pool)
{
    la_table_entry_t entry;

    if (la_table_get(cache->rejected, key->bytes, now, room, pool, &entry) != LA_TABLE_FRESH ||
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

/* now + span, but not beyond `end`, nor beyond what 64 bits hold. */
static apr_time_t until(apr_time_t now, apr_interval_time_t span, apr_time_t end)
{
    apr_time_t time = span > APR_INT64_MAX - now ? APR_INT64_MAX : now + span;

    return end && end < time ? end : time;
}

int la_cache_accept(const la_cache_t *cache, const la_cache_key_t *key,
                    const la_identity_t *identity, const la_cache_times_t *times, apr_time_t now)
{
    la_table_meta_t meta = {0};
    apr_status_t rv;

    meta.expires_us = until(now, times->ttl_us, times->end);
    meta.stale_until_us = until(meta.expires_us, times->stale_us, times->end);
    la_table_remove(cache->rejected, key->bytes);
    if (meta.expires_us <= now) {
        la_table_remove(cache->accepted, key->bytes);
        return 0;
    }
    rv =
        la_table_put(cache->accepted, key->bytes, &meta, identity, la_identity_size(identity), now);
    if (rv == APR_ENOSPC) {
        la_cache_count(cache, LA_CACHE_COUNT_TOO_LARGE);
    }
    return rv == APR_SUCCESS;
}

void la_cache_reject(const la_cache_t *cache, const la_cache_key_t *key, const char *message,
                     apr_interval_time_t ttl_us, apr_time_t now)
{
    la_table_meta_t meta = {0};

    la_table_remove(cache->accepted, key->bytes);
    if (ttl_us > 0) {
        meta.expires_us = until(now, ttl_us, 0);
        la_table_put(cache->rejected, key->bytes, &meta, message, strlen(message) + 1, now);
    }
}

void la_cache_count(const la_cache_t *cache, la_cache_count_e event)
{
    stripe_t *stripe = &cache->stripes[(thread_number() + cache->process) % STRIPES];

    atomic_fetch_add_explicit(&stripe->counts[event], 1, memory_order_relaxed);
}

apr_uint64_t la_cache_counted(const la_cache_t *cache, la_cache_count_e event)
{
    apr_uint64_t sum = 0;
    int i;

    for (i = 0; i < STRIPES; i++) {
        sum += atomic_load_explicit(&cache->stripes[i].counts[event], memory_order_relaxed);
    }
    return sum;
}

const la_table_t *la_cache_accepted(const la_cache_t *cache)
{
    return cache->accepted;
}

const la_table_t *la_cache_rejected(const la_cache_t *cache)
{
    return cache->rejected;
}
